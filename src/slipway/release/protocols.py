"""What a release needs of whoever asks for it: a recorder of its steps, and a target, if it is to be rolled out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from slipway.errors import SlipwayError
    from slipway.interruption import Interruption
    from slipway.runtimes.base import Prepared
    from slipway.serving.api_test import Case


class Cancelled(Exception):
    """Somebody asked for the end of the release."""


class Preempted(Exception):
    """Something more urgent goes first; the release can be begun again after it, from its first step."""


class Recorder(Protocol):
    """Tells of a release's steps, and asks for its end."""

    def step(self, name: str, work: Interruption | None = None) -> AbstractContextManager[Callable[[str], None]]:
        """Open a step; what it yields takes what came of it. One that is part of `work` can be ended from outside.

        Raises Cancelled or Preempted when the release has to end before such a step.
        """

    def note_champion(self, version: int | None) -> None:
        """Take note of the champion that the release follows."""

    def check_wanted(self) -> None:
        """Raise Cancelled when the release is no longer wanted: the last time that it is asked."""

    def will_resume(self, error: SlipwayError) -> bool:
        """Whether the release is begun again after an error, which says nothing of the version then."""


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
