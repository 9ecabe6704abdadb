"""What a smoke test that was killed has left is taken away, and nothing else: numbers of processes are used again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slipway import settings
from slipway.serving import smoke_test
from tests.conftest import changed


@pytest.mark.parametrize(
    ("noted", "ends"), [("-m scoring /a/model --port 1", True), ("-m scoring /another/model --port 1", False)]
)
def test_only_the_trials_own_server_is_ended(monkeypatch: pytest.MonkeyPatch, noted: str, ends: bool) -> None:
    """A server that runs under a number from an old note goes on, when it serves something else."""
    monkeypatch.setenv("RUNTIME", "host")
    ours = changed(settings.load(), services={"project": "slipway-test"})
    _, log = smoke_test._places(ours, "m", "a-test")  # noqa: SLF001 -- where the note stands
    log.parent.mkdir(parents=True, exist_ok=True)
    sleeps = [sys.executable, "-c", "print(flush=True); input()", "-m", "scoring", "/a/model", "--port", "1"]
    with subprocess.Popen(sleeps, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        log.with_suffix(".pid").write_text(f"{process.pid} {noted}")
        smoke_test.clear(ours, "m", "a-test")
        code = process.wait(timeout=30) if ends else process.poll()
        process.kill()

    assert (code is not None) == ends
    assert not log.with_suffix(".pid").exists()
