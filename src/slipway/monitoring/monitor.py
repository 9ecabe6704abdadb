"""Monitoring: the prediction log of a version, day by day, beside its reference; as a table, a report and a run."""

from __future__ import annotations

import datetime as dt
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from slipway import hints, model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.monitoring import drift, realised, references, report, truth
from slipway.monitoring.findings import Beside, Monitored, Window
from slipway.monitoring.prediction_log import PredictionLog
from slipway.monitoring.results import TAG
from slipway.registry import model_uri
from slipway.registry.client import CHAMPION
from slipway.registry.run_log import RunLog
from slipway.settings import BUILD

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from slipway.model_folder import ModelFolder
    from slipway.monitoring.realised import Realised
    from slipway.registry.model_uri import ModelRef
    from slipway.settings import Settings

DRIFTED = 1  # exit code, where it was asked for
SHOWN = 12  # columns of the table
SUFFIX = "-monitoring"  # of the experiment
NO_LOG = "PREDICTION_LOG=1 make serve_model MODEL=…, and requests to it"


def monitor(  # noqa: PLR0913 -- each an option of the command
    settings: Settings,
    uri: str = "",
    *,
    days: int = 7,
    until: str = "",
    strict: bool = False,
    now: dt.datetime | None = None,
) -> Monitored:
    """Compare a version's log (default: the champion's) of some days with its reference; print, draw and log it.

    `until` is the last day, as 2026-11-30. Raises SlipwayError (exit code 1) for drift where it is to be `strict`, and
    where there is no log or no reference.
    """
    folder = model_folder.load(settings.model_dir)
    registry = RunLog.connect(settings)
    model = model_uri.resolve(registry, uri or f"models:/{folder.name}@{CHAMPION}")
    if not model.name or not model.version:
        raise SlipwayError(f"{model.uri} is no registered version, whose log could be read", "MODEL=models:/name/3")
    end = _find_end(until, now or dt.datetime.now(dt.UTC))
    found = examine(settings, registry, folder, model, end - dt.timedelta(days=days), end)
    show(found)
    path = write(found)
    run_id = log(registry, found, model, path)
    print(f"see   {path}, and run {run_id} of the experiment {model.name}{SUFFIX}")
    latest = found.latest
    if latest and latest.drifted and strict:
        raise SlipwayError(f"{', '.join(latest.drifted)} drifted", "the report says how; retrain, or make rollback")
    hints.say_next(f"make train_model, or make add_truth FILE=truth.csv MODEL={shlex.quote(model.uri)}")
    return found


def _find_end(until: str, now: dt.datetime) -> dt.datetime:
    if not until:
        return now
    try:
        return dt.datetime.combine(dt.date.fromisoformat(until), dt.time.max, dt.UTC)
    except ValueError:
        raise SlipwayError(f"UNTIL is {until!r}: must be a day", "UNTIL=2026-11-30", USAGE) from None


def examine(  # noqa: PLR0913, PLR0917 -- what, where and when
    settings: Settings, registry: RunLog, folder: ModelFolder, model: ModelRef, since: dt.datetime, until: dt.datetime
) -> Monitored:
    """Return what a version's log of [since, until) shows; raise SlipwayError without a log or a reference."""
    prediction_log = PredictionLog(settings.serving.log_dir)
    name, version = str(model.name), str(model.version)
    rows = prediction_log.read(name, version, since, until)
    if rows.empty:
        words = f"the prediction log has no rows of {name} {version} from {since:%Y-%m-%d} to {until:%Y-%m-%d}"
        raise SlipwayError(f"{words}, in {prediction_log.root}", NO_LOG)
    rules = drift.Rules()
    if folder.name == name:
        rules = drift.read_rules(folder.path / "model.toml", model_folder.read_table(folder.path, "drift"))
    answered = rows[rows["_error"].isna() & rows["_sampled"]]
    known = references.read(registry, model.run_id)
    if known is None:
        first = prediction_log.read_first(name, version, references.FEWEST)
        known = references.of_log(first)
        answered = _leave_out(answered, first)
        print(f"note: {name} {version} has no reference; its first {len(first)} logged rows are taken", file=sys.stderr)
    joined = _join(settings, name, answered)
    windows = _split(rows, joined, known, rules)
    beside = _find_beside(prediction_log, model, joined, (since, until))
    return Monitored(name, version, windows, known, rules, realised.measure(joined), beside)


