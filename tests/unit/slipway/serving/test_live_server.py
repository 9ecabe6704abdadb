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
from slipway.runtimes.base import KEEPER, Command, LiveServer, Prepared
from slipway.serving import api_test, live_server, server
from slipway.serving.api_test import Case
from slipway.serving.live_server import Slot
from slipway.settings import STATE
from tests.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASE = Case("http://127.0.0.1:1", "models:/m/1", {"columns": [], "data": []}, [], [])


class Programs(LiveServer):
    """Programs that only exist in name; `events` has what happened to them."""

    url = "http://127.0.0.1:1"

    def __init__(self, ours: settings.Settings, folder: Path) -> None:
        super().__init__(ours, folder)
        self.events: list[str] = []
        self.running: set[str] = set()
        self.dies = self.hangs = False  # a version as it starts; one that is to end

    def check(self) -> None:
        """Be ours."""

    def find_url(self, name: str) -> str:
        """Return where only this version answers."""
        return f"http://{name}"

    def keep_alive(self, name: str) -> None:
        """Be there for good."""
        self._tell("settle", name)

    def _make_keeper(self, prepared: Prepared) -> Command:
        return ["keep", prepared.identity], {}

    def _make_version(self, name: str, prepared: Prepared) -> Command:
        return ["serve", name, prepared.identity], {}

    def _detach(self, name: str, command: list[str], variables: dict[str, str]) -> None:
        self._tell(command[0], name)
        assert variables == {}
        if name == KEEPER or not self.dies:
            self.running.add(name)

    def _runs_detached(self, name: str) -> bool:
        return name in self.running

    def end(self, name: str) -> None:
        """End, unless it hangs."""
        self._tell("end", name)
        if not self.hangs:
            self.running.discard(name)

    def _remove(self, name: str) -> None:
        if name in self.running:
            self._tell("kill", name)
        self.running.discard(name)

    def read_log(self, name: str) -> str:
        """Return why it died."""
        return f"INFO: as usual\nerror: {name[:2]} is broken\n"

    def _tell(self, what: str, name: str) -> None:
        self.events.append(f"{what} {name.split('-', maxsplit=1)[0]}")


@pytest.fixture
def slot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slot]:
    """Return a place on a free port, with programs that become what they are to be at once."""
    monkeypatch.setenv("RUNTIME", "host")
    monkeypatch.setenv("URL", "")
    found = Slot(changed(settings.load(), serving={"port": ports.find_free(), "start_timeout": 1}))
    folder = STATE / "live" / str(found.settings.serving.port)
    monkeypatch.setattr(found, "_server", Programs(found.settings, folder))
    monkeypatch.setattr(api_test, "wait_until_ready", _wait_until_ready)
    monkeypatch.setattr(found, "_ask", lambda _: {"workers": 1, "sockets": 1})
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
    return Prepared(ModelRef(f"models:/m/{version}", "", "m", str(version)), STATE, "{}")


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
    assert _find_current(slot) == "v2"
    assert [name.split("-")[0] for name in _programs(slot).list_names()] == [KEEPER, "v2"]


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


def test_no_server_is_no_slow_one() -> None:
    """Where nothing runs, no version answers, and it is known at once."""
    slot = Slot(changed(settings.load(), runtime="host", serving={"port": ports.find_free(), "url": ""}))

    assert slot.find_version() is None
    assert not slot.is_running()
