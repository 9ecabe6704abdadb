"""The references of versions: made when one is registered, kept with its run, read when it is monitored or served."""

from __future__ import annotations

import ast
import json
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway import runtimes
from slipway.errors import SlipwayError
from slipway.monitoring import reference
from slipway.monitoring.prediction_log import IN, OUT
from slipway.registry.run_log import RunLog
from slipway.runtimes.base import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

    Run = Callable[[Script], tuple[int, str]]

FOLDER = "monitoring"  # among a run's artifacts
SCRIPT = Path(reference.__file__)
RANGES = 200  # columns of which a server knows the range
FEWEST = 1000  # logged rows that a reference is made of


def make(  # noqa: PLR0913, PLR0917 -- what a training left behind, and how to go on
    settings: Settings, model: ModelFolder, uri: str, run_id: str, lock: Lock, run: Run
) -> None:
    """Have a reference made in a version's environment, from the rows of the training script's `load_data`.

    `run` runs a script of the folder. A version without one can be served as well: what goes wrong is said on stderr.
    """
    if settings.cluster.context or not _has_data(model):  # what trained in a cluster may not run here
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="reference-") as scratch:
        Path(scratch).chmod(0o755)
        shutil.copy(SCRIPT, scratch)  # beside our other modules it would import them for others of these names
        seen = scratch if runtimes.of(settings).shares_files else "/kept"
        command = [f"{seen}/{SCRIPT.name}", model.script, uri, str(settings.serving.predict_timeout), seen]
        code, said = run(Script(command, lock, kept=Path(scratch)))
        file = Path(scratch, reference.FILE)
        if code != 0 or not file.is_file():
            last = said.strip().splitlines()[-1:] or [f"exit code {code}"]
            print(f"note: no reference for drift could be made: {last[0]}", file=sys.stderr)
            return
        RunLog.connect(settings).log_file(run_id, file, FOLDER)
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    print(f"reference of {rows} rows for make monitor, in {time.monotonic() - started:.1f} s")


def _has_data(model: ModelFolder) -> bool:
    """Whether the folder's script has a function load_data that needs no arguments."""
    try:
        parsed = ast.parse((model.path / model.script).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return False
    found = [node for node in parsed.body if isinstance(node, ast.FunctionDef) and node.name == "load_data"]
    return bool(found) and len(found[0].args.args) <= len(found[0].args.defaults)


def read(registry: Registry, run_id: str | None) -> dict[str, Any] | None:
    """Return the reference of a version, by its run; None where it has none that we can read."""
    text = registry.read_file(run_id, f"{FOLDER}/{reference.FILE}") if run_id else None
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("form") == reference.FORM else None


def of_log(rows: pd.DataFrame) -> dict[str, Any]:
    """Return a reference made of a version's first logged rows; raise SlipwayError for too few."""
    if len(rows) < FEWEST:
        words = f"the version has no reference, and its log has {len(rows)} rows, of {FEWEST} that would make one"
        raise SlipwayError(words, "load_data in the training script, then train again; or wait for more rows")
    columns = [(name, rows[name]) for name in rows.columns]
    return {
        "form": reference.FORM, "rows": len(rows), "predicted": len(rows), "from": "the first logged rows",
        "columns": reference.describe((name[len(IN) :], each) for name, each in columns if name.startswith(IN)),
        "predictions": reference.describe((name[len(OUT) :], each) for name, each in columns if name.startswith(OUT)),
    }  # fmt: skip


def ranges(known: dict[str, Any] | None) -> dict[str, list[float]]:
    """Return the range of each column of numbers, for a server: at most RANGES columns."""
    found = {
        name: [column["min"], column["max"]]
        for name, column in (known or {}).get("columns", {}).items()
        if "min" in column and math.isfinite(column["min"]) and math.isfinite(column["max"])
    }
    return dict(list(found.items())[:RANGES])
