"""Measure the scoring server beside MLflow and four other servers, one core each.

Make bench_serving, with nothing else going on.

QUICK=1 takes two minutes, with MLflow and the floor alone. SERVERS="us kserve" (or all) and CASES="forest digits-1x64"
choose; CASES=ways looks at our ways alone. Writes serving.md, serving.json and serving.png to build/bench.
"""

import json
import os
import shutil
import subprocess
import sys
import time

import environments
import facts
import measuring
import report
import ways
from load import need_tools
from plan import choose
from servers import BUILD, MODELS, VENVS, stop_all

from slipway import errors, model_folder
from slipway.errors import SlipwayError
from slipway.settings import ROOT


def train() -> None:
    """Write the models anew."""
    print("trains the models", flush=True)
    shutil.rmtree(MODELS, ignore_errors=True)
    command = [sys.executable, "-W", "ignore", str(environments.HERE / "train.py"), str(MODELS)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(str(VENVS / name) for name in environments.BESIDE)}
    completed = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    if completed.returncode != 0:
        raise SlipwayError(f"the models could not be trained:\n{completed.stderr}")


def main() -> None:
    """Prepare, measure, report; fail if a model of ours took another way than its bar is about."""
    need_tools()
    plan, began = choose(), time.monotonic()
    for name in [*dict.fromkeys(server.environment for server in plan.servers), *environments.BESIDE]:
        environments.make(name, VENVS / name)
    train()
    if plan.only_ways:
        ways.compare_kernels(plan)
        return
    results = {**facts.gather(plan), "ways": {}, "cold": {}, "memory": {}, "cases": {}, "workers": {}}
    results["image"] = {"us": facts.find_image(model_folder.load(ROOT / "model").name)}
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
    ways.check(results["ways"])


if __name__ == "__main__":
    errors.exit_cleanly(main)
