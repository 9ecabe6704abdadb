"""SIGKILL to the deployer at every step of a deployment.

Started again, it ends what it began, and something valid answers throughout.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlflow
import pytest
import requests

from slipway import ports
from slipway.settings import ROOT, STATE
from tests.conftest import find_command
from tests.polling import wait_until
from tests.services.candidates import Candidates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slipway.settings import Settings
    from tests.services.conftest import Tracking

STEPS = ("files", "gate", "image", "smoke test", "alias", "roll out", "smoke test there")
POINTS = [*(f"begin {step}" for step in STEPS), "recorded", f"end {STEPS[-1]}"]
IN_CI = {"begin gate", "begin smoke test", "begin alias", "begin roll out", "recorded"}
WITHIN = 300  # s, on a busy machine


@dataclass
class Mortal:
    """A deployer that is killed and started again, beside a registry with versions each better than the one before."""

    candidates: Candidates
    port: int
    deployer_port: int
    armed: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.deployer_port}"

    @property
    def headers(self) -> dict[str, str]:
        """What allows a change."""
        return {"Authorization": f"Bearer {(STATE / 'deployer' / str(self.deployer_port) / 'token').read_text()}"}

    def set_alias(self, version: int) -> None:
        """Move the alias by hand."""
        mlflow.MlflowClient(self.candidates.settings.tracking_uri).set_registered_model_alias(
            "mortal", "champion", str(version)
        )

    def environment(self) -> dict[str, str]:
        """Return what its programs are told."""
        return os.environ | {
            "RUNTIME": "host", "PORT": str(self.port), "DEPLOYER_PORT": str(self.deployer_port), "URL": "",
            "MLFLOW_TRACKING_URI": self.candidates.settings.tracking_uri,
            "MODEL_DIR": str(self.candidates.settings.model_dir),
        }  # fmt: skip

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "tests/services/dying_deployer.py", str(self.armed)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        self.wait(lambda: requests.get(f"{self.url}/livez", timeout=5).ok, "it answers")

    def post(self, path: str, body: dict[str, Any]) -> str:
        """Ask for a deployment; return its id."""
        answer = requests.post(f"{self.url}{path}", json=body, headers=self.headers, timeout=30)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def list(self) -> list[dict[str, Any]]:
        """Return the deployments, newest first."""
        return list(requests.get(f"{self.url}/deployments", timeout=30).json()["deployments"])

    def finish(self, deployment: str = "") -> dict[str, Any]:
        """Wait until nothing is under way; return a deployment, or the newest."""
        self.wait(lambda: all(each["state"] not in {"pending", "running"} for each in self.list()), "all has ended")
        return next(each for each in self.list() if deployment in {"", each["id"]})

    def die(self) -> None:
        """Wait until it has died as it was asked to."""
        assert self.process
        assert self.process.wait(timeout=WITHIN) == -9, self.log.read_text()[-3000:]

    def find_answering(self) -> int:
        """Return the version that answers."""
        return int(requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).json()["version"])

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Wait until something is so."""
        wait_until(
            done,
            WITHIN,
            lambda: f"{what}\n{self.log.read_text()[-3000:]}",
            ignored=(requests.ConnectionError,),
        )


@pytest.fixture(scope="module")
def mortal(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    """Have a first version deployed by the deployer."""
    from slipway import settings as slipway_settings  # noqa: PLC0415 -- as served_settings, for a whole module

    scratch = tmp_path_factory.mktemp("mortal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTIME", "host")
        patch.setenv("MLFLOW_TRACKING_URI", tracking.url)
        settings: Settings = slipway_settings.load()
    candidates = Candidates.make(settings, "mortal", scratch)
    found = Mortal(candidates, ports.find_free(), ports.find_free(), scratch / "armed", scratch / "deployer.log")
    candidates.add(0.1)
    try:
        found.start()
        assert found.finish(found.post("/deployments", {"model": "models:/mortal/1"}))["state"] == "done"
        yield found
    finally:
        if found.process:
            found.process.kill()
            found.process.wait()
        subprocess.run(
            find_command("stop_deployer"), cwd=ROOT, env=found.environment(), check=True, capture_output=True
        )
        for place in (STATE / "deployer" / str(found.deployer_port), STATE / "live" / str(found.port)):
            shutil.rmtree(place)


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=[] if each in IN_CI else [pytest.mark.thorough]) for each in POINTS]
)
def test_a_deployment_is_taken_up(mortal: Mortal, point: str) -> None:
    """Killed at any point, the deployer ends the deployment when it is back.

    Until then the version before answers, or the new one.
    """
    before = mortal.find_answering()
    version = mortal.candidates.add(0.1 + before / 100)
    mortal.armed.write_text(point)
    deployment = mortal.post("/deployments", {"model": f"models:/mortal/{version}"})
    mortal.die()
    meanwhile = (mortal.find_answering(), mortal.candidates.find_champion())
    mortal.start()
    ended = mortal.finish(deployment)

    assert set(meanwhile) <= {before, version}
    assert (ended["state"], ended["attempts"]) == ("done", 2)
    assert (mortal.candidates.find_champion(), mortal.find_answering()) == (version, version)
    assert len([each for each in mortal.list() if each["version"] == version]) == 1
    assert sorted({step["state"] for step in ended["steps"]}) == ["done", "interrupted"]
    assert ended["steps"][-1]["name"] == STEPS[-1]


