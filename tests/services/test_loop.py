"""The closed loop with a real deployer: served, logged, told what came true, monitored, and rolled back by itself."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pytest
import requests

from slipway import ports
from slipway.settings import ROOT, STATE
from tests import beside
from tests.conftest import find_command
from tests.polling import wait_until
from tests.services.candidates import Candidates

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from slipway.settings import Settings
    from tests.services.conftest import Tracking

WITHIN = 240  # s, on a busy machine
RULE = '[rollback]\nmetric = "rmse"\nmargin = 0.5\nrows = 50\nwindow_hours = 1\n[drift]\nmin_rows = 50\n'
NAME = "loop"


@dataclass
class Loop:
    """A deployer whose served versions are logged, and a client of both."""

    candidates: Candidates
    port: int
    deployer_port: int
    predictions: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def environment(self, **more: str) -> dict[str, str]:
        """Return what its commands are told."""
        return os.environ | {
            "RUNTIME": "host", "PORT": str(self.port), "DEPLOYER_PORT": str(self.deployer_port), "URL": "", "MODEL": "",
            "MLFLOW_TRACKING_URI": self.candidates.settings.tracking_uri, "ROLLBACK_EVERY": "1",
            "MODEL_DIR": str(self.candidates.settings.model_dir), "PREDICTION_LOG": "1",
            "PREDICTION_LOG_DIR": str(self.predictions), "SCORING_PREDICTION_LOG_SECONDS": "1",
        } | more  # fmt: skip

    def start(self) -> None:
        """Start the deployer."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                find_command("start_deployer"), cwd=ROOT, env=self.environment(), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.wait(lambda: requests.get(f"http://127.0.0.1:{self.deployer_port}/livez", timeout=5).ok, "it answers")

    def kill(self) -> None:
        """SIGKILL the deployer alone; the server that it started goes on."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def wait(self, done: Any, what: str) -> None:  # noqa: ANN401 -- a function
        """Wait until something is so."""
        wait_until(
            done, WITHIN, lambda: f"{what}\n{self.log.read_text()[-3000:]}", ignored=(requests.RequestException,)
        )

    def run(self, target: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            find_command(target), cwd=ROOT, env=self.environment(**more), check=False, capture_output=True, text=True
        )

    def ask(self, name: str, rows: list[list[float]]) -> requests.Response:
        """Ask for predictions under a request id."""
        body = {"dataframe_split": {"columns": ["a", "b"], "data": rows}}
        return requests.post(
            f"http://127.0.0.1:{self.port}/invocations", json=body, headers={"X-Request-Id": name}, timeout=30
        )

    def tell(self, truths: object, token: str = "") -> requests.Response:
        """Send what came true."""
        file = STATE / "deployer" / str(self.deployer_port) / "feedback_token"
        headers = {"Authorization": f"Bearer {token or file.read_text()}"}
        return requests.post(
            f"http://127.0.0.1:{self.deployer_port}/feedback", json=truths, headers=headers, timeout=30
        )

    def answering(self) -> int:
        """Return the version that answers."""
        return int(requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).json()["version"])

    @contextmanager
    def asked(self) -> Iterator[tuple[list[str], list[object]]]:
        """Have a client ask until the end of the block; yield the ids that version 2 answered, and what failed."""
        ids: list[str] = []
        failed: list[object] = []

        def ask(ended: threading.Event) -> None:
            for number in itertools.count():
                if ended.wait(0.02):
                    return
                try:
                    answer = self.ask(f"late-{number}", [[1.0, 0.0]])
                    if answer.status_code != 200:
                        failed.append(answer.text)
                    elif answer.headers["X-Model-Version"] == "2":
                        ids.append(f"late-{number}")
                except requests.RequestException as error:
                    failed.append(error)

        with beside.threads(ask):
            yield ids, failed


@pytest.fixture(scope="module")
def loop(tracking: Tracking, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Have a first version served and logged by the deployer."""
    from slipway import settings as slipway_settings  # noqa: PLC0415 -- as served_settings, for a whole module

    scratch = tmp_path_factory.mktemp(NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTIME", "host")
        patch.setenv("MLFLOW_TRACKING_URI", tracking.url)
        settings: Settings = slipway_settings.load()
    candidates = Candidates.make(settings, NAME, scratch)
    with (candidates.settings.model_dir / "model.toml").open("a") as file:
        file.write(RULE)
    found = Loop(candidates, ports.find_free(), ports.find_free(), scratch / "predictions", scratch / "deployer.log")
    candidates.add(1.0)
    try:
        found.start()
        assert found.run("promote", MODEL=f"models:/{NAME}/1").returncode == 0
        found.wait(lambda: found.answering() == 1, "version 1 answers")
        yield found
    finally:
        found.kill()
        subprocess.run(
            find_command("stop_deployer"), cwd=ROOT, env=found.environment(), check=True, capture_output=True
        )
        for place in (STATE / "deployer" / str(found.deployer_port), STATE / "live" / str(found.port)):
            shutil.rmtree(place)


def test_a_champion_that_turns_bad_goes_back_once(loop: Loop) -> None:
    """Its truth comes late; then the version before answers again, with the reason on record, and no request failed.

    The truth of the version before is kept over a SIGKILL of the deployer right after its answer.
    """
    rng = np.random.default_rng(0)
    rows = [[float(a), float(b)] for a, b in rng.normal(size=(100, 2))]
    assert loop.ask("early", rows).status_code == 200
    told = loop.tell([{"id": "early", "row": at, "truth": a + b} for at, (a, b) in enumerate(rows)])
    loop.kill()
    loop.start()
    loop.candidates.add(5.0)  # it promises more, and predicts 5 where 1 comes true
    with loop.asked() as (ids, failed):
        promoted = loop.run("promote", MODEL=f"models:/{NAME}/2")
        loop.wait(lambda: loop.answering() == 2 and len(ids) > 60, "version 2 answers")
        second = loop.tell([{"id": name, "truth": 1.0} for name in ids[:60]])
        loop.wait(lambda: loop.answering() == 1, "version 1 answers again")
        loop.wait(lambda: loop.candidates.find_champion() == 1, "the alias is back")
    releases = json.loads(loop.run("releases", FORMAT="json").stdout)
    back = [each for each in releases if each["action"] == "rolled back"]

    assert (told.status_code, second.status_code) == (202, 202)
    assert promoted.returncode == 0
    assert failed == []
    assert len(back) == 1
    assert back[0]["by"].startswith("rollback rule: realised rmse of version 2 is 4 on ")
    assert "of version 1 it was 0 on 100" in back[0]["by"] or "it was" in back[0]["by"]


def test_monitoring_names_what_was_realised(loop: Loop) -> None:
    """A version without a reference is compared with its first rows; its realised metrics are printed and logged."""
    rows = [[float(a), float(b)] for a, b in np.random.default_rng(1).normal(size=(1500, 2))]
    assert loop.ask("many", rows).headers["X-Model-Version"] == "1"
    for at in range(0, 1500, 500):
        part = [{"id": "many", "row": at + n, "truth": a + b + 1} for n, (a, b) in enumerate(rows[at : at + 500])]
        assert loop.tell(part).status_code == 202
    loop.wait(lambda: "realised rmse 1," in loop.run("monitor", MODEL=f"models:/{NAME}/1").stdout, "it is realised")
    client = mlflow.MlflowClient(loop.candidates.settings.tracking_uri)
    experiment = client.get_experiment_by_name(f"{NAME}-monitoring")
    assert experiment
    run = client.search_runs([experiment.experiment_id])[0]

    assert run.data.metrics["realised.rmse"] == pytest.approx(1.0)
    assert "drifted_columns" in run.data.metrics
    assert "realised by version 1: " in loop.run("compare", MODEL=f"models:/{NAME}/2").stdout
    assert run.data.tags["slipway.monitor.version"] == "1"
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["loop-1.html"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "x", "row": -1, "truth": 1}, 422),
        ({"id": "x y", "truth": 1}, 422),
        ({"id": "x"}, 422),
        ([], 422),
        ([{"id": "x", "truth": 1}] * 1001, 422),
        ("text", 422),
        ([[1]], 422),
        ({"id": "x", "truth": "t" * 2000}, 422),
        ({"id": "x", "truth": "t" * 100_000}, 413),
    ],
)
def test_feedback_that_is_none_is_refused(loop: Loop, body: object, status: int) -> None:
    """A wrong truth is refused in the house's words, and a wrong token is another answer."""
    answer = loop.tell(body)

    assert answer.status_code == status
    assert set(answer.json()) == {"error_code", "message"}


