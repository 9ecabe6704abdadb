"""Models of every kind go the whole way: trained, listed, promoted, compared and rolled back.

By the host's processes and a sqlite file. A promotion's smoke test serves the version and tests its API against the
answers of mlflow.pyfunc.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow.pyfunc import scoring_server

from slipway import settings as slipway_settings
from slipway.errors import SlipwayError
from slipway.registry import listing, mlmodel
from slipway.registry.client import Registry
from slipway.release import promote
from slipway.serving import answers, api_test, server
from slipway.settings import ROOT
from slipway.training import compare
from tests.conftest import changed, find_command, need

if TYPE_CHECKING:
    from slipway.settings import Settings
    from tests.aliases import Json

SCRIPTS = Path(__file__).with_name("kinds.py")
LIBRARY_SCRIPTS = Path(__file__).with_name("library_kinds.py")
TOML = 'name = "{name}"\nmetric = "score"\ndirection = "maximize"\n'
THOROUGH = [
    "hinted_classes",
    "no_example",
    "columns", "integer_names", "images_", "named_tensors", "hinted_texts", "hinted_dicts", "nested", "labels",
    "probabilities", "several", "dictionaries", "series", "no_signature", "neither", "from_code", "nested_runs",
    "sparse", "transformed",
]  # fmt: skip
QUICK = ["mixed", "matrix", "params", "autolog"]
LIBRARIES = {
    "xgboost": ["xgboost-cpu"],
    "xgboost_booster": ["xgboost-cpu"],
    "lightgbm": ["lightgbm"],
    "lightgbm_booster": ["lightgbm"],
    "catboost": ["catboost"],
    "onnx": ["onnx", "onnxruntime", "skl2onnx"],
    "onnx_classifier": ["onnx", "onnxruntime", "skl2onnx"],
    "statsmodels": ["statsmodels"],
    "keras": ["keras", "jax"],
    "torch": ["torch==2.13.0"],
    "torch_exported": ["torch==2.13.0"],
}
KINDS = [*QUICK, *(pytest.param(each, marks=pytest.mark.thorough) for each in (*THOROUGH, *LIBRARIES))]
WITHOUT_EXAMPLE = {"no_example", "autolog", "keras"}
WITHOUT_ROWS = {"neither"}  # there is nothing to send


def write_folder(path: Path, function: str, call: str = "") -> str:
    """Write a model folder: three lines of model.toml, and a script that calls one function of `kinds.py`.

    With the libraries that it needs beyond those of the checkout. Return the model's name.
    """
    path.mkdir()
    name = function.replace("_", "-").strip("-")
    (path / "model.toml").write_text(TOML.format(name=name))
    script = LIBRARY_SCRIPTS if function in LIBRARIES else SCRIPTS
    (path / "train.py").write_text(f"{script.read_text()}\n\n{call or function}()\n")
    if function in LIBRARIES:
        shutil.copy(SCRIPTS, path)
        more = ["mlflow-skinny", "pandas", "scikit-learn", "skops", *LIBRARIES[function]]
        (path / "requirements.txt").write_text("\n".join(more) + "\n")
    return name


@dataclass(frozen=True)
class Folder:
    """A model folder of one kind, and the settings to train from it."""

    settings: Settings
    name: str

    @classmethod
    def make(cls, path: Path, function: str, call: str = "") -> Folder:
        """Write the folder."""
        name = write_folder(path, function, call)
        store = {"external_uri": f"sqlite:///{path.parent}/mlflow.db"}
        return cls(changed(replace(slipway_settings.load(), model_dir=path), tracking=store), name)

    def train(self) -> str:
        """Train as `make train_model` does; return what it prints."""
        given = {
            "MODEL_DIR": str(self.settings.model_dir),
            "MLFLOW_TRACKING_URI": self.settings.tracking_uri,
            "TRAIN_ARGS": "",
        }
        done = subprocess.run(
            find_command("train_model"), cwd=ROOT, env=os.environ | given, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose the host's processes, whatever the caller's settings are."""
    for name in ("MLFLOW_TRACKING_URI", "MODEL_DIR", "TRAIN_ARGS", "URL", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNTIME", "host")


def ask_mlflow(files: Path, request: dict[str, Json]) -> Json:
    """Return mlflow.pyfunc's answer to a request, as MLflow's own server writes it."""
    model = mlflow.pyfunc.load_model(str(files))
    parsed = scoring_server._parse_json_data(json.dumps(request), model.metadata, model.metadata.get_input_schema())  # type: ignore[no-untyped-call]  # noqa: SLF001 -- no public way
    predictions = model.predict(parsed.data, params=parsed.params)
    text = io.StringIO()
    scoring_server.predictions_to_json(predictions.toarray() if hasattr(predictions, "toarray") else predictions, text)  # type: ignore[no-untyped-call]
    return json.loads(text.getvalue(), parse_constant=lambda _: None)  # the API answers null for NaN


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_goes_the_whole_way(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is trained, listed, and promoted after a smoke test that compares its API with mlflow.pyfunc's answers.

    Then another version of it is compared, promoted, and rolled back.
    """
    if kind.startswith("torch"):
        need(
            "torch",
            bool(os.environ.get("UV_FIND_LINKS")),
            "UV_FIND_LINKS=… with a wheel for CPUs: PyPI's are several GB",
        )
    folder = Folder.make(tmp_path / kind, kind)
    cases: list[api_test.Case] = []
    examine = api_test.examine

    def keep(*arguments: Json) -> api_test.Case:
        cases.append(examine(*arguments))
        return cases[-1]

    monkeypatch.setattr(api_test, "examine", keep)
    folder.train()
    registry = Registry.connect(folder.settings)
    (row,) = listing.list_rows(registry, "score")
    promote.promote(folder.settings, row.model, force=False, why="")
    printed = capfd.readouterr()
    (case,) = cases
    files = server.prepare(folder.settings, row.model).files

    assert (row.name, row.metric) == (folder.name, 0.9)
    assert registry.find_champion(folder.name) == 1
    assert ("made-up rows of the signature" in printed.err) == (kind in WITHOUT_EXAMPLE)
    if kind in WITHOUT_ROWS:
        assert "no prediction is tested: log the model with input_example=" in printed.err
        assert "1 passed, 3 skipped in " in printed.out
    else:
        assert case.request is not None
        assert case.request == (mlmodel.read_example(files) or case.request)
        assert kind in {*LIBRARIES, "transformed"} or not answers.differ(ask_mlflow(files, case.request), case.expected)
    if kind in QUICK[1:]:
        return
    registry.create_version(folder.name, str(registry.find_versions(folder.name)[1].source).removeprefix("models:/"))
    compare.compare(folder.settings)
    promote.promote(folder.settings, f"models:/{folder.name}/2", force=True, why="the same model")
    assert registry.find_champion(folder.name) == 2
    promote.roll_back(folder.settings)
    assert registry.find_champion(folder.name) == 1


@pytest.mark.usefixtures("runtime")
@pytest.mark.thorough
def test_odd_metrics_are_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Metrics that are not finite, hundreds of them and long names are listed, compared and refused in words."""
    folder = Folder.make(tmp_path / "odd", "odd", "odd_metrics")
    trained = folder.train()
    listing.show(folder.settings, "json")
    listed = json.loads(capfd.readouterr().out)
    with pytest.raises(SlipwayError, match="not a number: score of version 1 is nan"):
        promote.promote(folder.settings, "models:/odd/1", force=False, why="")
    promote.promote(folder.settings, "models:/odd/1", force=True, why="to compare with")
    folder.train()
    capfd.readouterr()
    compare.compare(folder.settings)

    assert re.search(r"score[ │]+nan", trained)
    assert "more, which MLflow shows" in trained
    assert listed[0]["metric"] == {"score": None}
    assert "more, which MLflow shows" in capfd.readouterr().out
