"""What a notebook logs by `make env` is a model like any other; params.env holds what a folder's script is run with."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.services.kit import Kit

NOTEBOOK = """
import mlflow
import pandas as pd
from sklearn.linear_model import LinearRegression

rows = pd.DataFrame({"a": [0.0, 1.0, 2.0]})
with mlflow.start_run():
    mlflow.log_metric("rmse", 0.5)
    mlflow.sklearn.log_model(
        LinearRegression().fit(rows, [1.0, 3.0, 5.0]), name="model", input_example=rows,
        registered_model_name="by-hand", pip_requirements=["scikit-learn", "pandas", "skops", "mlflow-skinny"],
    )
"""
SCRIPT = """
import os
import sys

import mlflow


class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input


with mlflow.start_run():
    mlflow.log_param("given", " ".join(sys.argv[1:]))
    mlflow.log_param("threads", os.environ["OMP_NUM_THREADS"])
    mlflow.log_metric("rmse", 0.5)
    mlflow.pyfunc.log_model(name="model", python_model=Nothing(), pip_requirements=["mlflow-skinny"])
"""


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    """Return the commands with an empty store."""
    return Kit(tmp_path)


@pytest.mark.thorough
def test_a_notebook_logs_where_backups_see_it(kit: Kit, tmp_path: Path) -> None:
    """Run in another folder, with the variables that are printed: it is listed, and served."""
    lines = kit.run("env").splitlines()
    variables = dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in lines)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "notebook.py").write_text(NOTEBOOK)
    command = [sys.executable, "-W", "ignore", "notebook.py"]
    subprocess.run(command, cwd=elsewhere, env=kit.environment(**variables), check=True, capture_output=True)

    assert variables["MLFLOW_EXPERIMENT_NAME"] == "diabetes"
    assert [path.name for path in elsewhere.iterdir()] == ["notebook.py"]
    assert len(list((tmp_path / "artifacts").rglob("MLmodel"))) == 1
    assert "models:/by-hand/1" in kit.run("list_models")
    with kit.serve("by-hand", uri="models:/by-hand/1") as url:
        answer = requests.post(f"{url}/invocations", json={"dataframe_records": [{"a": 3.0}]}, timeout=60).json()

    assert answer["predictions"] == pytest.approx([7.0])


def test_params_of_a_folder_reach_its_script(kit: Kit, tmp_path: Path) -> None:
    """As arguments, which TRAIN_ARGS follow, and as variables; a tag of run and version says so."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.toml").write_text('name = "mine"\nmetric = "rmse"\ndirection = "minimize"\n')
    (folder / "params.env").write_text("alpha=0.3\nOMP_NUM_THREADS=1\n")
    (folder / "train.py").write_text(SCRIPT)
    printed = kit.run("train_model", MODEL_DIR=str(folder), TRAIN_ARGS="--alpha 0.5")
    version = kit.client.get_model_version("mine", "1")
    run = kit.client.get_run(str(version.run_id))

    assert run.data.params == {"given": "--alpha 0.3 --alpha 0.5", "threads": "1"}
    assert run.data.tags["slipway.arguments"] == version.tags["slipway.arguments"] == "--alpha 0.3 --alpha 0.5"
    assert "training mine with mine/train.py --alpha 0.3 --alpha 0.5" in printed
