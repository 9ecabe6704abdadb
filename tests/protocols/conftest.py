"""Servers of several models, started once, and means to make requests of the Open Inference Protocol."""

from __future__ import annotations

import json
import socket
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.contract.conftest import Answer, Server, ask
from tests.contract.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aliases import Data, Json

KINDS = {  # what the models are called here
    "numbers": "D", "types": "C", "strings": "A", "classes": "F", "matrix": "G", "tensors": "G2", "outputs": "J",
    "untyped": "untyped",
}  # fmt: skip
LENGTH = "Inference-Header-Content-Length"


@dataclass
class Client:
    """One server, asked by its port."""

    name: str
    port: int

    def get(self, path: str) -> Answer:
        """Send a GET."""
        return ask(self.port, "GET", path)

    def infer(self, body: Json, headers: dict[str, str] | None = None, version: str = "") -> Answer:
        """Send an inference request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return ask(self.port, "POST", f"/v2/models/{self.name}{version}/infer", headers, data)

    def invoke(self, body: Json) -> Json:
        """Return the predictions that /invocations gives."""
        answer = ask(self.port, "POST", "/invocations", {"Content-Type": "application/json"}, json.dumps(body).encode())

        assert answer.status == 200, answer.body
        return json.loads(answer.body)["predictions"]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Client]]:
    """Return clients of servers by what their models are, each with a name and version 3."""
    folder = tmp_path_factory.mktemp("protocols")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in KINDS]
    ports = dict(zip(KINDS, [each.getsockname()[1] for each in sockets], strict=True))
    for each in sockets:
        each.close()
    servers = []
    try:
        for kind, port in ports.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                MODELS[KINDS[kind]](folder / kind)
            options = [
                "--port",
                str(port),
                "--access-log",
                "off",
                "--identity",
                json.dumps({"name": kind, "version": "3"}),
            ]
            command = [sys.executable, "-m", "scoring", str(folder / kind), *options]
            servers.append(Server(command, folder / f"{kind}.log", {kind: port}))
            servers[-1].start()
        for server in servers:
            server.wait()
        yield {kind: Client(kind, port) for kind, port in ports.items()}
    finally:
        for server in servers:
            server.stop()


@pytest.fixture
def numbers(served: dict[str, Client]) -> Client:
    """Return a client of the model with ten columns of numbers."""
    return served["numbers"]


def tensor(name: str, datatype: str, data: Data, shape: list[int] | None = None) -> dict[str, Any]:
    """Return a tensor in JSON."""
    return {"name": name, "datatype": datatype, "shape": list(np.shape(data)) if shape is None else shape, "data": data}


def with_binary(tensors: list[tuple[str, str, list[int], bytes]], **more: Json) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a request whose tensors (name, datatype, shape, data) are binary."""
    inputs = [
        {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
        for name, datatype, shape, data in tensors
    ]
    head = json.dumps({"inputs": inputs, **more}).encode()
    return b"".join([head, *(data for *_, data in tensors)]), {LENGTH: str(len(head))}


def texts(*values: bytes) -> bytes:
    """Return the binary data of a tensor of BYTES."""
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)
