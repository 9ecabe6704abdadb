"""Serving: a model's files in a container of layer 3, or in a process of their lock's environment."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from slipway import hints, model_folder, ports, runtimes, shell
from slipway.bootstrap import ownership
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError, time_out
from slipway.monitoring import references
from slipway.polling import poll
from slipway.registry import mlmodel, model_files, model_uri
from slipway.registry.client import Registry
from slipway.runtimes import locks
from slipway.runtimes.base import CURRENT, Prepared
from slipway.services import monitoring
from slipway.serving import answers
from slipway.settings import STATE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from slipway.registry.model_uri import ModelRef
    from slipway.serving.answers import Json
    from slipway.settings import Serving, Settings

REMEMBERED = 8  # answers of models to their own rows, for a command that needs one twice
MOMENT = 1.0  # s that a note may be looked at, or taken away, by another
RECORDS = STATE / "serving"  # which model listens on which port, for test_api
_answered: dict[tuple[str, str, str], Json] = {}  # by runtime, checksum of the files, request


def serve(settings: Settings, uri: str) -> None:
    """Serve a model in the foreground on 127.0.0.1:PORT until Ctrl-C.

    Raises SlipwayError when there is no such model, the port is taken, or the server ends by itself.
    """
    with taken(settings):
        runtime = runtimes.of(settings)
        runtime.clear_port()
        _check_port(settings.serving.port)
        prepared = prepare(settings, uri)
        for gap in mlmodel.find_gaps(prepared.files):
            print(f"note: {prepared.model.uri} has {gap}", file=sys.stderr)
        command, environment = runtime.serve_command(prepared)
        note(settings, prepared)
        found = monitoring.announced(settings.services, "model", settings.serving.port, prepared.model.name or "model")
        print(f"loading {prepared.model.uri}, to serve it at {settings.serving.api_url}; Ctrl-C stops it")
        hints.say_next("make test_api, in another terminal")
        try:
            with found:
                code = shell.wait(shell.start(command, env=environment))
        except KeyboardInterrupt:
            runtime.clear_port()  # of a server that did not stop in time
            print("\nstopped")
            return
    explain(prepared, code)


def explain(prepared: Prepared, code: int) -> None:
    """Raise SlipwayError for the exit code of a server that ended by itself; 0 is well."""
    if code == MODEL_DID_NOT_LOAD:
        cure = model_uri.choose_cure(" ".join(mlmodel.find_gaps(prepared.files)))
        raise SlipwayError(f"{prepared.model.uri} did not load; see the error above", cure, code)
    if code in {-signal.SIGKILL, 128 + signal.SIGKILL}:
        raise SlipwayError(
            "the server was killed, by someone or for lack of memory", "make doctor, to see how much there is"
        )
    if code != 0:
        raise SlipwayError(f"the server ended with exit code {code}; see its output above")


def prepare(settings: Settings, uri: str, *, fresh: bool = False) -> Prepared:
    """Find a model, bring its files here (again, if `fresh`), with the lock that serves it."""
    registry = Registry.connect(settings) if model_uri.needs_registry(uri) else None
    return prepare_ref(settings, registry, model_uri.resolve(registry, uri), fresh=fresh)


def build(settings: Settings, uri: str) -> str:
    """Build the image that serves a version (default: the newest of the folder's) if it is missing; return its tag.

    Raises SlipwayError with RUNTIME=host, which has no images.
    """
    runtime = runtimes.of(settings)
    if not runtime.has_images:
        raise SlipwayError("RUNTIME=host has no images: a version's own environment serves it", "RUNTIME=docker", USAGE)
    return runtime.image(prepare(settings, uri or f"models:/{model_folder.load(settings.model_dir).name}/latest"))


def prepare_ref(settings: Settings, registry: Registry | None, model: ModelRef, *, fresh: bool = False) -> Prepared:
    """Bring the files of a model here, as `prepare` does; `registry` is None for a folder of this machine."""
    files = model_files.fetch(registry, model, fresh=fresh)
    mlmodel.read_metadata(files)
    lock = locks.of_version(settings, registry, model, files)
    model = replace(model, checksum=model.checksum and model_files.checksum(files))  # a lock may have been added
    return Prepared(model, files, _identify(registry, model, files), lock, registry)


def refresh(prepared: Prepared) -> Prepared:
    """Return a prepared model with the metrics that its run has now: a validation adds some."""
    return replace(prepared, identity=_identify(prepared.registry, prepared.model, prepared.files))


def _identify(registry: Registry | None, model: ModelRef, files: Path) -> str:
    known = {
        "name": model.name,
        "version": model.version,
        "run": model.run_id,
        "metrics": registry.read_metrics(model.run_id) if registry and model.run_id else {},
        "checksum": model_files.checksum(files),
        "ranges": references.ranges(references.read(registry, model.run_id)) if registry else {},
    }
    return json.dumps({name: value for name, value in known.items() if value})


def predict(settings: Settings, prepared: Prepared, request: dict[str, Any]) -> Json:
    """Return the model's answer to a request to /invocations without a server, from a separate process.

    What it answers differently each time is `answers.VARIES`. The same model is asked the same request once in a
    command. Raises SlipwayError when it does not predict: a model is code, which may end its process; TimedOutError
    when it does not end in time.
    """
    key = (settings.runtime, model_files.checksum(prepared.files), json.dumps(request))
    if key not in _answered:
        while len(_answered) >= REMEMBERED:
            _answered.pop(next(iter(_answered)))
        _answered[key] = _predict(settings, prepared, key[-1])
    return _answered[key]


def _predict(settings: Settings, prepared: Prepared, request: str) -> Json:
    seconds = settings.serving.predict_timeout
    answer = runtimes.of(settings).predict(prepared, request, seconds)
    if answer.code == shell.TIMED_OUT:
        raise time_out(f"{prepared.model.uri} did not predict its rows without a server", seconds, "PREDICT_TIMEOUT")
    found = re.findall(r"^answers: (\[.*\])$", answer.out, re.MULTILINE) if answer.code == 0 else []
    if not found:
        last = f"{answer.last} (exit code {answer.code})" if answer.words else f"exit code {answer.code}"
        raise SlipwayError(f"{prepared.model.uri} does not predict its rows: {last}", code=MODEL_DID_NOT_LOAD)
    return answers.settle(json.loads(found[-1]))


def _check_port(port: int) -> None:
    if not ports.is_free(port) and (STATE / "live" / str(port) / CURRENT).is_symlink():
        raise SlipwayError(
            f"port {port} is the deployer's, whose server answers there",
            "make stop_deployer, or another PORT with the same command",
        )
    ownership.check_port(port, "PORT")


def read_key(serving: Serving) -> str:
    """Return the first key of the file that the server takes its API keys from, or "" without one."""
    file = serving.scoring.get("SCORING_API_KEYS_FILE")
    lines = Path(file).read_text(encoding="utf-8").splitlines() if file and Path(file).is_file() else []
    return next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")


def start(settings: Settings, prepared: Prepared, log: Path) -> subprocess.Popen[bytes]:
    """Serve a model in the background, with its output in `log`."""
    ports.check(settings.serving.port, "PORT")
    command, environment = runtimes.of(settings).serve_command(prepared)
    return shell.start(command, env=environment, log=log)


@contextmanager
def taken(settings: Settings) -> Iterator[None]:
    """Hold PORT's note as long as we live: the kernel releases the lock however we end.

    Raises SlipwayError when `serve_model` serves there already.
    """
    RECORDS.mkdir(parents=True, exist_ok=True)
    file = RECORDS / f"{settings.serving.port}.json"
    record = poll(lambda: _take(file), MOMENT, 0.05)  # who only looks, or takes its note away, is gone by then
    if record is None:
        served = find_recorded(settings.serving) or "a model of another make serve_model"
        raise SlipwayError(
            f"port {settings.serving.port} already serves {served}",
            f"Ctrl-C there, or PORT={ports.find_next(settings.serving.port)} with the same command",
        )
    with record:
        record.truncate(0)  # what one that was killed left
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _take(file: Path) -> IO[str] | None:
    """Return a note, opened and locked, or None when another holds it or has just removed it."""
    record = file.open("a", encoding="utf-8")
    if _lock(record, fcntl.LOCK_EX) and file.exists() and os.path.samestat(os.fstat(record.fileno()), file.stat()):
        return record
    record.close()
    return None


def note(settings: Settings, prepared: Prepared) -> None:
    """Note, for who has PORT's note `taken`, which model is served there."""
    (RECORDS / f"{settings.serving.port}.json").write_text(
        json.dumps({"uri": prepared.model.uri, "pid": os.getpid()}), encoding="utf-8"
    )


def find_recorded(serving: Serving) -> str | None:
    """Return the URI of the model that `serve_model` serves on PORT, or None when it serves none.

    A note that nobody holds does not count.
    """
    file = RECORDS / f"{serving.port}.json"
    if serving.url or not file.exists():
        return None
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError), file.open(encoding="utf-8") as record:
        return None if _lock(record, fcntl.LOCK_SH) else str(json.load(record)["uri"])
    return None


def _lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
