"""A load test: Locust asks a served model, and bounds decide."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from slipway import hints, shell
from slipway.bootstrap import venv
from slipway.errors import USAGE, SlipwayError
from slipway.monitoring.prediction_log import IN, PredictionLog
from slipway.registry.run_log import RunLog
from slipway.serving import server
from slipway.settings import BUILD, ROOT

if TYPE_CHECKING:
    from slipway.settings import Settings

SCRIPT = Path(__file__).with_name("locustfile.py")
REQUIREMENTS = ROOT / "requirements" / "load.txt"
BUSY = 0.9  # share of a core, from which on the generator was the limit
LATE = 0.01  # share of due requests that it sent too late, likewise
RECORDED = 500  # rows of the log that are asked again
STAGE = re.compile(r"(\d+)x(\d+)(s|m)")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Wanted:
    """How much load, and what must hold: a p99 in ms, and a share of failures."""

    users: int
    minutes: float
    rate: float  # requests a second; 0: each caller waits for its answer
    stages: str  # such as 10x30s,50x1m
    p99_ms: float | None
    failures: float | None


@dataclass(frozen=True)
class Result:
    """What came of it: durations in ms, and how busy the generator was, as a share of a core."""

    requests: int
    failed: int
    seconds: float
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    busy: float
    late: int

    @property
    def was_the_limit(self) -> bool:
        """Whether the load generator was what limited the numbers."""
        return self.busy > BUSY or (self.requests > 0 and self.late / self.requests > LATE)


def judge(wanted: Wanted, result: Result) -> list[str]:
    """Return the bounds that a result breaks (pure)."""
    broken = []
    share = result.failed / result.requests if result.requests else 1.0
    if not result.requests:
        broken.append("no request was answered")
    if wanted.failures is not None and share > wanted.failures:
        broken.append(f"{share:.3%} of the requests failed, at most {wanted.failures:.3%} may")
    if wanted.p99_ms is not None and not result.p99_ms <= wanted.p99_ms:
        broken.append(f"p99 is {result.p99_ms:.1f} ms, at most {wanted.p99_ms:g} is allowed")
    return broken


def read_stages(text: str) -> list[tuple[int, int]]:
    """Return stages as (callers, seconds); raise SlipwayError (exit code 2) for what is none."""
    found = [STAGE.fullmatch(part.strip()) for part in text.split(",")] if text.strip() else []
    if not all(found):
        raise SlipwayError(f"STAGES is {text!r}: must be callers and times", "STAGES=10x30s,50x1m", USAGE)
    return [(int(each[1]), int(each[2]) * (60 if each[3] == "m" else 1)) for each in found if each]


def run(settings: Settings, wanted: Wanted) -> Result:
    """Put load on URL, or the model on PORT; print, draw and log what came of it.

    Raises SlipwayError (exit code 1) when a bound is broken, or nothing answers there.
    """
    stages = read_stages(wanted.stages)
    if wanted.users < 1 or wanted.minutes <= 0 or wanted.rate < 0:
        raise SlipwayError("USERS and MINUTES must be above 0, and RATE not below", "USERS=50 MINUTES=1", USAGE)
    url, key = settings.serving.api_url, server.read_key(settings.serving)
    known = _describe(url, key, settings.serving.request_timeout)
    name, version = str(known["name"]), str(known["version"])
    bodies = _find_bodies(settings, known)
    python = _find_locust()
    place = BUILD / "load"
    place.mkdir(parents=True, exist_ok=True)
    report = place / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', f'{name}-{version}')}.html"
    rate = f"{wanted.rate:g} requests/s from {wanted.users} callers" if wanted.rate else f"{wanted.users} callers"
    print(f"asking {name} {version} at {url}: {wanted.stages or rate}, {len(bodies)} different requests", flush=True)
    with tempfile.TemporaryDirectory(prefix="load-") as scratch:
        plan = {
            "bodies": bodies, "path": "/invocations", "users": wanted.users, "rate": wanted.rate, "stages": stages,
            "headers": JSON | ({"Authorization": f"Bearer {key}"} if key else {}),
            "timeout": settings.serving.request_timeout, "result": f"{scratch}/result.json",
        }  # fmt: skip
        Path(scratch, "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        command = [str(python), "-m", "locust", "--locustfile", str(SCRIPT), "--headless", "--host", url]
        command += ["--html", str(report), "--exit-code-on-error", "0", "--stop-timeout", "5", "--only-summary"]
        if not stages:
            command += ["--users", str(wanted.users), "--spawn-rate", str(wanted.users)]
            command += ["--run-time", f"{max(1, round(wanted.minutes * 60))}s"]
        code, said = shell.show(command, env={"LOAD_PLAN": f"{scratch}/plan.json"})
        try:
            result = Result(**json.loads(Path(scratch, "result.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            raise SlipwayError(f"Locust ended with exit code {code}: {shell.quote(said)}") from None
    _say(result, report)
    _log(settings, known, result)
    if broken := judge(wanted, result):
        raise SlipwayError("; ".join(broken), "see the report; more WORKERS or replicas, or fewer requests")
    hints.say_next("make compare, which has the result among the version's metrics")
    return result


def _describe(url: str, key: str, seconds: float) -> dict[str, Any]:
    """Return what a server says of its model; raise SlipwayError where none answers."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = requests.get(f"{url}/model.json", headers=headers, timeout=seconds)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        _ = found["name"], found["version"], found["example"]
    except requests.Timeout:
        raise SlipwayError(f"{url} does not answer within {seconds:g} s", "REQUEST_TIMEOUT=…") from None
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        words = f"no model of ours answers at {url}: {type(error).__name__}"
        raise SlipwayError(words, "make serve_model MODEL=…, or URL=… of one that is served") from None
    return found


