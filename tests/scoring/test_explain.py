"""POST /explain of real servers: both protocols, its own lane, and what it refuses."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVR

from tests import beside
from tests.scoring.conftest import Server, body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scoring.test_start import Serve

ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 4.0, 1.0], "c": [0.0, 0.0, 1.0, 5.0]})
MANY = json.dumps({"dataframe_split": {"columns": list("abc"), "data": [[1, 2, 3]] * 101}}).encode()
TARGET = 3 * ROWS["a"] - ROWS["b"] + 2 * ROWS["c"] + 7


@pytest.fixture(scope="module")
def linear(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of a linear model."""
    place = tmp_path_factory.mktemp("linear") / "model"
    mlflow.sklearn.save_model(
        LinearRegression().fit(ROWS, TARGET), str(place), signature=infer_signature(ROWS, TARGET), input_example=ROWS,
        pip_requirements=[],
    )  # fmt: skip
    with serve(place) as server:
        yield server


def test_contributions_of_a_linear_model(linear: Server) -> None:
    """Each is the coefficient times the distance from the example's mean, and with the base they are the prediction."""
    answer = linear.ask("POST", "/explain", body(2.0, 1.0, 1.0))
    predicted = linear.predict(2.0, 1.0, 1.0).json()["predictions"][0]
    found = answer.json()["explanations"][0]

    assert answer.status == 200
    assert answer.json()["method"] == "linear"
    assert found["of"] == "value"
    assert list(found["contributions"].values()) == pytest.approx([1.5, 0.5, -1.0])
    assert found["base"] + sum(found["contributions"].values()) == pytest.approx(predicted, abs=1e-6)
    assert found["prediction"] == pytest.approx(predicted)


def test_the_open_inference_protocol_has_it_too(linear: Server) -> None:
    """The same numbers come as tensors, in the order of the columns."""
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in zip("abc", [2.0, 1.0, 1.0], strict=True)
    ]
    answer = linear.ask("POST", "/v2/models/model/explain", json.dumps({"inputs": tensors}).encode()).json()
    found = {each["name"]: each for each in answer["outputs"]}

    assert found["contributions"]["shape"] == [1, 3]
    assert found["contributions"]["data"] == pytest.approx([1.5, 0.5, -1.0])
    assert found["of"]["data"] == ["value"]
    assert answer["parameters"] == {"method": "linear", "columns": "a,b,c"}


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/explain", b"{", 400),
        ("/explain", b"", 400),
        ("/explain", b'{"dataframe_records": [{"a": 1}]}', 400),
        ("/explain", b'{"dataframe_records": [{"a": "x", "b": 1, "c": 1}]}', 400),
        ("/explain", MANY, 413),
        ("/v2/models/model/explain", b"{", 400),
        ("/v2/models/other/explain", b"{}", 404),
    ],
)
def test_bad_bodies_are_refused(linear: Server, path: str, content: bytes, status: int) -> None:
    """What is no table is refused as a prediction would be, and too many rows with 413."""
    answer = linear.ask("POST", path, content)

    assert answer.status == status
    assert answer.json()
    assert linear.ask("GET", "/explain").status == 405


def test_explanations_are_no_predictions(linear: Server) -> None:
    """The counters of predictions do not count them."""
    before = linear.metrics()["scoring_requests_total[200]"]
    linear.ask("POST", "/explain", body(1.0))

    assert linear.metrics()["scoring_requests_total[200]"] == before


def test_few_may_wait(serve: Serve, tmp_path: Path) -> None:
    """A slow explanation holds up no prediction; where many wait, one more is told to come again."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(3000, 3)), columns=list("abc"))
    mlflow.sklearn.save_model(
        SVR().fit(rows, rng.normal(size=3000)), str(tmp_path / "model"), signature=infer_signature(rows),
        input_example=rows[:50], pip_requirements=[], serialization_format="cloudpickle",
    )  # fmt: skip
    many = json.dumps({"dataframe_split": {"columns": list("abc"), "data": rows[:100].to_numpy().tolist()}}).encode()
    statuses: list[int] = []
    with serve(tmp_path / "model", "--explain-timeout", "3") as server:

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
            connection.request("POST", "/explain", many, {"Content-Type": "application/json"})
            statuses.append(connection.getresponse().status)

        with beside.together(ask, 14):
            assert server.predict(1.0, 2.0, 3.0).status == 200
        calm = server.ask("POST", "/explain", body(1.0, 2.0, 3.0))

    assert set(statuses) <= {200, 503, 504}
    assert 503 in statuses
    assert calm.status == 200
    assert calm.json()["method"] == "permutation"


def test_what_cannot_be_explained_says_why(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """A model without columns is answered with 501 and the reason."""
    mlflow.pyfunc.save_model(str(tmp_path / "model"), python_model=lambda model_input: model_input, pip_requirements=[])
    with serve(tmp_path / "model") as server:
        answer = server.ask("POST", "/explain", b'{"inputs": [1]}')
    with serve(folders["one"]) as server:
        summed = server.ask("POST", "/explain", body(1.0, 2.0, 3.0)).json()

    assert answer.status == 501
    assert "its input has no columns" in answer.json()["message"]
    assert summed["method"] == "permutation"
    assert summed["explanations"][0]["prediction"] == pytest.approx(6.0)
