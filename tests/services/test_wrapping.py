"""Wrapping through `make wrap_model`'s script, and through model/wrap.py alone.

Real files, a real registry, the real model server.
"""

import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
import sklearn
import skops.io
from mlflow import MlflowClient
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from slipway import ports
from slipway.registry.client import Registry
from slipway.serving import api_test
from slipway.settings import ROOT, Settings
from slipway.training import provenance
from tests.services.conftest import Tracking

Script = Callable[..., subprocess.Popen[str]]
TREE = "sklearn.metrics._dist_metrics.EuclideanDistance64 sklearn.neighbors._kd_tree.KDTree"
CLASSES = """import mlflow
class Line:
    def __init__(self):
        self.slope = 2.0
    def predict(self, rows):
        return self.slope * rows["bmi"]
class Own(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [1.5] * len(model_input)
class Short:
    def predict(self, rows):
        return [1.0]
class Empty:
    def predict(self, rows):
        return [float("nan")] * len(rows)
class Choosy:
    def __init__(self, size):
        pass
    def predict(self, rows):
        return rows["bmi"]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write artefacts of every kind, good and bad, and example rows."""
    path = tmp_path_factory.mktemp("artefacts")
    features, target = load_diabetes(as_frame=True, return_X_y=True)
    joblib.dump(LinearRegression().fit(features, target), path / "line.joblib")
    joblib.dump(StandardScaler().fit(features), path / "scaler.joblib")
    (path / "near.pkl").write_bytes(pickle.dumps(KNeighborsRegressor().fit(features, target)))
    words = np.where(target > target.mean(), "ill", "well")
    joblib.dump(LogisticRegression(max_iter=500).fit(features, words), path / "words.pickle")
    skops.io.dump(KNeighborsRegressor().fit(features, target), path / "near.skops")
    old = (path / "line.joblib").read_bytes().replace(sklearn.__version__.encode(), b"1.3.0")
    (path / "old.joblib").write_bytes(old)
    (path / "broken.pkl").write_bytes(b"no pickle")
    (path / "classes.py").write_text(CLASSES)
    (path / "one_class.py").write_text(CLASSES.partition("class Own")[0])
    (path / "json.py").write_text(CLASSES)
    features.head(8).to_csv(path / "rows.csv", index=False)
    (path / "other.csv").write_text("length,width\n1.5,2.5\n")
    (path / "long.csv").write_text("a,b\n1.5,2.5,\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Copy the model folder under another registered name."""
    path = shutil.copytree(ROOT / "model", tmp_path / "wrapped", ignore=shutil.ignore_patterns("__pycache__"))
    (path / "model.toml").write_text('name = "wrapped"\nmetric = "rmse"\ndirection = "minimize"\n')
    return path


@pytest.mark.parametrize(
    ("file", "options", "flavor", "words"),
    [
        ("line.joblib", {}, "sklearn", "loading one runs whatever code it holds"),
        ("near.pkl", {}, "sklearn", "logged with cloudpickle"),
        ("near.skops", {"TRUST": TREE}, "sklearn", "wrapped near.skops"),
        ("one_class.py", {"EXAMPLE": "rows.csv"}, "python_function", "wrapped one_class.py"),
        ("classes.py", {"CLASS": "Own"}, "python_function", "wrapped classes.py"),
    ],
    ids=["joblib", "pickle that skops refuses", "skops with trusted types", "class", "MLflow's own class"],
)
def test_an_artefact_becomes_a_version(  # noqa: PLR0913, PLR0917 -- three fixtures, four parameters
    served_settings: Settings,
    script: Script,
    files: Path,
    folder: Path,
    file: str,
    options: dict[str, str],
    flavor: str,
    words: str,
) -> None:
    """It has a run of its own, a signature, an example, pins; it predicts as the file does.

    Its version says where it came from.
    """
    given = {name: str(files / value) if name == "EXAMPLE" else value for name, value in options.items()}
    printed, _ = (process := script("wrap_model", FILE=str(files / file), MODEL_DIR=str(folder), **given)).communicate()
    registry, client = Registry.connect(served_settings), MlflowClient(served_settings.tracking_uri)
    version = max(registry.find_versions("wrapped").values(), key=lambda version: int(version.version))
    run = client.get_run(version.run_id or "")
    uri = f"models:/wrapped/{version.version}"
    loaded = mlflow.pyfunc.load_model(uri)

    assert process.returncode == 0, printed
    assert words in printed
    assert re.search(rf"next  RUNTIME=host .*make serve_model MODEL={uri}", printed)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"file": file, "sha256": hashlib.sha256((files / file).read_bytes()).hexdigest()}
    assert flavor in loaded.metadata.flavors
    assert loaded.metadata.signature.inputs.input_names()[2] == "bmi"
    assert len(loaded.input_example) == 5
    pins = (Path(mlflow.artifacts.download_artifacts(uri)) / "requirements.txt").read_text().splitlines()
    assert f"scikit-learn=={sklearn.__version__}" in pins
    assert all("==" in pin for pin in pins)
    rows = pd.read_csv(files / "rows.csv")
    bmi = rows["bmi"].to_numpy()
    expected = {
        "one_class.py": 2 * bmi,
        "classes.py": np.full(len(bmi), 1.5),
        "line.joblib": joblib.load(files / "line.joblib").predict(rows),
    }
    assert np.allclose(
        np.asarray(loaded.predict(rows)), expected.get(file, joblib.load(files / "near.pkl").predict(rows))
    )
    assert version.tags["mlflow.source.name"].endswith("wrapped/wrap.py")
    assert provenance.CODE_TAG not in version.tags  # it is no training of this code
    assert json.loads((folder / "request.json").read_text())["dataframe_split"]["columns"][2] == "bmi"


