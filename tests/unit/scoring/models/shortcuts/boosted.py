"""Trains models of LightGBM and XGBoost in the folder that is named, and prints by which way each is served.

And whether that gives what MLflow gives, for all rows together and for one with a value that is missing.
"""

import sys
from importlib import import_module
from pathlib import Path

import mlflow.lightgbm
import mlflow.xgboost
import numpy as np
from mlflow.models import infer_signature
from sklearn.datasets import load_diabetes, load_iris

from scoring import loading
from scoring.models.rows import Table
from scoring.settings import Settings

lightgbm, xgboost = import_module("lightgbm"), import_module("xgboost")
X, Y = load_diabetes(return_X_y=True, as_frame=True)
FLOWERS, KINDS = load_iris(return_X_y=True, as_frame=True)
QUICK = {"n_estimators": 20}
MODELS = {
    "numbers": lightgbm.LGBMRegressor(**QUICK, verbose=-1).fit(X, Y),
    "two": lightgbm.LGBMClassifier(**QUICK, verbose=-1).fit(X, np.where(Y > 140, "yes", "no")),
    "three": lightgbm.LGBMClassifier(**QUICK, verbose=-1).fit(FLOWERS, np.array(["a", "b", "c"])[KINDS]),
    "booster": lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 20),
    "xgb": xgboost.XGBRegressor(**QUICK).fit(X, Y),
    "xgb-three": xgboost.XGBClassifier(**QUICK).fit(FLOWERS, KINDS),
    "xgb-booster": xgboost.train({}, xgboost.DMatrix(X, Y), 20),
}
for name, fitted in MODELS.items():
    path = Path(sys.argv[1]) / name
    given = FLOWERS if "three" in name else X
    save = mlflow.xgboost.save_model if "xgb" in name else mlflow.lightgbm.save_model
    save(fitted, str(path), signature=infer_signature(given), input_example=given[:3], pip_requirements=[])
    model = loading.load(Settings(path))
    long = loading.load(Settings(path))
    long._calls = {}  # type: ignore[attr-defined] # noqa: SLF001 -- as it is served where the proof fails
    missing = given[:1].to_numpy().copy()
    missing[0, 1] = np.nan
    tables = [Table(len(given), block=given.to_numpy()), Table(1, block=missing)]
    for method in model.methods[:2]:
        pairs = [(model.predict([each], method, None), long.predict([each], method, None)) for each in tables]
        equal = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
        print(name, method, model.ways[method].name, model.ways[method].why, equal)
