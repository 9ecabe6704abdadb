"""Work that another thread ends: its programs end with it, and the reason is what is raised."""

import sys
import threading
import time
from collections.abc import Callable

import pytest

from slipway import shell
from slipway.errors import SlipwayError
from slipway.interruption import Interruption, check, interruptible

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"]


class Urgent(Exception):
    """Something goes first."""


@pytest.mark.parametrize(
    "act",
    [
        lambda: shell.ask(SLEEP),
        lambda: shell.run(SLEEP),
        lambda: shell.show(SLEEP),
        lambda: shell.wait(shell.start(SLEEP)),
    ],
    ids=["ask", "run", "show", "start"],
)
def test_what_a_step_runs_ends_with_it(act: Callable[[], object]) -> None:
    """However a program was started, it ends soon, and the reason is raised: not what its end looks like."""
    work = Interruption()
    threading.Timer(0.5, work.end, [Urgent("a rollback")]).start()
    started = time.monotonic()
    with pytest.raises(Urgent, match="a rollback"), interruptible(work):
        act()

    assert time.monotonic() - started < 60


def test_a_program_that_does_not_go_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL follows SIGTERM."""
    monkeypatch.setattr("slipway.interruption.GRACE_SECONDS", 0.2)
    work = Interruption()
    threading.Timer(1, work.end, [Urgent()]).start()
    with pytest.raises(Urgent), interruptible(work):
        shell.ask(STUBBORN)


def test_nothing_begins_that_was_ended_before() -> None:
    """Work that has to end does not begin, nor does another step of it; outside of it programs run on."""
    work = Interruption()
    work.end(Urgent())
    with pytest.raises(Urgent), interruptible(work):
        pytest.fail("it began")
    check()

    assert shell.ask(["echo", "1"]).out == "1"


def test_an_error_of_its_own_is_raised_as_it_is() -> None:
    """Work that nobody ends raises what it raises, with the last lines of the program that failed."""
    words = "import sys; print('one'); print('no such luck', file=sys.stderr); sys.exit(3)"
    with pytest.raises(SlipwayError, match=r"(?s)exit code 3.*no such luck"), interruptible(Interruption()):
        shell.run([sys.executable, "-c", words])
