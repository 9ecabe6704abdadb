"""The servers: how each is started and called, and one that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from environments import BESIDE, OURS
from processes import find_family

from slipway import ports
from slipway.errors import SlipwayError
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from load import Bodies

PEERS = Path(__file__).parent / "peers"
BUILD = ROOT / "build" / "bench"
MODELS, VENVS, LOGS = BUILD / "models", BUILD / "venvs", BUILD / "logs"
INVOCATIONS = {"json": ("split", "/invocations"), "csv": ("csv", "/invocations")}
V2 = "/v2/models/bench/infer"
TENSORS = {"v2": ("v2", V2), "v2cols": ("v2cols", V2)}
START = '$BIN/python -m scoring $MODEL --port $PORT --identity {"name":"bench","version":"1"}'
OWN_BODIES = {**INVOCATIONS, "records": ("records", "/invocations"), **TENSORS, "v2bin": ("v2bin", V2)}
DEADLINE = 120  # s to the first right answer


@dataclass(frozen=True)
class Server:
    """A server in one process, bound to one core, and the form and path of each kind of body that it is sent."""

    name: str
    title: str
    environment: str  # its name in `environments`
    command: str  # $MODEL is an MLflow folder if the server takes one, else a joblib file
    bodies: dict[str, tuple[str, str]]
    variables: str = ""
    batches: bool = False  # whether it must be told how many requests to gather ($BATCH) before it predicts
    pyfunc: bool = False  # whether it serves an MLflow model of any flavour

    @property
    def libraries(self) -> Path:
        """The folder of its environment."""
        return VENVS / self.environment


SERVERS = {
    server.name: server
    for server in (
        Server("us", "Slipway", OURS, START, OWN_BODIES, pyfunc=True),
        Server("off", "Slipway, no shortcuts", OURS, START, OWN_BODIES, "SCORING_SHORTCUTS=off", pyfunc=True),
        Server(
            "mlflow", "MLflow", "mlflow",
            "$BIN/mlflow models serve --env-manager local --workers 1 --model-uri $MODEL --port $PORT",
            {**INVOCATIONS, "records": ("records", "/invocations")}, pyfunc=True,
        ),
        Server(
            "kserve", "KServe", "kserve", "$BIN/python with_kserve.py $MODEL --http_port=$PORT --enable_grpc=False",
            {"json": ("instances", "/v1/models/bench:predict"), **TENSORS, "v2bin": ("v2bin", V2)},
        ),
        Server(
            "mlserver", "MLServer", "mlserver", "$BIN/mlserver start .", {"json": ("v2", V2), **TENSORS},
            "MLSERVER_HOST=127.0.0.1 MLSERVER_HTTP_PORT=$PORT MLSERVER_GRPC_PORT=$FREE MLSERVER_METRICS_PORT=$OTHER "
            "MLSERVER_PARALLEL_WORKERS=0 MLSERVER_MODEL_NAME=bench "
            "MLSERVER_MODEL_IMPLEMENTATION=mlserver_sklearn.SKLearnModel "
            "MLSERVER_MODEL_URI=$MODEL MLSERVER_MODEL_MAX_BATCH_SIZE=$BATCH MLSERVER_MODEL_MAX_BATCH_TIME=0.005",
            batches=True,
        ),
        Server(
            "bentoml", "BentoML", "bentoml", "$BIN/bentoml serve with_bentoml:Estimator --host 127.0.0.1 --port $PORT",
            {"json": ("rows", "/predict")},
            "BENCH_MODEL=$MODEL BENCH_BATCH=$BATCH BENTOML_HOME=$BUILD/bentoml BENTOML_DO_NOT_TRACK=True",
            batches=True,
        ),
        Server(
            "litserve", "LitServe", "litserve", "$BIN/python with_litserve.py $MODEL $PORT $BATCH",
            {"json": ("rows", "/predict")},
            batches=True,
        ),
        Server(
            "floor", "bare uvicorn", "floor", "$BIN/python floor.py $MODEL $PORT",
            {"json": INVOCATIONS["json"], **TENSORS},
        ),
        Server("constant", "a constant", "floor", "$BIN/python floor.py constant $PORT", {"json": INVOCATIONS["json"]}),
    )
}  # fmt: skip


class Running:
    """A server of one model, started when made; it must be stopped."""

    def __init__(
        self,
        server: Server,
        model: str,
        *,
        batch: int = 1,
        core: int | None = None,
        given: dict[str, str] | None = None,
    ) -> None:
        self.server, self.port = server, ports.find_free()
        folder = MODELS / model
        places = {
            "BIN": str(server.libraries / "bin"),
            "MODEL": str(folder / ("mlflow" if server.pyfunc else "model.joblib")),
            "PORT": str(self.port),
            "FREE": str(ports.find_free()),
            "OTHER": str(ports.find_free()),
            "BUILD": str(BUILD),
            "BATCH": str(batch),
        }
        self.log = LOGS / f"{server.name}-{model}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        variables = dict(Template(part).substitute(places).split("=", 1) for part in server.variables.split())
        paths = [ROOT / "src"] if server.environment == OURS else []
        paths += [VENVS / name for name in BESIDE if name == model]
        variables |= given or {}
        variables["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        variables["PATH"] = f"{places['BIN']}{os.pathsep}{os.environ['PATH']}"
        command = [Template(part).substitute(places) for part in server.command.split()]
        pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
        self.started = time.perf_counter()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*pinned, *command], cwd=PEERS, env={**os.environ, "PYTHONWARNINGS": "ignore", **variables},
                start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip

    def wait(self, bodies: Bodies) -> float:
        """Send the first body every 5 ms until it is answered rightly; return the seconds since the start.

        Raises SlipwayError when the server ends or the time is over.
        """
        fault = ""
        while time.perf_counter() - self.started < DEADLINE:
            if not (fault := bodies.check_one(self.port)):
                return time.perf_counter() - self.started
            if self.process.poll() is not None:
                words = self.log.read_text(errors="replace").strip().splitlines()
                raise SlipwayError(
                    f"ended with code {self.process.returncode}: {words[-1][:200] if words else 'without a word'}"
                )
            time.sleep(0.005)
        raise SlipwayError(f"no right answer in {DEADLINE} s: {fault}")

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for a while, and stand still afterwards: some servers are busy also when nobody calls."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        family = find_family(self.process.pid)
        for pid in (
            reversed(family) if number == signal.SIGCONT else family
        ):  # no parent shall watch a child that sleeps
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """Stop it with all its processes: kindly, then for good."""
        family = find_family(self.process.pid)
        self._signal(signal.SIGCONT)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        for kill, process in ((os.killpg, self.process.pid), *((os.kill, pid) for pid in family)):
            with suppress(ProcessLookupError):
                kill(process, signal.SIGKILL)
        self.process.wait()


def stop_all() -> None:
    """Stop whatever this process has started and not stopped.

    An interruption may come before a server has its name here.
    """
    for pid in find_family(os.getpid())[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
