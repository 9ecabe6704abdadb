"""Models take the same way with the arithmetic of any processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from scoring import loading
from tests.unit.scoring.test_rehearsal import ROWS, TARGET, load_estimator

CPU = Path("/proc/cpuinfo")
KERNELS = [
    "Haswell",
    "Nehalem",
    "Prescott",
    "Zen",
    *(["SkylakeX"] if CPU.exists() and "avx512f" in CPU.read_text() else []),
]  # those that run here


@pytest.mark.parametrize(
    "kernel", [KERNELS[0], *(pytest.param(each, marks=pytest.mark.thorough) for each in KERNELS[1:])]
)
def test_models_take_the_shortcut_on_any_processor(tmp_path: Path, kernel: str) -> None:
    """With other processors' kernels, too, the way is the same, and the answer is scikit-learn's but for rounding."""
    digits, digit = load_digits(return_X_y=True, as_frame=True)
    words = ROWS.assign(sex=np.where(ROWS["sex"] > 0, "f", "m"))
    encoder = make_column_transformer((OneHotEncoder(), ["sex"]), (StandardScaler(), [*ROWS.columns.drop("sex")]))
    for name, model, rows, target in (
        ("demo", make_pipeline(StandardScaler(), ElasticNet(alpha=0.05)), ROWS, TARGET),
        ("linear", LinearRegression(), ROWS, TARGET),
        ("ridge", make_pipeline(StandardScaler(), RidgeClassifier()), digits, digit),
        ("logistic", make_pipeline(StandardScaler(), LogisticRegression(max_iter=50)), digits, digit),
        ("forest", make_pipeline(StandardScaler(), RandomForestClassifier(5)), digits, digit),
        ("boosting", GradientBoostingRegressor(n_estimators=5), ROWS, TARGET),
        ("texts", make_pipeline(encoder, ElasticNet(alpha=0.05)), words, TARGET),
        ("categories", HistGradientBoostingRegressor(max_iter=5, categorical_features=["sex"]), words, TARGET),
        ("histograms", make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)), digits, digit),
    ):
        load_estimator(tmp_path / name, model.fit(rows, target), rows, n=3)
    script = (
        "import sys; from pathlib import Path; from scoring import loading, settings; from scoring.models import rows\n"
        "for folder in Path(sys.argv[1]).iterdir():\n"
        "    m = loading.load(settings.Settings(folder / 'model')); e = loading.rehearsal.read(m)\n"
        "    p, q = m.predict([e], 'predict', None), m._estimator.predict(rows.frame([e], m.signature.columns))\n"
        "    print(folder.name, m.ways['predict'], abs(p - q).max() <= 1e-12 * abs(q).max())"
    )
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "PYTHONPATH": str(Path(loading.__file__).parents[1])}
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert [line for line in printed.splitlines() if not line.endswith("Way(name='shortcut', why='') True")] == []
    assert len(printed.splitlines()) == 9