@pytest.mark.parametrize("file", ["words.pickle", "one_class.py"])
def test_a_wrapped_model_is_served(  # noqa: PLR0913, PLR0917 -- five fixtures and a parameter
    tracking: Tracking, served_settings: Settings, script: Script, files: Path, folder: Path, file: str
) -> None:
    """`make serve_model` serves it, an estimator and a class alike, and `make test_api` finds what it should."""
    variables = {"MODEL_DIR": str(folder), "PORT": str(ports.find_free())}
    printed, _ = (process := script("wrap_model", FILE=str(files / file), **variables)).communicate()
    assert process.returncode == 0, printed
    version = max(map(int, Registry(tracking.url).find_versions("wrapped")))
    server = script("serve_model", MODEL=f"models:/wrapped/{version}", **variables)
    try:
        api_test.wait_until_ready(
            served_settings.serving, f"http://127.0.0.1:{variables['PORT']}", lambda: server.poll() is None
        )
        tested, _ = (test := script("test_api", **variables)).communicate(timeout=120)
    finally:
        server.terminate()
        server.wait()

    assert test.returncode == 0, tested
    assert f"answers as models:/wrapped/{version}" in tested


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["old.joblib"], f"old.joblib was fitted with scikit-learn 1.3.0, but {sklearn.__version__} is installed"),
        (["scaler.joblib"], "holds an object of StandardScaler, which has no predict"),
        (["broken.pkl"], "broken.pkl cannot be read"),
        (["missing.pkl"], "no file"),
        (["rows.csv"], "rows.csv is none of .joblib, .pkl, .pickle, .skops, .py"),
        (["near.skops"], f'to accept them: --trust "{TREE}"'),
        (["line.joblib", "--example", "other.csv"], "does not predict its own example: ValueError"),
        (["line.joblib", "--example", "long.csv"], "rows in long.csv have more values than its header has columns"),
        (["line.joblib", "--example", "broken.pkl"], "no example rows in broken.pkl"),
        (["classes.py"], "has: Line, Own, Short, Empty, Choosy; to choose one: --class NAME"),
        (["classes.py", "--class", "Tall"], "no class Tall with predict; available: Line"),
        (["classes.py", "--class", "Short"], r"an array of shape (1,) for the 5 rows of its own example"),
        (["classes.py", "--class", "Empty"], "no finite numbers"),
        (["classes.py", "--class", "Choosy"], "classes.py cannot be read: TypeError"),
        (["json.py", "--class", "Line"], "a module cannot be called json, or another one is"),
    ],
    ids=[
        "another scikit-learn", "no predict", "unreadable", "no file", "no artefact", "unknown types", "wrong example",
        "long rows", "no example", "several classes", "no such class", "too few predictions", "not finite",
        "needs arguments", "name of a module",
    ],
)  # fmt: skip
def test_what_cannot_serve_is_refused(
    files: Path, folder: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """The plain script says in one line why, and nothing is logged or registered."""
    given = [str(files / word) if Path(word).suffix else word for word in arguments]
    variables = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    command = [sys.executable, "wrap.py", *given]
    done = subprocess.run(command, cwd=folder, env=variables, check=False, capture_output=True, text=True)

    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert words in errors[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_a_module_of_the_folder_goes_with_the_model(
    served_settings: Settings, script: Script, files: Path, folder: Path
) -> None:
    """What the artefact imports from the model folder is logged with it."""
    (folder / "slopes.py").write_text("SLOPE = 4.0\n")
    (files / "needs_it.py").write_text(
        "import slopes\nclass Line:\n    def predict(self, rows):\n        return rows['bmi'] * slopes.SLOPE\n"
    )
    printed, _ = (process := script("wrap_model", FILE=str(files / "needs_it.py"), MODEL_DIR=str(folder))).communicate()
    mlflow.set_tracking_uri(served_settings.tracking_uri)
    newest = max(Registry.connect(served_settings).find_versions("wrapped"))
    code = Path(mlflow.artifacts.download_artifacts(f"models:/wrapped/{newest}")) / "code"

    assert process.returncode == 0, printed
    assert {file.name for file in code.glob("*.py")} == {"needs_it.py", "slopes.py"}


def test_mlflow_run_wraps_without_slipway(files: Path, folder: Path, tmp_path: Path) -> None:
    """The entry point `wrap` of MLproject registers the file; the options may be left out."""
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    command = [
        "mlflow",
        "run",
        str(folder),
        "-e",
        "wrap",
        "-P",
        f"artefact={files / 'line.joblib'}",
        "--env-manager",
        "local",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **variables}, check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert MlflowClient(variables["MLFLOW_TRACKING_URI"]).get_model_version("wrapped", "1").run_id


def test_a_file_that_is_not_named_or_not_there_is_said(script: Script, folder: Path) -> None:
    """An empty FILE, a missing one, and a folder without wrap.py end in an error with what to type."""
    empty, _ = script("wrap_model", FILE="", MODEL_DIR=str(folder)).communicate()
    missing, _ = script("wrap_model", FILE="nowhere.pkl", MODEL_DIR=str(folder)).communicate()
    (folder / "wrap.py").unlink()
    bare, _ = script("wrap_model", FILE="nowhere.pkl", MODEL_DIR=str(folder)).communicate()

    assert "error: FILE is empty: which file?" in empty
    assert "error: FILE does not name a file: nowhere.pkl" in missing
    assert "wrapped/ has no wrap.py" in bare
