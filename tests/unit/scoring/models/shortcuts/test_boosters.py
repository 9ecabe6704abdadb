"""LightGBM's and XGBoost's own models, in an environment that has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import scoring
from slipway.settings import ROOT

WANTED = """
numbers predict, two predict, two predict_proba, three predict, three predict_proba, booster predict,
xgb predict, xgb-three predict, xgb-three predict_proba, xgb-booster predict
"""


@pytest.mark.thorough
def test_boosters_are_called_directly(tmp_path: Path) -> None:
    """Each is served without its library's interface for scikit-learn, and gives what MLflow gives, to the bit."""
    uv, python = str(ROOT / ".venv/bin/uv"), str(tmp_path / "env/bin/python")
    libraries = ["-r", str(ROOT / "requirements/serving.txt"), "lightgbm==4.7.0", "xgboost-cpu==3.2.0"]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "env")], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *libraries], check=True)
    environment = {**os.environ, "PYTHONPATH": str(Path(scoring.__file__).parents[1])}
    script = str(Path(__file__).with_name("boosted.py"))
    printed = subprocess.run(
        [python, "-W", "ignore", script, str(tmp_path)], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout

    assert printed.splitlines() == [f"{each.strip()} shortcut  True" for each in WANTED.split(",")]
