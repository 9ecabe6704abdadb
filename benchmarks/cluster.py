"""What a deployment to a cluster costs, and what callers notice of one, beside a Deployment as kubectl creates it.

Works on the cluster of CONTEXT, in a namespace of its own; run it with nothing else going on: make bench_cluster
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.cluster.conftest import SERVICE, VARIABLES, Served, run
from tests.e2e.place import CLIENTS, PER_SECOND, Load

CHANGES = 10  # updates, and as many ways back
PEER = "peer"


def timed(act: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    started = time.monotonic()
    act()
    return time.monotonic() - started


def seconds(taken: list[float]) -> str:
    """Return several measurements in words."""
    return ", ".join(f"{each:.1f}" for each in taken) + " s"


def under_load(served: Served, service: str, change: Callable[[int], object], times: int) -> tuple[Load, float]:
    """Change the version so many times while clients ask; return what they saw, and the median seconds of a change."""
    with served.under_load(service) as load:
        taken = [timed(partial(change, at)) for at in range(times)]
    return load, statistics.median(taken)


def wait(served: Served, deployment: str) -> None:
    """Wait for a rollout."""
    served.cluster.run("rollout", "status", f"deployment/{deployment}", "--timeout", "120s", seconds=130)


def undo(served: Served) -> None:
    """Go back to the revision before, as kubectl does."""
    served.cluster.run("rollout", "undo", "deployment/diabetes-model")
    wait(served, "diabetes-model")


def start_peer(served: Served, images: list[str]) -> None:
    """Create a Deployment and a Service of the same image with kubectl, which adds nothing: no probe, no grace."""
    served.cluster.run("create", "deployment", PEER, f"--image={images[0]}", "--replicas=2", "--port=8080")
    served.cluster.run("expose", "deployment", PEER, "--port=80", "--target-port=8080")
    wait(served, PEER)
    served.wait(lambda: served.find_answering(PEER) == 1, "the peer answers")


def update_peer(served: Served, image: str) -> None:
    """Change the image, as kubectl does."""
    container = served.get("deployment", PEER)["spec"]["template"]["spec"]["containers"][0]["name"]
    served.cluster.run("set", "image", f"deployment/{PEER}", f"{container}={image}")
    wait(served, PEER)


def measure(served: Served) -> list[tuple[str, str]]:
    """Measure everything; return the table's rows."""
    images, first = [], []
    for version in (1, 2):
        served.make("diff", MODEL=f"models:/diabetes/{version}")  # which builds the image, and brings it nowhere
        first.append(timed(partial(served.deploy, version)))
        images.append(served.get("deployment", "diabetes-model")["spec"]["template"]["spec"]["containers"][0]["image"])
    again = [timed(partial(served.deploy, version)) for version in (1, 2, 1)]
    canary = timed(lambda: served.make("canary", MODEL="models:/diabetes/2", WEIGHT="50"))
    served.make("canary", WEIGHT="0")
    updates, updated = under_load(served, SERVICE, lambda at: served.deploy(2 - at % 2), CHANGES)
    undone, took = under_load(served, SERVICE, lambda _: undo(served), CHANGES)
    start_peer(served, images)
    peer, changed = under_load(served, PEER, lambda at: update_peer(served, images[1 - at % 2]), CHANGES)
    return [
        ("make deploy: image built, not in the cluster yet; to the end of its API test", seconds(first)),
        ("the same, image in the cluster", seconds(again)),
        ("make canary WEIGHT=50", f"{canary:.1f} s"),
        (f"{CHANGES} make deploy: requests failed", f"{len(updates.failed)} of {updates.sent}; each {updated:.1f} s"),
        (
            f"{CHANGES} kubectl rollout undo: requests failed",
            f"{len(undone.failed)} of {undone.sent}; each {took:.1f} s",
        ),
        (
            f"peer, {CHANGES} kubectl set image: requests failed",
            f"{len(peer.failed)} of {peer.sent}; each {changed:.1f} s",
        ),
    ]


def main() -> None:
    """Measure, and print the table."""
    variables = VARIABLES | {"NAMESPACE": "slipway-bench", "SCORING_GRACE": ""}  # as users have it
    with tempfile.TemporaryDirectory() as scratch, run("slipway-bench-cluster", Path(scratch), variables) as served:
        rows = measure(served)
    table = Table(box=None, header_style="bold")
    table.add_column("what")
    table.add_column(
        f"measured, with {CLIENTS} clients and {PER_SECOND} requests/s where there is load", justify="right"
    )
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
