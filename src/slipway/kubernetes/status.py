"""What Slipway runs in a namespace of a cluster, as a table or as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import manifests, traffic
from slipway.kubernetes.cluster.kubectl import Cluster

if TYPE_CHECKING:
    from slipway.settings import Settings

OURS = "app.kubernetes.io/part-of=slipway"
SERVER = "model"  # the container that serves, beside whatever else a pod may have
WIDTH_OFF_TERMINAL = 400  # a pipe has no width, and an image's digest is long


@dataclass(frozen=True)
class Row:
    """A Deployment.

    Whose it is, its image with the whole digest, how many replicas are ready, and when it last rolled out.
    """

    deployment: str
    component: str  # champion, challenger, tracking …
    model: str
    version: str
    run: str
    ready: int
    replicas: int
    image: str
    last_rollout: str  # UTC, as Kubernetes writes times


def show(settings: Settings, form: str) -> None:
    """Print what runs, as "table" or "json".

    Raises SlipwayError when nothing of ours runs in the namespace (as a table; JSON is an empty list).
    """
    if form not in {"table", "json"}:
        raise SlipwayError(f"FORMAT is {form!r}: must be table or json", "make deploy_status FORMAT=json", USAGE)
    cluster = Cluster(settings)
    cluster.check()
    rows = [read(each) for each in cluster.list("deployments", OURS, strict=True)]
    if form == "json":
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
        return
    if not rows:
        raise SlipwayError(
            f"Slipway runs nothing in {settings.cluster.context}, namespace {settings.cluster.namespace}",
            "make deploy MODEL=…",
        )
    console = Console()
    draw(console if console.is_terminal else Console(width=WIDTH_OFF_TERMINAL), rows)


def draw(console: Console, rows: list[Row]) -> None:
    """Print the table; where it is too wide, an image goes on in the next line."""
    table = Table(box=None, header_style="bold")
    for heading in ("deployment", "model", "version", "ready", "image", "last rollout"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row.deployment, row.model, row.version, f"{row.ready} of {row.replicas}", row.image, row.last_rollout
        )
    console.print(table)


def read(deployment: dict[str, Any]) -> Row:
    """Return what a Deployment says of itself (pure)."""
    known, status, spec = manifests.read_annotations(deployment), deployment.get("status", {}), deployment["spec"]
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    return Row(
        deployment["metadata"]["name"],
        deployment["metadata"].get("labels", {}).get(traffic.COMPONENT, ""),
        known.get("model", ""),
        known.get("version", ""),
        known.get("run", ""),
        status.get("readyReplicas", 0),
        spec.get("replicas", 1),
        find_image(deployment),
        conditions.get("Progressing", {}).get("lastUpdateTime", ""),
    )


def find_image(deployment: dict[str, Any]) -> str:
    """Return the image that serves, or that of the first container where none is called so (pure)."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return str(next((each["image"] for each in containers if each.get("name") == SERVER), containers[0]["image"]))
