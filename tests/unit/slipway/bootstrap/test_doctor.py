"""The doctor: its judgements on real facts, and its script."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway import ports
from slipway.bootstrap import checks, doctor
from slipway.settings import ROOT

GB = 10**9
SCRIPT = ROOT / "scripts" / "setup.py"


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a Python without any package (-S), in an environment of nothing but `variables`."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PORT": str(ports.find_free()), **variables}
    command = [sys.executable, "-S", str(SCRIPT), "doctor", *arguments]
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=30)


def _path_of(tmp_path: Path, *programs: str) -> str:
    """Return a PATH with nothing but some programs."""
    for program in programs:
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    return str(tmp_path)


def test_a_failure_is_one_line_and_its_cure() -> None:
    """A failed check prints its level, name and finding, and below them what to try."""
    line = str(checks.Check(checks.FAIL, "port 5000", "taken by another program", "MLFLOW_PORT=5050"))

    assert line == "FAIL  port 5000   taken by another program\n      try: MLFLOW_PORT=5050"


def test_the_host_runtime_needs_no_docker(tmp_path: Path) -> None:
    """Without Docker, and with nothing installed, RUNTIME=host passes and make demo comes next."""
    done = _run("--next", RUNTIME="host", PATH=_path_of(tmp_path, "make", "git"))

    assert "ok    docker      is not installed; RUNTIME=host needs none" in done.stdout
    assert re.search(r"next  .*make demo\n$", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_docker_runtime_needs_docker(tmp_path: Path) -> None:
    """Without Docker, RUNTIME=docker fails; the cure is to start Docker or to do without."""
    done = _run("--next", PATH=_path_of(tmp_path, "make", "git"))

    assert "FAIL  docker" in done.stdout
    assert re.search(r"start Docker; RUNTIME=host needs none \(.*make demo\)", done.stdout)
    assert re.search(r"next  .*make demo\n$", done.stdout)
    assert done.returncode == 1


@pytest.mark.usefixtures("docker")
def test_with_docker_the_base_image_comes_next() -> None:
    """Where the engine answers, make build_base_container comes next."""
    done = _run("--next", MLFLOW_PORT=str(ports.find_free()), PATH=os.environ["PATH"])

    assert re.search(r"next  .*make build_base_container\n$", done.stdout), done.stdout + done.stderr


def test_an_engine_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    """A docker command that never answers is given up, and its children are ended."""
    path = _path_of(tmp_path, "make", "git", "sleep", "sh")
    (tmp_path / "docker").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "docker").chmod(0o755)
    started = time.monotonic()
    done = _run(PATH=path)

    assert time.monotonic() - started < 60
    assert "FAIL  docker      the engine does not answer: no answer within 10 s" in done.stdout


def test_every_port_that_a_command_may_want_is_looked_at() -> None:
    """A port of the deployer or of the registry that another program has is a warning.

    Two settings with one port are, too.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = doctor.examine({"RUNTIME": "host", "DEPLOYER_PORT": port, "REGISTRY_PORT": port})
    told = [(check.level, check.words, check.cure) for check in found if check.name == f"port {port}"]

    assert [(level, words) for level, words, _ in told] == [
        ("warn", "taken by another program"), ("warn", "taken by another program"),
        ("warn", "is used by DEPLOYER_PORT and REGISTRY_PORT"),
    ]  # fmt: skip
    assert told[0][2].endswith(f"or DEPLOYER_PORT={int(port) + 1} on every make command")


def test_a_folder_that_cannot_be_used_is_named() -> None:
    """A checkout whose path ends folders in PATH cannot have a .venv; any other path can."""
    assert checks.check_checkout(Path("/home/someone/a:b")).level == checks.FAIL
    usable = ("a b", "a?b", "a%20b", "a#b", "ä", "it's")
    assert {checks.check_checkout(Path("/home/someone", name)).level for name in usable} == {checks.OK}


def test_a_wrong_runtime_fails() -> None:
    """RUNTIME is docker or host."""
    assert checks.check_runtime("dokcer").level == checks.FAIL


def test_every_failure_has_a_cure(tmp_path: Path) -> None:
    """On a machine where all is wrong, whatever fails or warns says what to try."""
    wrong = {
        "RUNTIME": "x",
        "PORT": "x",
        "MLFLOW_PORT": "x",
        "HTTP_PROXY": "p:1",
        "CA_BUNDLE": str(tmp_path / "x"),
        "MLFLOW_RUN_ID": "1",
    }
    troubles = [check for check in doctor.examine(wrong) if check.level != checks.OK]

    assert len(troubles) >= len(wrong)
    assert [check.name for check in troubles if not check.cure] == []
