"""The doctor: gathers facts about this machine and prints one line per check, each failure with its cure.

Standard library only, Python 3.8 or later: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints
from slipway.bootstrap import checks, clocks, docker_cli, machine, projects, venv
from slipway.bootstrap.checks import FAIL, OK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.bootstrap.checks import Check
    from slipway.bootstrap.machine import Answer

PORTS = ("MLFLOW_PORT", "PORT", "DEPLOYER_PORT", "REGISTRY_PORT")
SETTINGS = ("RUNTIME", "MODEL_DIR", *PORTS, "MLFLOW_ARTIFACT_ROOT", "COMPOSE_PROJECT_NAME")  # that are checked
QUESTIONS = {
    "make": ["make", "--version"],
    "git": ["git", "--version"],
    "docker": docker_cli.describe_engine(),
    "compose": docker_cli.name_compose_version(),
    "buildx": docker_cli.name_buildx_version(),
    "containers": docker_cli.list_all("running container", ["Names", "Ports"]),
}


def report(variables: Mapping[str, str], *, say_next: bool = False) -> bool:
    """Print every check, and with `say_next` the next useful command; return whether none failed."""
    found = examine(variables)
    print(*found, sep="\n")
    if say_next:
        docker_works = {check.level for check in found if check.name in {"docker", "compose", "buildx"}} == {OK}
        in_docker = docker_works and variables.get("RUNTIME", "docker") == "docker"
        hints.say_next("make build_base_container" if in_docker else "make demo")
    return all(check.level != FAIL for check in found)


def examine(variables: Mapping[str, str]) -> list[Check]:
    """Gather the facts about this machine and judge them; `variables` are the environment, settings among them."""
    defaults = {name: value for name, value in hints.read_defaults().items() if name in SETTINGS}
    given = {**defaults, **{name: value.strip() for name, value in variables.items() if value.strip()}}
    runtime = given["RUNTIME"]
    in_docker = runtime == "docker"
    answers = machine.ask_all(QUESTIONS)
    engine = _read(answers["docker"])
    found = [
        checks.check_python(),
        checks.check_tool("make", answers["make"]),
        checks.check_tool("git", answers["git"]),
    ]
    found.append(checks.check_runtime(runtime))
    found.append(checks.check_engine(answers["docker"], engine, runtime))
    if answers["docker"].code != machine.NOT_FOUND:
        found.append(checks.check_plugin("compose", answers["compose"], runtime, checks.COMPOSE))
        found.append(checks.check_plugin("buildx", answers["buildx"], runtime))
    found.append(checks.check_checkout(venv.ROOT))
    for setting, needed in (
        ("MLFLOW_PORT", in_docker),
        ("PORT", True),
        ("DEPLOYER_PORT", False),
        ("REGISTRY_PORT", False),
    ):
        containers, project = answers["containers"].words, given["COMPOSE_PROJECT_NAME"]
        found.append(checks.check_port(setting, given[setting], containers, project, needed=needed))
    found += checks.check_ports_apart({setting: value for setting, value in given.items() if setting in PORTS})
    artifacts = Path(given["MLFLOW_ARTIFACT_ROOT"]).expanduser().resolve()
    disks = {"disk": venv.ROOT}
    if in_docker:
        disks["data disk"] = artifacts
        docker_root = Path(str(engine.get("DockerRootDir") or "/nowhere"))
        disks.update({"docker disk": docker_root} if machine.find_existing(docker_root) == docker_root else {})
    found += [checks.check_disk(name, free) for name, free in machine.measure_disks(disks).items()]
    found.append(checks.check_memory(machine.measure_memory(), int(str(engine.get("MemTotal") or 0)), runtime))
    found.append(checks.check_proxy(given))
    found += [checks.check_certificates(name, Path(given[name])) for name in checks.CERTIFICATES if name in given]
    found.append(checks.check_tracking(given.get("MLFLOW_TRACKING_URI", ""), given["MLFLOW_PORT"], runtime))
    found.append(checks.check_leftovers(given, venv.VENV))
    if in_docker:
        nearest = machine.find_existing(artifacts)
        writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
        found.append(checks.check_artifacts(artifacts, writable=writable))
    wanted = projects.read_system(projects.find_folder(given))
    if wanted and not in_docker:  # an image has them
        asked = machine.ask_all({"system": ["dpkg-query", "--show", f"--showformat={checks.SYSTEM}", *wanted]})
        found.append(checks.check_system(wanted, asked["system"]))
    found.append(clocks.check_clock(answers["make"].answered, machine.find_newest(venv.ROOT)))
    if engine.get("SystemTime"):
        found.append(clocks.check_engine_clock(str(engine["SystemTime"]), answers["docker"], runtime))
    return found


def _read(answer: Answer) -> dict[str, object]:
    try:
        return dict(json.loads(answer.words))
    except ValueError:
        return {}
