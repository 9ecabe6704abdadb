"""The note of which model is served on a port: one process has it at a time, and what nobody holds is no note."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipway import settings as slipway_settings
from slipway.errors import SlipwayError
from slipway.serving import server
from slipway.settings import Settings
from tests.conftest import changed

PREPARED: Any = SimpleNamespace(model=SimpleNamespace(uri="models:/m/1"))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings whose notes are the test's own."""
    monkeypatch.setattr(server, "RECORDS", tmp_path / "serving")
    return changed(slipway_settings.load(), serving={"port": 18699, "url": ""})


def test_a_note_is_there_while_a_model_is_served(settings: Settings) -> None:
    """The note names the model from `note` on, to the end of `taken`."""
    assert server.find_recorded(settings.serving) is None
    with server.taken(settings):
        assert server.find_recorded(settings.serving) is None
        server.note(settings, PREPARED)
        assert server.find_recorded(settings.serving) == "models:/m/1"
    assert server.find_recorded(settings.serving) is None


def test_the_second_is_refused_and_leaves_the_firsts_note(settings: Settings) -> None:
    """Whoever comes second is told what is served, and the first one's note is still there."""
    with server.taken(settings):
        server.note(settings, PREPARED)
        with pytest.raises(SlipwayError, match="port 18699 already serves models:/m/1"), server.taken(settings):
            pytest.fail("two have it")
        assert server.find_recorded(settings.serving) == "models:/m/1"


OLD = json.dumps({"uri": "models:/m/9", "pid": os.getpid()})


@pytest.mark.parametrize("left", ["", "{", "[]", OLD], ids=["empty", "half", "odd", "old"])
def test_a_note_that_nobody_holds_is_none(settings: Settings, left: str) -> None:
    """An empty note, half a note, or one with the id of a process that lives but did not write it, hinders nobody."""
    server.RECORDS.mkdir()
    (server.RECORDS / "18699.json").write_text(left)

    assert server.find_recorded(settings.serving) is None
    with server.taken(settings):
        server.note(settings, PREPARED)
        assert server.find_recorded(settings.serving) == "models:/m/1"


def test_a_killed_ones_note_is_none(settings: Settings) -> None:
    """SIGKILL lets the note go at once."""
    file = server.RECORDS / "18699.json"
    server.RECORDS.mkdir()
    file.write_text(json.dumps({"uri": "models:/m/2"}))
    held = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", held, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    before = server.find_recorded(settings.serving)
    process.kill()
    process.communicate()

    assert before == "models:/m/2"
    assert server.find_recorded(settings.serving) is None
