"""A batch: files of any size scored by the version's own libraries, part after part, and a run of it in MLflow."""

from __future__ import annotations

import fcntl
import json
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from slipway import runtimes, shell
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError
from slipway.polling import poll
from slipway.registry import model_uri
from slipway.registry.run_log import RunLog
from slipway.serving import predict, server
from slipway.settings import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

CLOUD = "s3://"
VOLUME = "pvc://"  # of a cluster
CURE = "make score_batch MODEL=… DATA=rows/ OUT=scored/"
GOES_ON = "the same command, which goes on where it was, once that is put right"
OTHER = "take another OUT"  # in what the program says, when the same command can only fail again
TAG = "slipway.batch"  # of a run: which batch it was
MODEL_TAG = "slipway.model"
METRICS = ("rows_in", "rows_out", "rejects", "seconds", "parts")
LOCK = "_lock"  # in OUT, held while we live
MOMENT = 1.0  # s for another to give it up


def score(settings: Settings, uri: str, data: str, out: str, options: dict[str, str]) -> None:
    """Score DATA, files or a folder of them, into the folder OUT, and log a run to the experiment of the model.

    `options` are KEYS, FORMAT and PARAMS. Raises SlipwayError for what cannot be used, and when the batch
    does not come to its end; what is whole by then stays, and is not done again.
    """
    given = read_options(options, settings.serving.max_rejects)
    source, target = _find_data(data), _find_out(out)
    check_apart(source, target)
    if options["FORMAT"] == "parquet" or _holds_parquet(source):
        settings = predict.with_parquet(settings)
    prepared = server.prepare(settings, uri)
    arguments = [*given, "--called", data.strip(), *(["--bar"] if sys.stderr.isatty() else [])]
    with _locked(target):
        total = _run(settings, prepared, (source, target), arguments)
        report(settings, prepared, (data, out, target), given, total)


def report(
    settings: Settings, prepared: Prepared, places: tuple[str, str, str], given: list[str], total: dict[str, Any]
) -> None:
    """Say what became of a batch, and log it, which two at once must not."""
    data, out, target = places
    rejects = f", {total['rejects']:,} set aside in {out}/_rejects" if total["rejects"] else ""
    again = " before" if total["parts"] and not total["parts_now"] else ""
    print(f"scored {total['rows_out']:,} rows{again} into {target}, by {prepared.model.uri}{rejects}", flush=True)
    params = {"data": data, "out": out, "workers": settings.serving.scoring["SCORING_WORKERS"]}
    params |= {name.strip("-").replace("-", "_"): value for name, value in zip(given[::2], given[1::2], strict=True)}
    log_run(prepared, params, total)


def _run(settings: Settings, prepared: Prepared, places: tuple[str, str], arguments: list[str]) -> dict[str, Any]:
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=BUILD) as output:
        code, last = runtimes.of(settings).score_batch(prepared, places, arguments, output)
        output.seek(0)
        said = output.read().decode().strip()
    if code == MODEL_DID_NOT_LOAD:
        words = shell.quote(last)
        raise SlipwayError(f"{prepared.model.uri} did not load: {words}", model_uri.choose_cure(words), code)
    if code != 0 or not said:
        raise SlipwayError(
            f"the batch in {places[1]} is not whole: see the error above", OTHER if OTHER in last else GOES_ON
        )
    return dict(json.loads(said.splitlines()[-1]))


def log_run(prepared: Prepared, params: dict[str, str], total: dict[str, Any]) -> None:
    """Log a run of a batch that is whole, unless it has one."""
    registry, model = prepared.registry, prepared.model
    if registry is None:
        return
    before = registry.find_runs(f"tags.`{TAG}` = '{total['id']}'")
    if any(run.info.status == "FINISHED" for run in before):
        return
    trained = registry.find_run(model.run_id) if model.run_id else None
    named = registry.find_experiment(model.name) if model.name and not trained else None
    experiment = trained.info.experiment_id if trained else named.experiment_id if named else ""
    if not experiment:
        print(f"note: {model.uri} has no experiment, so that no run is logged", file=sys.stderr)
        return
    log, now = RunLog(registry.uri), int(time.time() * 1000)
    for cut_off in before:
        log.delete_run(cut_off.info.run_id)
    tags = {TAG: total["id"], MODEL_TAG: model.uri, "mlflow.source.name": "make score_batch"}
    run = log.begin_run(experiment, f"batch-{total['id'][:8]}", tags)
    log.log_params(run, {"model": model.uri, **params})
    log.log_metrics(run, [(name, float(total[name]), now, 0) for name in METRICS])
    if model.model_id:
        log.log_used_model(run, model.model_id)
    log.end_run(run, "FINISHED")
    print(f"logged as run {run}", flush=True)


