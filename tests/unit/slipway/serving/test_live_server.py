"""The place of a server whose versions change: what is started, pointed to and ended, in which order, come what may."""

from __future__ import annotations

import shutil
import socket
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from slipway import ports, settings
from slipway.errors import MODEL_DID_NOT_LOAD, SlipwayError, TimedOutError
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import KEEPER, Prepared
from slipway.runtimes.locks import Lock
from slipway.serving import api_test, live_server, server
from slipway.serving.api_test import Case
from slipway.serving.live_server import Slot
from slipway.settings import STATE
from tests.conftest import changed
from tests.unit.programs import Programs

if TYPE_CHECKING:
    from collections.abc import Iterator

CASE = Case("http://127.0.0.1:1", "models:/m/1", {"columns": [], "data": []}, [], [])


@pytest.fixture
def slot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slot]:
    """Return a place on a free port, with programs that become what they are to be at once."""
    monkeypatch.setenv("RUNTIME", "host")
    monkeypatch.setenv("URL", "")
    found = Slot(changed(settings.load(), serving={"port": ports.find_free(), "start_timeout": 1}))
    folder = STATE / "live" / str(found.settings.serving.port)
    programs = Programs(found.settings, folder)
    monkeypatch.setattr(found, "_server", programs)
    monkeypatch.setattr(api_test, "wait_until_ready", _wait_until_ready)
    monkeypatch.setattr(found, "_ask", programs.answer)
    yield found
    shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(_: object, url: str, is_alive: Any) -> None:  # noqa: ANN401 -- api_test's
    if not is_alive():
        raise SlipwayError(f"no model answers at {url}")


def _programs(slot: Slot) -> Programs:
    programs = slot._server  # noqa: SLF001 -- put there by the fixture
    assert isinstance(programs, Programs)
    return programs


def _prepare(version: int) -> Prepared:
    return Prepared(ModelRef(f"models:/m/{version}", "", "m", str(version)), STATE, "{}", Lock(STATE))


def _find_current(slot: Slot) -> str:
    link = STATE / "live" / str(slot.settings.serving.port) / "current"
    return link.readlink().name.split("-")[0] if link.is_symlink() else ""


def test_the_first_and_the_next(slot: Slot) -> None:
    """The keeper starts behind the first version; a next one takes over before the one before is told to end."""
    slot.change(_prepare(1))
    first = slot.is_running()
    slot.change(_prepare(2))

    assert first
    assert _programs(slot).events == ["serve v1", "keep keeper", "settle v1", "serve v2", "settle v2", "end v1"]
    assert _programs(slot).reached == [KEEPER, "v1"]
    assert _find_current(slot) == "v2"
    assert [name.split("-")[0] for name in _programs(slot).list_names()] == [KEEPER, "v2"]


def test_a_change_is_over_when_the_one_before_has_let_go(slot: Slot) -> None:
    """Who calls the port after a change reaches no version but the new one, though the two shared it for a moment."""
    slot.change(_prepare(1))
    _programs(slot).asks = 3
    slot.change(_prepare(2))

    assert {name.split("-")[0] for name in _programs(slot).holding} == {"v2"}


