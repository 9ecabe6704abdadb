"""Scripts as MLflow's documentation teaches them, each with three lines of model.toml and nothing else of Slipway's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slipway.registry import model_files, model_uri
from slipway.registry.client import Registry

if TYPE_CHECKING:
    import subprocess

Script = Callable[..., "subprocess.Popen[str]"]
ELASTIC_NET = """
import sys
import mlflow, numpy as np, pandas as pd
from sklearn.linear_model import ElasticNet
rows = pd.DataFrame(np.random.default_rng(0).random((60, 2)), columns=["acidity", "sugar"])
quality = rows["acidity"] * 3 + 1
alpha = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
with mlflow.start_run():
    model = ElasticNet(alpha=alpha).fit(rows, quality)
    mlflow.log_param("alpha", alpha)
    mlflow.log_metric("rmse", float(np.sqrt(((model.predict(rows) - quality) ** 2).mean())))
    mlflow.sklearn.log_model(model, name="model", registered_model_name="ElasticnetWineModel")
"""
SEARCH = """
import mlflow
from sklearn import datasets, svm
from sklearn.model_selection import GridSearchCV
mlflow.sklearn.autolog()
iris = datasets.load_iris(as_frame=True)
search = GridSearchCV(svm.SVC(), {"kernel": ("linear", "rbf"), "C": [1, 10]}, cv=3)
with mlflow.start_run():
    search.fit(iris.data, iris.target)
"""
PYTHON_MODEL = """
import mlflow, pandas as pd
class AddN(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] + (params or {"n": 1})["n"]
with mlflow.start_run():
    mlflow.log_metric("loss", 0.25)
    rows = pd.DataFrame({"x": [1.0, 2.0]})
    mlflow.pyfunc.log_model(name="first", python_model=AddN(), pip_requirements=["pandas"])
    mlflow.pyfunc.log_model(name="second", python_model=AddN(), input_example=(rows, {"n": 3}))
"""
FOLDERS = {  # name, metric, direction: the three lines; the script's name and text
    "wine": ("Wine Quality", "rmse", "minimize", "train.py", ELASTIC_NET),
    "search": ("iris_search", "best_cv_score", "maximize", "grid_search.py", SEARCH),
    "custom": ("add-n", "loss", "minimize", "train.py", PYTHON_MODEL),
}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return a folder with the model folders."""
    for folder, (name, metric, direction, script, text) in FOLDERS.items():
        (tmp_path / folder).mkdir()
        lines = f'name = "{name}"\nmetric = "{metric}"\ndirection = "{direction}"\n'
        (tmp_path / folder / "model.toml").write_text(lines)
        (tmp_path / folder / script).write_text(text)
    project = "name: x\nentry_points: {main: {command: 'python grid_search.py'}}\n"
    (tmp_path / "search" / "MLproject").write_text(project)
    return tmp_path


def test_three_lines_are_enough(folders: Path, script: Script, registry: Registry) -> None:
    """Each script is trained and registered under model.toml's name, and the user hears what the version lacks.

    At once: they log to one server.
    """
    trained = ("wine", "search", "custom")
    started = {
        name: script("train_model", MODEL_DIR=str(folders / name), TRAIN_ARGS="0.02" if name == "wine" else "")
        for name in trained
    }
    printed = {name: process.communicate()[0] for name, process in started.items()}

    assert [process.returncode for process in started.values()] == [0, 0, 0], printed
    _check_wine(printed["wine"], registry)
    _check_search(printed["search"], registry)
    _check_custom(printed["custom"], registry, folders)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nobodys_library", "error: train.py needs the library nobodys-library, which is not locked"),
        ("raise ValueError('no rows')", "error: train.py ended with exit code 1: ValueError: no rows"),
    ],
    ids=["a missing library", "an exception"],
)
def test_a_script_that_fails_says_why_last(tmp_path: Path, script: Script, text: str, words: str) -> None:
    """The last lines name the cause, and for a library that is not locked the command that adds it."""
    (tmp_path / "model.toml").write_text('name = "none"\nmetric = "loss"\ndirection = "minimize"\n')
    (tmp_path / "train.py").write_text(text)
    printed, _ = (process := script("train_model", MODEL_DIR=str(tmp_path))).communicate()

    assert process.returncode == 1
    assert words in printed
    assert ("make add LIBRARY=nobodys-library" in printed) == ("nobodys" in text)


def _check_wine(printed: str, registry: Registry) -> None:
    version, other = registry.find_version("Wine Quality", 1), registry.find_version("ElasticnetWineModel", 1)

    assert version
    assert other
    assert version.source == other.source
    run = registry.find_run(str(version.run_id))
    assert run
    assert run.data.params == {"alpha": "0.02"}
    assert "warning: no signature" in printed
    assert "warning: no input example" in printed
    assert "note: train.py registered ElasticnetWineModel; by model.toml it is Wine Quality 1, too" in printed
    assert "make serve_model MODEL='models:/Wine Quality/1'" in printed


def _check_search(printed: str, registry: Registry) -> None:
    found = model_uri.resolve(registry, "models:/iris_search/1")
    logged, run = registry.find_logged_model(str(found.model_id)), registry.find_run(str(found.run_id))

    assert logged
    assert run
    assert logged.name == "best_estimator"
    assert "mlflow.parentRunId" not in run.data.tags
    assert f"best_cv_score is {run.data.metrics['best_cv_score']:.5g}" in printed
    assert "best_estimator counts" in printed


def _check_custom(printed: str, registry: Registry, folders: Path) -> None:
    found = model_uri.resolve(registry, "models:/add-n/latest")
    logged = registry.find_logged_model(str(found.model_id))

    assert logged
    assert (logged.name, found.version) == ("second", "1")
    assert "the run logged 2 models (first, second); second counts" in printed
    assert "loss is 0.25" in printed
    assert json.loads((folders / "custom" / "request.json").read_text())["params"] == {"n": 3}
    assert (model_files.fetch(registry, found) / "environment" / "environment.json").exists()