def test_feedback_has_a_token_of_its_own(loop: Loop) -> None:
    """The deployer's token is no token for feedback."""
    token = (STATE / "deployer" / str(loop.deployer_port) / "token").read_text()

    assert loop.tell({"id": "x", "truth": 1}, token).status_code == 403


def test_truth_from_a_file_names_wrong_lines(loop: Loop, tmp_path: Path) -> None:
    """A file with a wrong line adds nothing, and says which line."""
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("id,row,truth\na,0,1\nb,x,2\n")
    good.write_text("id,row,truth\na,0,1\nb,,x\n")
    before = sorted(loop.predictions.glob("truth/*/*"))
    refused = loop.run("add_truth", FILE=str(bad))
    kept = sorted(loop.predictions.glob("truth/*/*"))
    added = loop.run("add_truth", FILE=str(good))

    assert refused.returncode == 1
    assert "line 3: row must be" in refused.stderr
    assert kept == before
    assert added.returncode == 0, added.stderr
    assert len(sorted(loop.predictions.glob("truth/*/*"))) == len(before) + 1


def test_a_load_test_passes_and_fails_by_its_bounds(loop: Loop) -> None:
    """Its result stands in the version's run; a bound that no server keeps ends it with 1, and says so."""
    passed = loop.run("load_test", USERS="3", MINUTES="0.1", FAILURES="0", P99_MS="60000")
    paced = loop.run("load_test", USERS="2", MINUTES="0.1", RATE="10", P99_MS="0.0001")
    wrong = loop.run("load_test", STAGES="many")
    client = mlflow.MlflowClient(loop.candidates.settings.tracking_uri)
    run = client.get_run(str(client.get_model_version(NAME, "1").run_id))

    assert passed.returncode == 0, passed.stderr
    assert "requests in" in passed.stdout
    assert (paced.returncode, wrong.returncode) == (1, 2)
    assert "at most 0.0001 is allowed" in paced.stderr
    assert run.data.metrics["load.rps"] > 0
    assert run.data.metrics["load.failed_share"] == 0
