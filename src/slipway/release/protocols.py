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
    """Somebody cancelled the release."""


class Preempted(Exception):
    """Something more urgent takes priority; the release can restart from its first step afterwards."""


class Recorder(Protocol):
    """Records a release's steps, and can end it."""

    def step(self, name: str, work: Interruption | None = None) -> AbstractContextManager[Callable[[str], None]]:
        """Open a step; it yields a function that takes the result. A step of `work` can be ended from outside.

        Raises Cancelled or Preempted when the release has to end before such a step.
        """

    def note_champion(self, version: int | None) -> None:
        """Record the champion that the release would replace."""

    def check_wanted(self) -> None:
        """Raise Cancelled if the release is no longer wanted; this is the last check."""

    def will_resume(self, error: SlipwayError) -> bool:
        """Whether the release will be retried after an error, which is then no verdict on the version."""


class Target(Protocol):
    """A place where one version answers; changing the version fails no request."""

    name: str

    @property
    def url(self) -> str | None:
        """Its URL for people, if known."""

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""

    def list_addresses(self) -> list[str]:
        """Return where its servers answer this process, if it can reach them."""

    def changing(self) -> AbstractContextManager[None]:
        """Hold the target exclusively, from a rollout until it is checked.

        Raises SlipwayError when somebody else is changing it.
        """

    def roll_out(self, prepared: Prepared, case: Case | None = None, /) -> None:
        """Roll out a version, which may have to pass a case first.

        Raises SlipwayError if it fails; the previous version keeps answering.
        """

    def check(self, prepared: Prepared, case: Case) -> None:
        """Run the API test there with a case that the version passed elsewhere.

        Raises SlipwayError when it fails, or another version answers.
        """

    def clear(self) -> None:
        """Stop serving any version."""
