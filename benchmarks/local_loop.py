"""What the local loop costs on this machine: a table of measured times, each beside what it is compared with.

Uses services, ports and folders of its own; run it with nothing else going on: make bench_local
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from slipway import model_folder, ports, settings, verbs
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import images, locks
from slipway.runtimes.base import Prepared
from slipway.settings import ROOT

PROJECT = "slipway-bench"
BARE_FIT = "import train; train.fit({'alpha': 0.05, 'l1_ratio': 0.5}, 4, '')"


def run(command: list[str], cwd: Path = ROOT, **variables: str) -> float:
    """Run a command silently and return the seconds it took."""
    started = time.monotonic()
    completed = subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, check=False, capture_output=True, text=True
    )
    if completed.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{completed.stdout}{completed.stderr}")
    return time.monotonic() - started


def make(target: str, **variables: str) -> float:
    """Run a make target and return the seconds it took."""
    return run(["make", target], **variables)


def best(measure: Callable[[], float], times: int = 3) -> float:
    """Return the shortest of several measurements: the one that the machine disturbed least."""
    return min(measure() for _ in range(times))


def change_code(copy: Path) -> float:
    """Build layer 2 of a copy of the project after a change to the server's code."""
    with (copy / "src" / "scoring" / "http" / "app.py").open("a") as file:
        file.write(f"# {time.time_ns()}\n")
    return run([sys.executable, "scripts/services.py", "build-model"], copy, PYTHONPATH=str(copy / "src"))


def add_version(scratch: Path) -> float:
    """Build layer 3 for a model that differs from every earlier one."""
    verbs.prepare()
    loaded, files = settings.load(), scratch / str(time.time_ns())
    files.mkdir()
    (files / "MLmodel").write_text(f"flavors: {{}}\n# {time.time_ns()}\n")
    (files / "model.skops").write_bytes(os.urandom(1_000_000))
    started = time.monotonic()
    model = model_folder.load(loaded.model_dir)
    version = Prepared(ModelRef(str(files), str(files)), files, "{}", lock=locks.of_folder(loaded, model))
    images.build_served(loaded, model, version)
    return time.monotonic() - started


def measure_memory() -> float:
    """Return the MB that the services' containers hold at rest."""
    names = [f"{PROJECT}-mlflow-1", f"{PROJECT}-postgres-1"]
    groups = [
        subprocess.run(["docker", "inspect", "--format", "{{.Id}}", name], check=True, capture_output=True, text=True)
        for name in names
    ]
    stats = subprocess.run(
        ["docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", *(group.stdout.strip() for group in groups)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return sum(float(line.split("MiB")[0]) * 1.048576 for line in stats.stdout.splitlines())


def main() -> None:
    """Measure everything and print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        variables = {
            "COMPOSE_PROJECT_NAME": PROJECT,
            "MLFLOW_PORT": str(ports.find_free()),
            "MLFLOW_ARTIFACT_ROOT": f"{scratch}/artifacts",
        }
        host = {
            "RUNTIME": "host",
            "MLFLOW_TRACKING_URI": f"sqlite:///{scratch}/mlflow.db",
            "PORT": str(ports.find_free()),
        }
        copy = Path(scratch, "copy")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".slipway", "build", "backups"))
        rows: list[tuple[str, float, str]] = []
        try:
            make("build_model_container")
            make("start_mlflow_services", **variables)
            make("stop_mlflow_services", **variables)
            rows.append(("start_mlflow_services, images built", make("start_mlflow_services", **variables), "s"))
            make("train_model", **variables)
            model = model_folder.load(ROOT / "model")
            tag = images.training_tag(model, locks.of_folder(settings.load(), model))
            bare = best(lambda: run(["docker", "run", "--rm", tag, "python", "-c", BARE_FIT]))
            rows += [("bare fit in the container", bare, "s")]
            rows += [("train_model beyond that fit", best(lambda: make("train_model", **variables)) - bare, "s")]
            make("demo", **host)
            bare = best(lambda: run([sys.executable, "-c", BARE_FIT], ROOT / "model"))
            rows += [("bare fit in .venv", bare, "s")]
            rows += [
                ("train_model beyond that fit, RUNTIME=host", best(lambda: make("train_model", **host)) - bare, "s")
            ]
            rows += [("demo, second run", best(lambda: make("demo", **host)), "s")]
            rows += [("rebuild of layer 2 after a change of code", best(lambda: change_code(copy)), "s")]
            rows += [("layer 3 of a new model version", best(lambda: add_version(Path(scratch))), "s")]
            time.sleep(10)
            rows += [("MLflow and Postgres at rest", measure_memory(), "MB")]
        finally:
            subprocess.run(
                ["docker", "rm", "--force", f"{PROJECT}-mlflow-1", f"{PROJECT}-postgres-1"],
                check=False,
                capture_output=True,
            )
            subprocess.run(["docker", "volume", "rm", f"{PROJECT}_postgres17"], check=False, capture_output=True)
            subprocess.run(["docker", "network", "rm", PROJECT], check=False, capture_output=True)
    table = Table(box=None, header_style="bold")
    table.add_column("what")
    table.add_column("measured", justify="right")
    for what, value, unit in rows:
        table.add_row(what, f"{value:.1f} {unit}" if unit == "s" else f"{value:.0f} {unit}")
    Console().print(table)


if __name__ == "__main__":
    main()
