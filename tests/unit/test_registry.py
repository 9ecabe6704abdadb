"""How MLflow is brought, which takes seconds: by several threads at once, too."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from slipway.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SLOW = """
import time
time.sleep(0.5)
version = 1
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
"""
TOGETHER = """
import threading, time
from pathlib import Path
from slipway import registry

def bring():
    import mlflow
    print(mlflow.version, flush=True)

threading.Thread(target=bring).start()
time.sleep(0.2)
ACT
"""
ACTS = (
    "with registry.translated_errors(): pass",
    "registry.find(lambda key: key, 'one')",
    "registry.download('runs:/1/model', Path('x'))",
)


def test_threads_that_bring_mlflow_at_once_do_not_trip_over_each_other(tmp_path: Path) -> None:
    """Two threads that both need MLflow, as in the deployer's start, get a whole one.

    Who asks for a part of a package holds the part, and who is bringing the package holds that: each waits for the other, and Python
    lets one go on with half a module. A stand-in for MLflow takes half a second here; its parts need the whole, as MLflow's own do.
    """
    package = tmp_path / "mlflow"
    package.mkdir()
    (package / "__init__.py").write_text(SLOW)
    (package / "exceptions.py").write_text("import mlflow\nclass MlflowException(Exception): pass")
    (package / "artifacts.py").write_text("import mlflow\ndef download_artifacts(**_): pass")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}
    for act in ACTS:
        command = [sys.executable, "-c", TOGETHER.replace("ACT", act)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", ""), act