def _leave_out(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the log that are none of the others; the rows of one request have the same time."""
    key = ["_time", "_id", "_row"]
    return rows[~rows.set_index(key).index.isin(others.set_index(key).index)]


def _join(settings: Settings, model: str, rows: pd.DataFrame) -> pd.DataFrame:
    return realised.join(rows, truth.Store(settings.serving.log_dir, model).read(set(rows["_id"])))


def _find_beside(
    log: PredictionLog, model: ModelRef, joined: pd.DataFrame, span: tuple[dt.datetime, dt.datetime]
) -> list[Beside]:
    """Return the other versions that answered some of the same rows, such as a challenger that gets copies."""
    found = []
    for version in log.list_versions(str(model.name)):
        if version == model.version or realised.PREDICTION not in joined:
            continue
        others = log.read(str(model.name), version, *span, columns=["_time", "_id", "_row", realised.PREDICTION])
        if others.empty or realised.PREDICTION not in others:
            continue
        both = joined.merge(others, on=["_id", "_row"], suffixes=("", " other"))
        known = both[both["truth"].notna()]
        if len(known):
            other = known.drop(columns=realised.PREDICTION).rename(
                columns={f"{realised.PREDICTION} other": realised.PREDICTION}
            )
            found.append(Beside(version, realised.measure(known), realised.measure(other)))
    return found


def _split(rows: pd.DataFrame, answered: pd.DataFrame, known: dict[str, Any], rules: drift.Rules) -> list[Window]:
    """Return a window for each day; one for all where no day has enough rows."""
    failed = rows[rows["_error"].notna()]
    windows = []
    for day, found in answered.groupby(answered["_time"].dt.floor("D")):
        begin = day.to_pydatetime()
        end = begin + dt.timedelta(days=1)
        wrong = int(((failed["_time"] >= begin) & (failed["_time"] < end)).sum())
        columns = drift.compare(known, found, rules) if len(found) >= rules.min_rows else []
        windows.append(Window(begin, end, len(found), wrong, realised.measure(found), columns))
    if len(answered) >= rules.min_rows and not any(window.columns for window in windows):
        begin, end = windows[0].since, windows[-1].until
        windows = [Window(
                begin, end, len(answered), len(failed), realised.measure(answered),
                drift.compare(known, answered, rules),
            )
        ]  # fmt: skip
    return windows


def show(found: Monitored) -> None:
    """Print the latest window, and the drifted columns of each."""
    _show_realised(found)
    latest = found.latest
    if latest is None:
        rows = sum(window.rows for window in found.windows)
        print(f"{found.model} {found.version}: {rows} rows are too few to judge drift, {found.rules.min_rows} would do")
        return
    table = Table(title=f"{found.model} {found.version}: {latest.rows} rows of {_words(latest)}", title_justify="left")
    for name in ("column", "kind", "PSI", "test", "p (Holm)", "missing", "out of range", "new", ""):
        table.add_column(name, justify="left" if name in {"column", "kind", "test", ""} else "right")
    for column in latest.columns[:SHOWN]:
        name = f"{column.name} (prediction)" if column.is_prediction else column.name
        table.add_row(
            name, column.kind, f"{column.psi:.3f}", column.test, f"{column.p:.2g}", f"{column.missing:.1%}",
            f"{column.out_of_range:.1%}", f"{column.new:.1%}", "DRIFT" if column.drifted else "",
        )  # fmt: skip
    Console(markup=False, width=None if sys.stdout.isatty() else 140).print(table)
    if left := len(latest.columns) - SHOWN:
        print(f"and {left} more columns, in the report" if left > 0 else "", end="\n" if left > 0 else "")
    for window in found.windows:
        words = ", ".join(window.drifted) or ("none" if window.columns else "too few rows to judge")
        print(f"drift {_words(window)}: {words} ({window.rows} rows, {window.failed} failed requests)")


def _show_realised(found: Monitored) -> None:
    if found.realised and found.realised.known:
        values = ", ".join(f"{name} {value:.5g}" for name, value in found.realised.metrics.items())
        print(f"realised {values}, by the truth of {found.realised.known} of {found.realised.rows} rows")
    for beside in found.beside:
        values = ", ".join(
            f"{name} {value:.5g} and {beside.other.metrics.get(name, float('nan')):.5g}"
            for name, value in beside.own.metrics.items()
        )
        print(f"beside version {beside.version}, on the same {beside.own.known} rows: {values}")


def _words(window: Window) -> str:
    last = window.until - dt.timedelta(days=1)
    return f"{window.since:%Y-%m-%d}" + ("" if last <= window.since else f" to {last:%Y-%m-%d}")


def write(found: Monitored) -> Path:
    """Write the report; return its path."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{found.model}-{found.version}")
    path = BUILD / "monitoring" / f"{plain}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.write(found), encoding="utf-8")
    return path