def test_one_that_does_not_let_go_is_not_waited_for_long(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that hangs keeps no other from answering."""
    monkeypatch.setattr(live_server, "LET_GO_S", 0.2)
    slot.change(_prepare(1))
    _programs(slot).asks = 1000
    slot.change(_prepare(2))

    assert 990 < _programs(slot).asks < 1000
    assert _programs(slot).events[-1] == "end v1"
    assert _find_current(slot) == "v2"


def test_a_failure_to_end_the_one_before_is_a_warning(
    slot: Slot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the engine fails after the handover, the new version stays, and the one before is ended later."""
    monkeypatch.setattr(live_server, "TIMES", {})
    monkeypatch.setattr(live_server, "SPARE_S", 0.2)
    slot.change(_prepare(1))
    _programs(slot).fails = True
    slot.change(_prepare(2))
    answers = _find_current(slot), slot.is_running()
    _programs(slot).fails = False
    time.sleep(0.2)
    slot.mend()

    assert answers == ("v2", True)
    assert "warning: what answered before is not ended yet: Docker does not list" in capsys.readouterr().err
    assert _programs(slot).events[-1] == "kill v1"


@pytest.mark.parametrize("failure", ["dies", "test", "port"])
def test_the_one_before_goes_on(slot: Slot, failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails of a new version, the one before was never told to end, and is named again."""
    slot.change(_prepare(1))
    words, code = "it was not handed the port", 1

    def refuse(ours: settings.Settings, case: Case, _: object) -> None:
        assert ours.serving.api_url == case.url
        assert case.url.startswith("http://v2-")
        raise SlipwayError("wrong numbers")

    if failure == "dies":
        _programs(slot).dies = True
        words, code = "it did not load: error: v2 is broken", MODEL_DID_NOT_LOAD
    elif failure == "test":
        monkeypatch.setattr(api_test, "ask", refuse)
        words = "wrong numbers"
    else:
        monkeypatch.setattr(slot, "_ask", lambda _: {"workers": 1, "sockets": 0})
    with pytest.raises(SlipwayError, match=words) as raised:
        slot.change(_prepare(2), CASE if failure == "test" else None)

    assert raised.value.code == code
    assert isinstance(raised.value, TimedOutError) == (failure == "port")
    assert _find_current(slot) == "v1"
    assert "end v1" not in _programs(slot).events
    assert {name.split("-")[0] for name in _programs(slot).running} == {KEEPER, "v1"}
    assert [name.split("-")[0] for name in _programs(slot).list_names()] == [KEEPER, "v1"]


def test_nothing_is_left_of_a_first_that_fails(slot: Slot) -> None:
    """A first version that does not load leaves no keeper and no link."""
    _programs(slot).dies = True
    with pytest.raises(SlipwayError, match="it did not load"):
        slot.change(_prepare(1))

    assert _programs(slot).running == set()
    assert _programs(slot).list_names() == []
    assert _find_current(slot) == ""
    assert not slot.is_running()


def test_a_taken_port_is_found_before_anything_starts(slot: Slot) -> None:
    """Another program on the port: the error names the setting, and no version was started."""
    with (
        socket.create_server(("127.0.0.1", slot.settings.serving.port)),
        pytest.raises(SlipwayError, match=f"port {slot.settings.serving.port} is taken"),
    ):
        slot.change(_prepare(1))

    assert _programs(slot).events == []


def test_what_ended_is_started_again(slot: Slot) -> None:
    """A keeper or a version that was killed is started again; a version that was replaced is not."""
    slot.change(_prepare(1))
    slot.change(_prepare(2))
    events = _programs(slot).events
    events.clear()
    _programs(slot).running.clear()
    slot.mend()
    slot.mend()

    assert events == ["keep keeper", "serve v2"]
    assert slot.is_running()


def test_a_version_that_does_not_end_is_ended(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was replaced has the drain's time to answer what is under way; a change does not wait for it."""
    monkeypatch.setattr(live_server, "SPARE_S", 0.2)
    scoring = slot.settings.serving.scoring | {"SCORING_DRAIN": "0"}
    slot.settings = replace(slot.settings, serving=replace(slot.settings.serving, scoring=scoring))
    slot.change(_prepare(1))
    _programs(slot).hangs = True
    slot.change(_prepare(2))
    slot.mend()
    at_once = list(_programs(slot).events)
    time.sleep(0.2)
    slot.mend()

    assert at_once[-1] == "end v1"
    assert _programs(slot).events[-1] == "kill v1"


def test_a_stop_ends_all(slot: Slot) -> None:
    """The versions end before the keeper does, and nothing is mended afterwards."""
    slot.change(_prepare(1))
    slot.stop()
    slot.mend()

    assert _programs(slot).events == ["serve v1", "keep keeper", "settle v1", "end v1", "end keeper"]
    assert _programs(slot).list_names() == []


def test_a_server_in_the_foreground_is_anothers(slot: Slot) -> None:
    """While `serve_model` serves on the port, the deployer neither takes it over nor stops it."""
    slot.change(_prepare(1))
    ours = replace(slot.settings, serving=replace(slot.settings.serving, url=""))
    with server.taken(ours):
        server.note(ours, _prepare(7))
        slot.stop()
        with pytest.raises(SlipwayError, match="already serves models:/m/7"):
            slot.change(_prepare(2))

    assert slot.is_running()
    assert _find_current(slot) == "v1"


def test_what_a_killed_serve_model_left_is_taken_over(slot: Slot) -> None:
    """A server that was started in the foreground is in nobody's way; one that the deployer started, or took, is."""
    slot.change(_prepare(1))
    (STATE / "live" / str(slot.settings.serving.port) / "foreground").touch()
    slot.check_free()
    slot.change(_prepare(2))

    with pytest.raises(SlipwayError, match="is the deployer's"):
        slot.check_free()


def test_no_server_is_no_slow_one() -> None:
    """Where nothing runs, no version answers, and it is known at once."""
    slot = Slot(changed(settings.load(), runtime="host", serving={"port": ports.find_free(), "url": ""}))

    assert slot.find_version() is None
    assert not slot.is_running()


def test_a_server_from_before_keepers_is_no_keeper(slot: Slot) -> None:
    """What an earlier Slipway left under the keeper's name: nothing is started or stopped, and the cure is said."""
    _programs(slot).running.add(KEEPER)
    with pytest.raises(SlipwayError, match="was started by an earlier Slipway") as refused:
        slot.check_free()
    with pytest.raises(SlipwayError, match="was started by an earlier Slipway"):
        slot.change(_prepare(1))
    there = set(_programs(slot).running)
    events = list(_programs(slot).events)
    slot.stop()

    assert refused.value.cure == "make stop_deployer, then this again"
    assert (there, events) == ({KEEPER}, [])
    assert _programs(slot).running == set()


def test_a_keeper_that_cannot_listen(slot: Slot) -> None:
    """A port that was taken after it was looked at: the change fails with the keeper's words, not when time is up."""
    slot.settings = replace(slot.settings, serving=replace(slot.settings.serving, start_timeout=600))
    _programs(slot).is_taken = True
    with pytest.raises(SlipwayError, match="the keeper of the port keeps ending: error: ke is broken"):
        slot.change(_prepare(1))

    assert _programs(slot).events == ["serve v1", "keep keeper", "keep keeper", "end v1"]
    assert _programs(slot).list_names() == []
