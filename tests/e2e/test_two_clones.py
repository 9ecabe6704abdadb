"""Two checkouts with the same settings on one machine.

The second changes nothing of the first's, and is told how to live beside it.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from slipway import ports
from slipway.settings import ROOT
from tests.e2e.conftest import Stack

Run = Callable[..., subprocess.CompletedProcess[str]]
REFUSED = (
    "start_mlflow_services", "stop_mlflow_services", "logs", "backup", "reset_database_password", "train_model",
    "list_models", "promote", "start_deployer", "stop_deployer", "stop_registry", "wipe",
)  # fmt: skip


@pytest.fixture
def second(stack: Stack, tmp_path: Path) -> Iterator[Run]:
    """Clone this checkout as it is; return a function that runs make there with the first one's settings, or others."""
    clone = tmp_path / "a second clone"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True)
    for name in filter(None, files.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    (clone / ".venv").symlink_to(ROOT / ".venv")  # it is set up
    for path in (clone / "requirements").iterdir():
        os.utime(path, (0, 0))
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)

    def run(target: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **stack.variables, "PYTHONPATH": str(clone / "src"), "YES": "1", **variables}
        return subprocess.run(
            ["make", "--no-print-directory", target],
            cwd=clone,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )

    yield run
    (clone / ".venv").unlink(missing_ok=True)


@pytest.mark.thorough
def test_neither_harms_the_other(stack: Stack, second: Run, tmp_path: Path) -> None:
    """With the first one's settings every command is refused; with those that the error prints both run in parallel."""
    stack.variables["REGISTRY_PORT"] = str(ports.find_free())
    stack.make("start_mlflow_services")
    names = [f"{stack.project}-mlflow-1", f"{stack.project}-postgres-1"]
    facts = ["inspect", "--format", "{{.Id}} {{.State.StartedAt}}{{range .Mounts}}\n{{json .}}{{end}}", *names]
    before = sorted(stack.docker(*facts).splitlines())  # docker lists mounts in any order
    said = {}
    for target in REFUSED:
        done = second(target, MODEL="models:/diabetes/1")
        said[target] = done.stdout + done.stderr
        assert done.returncode != 0, f"{target}:\n{said[target]}"
        assert str(ROOT) in said[target], f"{target}:\n{said[target]}"
        assert "nothing was changed" in said[target], f"{target}:\n{said[target]}"
    assert sorted(stack.docker(*facts).splitlines()) == before

    cure = re.search(r"try: (export .*)", said["start_mlflow_services"])
    assert cure
    own = dict(word.split("=", 1) for word in shlex.split(cure[1])[1:])
    own |= {"MLFLOW_ARTIFACT_ROOT": str(tmp_path / "artifacts"), "BACKUP_DIR": str(tmp_path / "backups")}
    try:
        for target in ("start_mlflow_services", "backup", "stop_mlflow_services"):
            done = second(target, **own)
            assert done.returncode == 0, f"{target}:\n{done.stdout}{done.stderr}"
    finally:
        leftovers = subprocess.run(
            ["docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={own['COMPOSE_PROJECT_NAME']}"],
            check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
        for command in (["rm", "--force", *leftovers], ["volume", "rm", f"{own['COMPOSE_PROJECT_NAME']}_postgres17"]):
            subprocess.run(["docker", *command], check=False, capture_output=True)
    url = f"http://127.0.0.1:{stack.variables['MLFLOW_PORT']}/api/2.0/mlflow/experiments/search?max_results=1"

    assert sorted(stack.docker(*facts).splitlines()) == before
    assert requests.get(url, timeout=30).ok