def read_options(options: dict[str, str], most: str) -> list[str]:
    """Return the program's options."""
    keys, form, params = (options[name].strip() for name in ("KEYS", "FORMAT", "PARAMS"))
    if form not in {"", "csv", "parquet"}:
        raise SlipwayError(f"FORMAT is {form!r}: must be csv or parquet", "FORMAT=parquet", USAGE)
    if not most.isdigit():
        raise SlipwayError(f"MAX_REJECTS is {most!r}: must be a number of rows", "MAX_REJECTS=1000", USAGE)
    found = ["--max-rejects", most]
    found += ["--keys", json.dumps([name.strip() for name in keys.split(",") if name.strip()])] if keys else []
    found += ["--form", form] if form else []
    return found + (["--params", predict.check_params(params)] if params else [])


def _find_data(data: str) -> str:
    if not data.strip():
        raise SlipwayError("DATA is empty: which rows?", CURE, USAGE)
    _check_here("DATA", data)
    if data.strip().startswith(CLOUD):
        return check_cloud(data.strip())
    path = (ROOT / shell.expand(data)).resolve()
    if not path.exists():
        raise SlipwayError(f"DATA names neither a file nor a folder: {data}", CURE)
    return str(path)


def _check_here(name: str, address: str) -> None:
    if address.strip().startswith(VOLUME):
        words = f"{name} is {address}: a volume of a cluster, which this machine does not see"
        raise SlipwayError(words, "CONTEXT=…, one of kubectl config get-contexts", USAGE)


def check_cloud(address: str) -> str:
    """Return an address in S3; raise SlipwayError for one with a password, which would be logged."""
    if "@" in address.removeprefix(CLOUD).partition("/")[0] or "secret_key=" in address:
        raise SlipwayError(
            "an address in S3 may not hold credentials", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", USAGE
        )
    return address


def _holds_parquet(data: str) -> bool:
    """Whether a file, or one of a folder's, is Parquet; of a bucket nothing is known yet."""
    path = Path(data)
    if data.startswith(CLOUD) or path.suffix.lower() == predict.PARQUET:
        return True
    return any(each.suffix.lower() == predict.PARQUET for each in path.rglob("*"))


def _find_out(out: str) -> str:
    if not out.strip():
        raise SlipwayError("OUT is empty: where to?", CURE, USAGE)
    _check_here("OUT", out)
    if out.strip().startswith(CLOUD):
        return check_cloud(out.strip())
    path = (ROOT / shell.expand(out)).resolve()
    if path.exists() and not path.is_dir():
        raise SlipwayError(f"OUT is a file, and must be a folder: {out}", CURE, USAGE)
    return str(path)


def check_apart(data: str, out: str) -> None:
    """Raise SlipwayError (exit code 2) when one lies in the other."""
    if f"{out}/".startswith(f"{data}/") or f"{data}/".startswith(f"{out}/"):
        raise SlipwayError(f"DATA and OUT lie in each other: {data}, {out}", CURE, USAGE)


@contextmanager
def _locked(out: str) -> Iterator[None]:
    """Hold OUT while we live, making it if missing: the kernel releases the lock however we end."""
    if out.startswith(CLOUD):
        yield
        return
    folder = ROOT / out
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w", encoding="utf-8")
    except OSError as error:
        raise SlipwayError(f"cannot write to OUT {out}: {error.strerror}", "OUT=…, a folder of yours") from None
    with file:
        if not poll(lambda: _lock(file), MOMENT, 0.05):
            raise SlipwayError(f"another make score_batch writes to {out}", "Ctrl-C there, or another OUT")
        yield


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise SlipwayError(f"OUT cannot be locked: {error.strerror}", "OUT=…, a folder of this machine") from None
    return True
