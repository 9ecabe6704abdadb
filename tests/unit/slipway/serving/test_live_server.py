"""The place of a server whose model is changed: what runs is not ended because it is slow."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from slipway import ports, settings
from slipway.errors import TimedOutError
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.serving.live_server import Slot
from slipway.settings import STATE
from tests.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SILENT = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[-1]))); print(flush=True); input()"


@pytest.fixture
def slot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slot]:
    """Return a place on a free port, whose answers are waited for a second."""
    monkeypatch.setenv("RUNTIME", "host")
    monkeypatch.setenv("URL", "")
    found = Slot(changed(settings.load(), serving={"port": ports.find_free(), "request_timeout": 1}))
    yield found
    shutil.rmtree(STATE / "live" / str(found.settings.serving.port), ignore_errors=True)


def test_a_server_that_is_slow_goes_on(slot: Slot, tmp_path: Path) -> None:
    """One that listens and does not answer in time is busy: the change fails as a time-out, and the server lives."""
    place = STATE / "live" / str(slot.settings.serving.port)
    place.mkdir(parents=True)
    (tmp_path / "MLmodel").write_text("{}")
    command = [
        sys.executable,
        "-c",
        SILENT,
        "-m",
        "scoring",
        str(place / "current" / "model"),
        "--port",
        str(slot.settings.serving.port),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        (place / "pid").write_text(str(process.pid))
        with pytest.raises(TimedOutError, match="did not answer within 1 s") as late:
            slot.change(Prepared(ModelRef("models:/m/1", str(tmp_path), "m", "1"), tmp_path, "{}"))
        lives = process.poll() is None
        process.kill()

    assert lives
    assert late.value.cure.startswith("REQUEST_TIMEOUT=2")


def test_no_server_is_no_slow_one(slot: Slot) -> None:
    """Where nothing runs, no version answers, and it is known at once."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", slot.settings.serving.port))

        assert slot.find_version() is None
        assert not slot.is_running()
