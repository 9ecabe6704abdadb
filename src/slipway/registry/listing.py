"""The registry's versions as a table or as JSON."""

from __future__ import annotations

import json
import math
import shlex
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from slipway import hints, model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.registry.client import Registry

if TYPE_CHECKING:
    from slipway.settings import Settings

WIDTH_OFF_TERMINAL = 2000  # a pipe has no width; the table should not be cut for it
PAGE = 100  # run ids in one search; a longer filter meets the server's limits
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Row:
    """One line of the registry's list. `metric` is None when the run did not log it."""

    name: str
    version: int
    aliases: list[str] = field(default_factory=list)
    metric: float | None = None
    created: int = 0  # ms since 1970
    run_id: str = ""
    model: str = ""


def show(settings: Settings, form: str) -> None:
    """Print all versions, newest first, as "table" or "json".

    Raises SlipwayError for an empty registry (as a table; JSON is an empty list).
    """
    if form not in {"table", "json"}:
        raise SlipwayError(f"FORMAT is {form!r}: must be table or json", "make list_models FORMAT=json", USAGE)
    metric = model_folder.load(settings.model_dir).metric
    rows = list_rows(Registry.connect(settings), metric)
    if form == "json":
        print_json([asdict(row) | {"metric": {metric: row.metric}} for row in rows])
        return
    if not rows:
        raise SlipwayError("the registry is empty", "make train_model")
    table = Table(box=None, header_style="bold")
    for heading in ("name", "version", "aliases", metric, "age", "run"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what to type", overflow="fold")
    for row in rows:
        value = "-" if row.metric is None else f"{row.metric:.5g}"
        aliases = " ".join(f"@{alias}" for alias in row.aliases)
        table.add_row(
            row.name,
            str(row.version),
            aliases,
            value,
            age(row.created),
            row.run_id[:8],
            f"MODEL={shlex.quote(row.model)}",
        )
    console = Console(markup=False)
    if not console.is_terminal:
        console = Console(markup=False, width=WIDTH_OFF_TERMINAL)
    console.print(table)
    print()
    hints.say_next(f"make serve_model MODEL={shlex.quote(rows[0].model)}")


def list_rows(registry: Registry, metric: str) -> list[Row]:
    """Return all versions of all models, newest first, with the value of `metric` in each one's run."""
    aliases, versions = registry.find_aliases(), registry.list_versions()
    values = _metric_of_runs(registry, sorted({version.run_id for version in versions if version.run_id}), metric)
    rows = []
    for version in versions:
        number, run_id = int(version.version), version.run_id or ""
        named = sorted(alias for alias, at in aliases.get(version.name, {}).items() if at == number)
        uri = f"models:/{version.name}/{number}"
        rows.append(Row(version.name, number, named, values.get(run_id), version.creation_timestamp, run_id, uri))
    return sorted(rows, key=lambda row: (row.created, row.version), reverse=True)


def write_metrics(metrics: dict[str, float]) -> dict[str, float | None]:
    """Return metrics for JSON, which has neither NaN nor infinity: those are null."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def print_json(value: object) -> None:
    """Print a value as JSON that every program can read.

    Null stands for a number that is not finite, which JSON does not know.
    """
    print(json.dumps(_replace_infinite(value), indent=2, allow_nan=False))


def _replace_infinite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _replace_infinite(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace_infinite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def age(created: int) -> str:
    """Return how long ago a time (ms since 1970) was, in its largest unit."""
    seconds = max(time.time() - created / 1000, 0)
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def _metric_of_runs(registry: Registry, run_ids: list[str], metric: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for start in range(0, len(run_ids), PAGE):
        quoted = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + PAGE])
        for run in registry.find_runs(f"attributes.run_id IN ({quoted})"):
            if metric in run.data.metrics:
                values[run.info.run_id] = run.data.metrics[metric]
    return values
