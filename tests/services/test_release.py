"""Promotion and rollback against MLflow's real server on Postgres: with nothing to trust but evidence."""

from __future__ import annotations

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import mlflow
import pytest

from slipway.errors import SlipwayError, TimedOutError
from slipway.registry.client import Registry
from slipway.release import history, lock, pipeline
from slipway.release import promote as release
from slipway.release.history import Release
from tests.conftest import changed
from tests.polling import wait_until
from tests.services.candidates import Candidates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slipway.settings import Settings
    from tests.services.conftest import Tracking

WHY = {  # what is said of each of BAD
    "ends its process as it loads": "exit code 9",
    "raises as it loads": "no such luck",
    "answers NaN": "a prediction is None, which is not a number",
    "answers too few": "1 predictions for 3 rows",
    "answers at random": "the model loaded directly",
    "is slow": "too slow: p95 3",
}


@pytest.fixture
def candidates(served_settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Candidates:
    """Return a model of the test's own."""
    name = f"model-{abs(hash(request.node.nodeid))}"
    return Candidates.make(served_settings, name, tmp_path)


def promote(candidates: Candidates, version: int | str = "", *, force: bool = False, why: str = "") -> None:
    """Promote a version, or the newest."""
    release.promote(
        candidates.settings, f"models:/{candidates.name}/{version}" if version else "", force=force, why=why
    )


def read_history(candidates: Candidates) -> list[Release]:
    """Return the releases as the registry has them."""
    return history.read(Registry(candidates.settings.tracking_uri), candidates.name)


def count_servers(candidates: Candidates) -> int:
    """Return how many servers of the model's versions run."""
    printed = subprocess.run(["ps", "-ww", "-eo", "command"], check=True, capture_output=True, text=True).stdout
    versions = mlflow.MlflowClient(candidates.settings.tracking_uri).search_model_versions(
        f"name = '{candidates.name}'"
    )
    return sum(printed.count(str(version.source).removeprefix("models:/")) for version in versions)


def test_the_better_one_is_promoted(candidates: Candidates, capsys: pytest.CaptureFixture[str]) -> None:
    """The first model and a better one become champion; an equal, a worse one and one of other data do not.

    The registry tells it all.
    """
    candidates.add(0.5)
    promote(candidates)
    for score, data, why in ((0.5, "data", "equal"), (0.4, "data", "worse"), (0.9, "other", "not comparable")):
        candidates.add(score, data=data)
        with pytest.raises(SlipwayError, match=why):
            promote(candidates)
    candidates.add(0.6)
    promote(candidates)
    promote(candidates)
    printed = capsys.readouterr().out
    history.show(candidates.settings, "json")
    shown = json.loads(capsys.readouterr().out)

    assert candidates.find_champion() == 5
    assert "first model: there is no champion yet" in printed
    assert "version 5 is @champion already" in printed
    assert [(event["action"], event["version"], event["previous"]) for event in reversed(shown)] == [
        ("promoted", 1, None), ("refused", 2, 1), ("refused", 3, 1), ("refused", 4, 1), ("promoted", 5, 1),
    ]  # fmt: skip
    assert all(event["by"] and event["verdict"] and event["at"] for event in shown)


def test_a_time_out_is_no_verdict(candidates: Candidates) -> None:
    """A limit that is too short for this machine refuses nothing.

    The registry has no word of it, and the same version passes after it.
    """
    version = candidates.add(0.5)
    hurried = changed(candidates.settings, serving={"predict_timeout": 0})

    with pytest.raises(TimedOutError, match=r"neither promoted nor refused: .* time-out: .* within 0 s") as raised:
        release.promote(hurried, f"models:/{candidates.name}/{version}", force=False, why="")
    assert read_history(candidates) == []
    assert raised.value.cure.startswith("PREDICT_TIMEOUT=")
    promote(candidates)
    assert candidates.find_champion() == version


def test_force_is_recorded(candidates: Candidates) -> None:
    """Against the verdict a version is promoted with force, and the registry says by whom, against what, and why."""
    candidates.add(0.5)
    promote(candidates)
    candidates.add(0.4)
    promote(candidates, force=True, why="the customer wants it")
    last = read_history(candidates)[-1]

    assert candidates.find_champion() == 2
    assert (last.forced, last.why, last.by) == (True, "the customer wants it", lock.identify_caller().by)
    assert last.verdict.startswith("worse: score 0.4")


def test_rolling_back_walks_back(candidates: Candidates) -> None:
    """Each rollback goes to the champion before, TO to an earlier one.

    From the first there is no way, and nowhere a circle.
    """
    for score in (0.5, 0.6, 0.7, 0.8):
        candidates.add(score)
        promote(candidates)
    seen = []
    release.roll_back(candidates.settings)
    seen.append(candidates.find_champion())
    release.roll_back(candidates.settings)
    seen.append(candidates.find_champion())
    with pytest.raises(SlipwayError, match="version 4 was never champion before version 2"):
        release.roll_back(candidates.settings, "4")
    release.roll_back(candidates.settings, "1")
    seen.append(candidates.find_champion())
    with pytest.raises(SlipwayError, match="the first champion"):
        release.roll_back(candidates.settings)

    assert seen == [3, 2, 1]
    assert candidates.find_champion() == 1
    assert [event.version for event in read_history(candidates) if event.action == "rolled back"] == [3, 2, 1]


@pytest.mark.parametrize(("bad", "why"), WHY.items(), ids=WHY)
def test_what_does_not_work_is_refused(candidates: Candidates, bad: str, why: str) -> None:
    """A version that does not load, answers garbage or is too slow is refused; FORCE lets only the slow one pass."""
    candidates.add(0.5)
    promote(candidates)
    candidates.add(0.9, bad=bad)
    with pytest.raises(SlipwayError) as refused:
        promote(candidates, force=bad != "is slow")
    last = read_history(candidates)[-1]

    assert candidates.find_champion() == 1
    assert (last.action, last.version) == ("refused", 2)
    assert why in last.verdict
    assert last.verdict in str(refused.value)
    assert count_servers(candidates) == 0


@pytest.mark.parametrize("harm", ["changed", "one file more", "deleted"])
def test_files_that_were_harmed_are_refused(candidates: Candidates, tracking: Tracking, harm: str) -> None:
    """A version whose files in the store were changed, added to or deleted is not promoted and not rolled back to."""
    for score in (0.5, 0.6, 0.7):
        candidates.add(score)
        if score < 0.7:
            promote(candidates)
    client = mlflow.MlflowClient(candidates.settings.tracking_uri)
    for version in ("1", "3"):
        model_id = (client.get_model_version(candidates.name, version).source or "").removeprefix("models:/")
        place = next((tracking.log.parent / "artifacts").rglob(f"{model_id}/artifacts"))
        if harm == "changed":
            file = place / "model.skops"
            file.write_bytes(file.read_bytes() + b" ")
        elif harm == "deleted":
            shutil.rmtree(place)
        else:
            (place / "more.py").write_text("print()")
    why = "are gone|cannot be read|MLflow" if harm == "deleted" else "checksum differs"
    with pytest.raises(SlipwayError, match=why):
        promote(candidates, force=True)
    with pytest.raises(SlipwayError, match=why):
        release.roll_back(candidates.settings)

    assert candidates.find_champion() == 2


def test_two_at_once(candidates: Candidates, script: Callable[..., subprocess.Popen[str]]) -> None:
    """Of two people who promote at once one wins; the other is told who is at it."""
    candidates.add(0.5)
    candidates.add(0.6)
    variables = {"MODEL_DIR": str(candidates.settings.model_dir)}
    both = [script("promote", MODEL=f"models:/{candidates.name}/{version}", **variables) for version in (1, 2)]
    printed = [process.communicate(timeout=120)[0] for process in both]
    loser = printed[0] if both[0].returncode else printed[1]

    assert sorted(process.returncode for process in both) == [0, 1], printed
    assert f"has been releasing {candidates.name}" in loser
    assert candidates.find_champion() == 1 + (both[1].returncode == 0)


def test_one_holds_the_lock(candidates: Candidates) -> None:
    """Of many who take and leave the lock without pause one holds it at a time, and each gets it."""
    inside, seen, registry = [0], [], Registry(candidates.settings.tracking_uri)

    def release_often(who: int) -> None:
        for _ in range(10):
            with lock.held(registry, candidates.name, lock.Holder(f"person {who}", f"elsewhere/{who}"), patience=60):
                inside[0] += 1
                seen.append(inside[0])
                inside[0] -= 1

    with ThreadPoolExecutor(6) as people:
        list(people.map(release_often, range(6)))

    assert seen == [1] * 60
    assert not _locks(mlflow.MlflowClient(registry.uri), candidates.name)


def test_a_killed_release_blocks_nobody(candidates: Candidates, script: Callable[..., subprocess.Popen[str]]) -> None:
    """After kill -9 of a promotion the alias is where it was, and the next promotion takes over at once."""
    candidates.add(0.5)
    client = mlflow.MlflowClient(candidates.settings.tracking_uri)
    process = script("promote", MODEL_DIR=str(candidates.settings.model_dir))
    wait_until(lambda: _locks(client, candidates.name), 60, "it takes no lock", process=process)
    process.kill()
    process.wait()
    locked, before = _locks(client, candidates.name), candidates.find_champion()
    promote(candidates)

    assert locked
    assert before is None
    assert candidates.find_champion() == 1
    assert not _locks(client, candidates.name)
    assert count_servers(candidates) == 0


def test_an_alias_that_was_moved_meanwhile_stays(candidates: Candidates) -> None:
    """When somebody moves the alias by hand while a release is under way, the release gives in."""
    candidates.add(0.5)
    candidates.add(0.6)
    client = mlflow.MlflowClient(candidates.settings.tracking_uri)
    client.set_registered_model_alias(candidates.name, "champion", "1")
    with pytest.raises(SlipwayError, match="by somebody else meanwhile"):
        pipeline.move(
            Registry(candidates.settings.tracking_uri),
            candidates.name,
            Release("promoted", 2, None, "a test", "better"),
            lock.identify_caller(),
        )

    assert candidates.find_champion() == 1


def _locks(client: mlflow.MlflowClient, name: str) -> list[str]:
    return [model.name for model in client.search_registered_models(f"name = '{name}.release-lock'")]