def log(registry: RunLog, found: Monitored, model: ModelRef, path: Path) -> str:
    """Log the windows to a run of the experiment `<model>-monitoring`; return the run's id."""
    latest = found.latest
    tags = {
        "model": found.model,
        "version": found.version,
        "drifted": ",".join(latest.drifted)[:4000] if latest else "",
    }
    if found.windows:
        tags |= {"since": found.windows[0].since.isoformat(), "until": found.windows[-1].until.isoformat()}
    experiment = registry.ensure_experiment(f"{found.model}{SUFFIX}")
    named = {f"{TAG}{name}": value for name, value in tags.items()}
    run_id = registry.begin_run(experiment, f"{found.model} {found.version}", named)
    try:
        points = []
        for step, window in enumerate(found.windows):
            at = int(window.until.timestamp() * 1000)
            values: dict[str, float] = {"rows": window.rows, "failed_requests": window.failed}
            if window.columns:
                values["drifted_columns"] = len(window.drifted)
                outside = [column.out_of_range for column in window.columns if not column.is_prediction]
                values["out_of_range_share"] = max(outside, default=0.0)
                values |= {_metric(column): column.psi for column in window.columns}
            if window.realised and window.realised.known:
                values |= _metrics_of(window.realised)
            points += [(name, value, at, step) for name, value in values.items()]
        if found.realised and found.realised.known and found.windows:  # of all days together, as the last value
            end = int(found.windows[-1].until.timestamp() * 1000) + 1
            points += [(name, value, end, len(found.windows)) for name, value in _metrics_of(found.realised).items()]
        registry.log_metrics(run_id, points)
        registry.log_file(run_id, path)
        if model.model_id:
            registry.log_used_model(run_id, model.model_id)
    except BaseException:
        registry.end_run(run_id, "FAILED")
        raise
    registry.end_run(run_id, "FINISHED")
    return run_id


def _metrics_of(found: Realised) -> dict[str, float]:
    values = {f"realised.{name}": value for name, value in found.metrics.items()}
    return values | {"truth_rows": found.known, "truth_missing_share": found.missing}


def _metric(column: drift.Column) -> str:
    """Return the name of a column's metric, in the signs that MLflow allows."""
    kind = "prediction_drift" if column.is_prediction else "drift"
    return f"{kind}.{re.sub(r'[^A-Za-z0-9_ .-]', '_', column.name)[:200]}"
