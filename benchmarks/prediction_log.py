"""A server without a prediction log, beside the same with one of 1 % and of all requests, in the same run.

Server on one core, wrk on the other, in turns. Requests/s and their ratio, rows dropped, and the most memory of the
last fifth beside that of the first: make bench_log ROUNDS=3 SECONDS=10
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import ElasticNet

from slipway import errors
from slipway.errors import SlipwayError

ROUNDS, SECONDS = int(os.environ.get("ROUNDS") or 3), int(os.environ.get("SECONDS") or 10)
SHARES = {"off": "0", "1 %": "0.01", "100 %": "1"}
CLIENTS = 64
POST = Path(__file__).parent / "serving" / "post.lua"
FIFTHS = 5


def main() -> None:
    """Measure, and print a table."""
    for tool in ("wrk", "taskset"):
        if not shutil.which(tool):
            raise SlipwayError(f"{tool} is not on PATH: it makes the load", "apt install wrk util-linux")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        body = _train(place)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in SHARES}
        for at in range(ROUNDS):
            for name, share in SHARES.items():
                found[name].append(_measure(place, share, body))
                print(f"round {at + 1}, log {name}: {found[name][-1]['rps']:.0f}/s", flush=True)
    _show(found)


def _train(place: Path) -> Path:
    warnings.simplefilter("ignore")
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 10)), columns=[f"x{at}" for at in range(10)])
    model = ElasticNet(0.1).fit(rows, rows["x0"])
    mlflow.sklearn.save_model(
        model, str(place / "model"), signature=infer_signature(rows), input_example=rows[:3], pip_requirements=[]
    )
    body = {"dataframe_split": {"columns": list(rows), "data": rows[:1].to_numpy().tolist()}}
    (place / "body.json").write_text(json.dumps(body))
    return place / "body.json"


def _measure(place: Path, share: str, body: Path) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["taskset", "--cpu-list", "0", sys.executable, "-m", "scoring", str(place / "model"), "--port", str(port)]
    log = place / "log"
    given = {"SCORING_PREDICTION_LOG": share, "SCORING_PREDICTION_LOG_DIR": str(log), "SCORING_ACCESS_LOG": "off"}
    environment = {**os.environ, **given, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port)
        load = [
            "taskset", "--cpu-list", "1", "wrk", "--threads", "1", "--connections", str(CLIENTS),
            "--duration", f"{SECONDS}s", "--latency", "--script", str(POST), f"http://127.0.0.1:{port}/invocations",
            "--", "Content-Type: application/json", str(body),
        ]  # fmt: skip
        with subprocess.Popen(load, stdout=subprocess.PIPE, text=True) as wrk:
            memory = []
            while wrk.poll() is None:
                memory.append(_resident(server.pid))
                time.sleep(SECONDS / 50)
            said = json.loads((wrk.stdout.read() if wrk.stdout else "").splitlines()[-1])
        dropped = sum(
            float(line.rpartition(" ")[2])
            for line in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode().splitlines()
            if line.startswith("scoring_prediction_log_dropped_total{")
        )
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(log, ignore_errors=True)
    part = max(1, len(memory) // FIFTHS)
    return {
        "rps": said["requests"] / said["seconds"], "p99": said["p99"], "dropped": dropped / said["requests"],
        "memory": (max(memory[:part]), max(memory[-part:])), "failed": said["statuses"] + said["sockets"],
    }  # fmt: skip


def _wait(port: int) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SlipwayError("the server does not get ready")


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def _show(found: dict[str, list[dict[str, Any]]]) -> None:
    table = Table(title=f"prediction log, ElasticNet of 10 columns, {CLIENTS} clients, {ROUNDS} rounds")
    for name in ("log", "requests/s", "of off", "p99 ms", "dropped", "MB, first and last fifth", "failed"):
        table.add_column(name, justify="right")
    without = statistics.median(each["rps"] for each in found["off"])
    for name, rounds in found.items():
        middle = {key: statistics.median(each[key] for each in rounds) for key in ("rps", "p99", "dropped", "failed")}
        first, last = (statistics.median(each["memory"][at] for each in rounds) for at in (0, 1))
        table.add_row(
            name, f"{middle['rps']:.0f}", f"{middle['rps'] / without:.2f}", f"{middle['p99']:.1f}",
            f"{middle['dropped']:.1%}", f"{first:.0f}, {last:.0f}", f"{middle['failed']:.0f}",
        )  # fmt: skip
    Console(width=110).print(table)
    processor = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    print(processor[0].partition(":")[2].strip() if processor else "unknown processor")


if __name__ == "__main__":
    errors.exit_cleanly(main)
