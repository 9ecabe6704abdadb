"""How a server starts, and how it does not."""

from __future__ import annotations

import json
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from tests.scoring.conftest import end, fail_to_start, start, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.scoring.conftest import Server

    Serve = Callable[..., AbstractContextManager[Server]]


def _edit(name: str, before: str, after: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(before, after))


def _example(folder: Path) -> None:
    """Give the model that cannot predict an example."""
    (folder / "serving_input_example.json").write_text(
        '{"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 2.0, 3.0]]}}'
    )
    with (folder / "MLmodel").open("a") as file:
        file.write("saved_input_example_info:\n  serving_input_path: serving_input_example.json\n")


def _untrusted(folder: Path) -> None:
    from skops import io  # noqa: PLC0415

    from tests.scoring.estimators import Sum  # noqa: PLC0415

    (folder / "model.pkl").write_bytes(io.dumps(Sum()))
    _edit("MLmodel", "serialization_format: cloudpickle", "serialization_format: skops")(folder)


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no MLmodel": ("one", lambda folder: (folder / "MLmodel").unlink(), "no MLflow model"),
    "no folder": ("one", shutil.rmtree, "no MLflow model"),
    "broken YAML": ("one", lambda folder: (folder / "MLmodel").write_text("a: [b\nc: {"), "MLmodel"),
    "a list": ("one", lambda folder: (folder / "MLmodel").write_text("[1]"), "python_function"),
    "broken signature": ("one", _edit("MLmodel", "inputs: '[", "inputs: '[["), "did not load"),
    "no model file": ("one", lambda folder: (folder / "model.pkl").unlink(), "model.pkl"),
    "checksum": ("one", lambda folder: (folder / "more").touch(), "checksum"),
    "library": ("one", lambda folder: (folder / "requirements.txt").write_text("numpy==0.1\n"), "numpy 0.1"),
    "no text": ("one", lambda folder: (folder / "requirements.txt").write_bytes(b"\xff\xfe"), "did not load"),
    "module": ("one", lambda folder: (folder / "model.pkl").write_bytes(b"cflavor\nModel\n."), "code_paths"),
    "script": ("one", lambda folder: (folder / "model.pkl").write_bytes(b"c__main__\nModel\n."), "cloudpickle"),
    "untrusted type": ("one", _untrusted, "skops_trusted_types"),
    "truncated": (
        "one",
        lambda folder: (folder / "model.pkl").write_bytes((folder / "model.pkl").read_bytes()[:-20]),
        "did not load",
    ),
    "example fails": ("never", _example, "RuntimeError"),
}


@pytest.mark.parametrize(
    ("fault", "workers"), [*((fault, "1") for fault in BROKEN), ("checksum", "2"), ("example fails", "2")]
)
def test_model_that_does_not_load(fault: str, workers: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """A model that does not load ends the server with code 3 and one line that says why.

    No port was opened for requests.
    """
    name, spoil, words = BROKEN[fault]
    shutil.copytree(folders[name], tmp_path / "model")
    flags = ["--identity", json.dumps({"checksum": "sha256:0"})] if fault == "checksum" else []
    spoil(tmp_path / "model")
    code, said = fail_to_start(tmp_path / "model", tmp_path, "--workers", workers, *flags)

    assert code == 3, said
    assert [line for line in said.splitlines() if line.startswith("error: ") and words in line]
    assert len(said.splitlines()) == 1 if workers == "1" else said.count("error: ") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "env"),
    [
        (["--max-rows", "many"], {}), (["--max-wait", "-1"], {}), (["--drain", "nan"], {}),
        (["--batching", "maybe"], {}), ([], {"SCORING_WORKERS": "two"}), ([], {"SCORING_DOCS": "yes"}),
        (["--tls-cert", "/none"], {}), (["--api-keys-file", "/none"], {}), (["--port", "70000"], {}),
        (["--no-such-thing"], {}),
        (["--tls-cert", __file__, "--tls-key", __file__], {}),
    ],
)  # fmt: skip
def test_wrong_settings(flags: list[str], env: dict[str, str], folders: dict[str, Path], tmp_path: Path) -> None:
    """A setting that cannot be used ends the server with code 2 and words about it."""
    code, said = fail_to_start(folders["one"], tmp_path, *flags, **env)

    assert code == 2, said
    assert "error: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_taken(workers: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """A port that somebody has already ends the server with an error that is not the model's."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = fail_to_start(
            folders["one"], tmp_path, "--workers", workers, "--port", str(taken.getsockname()[1])
        )

    assert code not in {0, 3}, said
    assert "in use" in said
    assert "Traceback" not in said


def test_ready_after_the_example(folders: dict[str, Path], tmp_path: Path) -> None:
    """Nobody is answered before the model answered its example; then readiness is right from its first answer on."""
    server = start(folders["slow"], tmp_path, SCORING_TEST_WITNESS=str(tmp_path / "predicted"))
    try:
        until(server.is_ready, "ready")

        assert (tmp_path / "predicted").exists()
        assert server.predict(0.0, 7.0).json() == {"predictions": [7.0]}
        assert server.stop() == 0
    finally:
        end(server)
