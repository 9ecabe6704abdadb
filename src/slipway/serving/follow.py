"""Follow an alias: serve the version it stands for, and change to another, without a failed request, when it moves."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slipway.errors import USAGE, KilledError, SlipwayError, TimedOutError
from slipway.registry import connection
from slipway.registry.client import CHAMPION, Registry
from slipway.services import monitoring
from slipway.serving import api_test, server
from slipway.serving.live_server import Slot, watch

if TYPE_CHECKING:
    from slipway.settings import Settings

INTERVAL = 1  # s between two looks at the alias, one cheap call each


@dataclass
class Follower:
    """What a follower knows of its alias."""

    settings: Settings
    registry: Registry
    name: str
    alias: str
    version: int  # that answers
    refused: int | None = None  # that the alias stands for, and does not work
    killed: int | None = None  # that the alias stands for, and was killed at its first try
    missing: list[str] = field(default_factory=list)  # what was said last of a registry that does not answer

    def look(self, slot: Slot) -> None:
        """Switch to the alias's version if it is a new one and passes its test; print what happened."""
        found = self._find()
        if found in {None, self.version, self.refused}:
            if found == self.version:
                self.refused = None
            return
        _say(f"@{self.alias} is version {found} now: it is started beside version {self.version}, and tested")
        started = time.monotonic()
        try:
            prepared = server.prepare(self.settings, f"models:/{self.name}/{found}", fresh=True)
            slot.change(prepared, api_test.make_case(self.settings, prepared))
        except (connection.UnreachableError, TimedOutError) as error:  # the next look tries again
            self._complain(f"{error.message}; version {self.version} keeps serving")
            return
        except Exception as error:  # noqa: BLE001 -- whatever goes wrong, the version before goes on
            words = getattr(error, "message", f"{type(error).__name__}: {error}")
            if isinstance(error, KilledError) and self.killed != found:
                self.killed = found
                _say(f"version {found} is tried once more: {words}")
                return
            self.refused = found
            _say(f"version {found} is not served: {words}\n   version {self.version} keeps serving")
            return
        self.version, self.refused, self.killed = int(found or 0), None, None
        server.note(self.settings, prepared)
        _say(f"version {found} answers, {time.monotonic() - started:.1f} s after it was seen")

    def _find(self) -> int | None:
        try:
            connection.check_reachable(self.settings)
            found = self.registry.find_champion(self.name, self.alias)
        except SlipwayError as error:
            self._complain(f"{error.message}; version {self.version} keeps serving")
            return None
        if found is None:
            self._complain(f"{self.name} has no @{self.alias} now; version {self.version} keeps serving")
        else:
            self.missing.clear()
        return found

    def _complain(self, words: str) -> None:
        if self.missing != [words]:
            self.missing[:] = [words]
            _say(words)


def serve(settings: Settings, uri: str) -> None:
    """Serve an alias's version in the foreground on 127.0.0.1:PORT until Ctrl-C; follow the alias as it moves.

    A version that does not load or fails its test is not served: the one before keeps serving. Raises
    SlipwayError when `uri` names no alias, or the first version does not load.
    """
    found = re.fullmatch(r"models:/+([^/]+)@([^/@]+)", uri.strip())
    if not found:
        raise SlipwayError(f"FOLLOW=1 needs an alias, but MODEL is {uri!r}", f"MODEL=models:/name@{CHAMPION}", USAGE)
    with server.taken(settings), monitoring.announced(settings.services, "model", settings.serving.port, found[1]):
        prepared = server.prepare(settings, uri)
        connection.limit_retries()
        registry = Registry.connect(settings)
        slot, is_over = Slot(settings), threading.Event()
        slot.check_free()
        follower = Follower(settings, registry, found[1], found[2], int(prepared.model.version or 0))
        try:
            slot.start(prepared)
            server.note(settings, prepared)
            threading.Thread(target=watch, args=(slot, is_over), daemon=True, name="mend").start()
            print(f"serving {prepared.model.uri} at {slot.url}, and following {uri}; Ctrl-C stops it", flush=True)
            while True:
                time.sleep(INTERVAL)
                follower.look(slot)
        except KeyboardInterrupt:
            print("\nstopped")
        finally:
            is_over.set()
            slot.stop()


def _say(words: str) -> None:
    print(f"== {words}", flush=True)
