"""Triton's own client for HTTP, as its users call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.protocols.conftest import Client

pytestmark = pytest.mark.fast

ROWS = np.arange(20.0).reshape(2, 10) / 8
NAMES = [f"x{at}" for at in range(10)]


@pytest.fixture
def connect(served: dict[str, Client]) -> Iterator[Callable[[str], triton.InferenceServerClient]]:
    """Return a function that gives Triton's client for one of the servers."""
    clients = []

    def make(kind: str) -> triton.InferenceServerClient:
        clients.append(
            triton.InferenceServerClient(f"127.0.0.1:{served[kind].port}", concurrency=4, network_timeout=30)
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def _input(name: str, array: np.ndarray, datatype: str, *, binary: bool = True) -> triton.InferInput:
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


@pytest.fixture
def expected(served: dict[str, Client]) -> np.ndarray:
    """Return what /invocations predicts for ROWS."""
    return np.array(served["numbers"].invoke({"dataframe_split": {"columns": NAMES, "data": ROWS.tolist()}}))


def test_health_and_metadata(connect: Callable[[str], triton.InferenceServerClient]) -> None:
    """The client finds server and model live, ready and described, and another model not ready."""
    client = connect("numbers")

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("numbers")
    assert client.is_model_ready("numbers", "3")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert [each["name"] for each in client.get_model_metadata("numbers", "3")["inputs"]] == NAMES


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
@pytest.mark.parametrize("sent", ["binary", "json"])
@pytest.mark.parametrize("returned", ["binary", "json", "default"])
def test_infer(
    connect: Callable[[str], triton.InferenceServerClient],
    expected: np.ndarray,
    sent: str,
    returned: str,
    datatype: str,
) -> None:
    """The client gets what /invocations gives, however the tensors travel."""
    given = [_input("rows", ROWS.astype("f8" if datatype == "FP64" else "f4"), datatype, binary=sent == "binary")]
    asked = (
        None if returned == "default" else [triton.InferRequestedOutput("predict", binary_data=returned == "binary")]
    )
    result = connect("numbers").infer("numbers", given, model_version="3", outputs=asked, request_id="7")

    assert result.get_response()["id"] == "7"
    assert result.as_numpy("predict") == pytest.approx(expected)


@pytest.mark.parametrize("sent", [True, False], ids=["binary", "json"])
def test_text(connect: Callable[[str], triton.InferenceServerClient], served: dict[str, Client], sent: bool) -> None:
    """Columns of text and of numbers travel as a tensor each."""
    columns: dict[str, tuple[list[Any], Any, str]] = {
        "a": ([0.5, 3.0], "f8", "FP64"),
        "b": ([2, 4], "i8", "INT64"),
        "s": (["x", "é"], object, "BYTES"),
    }
    given = [
        _input(name, np.array(values, kind), datatype, binary=sent)
        for name, (values, kind, datatype) in columns.items()
    ]
    expected = served["strings"].invoke({"inputs": {name: values for name, (values, *_) in columns.items()}})

    assert connect("strings").infer("strings", given).as_numpy("predict") == pytest.approx(np.array(expected))


def test_classes(connect: Callable[[str], triton.InferenceServerClient]) -> None:
    """Classes come as BYTES, and probabilities when they are asked for."""
    client, given = connect("classes"), [_input("rows", np.array([[1.0, 2.0], [40.0, 30.0]]), "FP64")]
    classes = client.infer("classes", given).as_numpy("predict")
    shares = client.infer("classes", given, parameters={"method": "predict_proba"}).as_numpy("predict_proba")

    assert [each.decode() for each in classes] == ["löw", "high"]
    assert shares.sum(axis=1) == pytest.approx([1, 1])


def test_many_at_a_time(connect: Callable[[str], triton.InferenceServerClient], expected: np.ndarray) -> None:
    """Requests that are sent together are answered each for itself."""
    client = connect("numbers")
    waiting = [client.async_infer("numbers", [_input("rows", ROWS[at : at + 1], "FP64")]) for at in [0, 1] * 8]

    assert [each.get_result().as_numpy("predict")[0] for each in waiting] == pytest.approx(np.tile(expected, 8))


@pytest.mark.parametrize("rows", [2, 1000])
@pytest.mark.parametrize(("asked", "sent"), [("gzip", "gzip"), ("deflate", None), (None, "gzip")])
def test_compression(
    connect: Callable[[str], triton.InferenceServerClient],
    expected: np.ndarray,
    asked: str | None,
    sent: str | None,
    rows: int,
) -> None:
    """Requests may be in gzip, and answers of any length come as the client takes them, compressed or not."""
    client, given = connect("numbers"), [_input("rows", np.resize(ROWS, (rows, 10)), "FP64")]
    result = client.infer("numbers", given, request_compression_algorithm=sent, response_compression_algorithm=asked)

    assert result.as_numpy("predict") == pytest.approx(np.resize(expected, rows))


def test_other_compression_is_refused(connect: Callable[[str], triton.InferenceServerClient]) -> None:
    """A request in deflate is refused: the server takes gzip."""
    with pytest.raises(InferenceServerException, match="gzip") as refused:
        connect("numbers").infer("numbers", [_input("rows", ROWS, "FP64")], request_compression_algorithm="deflate")

    assert refused.value.status() == "415"


def test_refusals(connect: Callable[[str], triton.InferenceServerClient]) -> None:
    """The client shows the server's words."""
    with pytest.raises(InferenceServerException, match="inputs that the model needs are missing: x1"):
        connect("numbers").infer("numbers", [_input("x0", np.ones(2), "FP64")])
