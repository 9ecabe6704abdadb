"""What a release costs on this machine, and what callers notice of one, beside the usual way.

The old container removed, a new one run.

Uses services, ports and folders of its own; run it with nothing else going on: make bench_release
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from slipway.settings import ROOT
from tests import beside
from tests.e2e.conftest import Stack
from tests.e2e.place import CLIENTS, PER_SECOND, Load, Place

ALPHAS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)  # each better on the held-out rows than the one before
CHANGES, RESTARTS = 20, 10


def timed(act: Callable[[], Any]) -> float:
    """Return how many seconds something takes."""
    started = time.monotonic()
    act()
    return time.monotonic() - started


def seconds(taken: list[float]) -> str:
    """Return several measurements in words."""
    return ", ".join(f"{each:.1f}" for each in taken) + " s"


def move_alias(place: Place, version: int) -> float:
    """Set @champion as MLflow's page does; return the seconds until that version answers a prediction."""
    place.set_alias(version)
    took = place.wait(lambda: place.find_answering() == version, f"version {version} answers")
    place.finish(place.find_last()["id"])
    return took


def lose_events(place: Place) -> None:
    """Have MLflow send no events."""
    hook = next(each for each in place.mlflow("webhooks")["webhooks"] if each["name"].startswith("slipway-"))
    url = f"http://127.0.0.1:{place.stack.variables['MLFLOW_PORT']}/api/2.0/mlflow/webhooks/{hook['webhook_id']}"
    requests.patch(url, json={"status": "DISABLED"}, timeout=10).raise_for_status()
    time.sleep(6)  # MLflow's memory of it


def under_load(place: Place, change: Callable[[int], Any], times: int) -> tuple[Load, float]:
    """Change the version so many times while clients ask; return what they saw, and the median seconds of a change."""
    load = Load(place.api)
    body = (ROOT / "model" / "request.json").read_bytes()
    with beside.threads(lambda ended: load.run(body, ended), CLIENTS):
        taken = [timed(lambda at=at: change(at)) for at in range(times)]
    return load, statistics.median(taken)


def deploy(place: Place, at: int) -> None:
    """Roll back, or deploy the newest version again, through the deployer."""
    answer = (
        place.post("/deployments", {"model": f"models:/diabetes/{len(ALPHAS)}"})
        if at % 2
        else place.post("/rollbacks", {})
    )
    ended = place.finish(answer.json()["id"])
    if ended["state"] != "done":
        sys.exit(f"a change failed: {ended['reason']}")


def take_turns(place: Place) -> list[tuple[str, str]]:
    """Roll back and promote in turn by make, while the deployer has a candidate that never ends to load.

    Return the table's rows.
    """
    place.stack.make("wrap_model", FILE="tests/e2e/bad_models.py", CLASS="Hang")
    slow = place.post("/deployments", {"model": "models:/diabetes/latest"}).json()["id"]
    taken: dict[str, list[float]] = {"rollback": [], "promote": []}

    def change(at: int) -> None:
        target = "promote" if at % 2 else "rollback"
        taken[target].append(
            timed(lambda: place.stack.make(target, MODEL=f"models:/diabetes/{len(ALPHAS)}" if at % 2 else ""))
        )

    load, _ = under_load(place, change, CHANGES)
    requests.delete(
        f"{place.deployer}/deployments/{slow}",
        headers={"Authorization": f"Bearer {place.secrets['token']}"},
        timeout=30,
    )
    place.finish(slow)
    rows = [
        (
            f"{CHANGES} times make rollback, make promote, a slow candidate in the queue: requests failed",
            f"{len(load.failed)} of {load.sent}",
        )
    ]
    rows += [("answers that are not those of the version that they name", "none" if load.is_right else "some")]
    return rows + [
        (f"make {name}, until it answers: median, longest", f"{statistics.median(each):.1f}, {max(each):.1f} s")
        for name, each in taken.items()
    ]


def restart(place: Place, at: int) -> None:
    """Remove the container and run the other version's image in its place, as one does without a deployer."""
    version, port = len(ALPHAS) - at % 2, place.stack.variables["PORT"]
    tag = place.stack.docker(
        "images", "--filter", f"reference=slipway/diabetes:v{version}-*", "--format", "{{.Repository}}:{{.Tag}}"
    )
    subprocess.run(["docker", "rm", "--force", f"{place.stack.project}-serve"], check=False, capture_output=True)
    place.stack.docker(
        "run",
        "--detach",
        "--name",
        f"{place.stack.project}-serve",
        "--publish",
        f"127.0.0.1:{port}:8080",
        tag.split()[0],
    )
    place.wait(lambda: place.find_answering() == version, f"version {version} answers")


def follow(place: Place) -> list[float]:
    """Serve the alias with FOLLOW=1 and move it to and fro; return the seconds until each version answered."""
    with place.stack.serve("models:/diabetes@champion", FOLLOW="1"):
        place.wait(lambda: place.find_answering() is not None, "the champion answers")
        taken = []
        for version in (2, 1, 2, 1):
            place.set_alias(version)
            taken.append(
                place.wait(lambda version=version: place.find_answering() == version, f"version {version} answers")
            )
    return taken


def measure(stack: Stack) -> list[tuple[str, str]]:
    """Measure everything; return the table's rows."""
    stack.make("start_mlflow_services")
    for alpha in ALPHAS:
        stack.make("train_model", TRAIN_ARGS=f"--alpha {alpha} --repeats 1")
    stack.make("promote", MODEL="models:/diabetes/1")
    stack.make("promote", MODEL="models:/diabetes/2")
    stack.make("rollback")
    rows = [
        (
            "promote of a built candidate, whole",
            f"{timed(lambda: stack.make('promote', MODEL='models:/diabetes/2')):.1f} s",
        )
    ]
    rows += [("rollback, whole", f"{timed(lambda: stack.make('rollback')):.1f} s")]
    place = Place(stack)
    rows += [("FOLLOW=1: alias set by hand to answer", seconds(follow(place)))]
    stack.make("start_deployer")
    place.wait(lambda: place.find_answering() == 1, "the champion answers")
    moved = [move_alias(place, version) for version in (2, 3, 4, 5)]
    rows += [("alias set by hand to answer", seconds(moved))]
    steps = [f"{step['name']} {step['ended'] - step['started']:.1f}" for step in place.find_last()["steps"]]
    rows += [("the last of them, step by step", ", ".join(steps))]
    lose_events(place)
    lost = [move_alias(place, version) for version in (6, 7, 8)]
    rows += [("the same, MLflow's event lost", seconds(lost))]
    ours, took = under_load(place, lambda at: deploy(place, at), CHANGES)
    rows += [
        (f"{CHANGES} rollbacks and promotions: requests failed", f"{len(ours.failed)} of {ours.sent}"),
        ("each", f"{took:.1f} s"),
    ]
    rows += take_turns(place)
    stack.make("stop_deployer")
    restart(place, 1)
    theirs, took = under_load(place, lambda at: restart(place, at), RESTARTS)
    rows += [(f"peer, {RESTARTS} times docker rm and run: requests failed", f"{len(theirs.failed)} of {theirs.sent}")]
    rows += [("each, without gate and tests", f"{took:.1f} s")]
    stack.docker("rm", "--force", f"{stack.project}-serve")
    return rows


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        stack = Stack("slipway-bench-release", Path(scratch))
        stack.remove()
        try:
            rows = measure(stack)
        finally:
            stack.remove()
    table = Table(box=None, header_style="bold")
    table.add_column("what")
    table.add_column(
        f"measured, with {CLIENTS} clients and {PER_SECOND} requests/s where there is load", justify="right"
    )
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
