"""Files as rows: every way to send them to a real server, and forms that mean it harm."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import subprocess
import time
from typing import TYPE_CHECKING

import mlflow.pyfunc
import pandas as pd
import pytest
import requests
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, Schema

from tests import beside
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.aliases import Data, Json
    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

FILES = {"a.png": b"\x89PNG\r\n\x1a\n\x00\xff", "it's b.bin": bytes(range(256)) * 5000, "c": b"--cut\r\n"}
MOST = 100_000  # files that the server takes at once


class Digest(PythonModel):
    """Tells files apart."""

    def predict(self, context: object, model_input: Data, params: object = None) -> list[str]:  # noqa: ARG002 -- MLflow's
        """Return the digest of each file."""
        return [hashlib.sha256(file).hexdigest() for file in model_input["input"]]


class Sizes(PythonModel):
    """Has a type hint in the place of a signature."""

    def predict(self, model_input: list[bytes]) -> list[int]:  # type: ignore[override]
        """Return the size of each file."""
        return [len(file) for file in model_input]


def digests(*names: str) -> list[str]:
    """Return what the model says of files."""
    return [hashlib.sha256(FILES[name]).hexdigest() for name in names]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model of one binary column, and one with a type hint that says the same; and the files."""
    at = tmp_path_factory.mktemp("files")
    signature = ModelSignature(Schema([ColSpec("binary", "input")]), Schema([ColSpec("string")]))
    example = pd.DataFrame({"input": [b"abc"]})
    mlflow.pyfunc.save_model(
        str(at / "digest"), python_model=Digest(), signature=signature, input_example=example, pip_requirements=[]
    )
    mlflow.pyfunc.save_model(str(at / "sizes"), python_model=Sizes(), input_example=[b"abc"], pip_requirements=[])
    for name, content in FILES.items():
        (at / name).write_bytes(content)
    return at


@pytest.fixture(scope="module", params=["direct", pytest.param("plain ASGI", marks=pytest.mark.thorough)])
def server(request: pytest.FixtureRequest, serve: Serve, folder: Path) -> Iterator[Server]:
    """Serve the model, on either way of a request."""
    flags = ["--cors-origins", "https://a.example"] if request.param == "plain ASGI" else []
    with serve(folder / "digest", "--max-rows", str(MOST), *flags) as served:
        yield served


def curl(server: Server, folder: Path, *flags: str, path: str = "/predict") -> Json:
    """Return what curl gets."""
    command = ["curl", "-sS", "--fail-with-body", *flags, f"http://127.0.0.1:{server.port}{path}"]
    told = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return json.loads(told.stdout)["predictions"]


def test_every_way_gives_the_same(server: Server, folder: Path) -> None:
    """A form of one or several files, a body with its type, gzip, and base64 in JSON: by curl and by requests."""
    url = f"http://127.0.0.1:{server.port}/predict"
    kinds = ["Content-Type: image/png", "Content-Type: application/octet-stream"]
    forms = [("input", (name, content)) for name, content in FILES.items()]
    rows = [[base64.b64encode(content).decode()] for content in FILES.values()]
    table = {"dataframe_split": {"columns": ["input"], "data": rows}}
    zipped = {"Content-Type": "image/png", "Content-Encoding": "gzip"}

    assert curl(server, folder, "-F", "input=@a.png") == digests("a.png")
    assert curl(server, folder, "-F", "input=@it's b.bin", "-F", "input=@c", path="/invocations") == digests(
        "it's b.bin", "c"
    )
    for kind in kinds:
        assert curl(server, folder, "--data-binary", "@it's b.bin", "-H", kind) == digests("it's b.bin")
    assert requests.post(url, files=forms, timeout=60).json() == {"predictions": digests(*FILES)}
    assert requests.post(url, json=table, timeout=60).json() == {"predictions": digests(*FILES)}
    for name, content in FILES.items():
        answer = requests.post(url, gzip.compress(content), headers=zipped, timeout=60)
        assert answer.json() == {"predictions": digests(name)}


def test_files_of_a_type_hint(serve: Serve, folder: Path) -> None:
    """A model whose type hint says list[bytes] takes files, too, and still JSON as MLflow reads it."""
    with serve(folder / "sizes") as server:
        url = f"http://127.0.0.1:{server.port}/predict"
        answer = requests.post(url, files=[("input", content) for content in FILES.values()], timeout=60)

        assert answer.json() == {"predictions": [len(content) for content in FILES.values()]}
        assert curl(server, folder, "--data-binary", "@a.png", "-H", "Content-Type: image/png") == [10]


def test_what_is_refused(server: Server, serve: Serve, folders: dict[str, Path]) -> None:
    """A form without the field, a client that names no type, and a model that takes no files are told so."""
    url = f"http://127.0.0.1:{server.port}/predict"
    asked = [
        requests.post(url, files={"file": b"a"}, timeout=60),
        requests.post(url, data={"input": "a"}, timeout=60),
        requests.post(url, data=b"a", timeout=60),
        requests.post(url, files={"input": b""}, timeout=60),
        requests.get(url, timeout=60),
    ]
    with serve(folders["one"]) as plain:
        answer = requests.post(f"http://127.0.0.1:{plain.port}/predict", files={"input": b"a"}, timeout=60)
        row = plain.ask("POST", "/predict", json.dumps({"inputs": {"a": [1.0], "b": [2.0], "c": [3.0]}}).encode())

    assert [each.status_code for each in asked] == [400, 415, 415, 400, 405]
    assert "field other than input" in asked[0].json()["message"]
    assert "send a file as form field input" in asked[1].json()["message"]
    assert (answer.status_code, answer.json()["error_code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert row.json() == {"predictions": [6.0]}


def test_hostile_forms(server: Server) -> None:
    """Forms of very many or broken parts are soon refused; memory stays, and neighbours are answered meanwhile."""
    part = b'--cut\r\nContent-Disposition: form-data; name="input"; filename="a"\r\n\r\n'
    bodies = {
        "more files than it takes": (part + b"a\r\n") * (2 * MOST) + b"--cut--\r\n",
        "no end": part + b"a" * (40 << 20),
        "almost a boundary, again and again": part + b"\r\n--cu" * (4 << 20),
        "a header without end": b'--cut\r\nX: "' + b"a" * (40 << 20),
        "headers without end": b"--cut\r\n" + b"X: a\r\n" * (4 << 20),
        "no boundary": b"\r\n" * (20 << 20),
        "another field, then very many": part.replace(b"input", b"other") + b"a\r\n" + (part + b"a\r\n") * MOST,
    }
    before, slowest, answered = server.memory(), 0.0, 0

    def call(ended: Data) -> None:
        nonlocal slowest, answered
        while not ended.is_set():
            began = time.monotonic()
            assert server.ask("POST", "/predict", b"abc", Content_Type="image/png").status == 200
            slowest, answered = max(slowest, time.monotonic() - began), answered + 1

    with beside.threads(call):
        statuses = {
            name: server.ask("POST", "/predict", body, Content_Type="multipart/form-data; boundary=cut").status
            for name, body in bodies.items()
        }
    wait_until(lambda: server.memory() - before < 100 << 20, 10, "its memory is back")

    assert statuses == dict.fromkeys(bodies, 400) | {
        "more files than it takes": 413,
        "a header without end": 413,
        "headers without end": 413,
    }
    assert answered > 10
    assert slowest < 5
