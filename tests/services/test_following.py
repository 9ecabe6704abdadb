"""serve_model with FOLLOW=1, as a process: it changes to what the alias stands for, and fails no request on the way."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import mlflow
import pytest
import requests

from slipway import ports
from slipway.errors import USAGE
from slipway.settings import STATE
from tests import beside
from tests.polling import wait_until
from tests.services.candidates import Candidates

if TYPE_CHECKING:
    import subprocess
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slipway.settings import Settings
    from tests.services.conftest import Tracking

WITHIN = 120  # s, on a busy machine
ROWS = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 0.0]]}}  # a good version predicts its score for it
SCORES = {1: 0.5, 2: 0.6, 4: 0.7}  # of the versions that work; 3 does not load
LIBRARIES = {2: "0.5.0", 4: "0.5.1"}  # these have one each, and a module of one name that differs
ANSWERS = {1: 0.5, 2: 0.6, 4: 1.7}
CLIENTS, PER_SECOND = 10, 50


@dataclass
class Followed:
    """A server that follows an alias: what it says, and what it answers."""

    candidates: Candidates
    port: int
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def set_alias(self, version: int) -> None:
        """Move the alias by hand."""
        client = mlflow.MlflowClient(self.candidates.settings.tracking_uri)
        client.set_registered_model_alias(self.candidates.name, "champion", str(version))

    def ask(self, session: requests.Session | None = None) -> float:
        """Return a prediction, which is right for the version that answers."""
        url = f"http://127.0.0.1:{self.port}/invocations"
        answer = (session or requests).post(url, json=ROWS, timeout=30)
        answer.raise_for_status()
        found = round(float(answer.json()["predictions"][0]), 6)
        assert found == ANSWERS[int(answer.headers["X-Model-Version"])]
        return found

    @contextlib.contextmanager
    def asked(self) -> Iterator[tuple[list[float], list[Exception]]]:
        """Have clients ask until the end of the block, whatever ends it; yield what they get.

        A half of them keep their connections; each of the others makes a new one for each request.
        """
        answers: list[float] = []
        failures: list[Exception] = []

        def ask(ended: threading.Event, session: requests.Session | None) -> None:
            while not ended.wait(CLIENTS / PER_SECOND):
                try:
                    answers.append(self.ask(session))
                except (requests.RequestException, AssertionError) as error:
                    failures.append(error)

        with (
            requests.Session() as session,
            beside.threads(lambda ended: ask(ended, None), CLIENTS // 2),
            beside.threads(lambda ended: ask(ended, session), CLIENTS // 2),
        ):
            yield answers, failures

    def listen(self) -> None:
        """Keep what it says."""
        assert self.process.stdout
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, words: str) -> None:
        """Wait until it says something."""
        wait_until(
            lambda: any(words in line for line in self.lines),
            WITHIN,
            lambda: f"it did not say {words!r}:\n{''.join(self.lines)}",
            process=self.process,
        )


@pytest.fixture
def followed(
    served_settings: Settings, tmp_path: Path, script: Callable[..., subprocess.Popen[str]]
) -> Iterator[Followed]:
    """Serve the champion, version 1 of three that work and one that does not."""
    candidates = Candidates.make(served_settings, f"followed-{tmp_path.name[-12:].replace('_', '-')}", tmp_path)
    for number in (1, 2, 3, 4):
        bad = "" if number in SCORES else "raises as it loads"
        candidates.add(SCORES.get(number, 0.9), bad=bad, library=LIBRARIES.get(number, ""))
    port = ports.find_free()
    mlflow.MlflowClient(served_settings.tracking_uri).set_registered_model_alias(candidates.name, "champion", "1")
    variables = {"PORT": str(port), "MODEL_DIR": str(candidates.settings.model_dir), "PYTHONUNBUFFERED": "1"}
    process = script("serve_model", MODEL=f"models:/{candidates.name}@champion", FOLLOW="1", **variables)
    found = Followed(candidates, port, process)
    try:
        with beside.together(found.listen, 1):
            try:
                found.wait_for("and following")
                _wait_until(lambda: found.ask() == ANSWERS[1])
                yield found
            finally:
                beside.end(process, signal.SIGINT)
    finally:
        shutil.rmtree(STATE / "live" / str(port), ignore_errors=True)


@pytest.mark.parametrize("swaps", [3, pytest.param(20, marks=pytest.mark.thorough)])
def test_the_alias_is_followed(followed: Followed, swaps: int) -> None:
    """Back and forth between two versions with other code in a module of one name and other libraries, under load.

    Each request is answered rightly by the version that it names; one that is killed afterwards is started again.
    """
    started = time.monotonic()
    with followed.asked() as (answers, failures):
        for version in ((4, 2) * swaps)[-swaps:]:
            followed.lines.clear()
            followed.set_alias(version)
            followed.wait_for(f"version {version} answers")

    print(f"{len(answers)} answers, {len(answers) / (time.monotonic() - started):.0f}/s")
    place = STATE / "live" / str(followed.port)
    killed = int((place / "current" / "pid").read_text())
    os.kill(killed, signal.SIGKILL)
    after = followed.ask()  # which waits for its successor

    assert failures == []
    assert set(answers) == set(ANSWERS.values())
    assert after == ANSWERS[2]
    assert int((place / "current" / "pid").read_text()) != killed


def test_what_does_not_work_is_not_served(followed: Followed) -> None:
    """A version that does not load is said to be refused, once, and the one before goes on.

    The next that works is served.
    """
    followed.set_alias(3)
    followed.wait_for("version 3 is not served")
    followed.wait_for("version 1 keeps serving")
    time.sleep(3)  # looks
    before = followed.ask()
    followed.set_alias(2)
    followed.wait_for("version 2 answers")

    assert before == ANSWERS[1]
    assert followed.ask() == ANSWERS[2]
    assert sum("version 3 is not served" in line for line in followed.lines) == 1


def test_a_registry_that_is_away_is_waited_for(followed: Followed, tracking: Tracking) -> None:
    """With MLflow killed the version keeps serving, which is said once; afterwards the alias is followed again."""
    tracking.kill()
    try:
        followed.wait_for("version 1 keeps serving")
        meanwhile = followed.ask()
    finally:
        tracking.start()
    followed.set_alias(2)
    followed.wait_for("version 2 answers")

    assert meanwhile == ANSWERS[1]
    assert followed.ask() == ANSWERS[2]


@pytest.mark.thorough
def test_a_killed_one_is_started_again(followed: Followed, script: Callable[..., subprocess.Popen[str]]) -> None:
    """The same command takes over what a killed one left, which answers until then."""
    followed.process.kill()
    followed.process.wait()
    left = followed.ask()
    uri, folder = f"models:/{followed.candidates.name}@champion", str(followed.candidates.settings.model_dir)
    again = script("serve_model", MODEL=uri, FOLLOW="1", PORT=str(followed.port), MODEL_DIR=folder)
    place = STATE / "live" / str(followed.port) / "current"
    before = place.readlink()
    wait_until(lambda: place.is_symlink() and place.readlink() != before, WITHIN, "another answers", process=again)
    _wait_until(lambda: followed.ask() == left)
    beside.end(again, signal.SIGINT)

    assert again.returncode == 0
    ports.check(followed.port, "PORT")


def test_ctrl_c_leaves_nothing(followed: Followed) -> None:
    """Ctrl-C ends the server and says so; the port is free."""
    followed.process.send_signal(signal.SIGINT)
    code = followed.process.wait(timeout=30)

    assert code == 0, "".join(followed.lines)
    assert "stopped\n" in followed.lines
    ports.check(followed.port, "PORT")


def test_only_an_alias_is_followed(script: Callable[..., subprocess.Popen[str]]) -> None:
    """A version that cannot move is not followed: the error says what to type."""
    process = script("serve_model", MODEL="models:/diabetes/1", FOLLOW="1")
    printed, _ = process.communicate(timeout=60)

    assert process.returncode == USAGE
    assert "MODEL=models:/name@champion" in printed


def _wait_until(done: Callable[[], bool]) -> None:
    wait_until(done, WITHIN, "it does not answer", ignored=(requests.RequestException,))
