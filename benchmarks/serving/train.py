"""Train the models; write what servers load (an MLflow folder, a joblib file), the requests and the right answers.

Runs as a program of its own, train.py FOLDER, so that the process which measures has none of these libraries in memory.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import mlflow
import mlflow.lightgbm
import numpy as np
import pandas as pd
from cases import CASES
from lightgbm import LGBMRegressor
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

if TYPE_CHECKING:
    from numpy.typing import NDArray

REQUIREMENTS = [f"{name}=={version(name)}" for name in ("mlflow", "numpy", "pandas", "scikit-learn", "skops")]
BODIES = {1: 100, 100: 10, 10_000: 2}  # rows: different bodies of that size
ALWAYS = {1, 100}  # rows of what a server is asked besides its cases


class Score(mlflow.pyfunc.PythonModel):
    """A model of one's own: a score of each row, written as people write them."""

    def predict(
        self, context: object, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the rows' scores."""
        del context, params
        frame = model_input.assign(risk=model_input["bmi"] * 300 + model_input["bp"] * 200)
        return np.asarray(frame["risk"] + model_input["s5"].clip(lower=0) * 100 + 152)


def with_words(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn the diabetes data's sex, and its body mass index beside its number, into text."""
    weight = pd.cut(frame["bmi"], [-np.inf, -0.02, 0.02, np.inf], labels=["light", "middle", "heavy"]).astype(str)
    return frame.assign(sex=np.where(frame["sex"] > 0, "male", "female"), weight=weight)


def write_bodies(folder: Path, name: str, frame: pd.DataFrame) -> None:
    """Write rows in each form that some server is sent, as <form>-<rows>/<name>."""
    numeric = not any(isinstance(value, str) for value in frame.iloc[0])
    records = frame.to_dict("records")
    tensor = {"name": "rows", "shape": list(frame.shape), "datatype": "FP64"}
    raw = frame.to_numpy(np.float64).tobytes() if numeric else b""
    columns = [
        {
            "name": str(column),
            "shape": [len(frame), 1],
            "datatype": "FP64" if kind == np.float64 else "BYTES",
            "data": frame[column].tolist(),
        }
        for column, kind in frame.dtypes.items()
    ]
    bodies: dict[str, Any] = {
        "split": {"dataframe_split": frame.to_dict("split", index=False)},
        "records": {"dataframe_records": records},
        "instances": {
            "instances": frame.to_numpy().tolist() if numeric else [{k: [v] for k, v in row.items()} for row in records]
        },
        "rows": {"rows": frame.to_numpy().tolist() if numeric else records},
        "v2": {"inputs": [{**tensor, "data": frame.to_numpy().ravel().tolist()}]}
        if numeric
        else {"inputs": columns, "parameters": {"content_type": "pd"}},
        "v2cols": {"inputs": columns, "parameters": {"content_type": "pd"}},
    }
    written = {form: json.dumps(body).encode() for form, body in bodies.items()}
    written["csv"] = frame.to_csv(index=False).encode()
    if numeric:
        binary = {
            "inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}],
            "parameters": {"binary_data_output": True},
        }
        written["v2bin"] = json.dumps(binary).encode() + raw
    for form, content in written.items():
        file = folder / f"{form}-{len(frame)}" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)


def write(folder: Path, frame: pd.DataFrame, model: Any) -> None:  # noqa: ANN401 -- an estimator or a PythonModel
    """Save a fitted model in both forms, with the bodies and the right answers."""
    folder.mkdir(parents=True)
    python = isinstance(model, mlflow.pyfunc.PythonModel)
    predict = (lambda rows: model.predict(None, rows)) if python else model.predict
    example = frame.head(3)
    about = {
        "path": str(folder / "mlflow"),
        "signature": mlflow.models.infer_signature(example, predict(example)),
        "input_example": example,
        "pip_requirements": REQUIREMENTS,
    }
    if python:
        mlflow.pyfunc.save_model(python_model=model, **about)
    else:
        if isinstance(model, LGBMRegressor):
            about["pip_requirements"] = [*REQUIREMENTS, f"lightgbm=={version('lightgbm')}"]
            mlflow.lightgbm.save_model(model, **about)
        else:
            trees = isinstance(
                model, RandomForestRegressor | HistGradientBoostingRegressor
            )  # MLflow cannot save it with skops, its default
            mlflow.sklearn.save_model(model, serialization_format="cloudpickle" if trees else "skops", **about)
        joblib.dump(model, folder / "model.joblib")
    for rows in sorted({case.rows for case in CASES if case.model == folder.name} | ALWAYS):
        right, count = [], BODIES[rows]
        for number in range(count):
            chosen = frame.iloc[np.arange(number * rows, (number + 1) * rows) % len(frame)].reset_index(drop=True)
            write_bodies(folder, f"{number:03}", chosen)
            right.append(predict(chosen).tolist())
        (folder / f"right-{rows}").write_text(json.dumps(right))


def main(folder: Path) -> None:
    """Train and write everything."""
    diabetes, progression = load_diabetes(return_X_y=True, as_frame=True)
    digits, digit = load_digits(return_X_y=True, as_frame=True)
    words = with_words(diabetes)
    texts = ["sex", "weight"]
    encoder = make_column_transformer(
        (OneHotEncoder(), texts), (StandardScaler(), [name for name in words if name not in texts])
    )
    linear = ElasticNet(alpha=0.05, l1_ratio=0.5)
    write(folder / "elasticnet", diabetes, make_pipeline(StandardScaler(), linear).fit(diabetes, progression))
    write(folder / "forest", diabetes, RandomForestRegressor(100, random_state=0).fit(diabetes, progression))
    write(folder / "histograms", diabetes, HistGradientBoostingRegressor(random_state=0).fit(diabetes, progression))
    write(folder / "lightgbm", diabetes, LGBMRegressor(random_state=0, verbose=-1).fit(diabetes, progression))
    write(
        folder / "digits", digits, make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(digits, digit)
    )
    write(folder / "strings", words, make_pipeline(encoder, ElasticNet(alpha=0.05)).fit(words, progression))
    write(folder / "pyfunc", diabetes, Score())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
