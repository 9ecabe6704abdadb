"""The registry's versions as a table or as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from slipway import hints, model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.registry import client as registry

if TYPE_CHECKING:
    from slipway.settings import Settings

WIDTH_OFF_TERMINAL = 160  # a pipe has no width; the table should not be cut for it
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def show(settings: Settings, form: str) -> None:
    """Print all versions, newest first, as "table" or "json".

    Raises SlipwayError for an empty registry (as a table; JSON is an empty list).
    """
    if form not in {"table", "json"}:
        raise SlipwayError(f"FORMAT is {form!r}: must be table or json", "make list_models FORMAT=json", USAGE)
    metric = model_folder.load(settings.model_dir).metric
    client = registry.connect(settings)
    with registry.translated_errors():
        rows = registry.list_versions(client, metric)
    if form == "json":
        print_json([dataclasses.asdict(row) | {"metric": {metric: row.metric}} for row in rows])
        return
    if not rows:
        raise SlipwayError("the registry is empty", "make train_model")
    table = Table(box=None, header_style="bold")
    for heading in ("name", "version", "aliases", metric, "age", "run"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what to type", no_wrap=True)
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
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_OFF_TERMINAL)
    console.print(table)
    print()
    hints.say_next(f"make serve_model MODEL={shlex.quote(rows[0].model)}")


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
