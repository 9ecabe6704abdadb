"""A model that MLflow 2.22 saved, in `mlflow2/`: it is read as it is, and its older forms, too."""

import json
import shutil
from pathlib import Path

import pytest

from scoring import loading
from scoring.codecs.fast_json import decoder_for
from scoring.settings import Settings
from slipway.registry import mlmodel

SAVED = Path(__file__).with_name("mlflow2")
ROWS = {"dataframe_split": {"columns": ["a", "b"], "data": [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]]}}


@pytest.fixture(params=["2.22", "2.10"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the model as one of MLflow's versions saved it: before 2.15 the example was written alone."""
    folder = Path(shutil.copytree(SAVED, tmp_path / "model"))
    if request.param == "2.10":
        text = (folder / "MLmodel").read_text()
        (folder / "MLmodel").write_text(text.replace("  serving_input_path: serving_input_example.json\n", ""))
        (folder / "serving_input_example.json").unlink()
    return folder


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_a_model_of_mlflow_2_predicts_its_example(folder: Path) -> None:
    """Both sides read the example as one request, and the server's predictions are those of MLflow 2."""
    model = loading.load(Settings(folder, check_libraries="off"))
    decoder = decoder_for(model.signature)
    assert decoder
    table = decoder.decode(json.dumps(mlmodel.read_example(folder)).encode())
    assert table

    assert mlmodel.read_example(folder) == model.example_json() == ROWS
    assert [each["name"] for each in mlmodel.read_inputs(folder)] == ["a", "b"]
    assert model.predict([table], "predict", None) == pytest.approx([1.0, 2.0, 5.0])


@pytest.mark.parametrize(
    ("kind", "given", "request_"),
    [
        ("ndarray", {"inputs": [[1.0]]}, {"inputs": [[1.0]]}),
        ("json_object", {"messages": []}, {"messages": []}),
        ("json_object", ["one"], {"inputs": ["one"]}),
        ("sparse_matrix_csr", {"data": [1.0]}, None),
    ],
)
def test_older_examples_become_requests(tmp_path: Path, kind: str, given: object, request_: object) -> None:
    """An array has its key already; what else is JSON is input, unless it is a chat; a sparse matrix has no request."""
    info = f"saved_input_example_info: {{artifact_path: input_example.json, type: {kind}}}\n"
    (tmp_path / "MLmodel").write_text(f"flavors: {{}}\n{info}")
    (tmp_path / "input_example.json").write_text(json.dumps(given))

    assert mlmodel.read_example(tmp_path) == request_
