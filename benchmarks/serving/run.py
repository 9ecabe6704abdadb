"""Measure the scoring server beside MLflow and four other servers, one core each.

Make bench_serving, with nothing else going on.

QUICK=1 takes two minutes, with MLflow and the floor alone. SERVERS="us kserve" (or all) and CASES="forest digits-1x64"
choose. Writes serving.md, serving.json and serving.png to build/bench.
"""

import json
import shutil
import subprocess
import sys
import time

import environments
import facts
import measuring
import report
from load import need_tools
from plan import choose
from servers import BUILD, MODELS, VENVS, stop_all

from slipway import errors
from slipway.errors import SlipwayError


def train() -> None:
    """Write the models anew."""
    print("trains the models", flush=True)
    shutil.rmtree(MODELS, ignore_errors=True)
    command = [sys.executable, "-W", "ignore", str(environments.HERE / "train.py"), str(MODELS)]
    completed = subprocess.run(command, check=False, capture_output=True, text=True)
    if completed.returncode != 0:
        raise SlipwayError(f"the models could not be trained:\n{completed.stderr}")


def main() -> None:
    """Prepare, measure, report."""
    need_tools()
    plan, began = choose(), time.monotonic()
    for name in sorted({server.environment for server in plan.servers} - {""}):
        environments.make(name, VENVS / name)
    train()
    results = {**facts.gather(plan), "ways": {}, "cold": {}, "memory": {}, "cases": {}, "workers": {}}
    try:
        measuring.measure_starts(plan, results)
        if any(server.name == "us" for server in plan.servers):
            measuring.measure_workers(plan, results)
        measuring.measure_cases(plan, results)
    finally:
        stop_all()
    results["minutes"] = (time.monotonic() - began) / 60
    (BUILD / "serving.json").write_text(json.dumps(results, indent=1))
    report.write(BUILD)


if __name__ == "__main__":
    errors.exit_cleanly(main)
