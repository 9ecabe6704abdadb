"""A server on PORT whose versions change while it answers: each is a process or container of its own.

A keeper holds the port. A new version starts beside the one that answers, is tested there, alone, and is then handed
the port's sockets; the one before answers what is under way, and ends. What was tested is what answers.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import requests

from slipway import model_folder, runtimes, shell
from slipway.bootstrap import ownership
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, KilledError, SlipwayError, TimedOutError, time_out
from slipway.polling import poll
from slipway.runtimes.base import CURRENT, KEEPER
from slipway.serving import api_test, server
from slipway.settings import STATE

if TYPE_CHECKING:
    from slipway.runtimes.base import Prepared
    from slipway.serving.api_test import Case
    from slipway.settings import Settings

TIMES = {"SCORING_GRACE": 0.0, "SCORING_DRAIN": 30.0}  # s that a version has to end: the server's defaults
SPARE_S = 5.0  # that a version has besides to end
LET_GO_S = 10.0  # that the version before has to give up the port, once the next one has it
LOOK_S = 0.1
WATCH_S = 1.0  # between two looks at what may have ended


class Slot:
    """The place of one server: on the settings' port, in the settings' runtime."""

    def __init__(self, settings: Settings) -> None:
        if settings.serving.scoring.keys() & {"SCORING_TLS_CERT", "SCORING_TLS_KEY"}:
            raise SlipwayError(
                "a server that follows an alias speaks http", "unset SCORING_TLS_CERT and put a proxy before it", USAGE
            )
        self._model = model_folder.load(settings.model_dir)
        self._folder = STATE / "live" / str(settings.serving.port)
        self._link = self._folder / CURRENT
        self._foreground = self._folder / "foreground"  # there is such a file: no deployer's, but a serve_model's
        self._server = runtimes.of(settings).live_server(self._folder)
        self._changing = threading.Lock()
        self._leaving: dict[str, float] = {}  # versions that answer what is under way, and end by then
        self.settings = replace(settings, serving=replace(settings.serving, url=self._server.url))

    @property
    def url(self) -> str:
        """Its URL for this process."""
        return self.settings.serving.api_url

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""
        try:
            said = self._ask(self.url)
            return int(said["version"]) if said["ready"] and said["model"] == self._model.name else None
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return None

    def check_free(self) -> None:
        """Raise SlipwayError if the deployer's server is there already; what a killed `serve_model` left is ours."""
        self._server.check()
        self._refuse_older()
        if self.is_running() and not self._foreground.exists():
            raise SlipwayError(
                f"port {self.settings.serving.port} is the deployer's",
                "make stop_deployer, or another PORT with the same command",
            )

    def start(self, prepared: Prepared) -> None:
        """Serve a first version in the foreground: its output goes to this terminal, and it ends with `stop`.

        What is there already is ended: see `check_free`.
        """
        self._server.is_detached = False
        self.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._foreground.touch()
        self.change(prepared)

    def change(self, prepared: Prepared, case: Case | None = None) -> None:
        """Have another version answer, without a failed request; it has to pass a case first, if one is given.

        Start the keeper, too, in the background, when it does not run. Raises SlipwayError when the version does not
        load, pass or take the port: the one before keeps serving.
        """
        if other := self._find_other():
            port = self.settings.serving.port
            raise SlipwayError(f"port {port} already serves {other}", "Ctrl-C there, or another PORT for the deployer")
        with self._changing:
            self._refuse_older()
            if self._server.is_detached:
                self._foreground.unlink(missing_ok=True)
            before, name = self._find_current(), f"v{prepared.model.version or '0'}-{secrets.token_hex(4)}"
            is_kept = self._server.is_running(KEEPER) or (
                bool(before) and self._server.is_running(before) and self._server.mend(KEEPER)
            )
            for running in filter(None, (KEEPER, before)):
                if self._server.is_running(running):
                    self._server.reach(running)
            if not is_kept:
                self._server.stop(KEEPER)  # what is left of one that ended
                ownership.check_port(self.settings.serving.port, "PORT")
            try:
                self._begin(name, prepared, case, is_kept=is_kept)
            except BaseException as error:
                was_killed = self._server.was_killed(name) and isinstance(error, SlipwayError)
                self._point(before)
                self._server.stop(name, shell.GRACE_SECONDS)
                if not (is_kept or before):
                    self._server.stop(KEEPER)
                if was_killed:
                    raise KilledError("it was killed, by someone or for lack of memory", "make doctor") from None
                raise
            self._let_go(name, before)

    def is_running(self) -> bool:
        """Whether the server runs: the keeper, and the version that answers."""
        current = self._find_current()
        return bool(current) and self._server.is_running(KEEPER) and self._server.is_running(current)

    def mend(self) -> None:
        """Start again what ended by itself, unless the engine does that, or a change is under way."""
        if not self._changing.acquire(blocking=False):
            return
        try:
            self._tidy()
            self._restart()
        finally:
            self._changing.release()

    def _restart(self, new: str = "") -> None:
        """Start the keeper and the version that answers again if they have ended, but not one that is on trial."""
        current = self._find_current()
        for name in (KEEPER, current) if current else ():
            if name != new and self._server.mend(name):
                print(f"== {name} of port {self.settings.serving.port} had ended, and was started again", flush=True)

    def stop(self) -> None:
        """End the server: the versions first, which answer what is under way."""
        if self._find_other():
            return
        with self._changing:
            self._point("")
            versions = [name for name in self._server.list_names() if name != KEEPER]
            for name in versions:
                self._server.end(name)
            for name in (*versions, KEEPER):
                self._server.stop(name, shell.GRACE_SECONDS)
            self._foreground.unlink(missing_ok=True)
            self._leaving.clear()

    def _find_other(self) -> str | None:
        """Return what `serve_model` serves on this port in another terminal, whose server is not ours to touch."""
        serving = replace(self.settings.serving, url="")
        return server.find_recorded(serving) if self._server.is_detached else None

    def _refuse_older(self) -> None:
        """Raise SlipwayError if what runs under the keeper's name was not started as a keeper: it hands nothing on."""
        if self._server.is_running(KEEPER) and not self._server.is_recorded(KEEPER):
            raise SlipwayError(
                f"what serves on port {self.settings.serving.port} was started by an earlier Slipway",
                "make stop_deployer, then this again",
            )

    def _begin(self, name: str, prepared: Prepared, case: Case | None, *, is_kept: bool) -> None:
        """Start a version, test it, and hand it the port."""
        self._server.start(name, prepared)
        self._wait_until_ready(name)
        if case:
            url = self._server.find_url(name)
            alone = replace(self.settings, serving=replace(self.settings.serving, url=url))
            api_test.ask(alone, replace(case, url=url), lambda: self._server.is_running(name))
        if not is_kept:
            self._server.keep(prepared)
        self._point(name)
        self._wait(name, "sockets", 1, "it was not handed the port")
        self._server.keep_alive(name)

    def _wait_until_ready(self, name: str) -> None:
        """Wait until a version answers at its own address, with all its workers."""

        def is_alive() -> bool:
            self._restart(name)  # nobody else does, as long as this change is under way
            return self._server.is_running(name)

        poll(lambda: self._server.find_url(name) or not is_alive(), self.settings.serving.start_timeout, LOOK_S)
        try:
            api_test.wait_until_ready(self.settings.serving, self._server.find_url(name), is_alive)
            workers = int(self.settings.serving.scoring["SCORING_WORKERS"])
            self._wait(name, "workers", workers, f"only some of its {workers} workers loaded it")
        except TimedOutError:
            raise
        except SlipwayError:
            raise SlipwayError(f"it did not load: {self._quote(name)}", code=MODEL_DID_NOT_LOAD) from None

    def _quote(self, name: str) -> str:
        """Return the last line that a program wrote."""
        return (self._server.read_log(name).strip().splitlines() or ["see the server's output"])[-1]

    def _wait(self, name: str, what: str, count: int, otherwise: str) -> None:
        """Wait until a version's readiness says so many of something."""

        def is_so() -> bool:
            if not self._server.is_running(name):
                raise SlipwayError(f"{otherwise}: it ended", code=MODEL_DID_NOT_LOAD)
            if self._server.keeps_ending(KEEPER):
                raise SlipwayError(f"the keeper of the port keeps ending: {self._quote(KEEPER)}")
            self._restart(name)  # nobody else does, as long as this change is under way
            return self._count(name, what) >= count

        limit = self.settings.serving.start_timeout
        if not poll(is_so, limit, LOOK_S):
            raise time_out(otherwise, limit, "START_TIMEOUT")

    def _count(self, name: str, what: str) -> int:
        """Return how many of something a version's readiness says, or -1 when it does not."""
        try:
            return int(self._ask(self._server.find_url(name))[what])
        except (requests.RequestException, ValueError, KeyError):
            return -1

    def _ask(self, url: str) -> dict[str, Any]:
        """Return what readiness says there."""
        return dict(requests.get(f"{url}/readyz", timeout=self.settings.serving.request_timeout).json())

    def _find_current(self) -> str:
        return self._link.readlink().name if self._link.is_symlink() else ""

    def _point(self, name: str) -> None:
        """Name the version that the keeper is to hand the port to, at once; "": none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not name:
            self._link.unlink(missing_ok=True)
            return
        new = self._folder / "new"
        new.unlink(missing_ok=True)
        new.symlink_to(f"programs/{name}")
        new.replace(self._link)

    def _let_go(self, current: str, before: str) -> None:
        """Tell all other versions to end: the one before, and what an interrupted change left.

        A failure is no reason against the version that answers: `_tidy` ends what was not told to.
        """
        scoring = self.settings.serving.scoring
        seconds = sum(float(scoring.get(each, default)) for each, default in TIMES.items()) + SPARE_S
        try:
            self._wait_until_alone(current, before)
            others = [each for each in self._server.list_names() if each not in {KEEPER, current, *self._leaving}]
            self._leaving.update(dict.fromkeys(others, time.monotonic() + seconds))
            for name in others:
                self._server.end(name)
            self._tidy()
        except SlipwayError as error:
            print(f"warning: what answered before is not ended yet: {error.message}", file=sys.stderr, flush=True)

    def _wait_until_alone(self, current: str, before: str) -> None:
        """Wait until the version before accepts no more, so that who calls reaches the new one; not for ever."""

        def has_let_go() -> bool:
            if not self._server.is_running(before):
                return True
            self._restart(current)
            return self._count(before, "sockets") == 0

        if before:
            poll(has_let_go, LET_GO_S, LOOK_S)

    def _tidy(self) -> None:
        """Remove what is left of versions that have ended, or should have."""
        for name, deadline in list(self._leaving.items()):
            if time.monotonic() > deadline or not self._server.is_running(name):
                self._server.stop(name)
                del self._leaving[name]


def watch(slot: Slot, is_over: threading.Event) -> None:
    """Start again what ends, also while a version is fetched and asked for its answers, which may take minutes.

    A failure to do so is said once.
    """
    said = ""
    while not is_over.wait(WATCH_S):
        words = ""
        try:
            slot.mend()
        except Exception as error:  # noqa: BLE001 -- an engine that does not answer now may do so later
            words = f"warning: {getattr(error, 'message', error)}"
        if words not in {"", said}:
            print(words, file=sys.stderr, flush=True)
        said = words
