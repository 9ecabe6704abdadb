"""Where a deployment goes. `local`: the server on PORT of this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from slipway.errors import SlipwayError
from slipway.serving import api_test
from slipway.serving.live_server import Slot

if TYPE_CHECKING:
    from slipway.runtimes.base import Prepared
    from slipway.serving.api_test import Case
    from slipway.settings import Settings


class Target(Protocol):
    """A place where one version answers; a change of version fails no request."""

    name: str

    @property
    def url(self) -> str | None:
        """Where people find it, as far as that is known."""

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""

    def changing(self) -> AbstractContextManager[None]:
        """Have the place to ourselves, from a rollout until it is checked.

        Raises SlipwayError when somebody else is changing it.
        """

    def roll_out(self, prepared: Prepared, case: Case | None = None, /) -> None:
        """Have a version answer, which may have to pass a case first.

        Raises SlipwayError when it does not: the one before goes on.
        """

    def check(self, prepared: Prepared, case: Case) -> None:
        """Put a case that the version passed elsewhere to the API there.

        Raises SlipwayError when it fails, or another version answers.
        """

    def clear(self) -> None:
        """Have no version answer."""


class Local:
    """The server on PORT of this machine."""

    name = "local"

    def __init__(self, settings: Settings) -> None:
        self._slot = Slot(settings)

    @property
    def url(self) -> str | None:
        """The address on this machine."""
        return f"http://127.0.0.1:{self._slot.settings.port}"

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""
        return self._slot.find_version()

    def changing(self) -> AbstractContextManager[None]:
        """Nothing to do: one deployer works on a port."""
        return nullcontext()

    def roll_out(self, prepared: Prepared, _: Case | None = None, /) -> None:
        """Change the model of the running server, or start it."""
        self._slot.change(prepared)

    def check(self, prepared: Prepared, case: Case) -> None:
        """Test the API through its port."""
        api_test.ask(self._slot.settings, replace(case, url=self._slot.url), self._slot.is_running)
        if self.find_version() != int(prepared.model.version or 0):
            raise SlipwayError(
                f"version {self.find_version()} answers at {self._slot.url}, not {prepared.model.version}"
            )

    def clear(self) -> None:
        """Stop the server."""
        self._slot.stop()
