"""The one error that people see, and the way a script ends."""

from __future__ import annotations

import atexit
import copy
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from slipway import hints

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

USER_CAN_FIX = 1
USAGE = 2
MODEL_DID_NOT_LOAD = 3
INTERRUPTED = 130


class SlipwayError(Exception):
    """Something the user can put right: what is wrong, and what to do about it.

    `code` is the exit code: 1 the user can fix it, 2 usage, 3 the model did not load.
    """

    def __init__(self, message: str, cure: str = "", code: int = USER_CAN_FIX) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.code = code

    def __str__(self) -> str:
        """Return the lines to print: the message, then the cure, which keeps the settings that the caller gave."""
        return f"error: {self.message}" + (f"\n  try: {hints.complete(self.cure)}" if self.cure else "")

    def within(self, words: str) -> SlipwayError:
        """Return an error of the same kind whose message has `words` before it."""
        wider = copy.copy(self)
        wider.message = f"{words}{self.message}"
        wider.args = (wider.message,)
        return wider


class TimedOutError(SlipwayError):
    """Something did not finish within a setting's seconds.

    It concerns this machine, and is no verdict on a model.
    """


class KilledError(SlipwayError):
    """A version's program was killed from outside, which is no verdict on it, unless it happens again."""


def time_out(what: str, seconds: int, setting: str) -> TimedOutError:
    """Return the error for what did not happen within `seconds`, the value of `setting`."""
    words = f"time-out: {what} within {seconds} s ({setting})"
    return TimedOutError(
        words, f"{setting}={2 * seconds} with the same command, or try again when this machine is less busy"
    )


def catch_interrupts() -> None:
    """Make Ctrl-C end a script without a traceback during its imports, too. Call it first."""
    sys.excepthook = _show


def exit_cleanly(main: Callable[[], None]) -> None:
    """Run a script's `main` and exit with its code: SlipwayErrors and Ctrl-C (or SIGTERM) give no traceback.

    It leaves when `main` returns: to free what MLflow and scikit-learn imported would take the interpreter up to a
    second more.
    """
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):  # a shell's background job ignores Ctrl-C, which is not meant for it
        signal.signal(signal.SIGINT, _interrupt)
    try:
        main()
    except SlipwayError as error:
        print(error, file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        _stop()
    atexit._run_exitfuncs()  # noqa: SLF001 -- the one part of the interpreter's end that others count on
    _leave(0)


def _stop() -> None:
    print("\nstopped", file=sys.stderr)
    _leave(INTERRUPTED)  # Python would wait for threads, of which Ctrl-C may have cut off whoever ends them


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            with suppress(BrokenPipeError):  # nobody reads any more
                stream.flush()
        except OSError as error:
            code = code or USER_CAN_FIX
            with suppress(OSError):
                print(f"error: the output is incomplete: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(code)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt.

    In a transaction of MLflow's, after it: cut off, it would lock SQLite's file against our own clean-up.
    """
    _raise_outside(frame)
    sys.setprofile(_raise_outside)


def _raise_outside(frame: FrameType | None, *_: object) -> None:
    if not _in_transaction(frame):
        sys.setprofile(None)
        raise KeyboardInterrupt


def _in_transaction(frame: FrameType | None) -> bool:
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if (
            name.startswith("sqlalchemy.") or name.endswith(".sqlalchemy_store") or name == "weakref"
        ):  # which drops what is raised in it
            return True
        if name.startswith("alembic."):  # which makes the tables for seconds, in many statements
            return False
        frame = frame.f_back
    return False


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _stop()