def _find_bodies(settings: Settings, known: dict[str, Any]) -> list[str]:
    """Return requests: recorded rows of the version, where the prediction log has some, else its input example."""
    import datetime as dt  # noqa: PLC0415 -- with what the log needs

    bodies = [json.dumps(known["example"])] if known["example"] else []
    columns = [column["name"] for column in known["columns"] or []]
    if columns:
        now = dt.datetime.now(dt.UTC)
        log = PredictionLog(settings.serving.log_dir)
        rows = log.read(str(known["name"]), str(known["version"]), now - dt.timedelta(days=7), now)
        names = [f"{IN}{name}" for name in columns]
        if len(rows) and set(names) <= set(rows):
            chosen = rows[rows["_error"].isna()][names].dropna()
            chosen = chosen.sample(min(RECORDED, len(chosen)), random_state=0)
            records = json.loads(chosen.rename(columns=lambda name: name[len(IN) :]).to_json(orient="records"))
            bodies += [json.dumps({"dataframe_records": [record]}) for record in records]
    if not bodies:
        raise SlipwayError(
            f"{known['name']} {known['version']} has no input example, and its log no rows to ask with",
            "log the model with input_example=…, or serve it with PREDICTION_LOG=1 first",
        )
    return bodies


def _find_locust() -> Path:
    """Return a Python that has Locust, in an environment of its own, made when it is first needed."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    place = BUILD / "environments" / f"load-{digest}"
    python, done = place / "bin" / "python", place / "complete"
    if not done.exists():
        print("installing Locust, once", file=sys.stderr, flush=True)
        uv = str(Path(sys.executable).with_name("uv"))
        shell.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], env=venv.environment())
        install = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            "--require-hashes",
            "-r",
            str(REQUIREMENTS),
        ]
        shell.run(install, env=venv.environment())
        done.touch()
    return python


def _say(result: Result, report: Path) -> None:
    share = result.failed / result.requests if result.requests else 0.0
    print(
        f"{result.requests} requests in {result.seconds:.1f} s: {result.rps:.1f}/s, p50 {result.p50_ms:.1f} ms, "
        f"p95 {result.p95_ms:.1f}, p99 {result.p99_ms:.1f}; {result.failed} failed ({share:.3%})"
    )
    if result.was_the_limit:
        print(
            f"note: the load generator was the limit ({result.busy:.0%} of a core, {result.late} requests sent late): "
            "the model may do more, and answer sooner; make bench_serving measures with wrk",
            file=sys.stderr,
        )
    print(f"see   {report}")


def _log(settings: Settings, known: dict[str, Any], result: Result) -> None:
    """Log the result to the version's run, where that is known and the registry answers."""
    if not known.get("run"):
        return
    now = int(time.time() * 1000)
    values = {"load.rps": result.rps, "load.p50_ms": result.p50_ms, "load.p99_ms": result.p99_ms}
    values["load.failed_share"] = result.failed / result.requests if result.requests else 1.0
    points = [(name, value, now, 0) for name, value in values.items() if math.isfinite(value)]
    try:
        RunLog.connect(settings).log_metrics(str(known["run"]), points)
    except SlipwayError as error:
        print(f"note: the result is not logged: {error.message}", file=sys.stderr)
