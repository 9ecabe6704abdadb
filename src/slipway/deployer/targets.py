"""The deployer's target `local`: the server on PORT of this machine."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.serving import api_test, live_server
from slipway.serving.live_server import Slot

if TYPE_CHECKING:
    from slipway.runtimes.base import Prepared
    from slipway.serving.api_test import Case
    from slipway.settings import Settings


class Local:
    """The server on PORT of this machine."""

    name = "local"

    def __init__(self, settings: Settings) -> None:
        self._slot = Slot(settings)

    @property
    def url(self) -> str | None:
        """The address on this machine."""
        return f"http://127.0.0.1:{self._slot.settings.serving.port}"

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""
        return self._slot.find_version()

    def list_addresses(self) -> list[str]:
        """Return where its server answers this process."""
        return [self._slot.url]

    def changing(self) -> AbstractContextManager[None]:
        """Nothing to do: one deployer works on a port."""
        return nullcontext()

    def roll_out(self, prepared: Prepared, case: Case | None = None, /) -> None:
        """Start the version, have it pass the case, and hand it the port."""
        self._slot.change(prepared, case)

    def check(self, prepared: Prepared, case: Case) -> None:
        """Test the API through its port."""
        api_test.ask(self._slot.settings, replace(case, url=self._slot.url), self._slot.is_running)
        if self.find_version() != int(prepared.model.version or 0):
            raise SlipwayError(
                f"version {self.find_version()} answers at {self._slot.url}, not {prepared.model.version}"
            )

    def watch(self) -> None:
        """Start again what ends by itself, for ever."""
        live_server.watch(self._slot, threading.Event())

    def clear(self) -> None:
        """Stop the server."""
        self._slot.stop()
