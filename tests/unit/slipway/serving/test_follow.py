"""Following an alias: what goes on beside a change that takes long."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from slipway import settings
from slipway.errors import KilledError, SlipwayError
from slipway.registry import connection
from slipway.registry.client import Registry
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.serving import api_test, follow, live_server, server
from slipway.settings import STATE

PREPARED = Prepared(ModelRef("models:/m/1", "", "m", "1"), STATE, "{}", Lock(STATE))
BUSY_S = 30.0  # at most
ENOUGH = 3  # tries


class FakeSlot:
    """A server's place that counts how often it was mended, the first times without success."""

    url = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.changed = 0
        self.mended, self.is_stopped, self.is_taken = 0, False, False
        self.is_mended = threading.Event()

    def check_free(self) -> None:
        """Be another's, or not."""
        if self.is_taken:
            raise SlipwayError("it is the deployer's")

    def start(self, prepared: Prepared) -> None:
        """Start a version."""
        assert prepared is PREPARED

    def change(self, *_: object) -> None:
        """Have the version killed."""
        self.changed += 1
        raise KilledError("it was killed")

    def mend(self) -> None:
        """Fail some times, and then not."""
        self.mended += 1
        if self.mended < ENOUGH:
            raise SlipwayError("the engine does not answer")
        self.is_mended.set()

    def stop(self) -> None:
        """Stop all."""
        self.is_stopped = True


@pytest.fixture
def slot(monkeypatch: pytest.MonkeyPatch) -> FakeSlot:
    """Return the place that a follower finds, which has nothing else to wait for."""
    found = FakeSlot()
    monkeypatch.setattr(follow, "INTERVAL", 0.01)
    monkeypatch.setattr(live_server, "WATCH_S", 0.01)
    monkeypatch.setattr(follow, "Slot", lambda _: found)
    monkeypatch.setattr(connection, "limit_retries", lambda: None)
    monkeypatch.setattr(Registry, "connect", lambda _: None)
    monkeypatch.setattr(server, "taken", lambda _: nullcontext())
    monkeypatch.setattr(server, "note", lambda *_: None)
    monkeypatch.setattr(server, "prepare", lambda *_, **__: PREPARED)
    monkeypatch.setattr(connection, "check_reachable", lambda _: None)
    monkeypatch.setattr(api_test, "make_case", lambda *_: None)
    return found


def test_what_ends_is_started_again_beside_a_long_change(
    slot: FakeSlot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the next version is prepared, the server is looked after; a failure to do so is said once."""
    was_mended = []

    def prepare(*_: object) -> None:
        was_mended.append(slot.is_mended.wait(BUSY_S))
        raise KeyboardInterrupt

    monkeypatch.setattr(follow.Follower, "look", prepare)
    follow.serve(settings.load(), "models:/m@champion")

    assert was_mended == [True]
    assert slot.is_stopped
    assert capsys.readouterr().err == "warning: the engine does not answer\n"


def test_a_server_that_is_anothers_is_not_stopped(slot: FakeSlot) -> None:
    """A command that is refused, because the port is the deployer's, leaves that one alone."""
    slot.is_taken = True
    with pytest.raises(SlipwayError, match="the deployer's"):
        follow.serve(settings.load(), "models:/m@champion")

    assert not slot.is_stopped


def test_a_version_that_was_killed_is_tried_once_more(slot: FakeSlot, capsys: pytest.CaptureFixture[str]) -> None:
    """One SIGKILL is no verdict on a version; a second one is."""
    registry = SimpleNamespace(find_champion=lambda *_: 2)
    follower = follow.Follower(settings.load(), registry, "m", "champion", 1)  # type: ignore[arg-type]
    for _ in range(3):
        follower.look(slot)  # type: ignore[arg-type]

    assert slot.changed == 2
    assert capsys.readouterr().out.count("version 2 is not served: it was killed") == 1
