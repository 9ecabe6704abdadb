"""Waiting: until a look is true, or the time is over."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from slipway.polling import poll
from tests import polling


def test_a_wait_ends_with_what_is_found() -> None:
    """It returns the first look that is true, and looks no more."""
    looks = iter(["", "", "found", "later"])

    assert poll(lambda: next(looks), seconds=60, pause=0) == "found"
    assert next(looks) == "later"


def test_a_wait_ends_with_its_time() -> None:
    """When the time is over it returns what it saw last; with no time at all it looks once."""
    looks = iter([0, None, ""])
    started = time.monotonic()

    assert poll(lambda: next(looks), seconds=-1, pause=60) == 0
    assert poll(lambda: next(looks), seconds=0, pause=60) is None
    assert time.monotonic() - started < 30


def test_an_error_ends_a_wait() -> None:
    """What a look raises is raised."""
    with pytest.raises(ZeroDivisionError):
        poll(lambda: 1 // 0, seconds=60, pause=0)


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have deadlines be twice as long."""
    monkeypatch.setenv(polling.SETTING, "2")
    polling.find_factor.cache_clear()
    yield
    polling.find_factor.cache_clear()


@pytest.mark.usefixtures("twice")
def test_deadlines_of_tests_stretch() -> None:
    """A test's deadline is longer by TEST_TIME_FACTOR; the words say how long it was."""
    assert polling.stretch(0.05) == pytest.approx(0.1)
    with pytest.raises(pytest.fail.Exception, match=r"not within 0 s: it is quiet"):
        polling.wait_until(lambda: False, 0.05, "it is quiet")


def test_the_factor_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the setting the factor comes from this machine, and is from 1 to 5."""
    monkeypatch.delenv(polling.SETTING, raising=False)

    assert 1 <= polling.find_factor.__wrapped__() <= polling.MOST


def test_a_test_waits_for_no_process_that_ended() -> None:
    """When the process ends a wait fails at once, unless the last look finds what it left."""
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as process:
        with pytest.raises(pytest.fail.Exception, match=r"\(exit code 7\): it is quiet"):
            polling.wait_until(
                lambda: 1 // 0, 250, lambda: "it is quiet", process=process, ignored=(ZeroDivisionError,)
            )

        assert polling.wait_until(lambda: "left", 250, "it is quiet", process=process) == "left"
