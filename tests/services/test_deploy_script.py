"""`mlflow run -e deploy`: the folder's script calls the commands of the checkout around it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.settings import ROOT
from tests.services.conftest import Tracking

MAKE = '#!/bin/sh\necho "make: $*; run: ${MLFLOW_RUN_ID:-none}"\nexit 7\n'


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `make` prints its arguments and fails."""
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(MAKE)
    make.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name != "CONTEXT"}
    return {**kept, "PATH": f"{make.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _run(script: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "variables", "goals"),
    [
        ([], {}, "build_served_container MODEL=models:/diabetes/latest MODEL_DIR=model"),
        (
            ["--model", "models:/diabetes/3", "--context", "minikube"],
            {},
            "build_base_container deploy MODEL=models:/diabetes/3 MODEL_DIR=model CONTEXT=minikube",
        ),
        (
            ["--model", "", "--context", ""],
            {"CONTEXT": "kind"},
            "build_base_container deploy MODEL=models:/diabetes/latest MODEL_DIR=model CONTEXT=kind",
        ),
    ],
    ids=["the image alone", "named", "CONTEXT exported"],
)
def test_the_script_runs_the_checkouts_commands(
    environment: dict[str, str], arguments: list[str], variables: dict[str, str], goals: str
) -> None:
    """It builds the image, or deploys where a context is named, and ends as the command does."""
    done = _run(ROOT / "model" / "deploy.py", environment | variables | {"MLFLOW_RUN_ID": "r1"}, *arguments)

    assert done.stdout == f"make: --no-print-directory -C {ROOT} {goals}; run: none\n"
    assert done.returncode == 7


def test_a_folder_outside_a_checkout_says_so(tmp_path: Path, environment: dict[str, str]) -> None:
    """Without a checkout around it there are no commands to run."""
    shutil.copytree(ROOT / "model", tmp_path / "alone")
    done = _run(tmp_path / "alone" / "deploy.py", environment)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/alone is in no checkout of Slipway")
    assert not done.stdout


@pytest.mark.thorough
def test_mlflow_run_has_the_entry_point(tracking: Tracking, environment: dict[str, str]) -> None:
    """MLflow hands the parameters on, the empty ones too, and reports the failure."""
    command = [str(Path(sys.executable).with_name("mlflow")), "run", "model", "--env-manager", "local", "-e", "deploy"]
    given = environment | {"MLFLOW_TRACKING_URI": tracking.url}
    done = subprocess.run(
        [*command, "-P", "model=models:/diabetes/3"], cwd=ROOT, env=given, check=False, capture_output=True, text=True
    )

    assert "build_served_container MODEL=models:/diabetes/3 MODEL_DIR=model; run: none" in done.stdout
    assert done.returncode != 0
