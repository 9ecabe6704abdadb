"""Promotions and rollbacks while a deployer serves, a slow candidate waits in its queue, and clients keep asking."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
import requests

from slipway import ports
from slipway import settings as slipway_settings
from slipway.errors import SlipwayError
from slipway.release import promote
from slipway.settings import ROOT, STATE
from tests import beside
from tests.conftest import changed, find_command
from tests.polling import wait_until
from tests.services.candidates import Candidates

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from slipway.release.candidate import Outcome
    from tests.aliases import Json

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1200)]
WITHIN = 300  # s, on a busy machine
ROW = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, 0.0]]}}  # a good version predicts its score for it
SCORES = {1: 0.5, 2: 0.6}
SLOW = 3  # the candidate that takes ten minutes to load


@dataclass
class Served:
    """A deployer, and what its served model answers."""

    candidates: Candidates
    log: Path
    environment: dict[str, str]
    answers: list[tuple[int, float]] = field(default_factory=list)  # version, prediction
    failures: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The deployer's address."""
        return f"http://127.0.0.1:{self.environment['DEPLOYER_PORT']}"

    def run(self, target: str, **variables: str) -> tuple[int, str]:
        """Run a target's command to its end; return its exit code, and what it printed."""
        environment = {**self.environment, **variables}
        done = subprocess.run(
            find_command(target), cwd=ROOT, env=environment, check=False, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    def call(self, method: str, path: str, **body: Json) -> dict[str, Any]:
        """Call the deployer."""
        token = (STATE / "deployer" / self.environment["DEPLOYER_PORT"] / "token").read_text()
        answer = requests.request(
            method, f"{self.url}{path}", json=body or None, headers={"Authorization": f"Bearer {token}"}, timeout=30
        )
        assert answer.ok, answer.text
        return dict(answer.json())

    def find_answering(self) -> int:
        """Return the version that answers."""
        return int(requests.get(f"http://127.0.0.1:{self.environment['PORT']}/readyz", timeout=30).json()["version"])

    def ask(self, ended: threading.Event) -> None:
        """Be a client."""
        with requests.Session() as session:
            while not ended.wait(0.05):
                try:
                    answer = session.post(
                        f"http://127.0.0.1:{self.environment['PORT']}/invocations", json=ROW, timeout=30
                    )
                    answer.raise_for_status()
                    self.answers.append(
                        (int(answer.headers["X-Model-Version"]), round(answer.json()["predictions"][0], 6))
                    )
                except (requests.RequestException, ValueError, KeyError) as error:
                    self.failures.append(repr(error))

    def wait(self, deployment: str, state: str, step: str = "") -> dict[str, Any]:
        """Wait until a deployment is in a state, and at a step."""

        def look() -> dict[str, Any] | None:
            found = self.call("GET", f"/deployments/{deployment}")
            is_there = not step or [each["name"] for each in found["steps"]][-1:] == [step]
            return found if found["state"] == state and is_there else None

        return wait_until(
            look,
            WITHIN,
            lambda: f"deployment {deployment} is not {state}\n{self.log.read_text()[-3000:]}",
            ignored=(requests.ConnectionError,),
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Have version 1 promoted and served by a deployer, with an embedded store."""
    scratch = tmp_path_factory.mktemp("in-turn")
    chosen = {
        "RUNTIME": "host", "URL": "", "MLFLOW_TRACKING_URI": f"sqlite:///{scratch}/mlflow.db",
        "MODEL_DIR": str(scratch / "in-turn"), "PORT": str(ports.find_free()), "DEPLOYER_PORT": str(ports.find_free()),
    }  # fmt: skip
    settings = changed(
        slipway_settings.load(), runtime="host", tracking={"external_uri": chosen["MLFLOW_TRACKING_URI"]}
    )
    candidates = Candidates.make(settings, "in-turn", scratch)
    for score in SCORES.values():
        candidates.add(score)
    candidates.add(0.9, bad="takes long to load")
    found = Served(candidates, scratch / "deployer.log", {**os.environ, **chosen})
    assert found.run("promote", MODEL="models:/in-turn/1")[0] == 0
    with found.log.open("wb") as log:
        process = subprocess.Popen(
            find_command("start_deployer"), cwd=ROOT, env=found.environment, stdout=log, stderr=log
        )
    try:
        wait_until(
            lambda: found.find_answering() == 1,
            WITHIN,
            lambda: f"version 1 does not answer\n{found.log.read_text()[-3000:]}",
            process=process,
            ignored=(requests.ConnectionError, KeyError),
        )
        yield found
    finally:
        beside.end(process)
        found.run("stop_deployer")
        for place in (STATE / "deployer" / chosen["DEPLOYER_PORT"], STATE / "live" / chosen["PORT"]):
            shutil.rmtree(place, ignore_errors=True)


def test_promotions_and_rollbacks_in_turn(served: Served) -> None:
    """None waits for the candidate in progress, each says that its version answers, no request fails or is wrong."""
    slow = served.call("POST", "/deployments", model=f"models:/in-turn/{SLOW}")["id"]
    served.wait(slow, "running", "smoke test")
    said = []
    with beside.threads(served.ask, 2):
        for version, target, uri in ((2, "promote", "models:/in-turn/2"), (1, "rollback", "")):
            code, printed = served.run(target, MODEL=uri)
            assert code == 0, f"{printed}\n{served.log.read_text()[-3000:]}"
            said.append((f"version {version} answers on local" in printed, served.find_answering() == version))
    waiting = served.call("GET", f"/deployments/{slow}")

    assert said == [(True, True)] * 2
    assert served.failures == []
    assert len(served.answers) > 20
    assert {prediction == SCORES[version] for version, prediction in served.answers} == {True}
    assert waiting["state"] in {"pending", "running"}
    assert served.candidates.find_champion() == 1


def test_a_rollback_that_is_repeated_goes_no_further(served: Served) -> None:
    """TO= names where it was meant to go: once there, it says so and changes nothing; the API answers alike."""
    code, printed = served.run("rollback", TO="1")
    answer = served.call("POST", "/rollbacks", to=1)

    assert code == 0
    assert "version 1 is @champion already" in printed
    assert (answer["version"], answer["state"]) == (1, "done")
    assert served.candidates.find_champion() == 1


def test_a_champion_is_rolled_out_again(served: Served) -> None:
    """With a cluster to roll out in, the alias alone is not all.

    A champion goes there again, and the cure of a failure names it.
    """
    rolled_out: list[int | str | None] = []

    def refuse(_: Outcome) -> None:
        raise SlipwayError("no node takes it")

    with pytest.raises(SlipwayError, match="version 1 is not rolled out: no node takes it") as failed:
        promote.roll_back(served.candidates.settings, "1", refuse)
    promote.roll_back(
        served.candidates.settings, "1", lambda outcome: rolled_out.append(outcome.prepared.model.version)
    )

    assert failed.value.cure.startswith("make rollback TO=1 TARGET=kubernetes")
    assert list(map(str, rolled_out)) == ["1"]
    assert served.candidates.find_champion() == 1


def test_cancelling_ends_the_running_step(served: Served) -> None:
    """A candidate that takes ten minutes to load is gone soon after it is cancelled, and says why."""
    slow = served.call("POST", "/deployments", model=f"models:/in-turn/{SLOW}")["id"]
    served.wait(slow, "running", "smoke test")
    served.call("DELETE", f"/deployments/{slow}")
    found = served.wait(slow, "cancelled")
    running = subprocess.run(["ps", "-ww", "-eo", "command"], check=True, capture_output=True, text=True).stdout

    assert found["reason"] == "on request"
    assert (found["steps"][-1]["name"], found["steps"][-1]["state"]) == ("smoke test", "cancelled")
    assert f"--port {served.environment['PORT']}" in running
    assert not [line for line in running.splitlines() if "scoring.reference" in line and str(served.log.parent) in line]


def test_no_champion_again(served: Served) -> None:
    """When somebody took the alias away, a version is deployed as the first one is, whatever the history says."""
    client = mlflow.MlflowClient(served.environment["MLFLOW_TRACKING_URI"])
    client.delete_registered_model_alias("in-turn", "champion")
    deployment = served.call("POST", "/deployments", model="models:/in-turn/2")["id"]
    ended = served.wait(deployment, "done")

    assert (ended["previous"], served.candidates.find_champion(), served.find_answering()) == (None, 2, 2)
