"""A batch beside the usual way: a pandas loop over mlflow.pyfunc, on the same rows, in the same run.

Rows a second, the ratio, that of processor time, which other programs disturb less, and the most memory that each
takes (PSS, all processes): make bench_batch ROWS=10000000
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from mlflow.models import infer_signature
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import ElasticNet

from slipway.settings import BUILD

ROWS = int(os.environ.get("ROWS") or 500_000)
MODELS = (os.environ.get("CASES") or "linear forest").split()
WORKERS = int(os.environ.get("WORKERS") or 1)
COLUMNS = [f"x{at}" for at in range(10)]
FIFTHS = 5  # of the time, in each of which memory is shown
CHUNK = 10_000  # rows of the loop, and of a row group
LOOP = """
import sys, warnings
import mlflow, pandas as pd, pyarrow as pa, pyarrow.parquet as pq
warnings.simplefilter("ignore")
folder, rows, out, chunk = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
model = mlflow.pyfunc.load_model(folder)
if rows.endswith(".csv"):
    for at, frame in enumerate(pd.read_csv(rows, chunksize=chunk)):
        keys = frame[["id"]].assign(prediction=model.predict(frame.drop(columns="id")), model_version="1")
        keys.to_csv(out, mode="a" if at else "w", header=not at, index=False)
else:
    writer = None
    for batch in pq.ParquetFile(rows).iter_batches(chunk):
        frame = batch.to_pandas()
        keys = frame[["id"]].assign(prediction=model.predict(frame.drop(columns="id")), model_version="1")
        table = pa.Table.from_pandas(keys, preserve_index=False)
        writer = writer or pq.ParquetWriter(out, table.schema)
        writer.write_table(table)
    writer.close()
"""


def make_models(place: Path) -> None:
    """Save a forest of 100 trees and a linear model."""
    numbers = np.random.default_rng(0)
    rows = pd.DataFrame(numbers.normal(size=(2000, len(COLUMNS))), columns=COLUMNS)
    target = rows.to_numpy() @ numbers.normal(size=len(COLUMNS)) + numbers.normal(size=len(rows))
    for name, estimator in (("forest", RandomForestRegressor(100, random_state=0)), ("linear", ElasticNet())):
        estimator.fit(rows, target)
        signature = infer_signature(rows, target)
        example = rows.head()
        mlflow.sklearn.save_model(
            estimator, str(place / name), signature=signature, input_example=example, pip_requirements=[]
        )


def make_rows(place: Path) -> None:
    """Write the rows as CSV and as Parquet, a chunk at a time."""
    numbers = np.random.default_rng(1)
    schema = pa.schema([("id", pa.int64()), *((name, pa.float64()) for name in COLUMNS)])
    parquet, csv = pq.ParquetWriter(place / "rows.parquet", schema), pc.CSVWriter(place / "rows.csv", schema)
    with parquet, csv:
        for at in range(0, ROWS, 100_000):
            count = min(100_000, ROWS - at)
            columns = [np.arange(at, at + count), *numbers.normal(size=(len(COLUMNS), count))]
            table = pa.table(columns, schema=schema)
            parquet.write_table(table)
            csv.write_table(table)


def find_tree(root: int) -> set[int]:
    """Return the ids of a process and of all that it started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def measure_memory(processes: set[int]) -> float:
    """Return the MB that processes take, what they share counted once."""
    total = 0
    for each in processes:
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def count_work() -> float:
    """Return the seconds of processors that all programs took that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command: list[str], **variables: str) -> tuple[float, float, list[float]]:
    """Return the seconds that a command takes, start and all, those of processors, and its MB, five times a second."""
    before = count_work()
    taken, done = [0.0], threading.Event()
    started = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)

    def watch() -> None:
        while not done.wait(0.2):
            taken.append(measure_memory(find_tree(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    if code:
        sys.exit(f"{' '.join(command[:6])} … ended with exit code {code}")
    return seconds, count_work() - before, taken


def compare(place: Path, model: str, form: str) -> dict[str, Any]:
    """Return the figures of both for a model and a form of file; end unless they predict the same."""
    rows, loop, ours = place / f"rows.{form}", place / f"loop.{form}", place / "ours"
    shutil.rmtree(ours, ignore_errors=True)
    identity = json.dumps({"name": model, "version": "1"})
    program = [sys.executable, "-W", "ignore", "-m", "scoring.processes.batch", str(place / model)]
    command = [*program, "--data", str(rows), "--out", str(ours)]
    our_seconds, our_work, our_memory = run(command, SCORING_IDENTITY=identity, SCORING_WORKERS=str(WORKERS))
    usual = [sys.executable, "-c", LOOP, str(place / model), str(rows), str(loop), str(CHUNK)]
    seconds, work, memory = run(usual, OMP_NUM_THREADS="1")
    check_equal(loop, sorted(ours.glob(f"*.{form}")))
    return {
        "case": f"{model}, {form}",
        "ours": ROWS / our_seconds,
        "loop": ROWS / seconds,
        "ratio": seconds / our_seconds,
        "work": work / our_work,
        "our MB": max(our_memory),
        "loop MB": max(memory),
        "fifths": [max(each, default=0) for each in np.array_split(our_memory, FIFTHS)],
    }


def check_equal(loop: Path, ours: list[Path]) -> None:
    """End unless both predict the same for the same keys, but for the last bits that BLAS's order leaves open."""
    read = pd.read_csv if loop.suffix == ".csv" else pd.read_parquet
    expected = read(loop)
    found = pd.concat([read(path) for path in ours], ignore_index=True)
    same = found["id"].equals(expected["id"])
    if not same or not np.allclose(found["prediction"], expected["prediction"], rtol=1e-12, atol=1e-12):
        sys.exit(f"{loop.name}: the predictions differ")


def main() -> None:
    """Measure, and print a table."""
    warnings.simplefilter("ignore")
    place = BUILD / "bench_batch"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    make_models(place)
    make_rows(place)
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    table = Table(
        title=f"{ROWS:,} rows × {len(COLUMNS)} columns, WORKERS={WORKERS}; {processor}, {os.cpu_count()} cores"
    )
    for name in (
        "",
        "rows a second",
        "of the loop",
        "ratio",
        "of processor time",
        "MB",
        "of the loop",
        "MB by fifths of the time",
    ):
        table.add_column(name, justify="right")
    for model in MODELS:
        for form in ("csv", "parquet"):
            found = compare(place, model, form)
            figures = [f"{found[name]:,.0f}" for name in ("ours", "loop", "our MB", "loop MB")]
            by_time = " ".join(f"{each:.0f}" for each in found["fifths"])
            table.add_row(
                found["case"], *figures[:2], f"{found['ratio']:.1f}", f"{found['work']:.1f}", *figures[2:], by_time
            )
            print(f"{found['case']}: {found['ratio']:.2f} ({found['work']:.2f}), MB {by_time}", flush=True)
    Console().print(table)
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