@pytest.mark.parametrize("point", ["recorded", "end roll out"])
def test_a_rollback_is_taken_up(mortal: Mortal, point: str) -> None:
    """Killed in a rollback, the deployer ends it, and goes back once: not twice."""
    way = [each["version"] for each in mortal.list() if each["state"] == "done"]
    before, back = mortal.find_answering(), way[1]
    mortal.armed.write_text(point)
    deployment = mortal.post("/rollbacks", {"to": back})
    mortal.die()
    mortal.start()
    ended = mortal.finish(deployment)
    champion, answering = mortal.candidates.find_champion(), mortal.find_answering()
    mortal.finish(mortal.post("/deployments", {"model": f"models:/mortal/{before}"}))

    assert (ended["state"], ended["version"], ended["attempts"]) == ("done", back, 2)
    assert (champion, answering) == (back, back)
    assert mortal.find_answering() == before


@pytest.mark.parametrize("point", ["recorded", "begin alias back", "end alias back"])
def test_a_bad_alias_goes_back(mortal: Mortal, point: str) -> None:
    """An alias set to a worse version by hand goes back in the end, wherever the deployer was killed on the way."""
    before = mortal.find_answering()
    worse = mortal.candidates.add(0.0)
    mortal.armed.write_text(point)
    mortal.set_alias(worse)
    mortal.die()
    meanwhile = mortal.find_answering()
    mortal.start()
    mortal.wait(lambda: mortal.list()[0]["version"] == worse, "the version is looked at")
    ended = mortal.finish()

    assert meanwhile == before
    assert (ended["version"], ended["state"]) in {(worse, "failed"), (worse, "cancelled"), (before, "done")}
    assert (mortal.candidates.find_champion(), mortal.find_answering()) == (before, before)


def test_an_older_one_is_measured_by_the_last(mortal: Mortal) -> None:
    """An alias set by hand to an earlier champion is judged beside the last one, and goes back to that."""
    before = mortal.find_answering()
    mortal.set_alias(1)
    mortal.wait(lambda: mortal.list()[0]["version"] == 1, "the version is looked at")
    ended = mortal.finish()

    assert (ended["version"], ended["state"], ended["previous"]) == (1, "failed", before)
    assert ended["reason"].startswith("worse: score 0.1, the champion's")
    assert (mortal.candidates.find_champion(), mortal.find_answering()) == (before, before)


def test_a_cancelled_one_is_not_tried_again(mortal: Mortal) -> None:
    """A deployment that is cancelled ends at its next step, and the alias that called for it goes back."""
    before = mortal.find_answering()
    version = mortal.candidates.add(0.95)
    mortal.set_alias(version)
    mortal.wait(
        lambda: mortal.list()[0]["version"] == version and len(mortal.list()[0]["steps"]) > 1, "it is under way"
    )
    answer = requests.delete(f"{mortal.url}/deployments/{mortal.list()[0]['id']}", headers=mortal.headers, timeout=30)
    ended = mortal.finish()

    assert answer.status_code == 202
    assert (ended["version"], ended["state"], ended["reason"]) == (version, "cancelled", "on request")
    assert (mortal.candidates.find_champion(), mortal.find_answering()) == (before, before)


@pytest.mark.parametrize("name", ["current", "keeper"])
def test_what_serves_is_started_again(mortal: Mortal, name: str) -> None:
    """SIGKILL to the keeper, or to the version that answers: the deployer starts it again, and callers wait."""
    place = STATE / "live" / str(mortal.port)
    file = place / "current" / "pid" if name == "current" else place / "programs" / name / "pid"
    before, killed = mortal.find_answering(), file.read_text()
    os.kill(int(killed), signal.SIGKILL)
    after = [mortal.find_answering() for _ in range(3)]
    mortal.wait(lambda: file.exists() and file.read_text() != killed, "it is started again")

    assert after == [before] * 3
    assert mortal.find_answering() == before
    assert len(list((place / "programs").iterdir())) == 2


def test_ctrl_c_is_no_failure(mortal: Mortal) -> None:
    """Ctrl-C, which ends the programs of a step as well, interrupts a deployment as a kill does.

    Nothing is left running but the server.
    """
    before = mortal.find_answering()
    version = mortal.candidates.add(0.9)
    deployment = mortal.post("/deployments", {"model": f"models:/mortal/{version}"})
    mortal.wait(
        lambda: any(step["name"] == "smoke test" for step in mortal.list()[0]["steps"]), "it is at its smoke test"
    )
    assert mortal.process
    os.killpg(mortal.process.pid, signal.SIGINT)
    mortal.process.wait(timeout=WITHIN)
    servers = subprocess.run(
        ["pgrep", "-f", "--", f"-m scoring .*{version_id(mortal, version)}"], check=False, capture_output=True
    ).stdout
    meanwhile = mortal.find_answering()
    mortal.start()
    ended = mortal.finish(deployment)

    assert servers == b""
    assert meanwhile == before
    assert (ended["state"], ended["attempts"]) == ("done", 2)
    assert (mortal.candidates.find_champion(), mortal.find_answering()) == (version, version)


def version_id(mortal: Mortal, version: int) -> str:
    """Return what a server's command line names a version by."""
    client = mlflow.MlflowClient(mortal.candidates.settings.tracking_uri)
    return str(client.get_model_version("mortal", str(version)).source).removeprefix("models:/")
