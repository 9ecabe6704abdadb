"""The doctor's checks: each takes facts and returns one line. Standard library only; runs on Python 3.8."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints, ports
from slipway.bootstrap import machine, venv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slipway.bootstrap.machine import Answer

OK, WARN, FAIL = "ok", "warn", "FAIL"
ENGINE = (25, 0)  # what compose needs for the start_interval of our health checks
COMPOSE = (2, 20)
GIGABYTE = 1e9
DISK_FAIL, DISK_WARN = 3 * GIGABYTE, 10 * GIGABYTE
MEMORY_FAIL, MEMORY_WARN = 1.5 * GIGABYTE, 3 * GIGABYTE
NO_DOCKER = "RUNTIME=host needs none (make demo)"
PYTHON_CURE = "apt install python3-venv, brew install python@3.13, or the like for your system"
MODULES = ("venv", "ensurepip", "ssl", "sqlite3")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
CERTIFICATES = ("CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
SYSTEM = "${Package} ${db:Status-Status}\\n"  # a line of dpkg-query's
LEFTOVERS = ("PYTHONPATH", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_REGISTRY_URI")
TEMPORARY = ("/tmp", "/private/tmp", "/dev/shm", tempfile.gettempdir())  # noqa: S108 -- named, not used


@dataclass(frozen=True)
class Check:
    """One line of the doctor: ok, warn (stops nothing) or FAIL; its name, what was found, and what to do about it."""

    level: str
    name: str
    words: str
    cure: str = ""

    def __str__(self) -> str:
        """Return the line, and the cure's below it."""
        return f"{self.level:<6}{self.name:<12}{self.words}" + (
            f"\n      try: {hints.complete(self.cure)}" if self.cure else ""
        )


def check_system(wanted: list[str], answer: Answer) -> Check:
    """Judge whether the packages of model.toml's `system` are installed, where Debian's tools can say."""
    if answer.code == machine.NOT_FOUND:
        return Check(WARN, "system", f"the model needs {', '.join(wanted)} of Debian, or the like of this system")
    there = {line.partition(" ")[0] for line in answer.words.splitlines() if line.endswith(" installed")}
    missing = [name for name in wanted if name not in there]
    if missing:
        return Check(WARN, "system", f"the model needs {', '.join(missing)}", f"apt install {' '.join(missing)}")
    return Check(OK, "system", f"the model's {', '.join(wanted)}")


def check_python() -> Check:
    """Judge the Python that runs this, or the one on PATH that set-up would use instead."""
    running = platform.python_version()
    if sys.version_info[:2] in venv.SUPPORTED:
        missing = [module for module in MODULES if find_spec(module) is None]
        if missing:
            return Check(FAIL, "python", f"{running} lacks the module {', '.join(missing)}", PYTHON_CURE)
        return Check(OK, "python", running)
    for python in filter(None, (shutil.which(f"python{major}.{minor}") for major, minor in venv.SUPPORTED)):
        if machine.ask([python, "-c", f"import {', '.join(MODULES)}"]).code == 0:
            return Check(OK, "python", f"python3 is {running}; set-up uses {python}")
    return Check(FAIL, "python", f"python3 is {running}, and no complete 3.11, 3.12 or 3.13 is on PATH", PYTHON_CURE)


def check_runtime(runtime: str) -> Check:
    """Judge the setting RUNTIME."""
    if runtime in {"docker", "host"}:
        return Check(OK, "runtime", runtime)
    return Check(
        FAIL, "runtime", f"RUNTIME is {runtime!r}: must be docker or host", "unset RUNTIME, for docker; or RUNTIME=host"
    )


def check_tool(name: str, answer: Answer) -> Check:
    """Judge a program that must be there, by what it says to --version."""
    if answer.code != 0:
        cure = f"apt install {name}, or on macOS xcode-select --install"
        return Check(FAIL, name, "is not installed" if answer.code == machine.NOT_FOUND else _last(answer.error), cure)
    return Check(OK, name, _number(answer.words))


def check_engine(answer: Answer, engine: Mapping[str, object], runtime: str) -> Check:
    """Judge the Docker engine by its answer to `docker info`."""
    problem = FAIL if runtime == "docker" else WARN
    if answer.code == machine.NOT_FOUND:
        if runtime == "host":
            return Check(OK, "docker", "is not installed; RUNTIME=host needs none")
        cure = f"install it (https://docs.docker.com/get-docker/) and start Docker; {NO_DOCKER}"
        return Check(problem, "docker", "is not installed", cure)
    version = str(engine.get("ServerVersion") or "")
    if not version:
        cure = "start Docker"
        if "permission denied" in answer.error:
            cure = 'sudo usermod -aG docker "$USER", log in again, start Docker'
        return Check(problem, "docker", f"the engine does not answer: {_last(answer.error)}", f"{cure}; {NO_DOCKER}")
    if _version(version) < ENGINE:
        return Check(
            problem, "docker", f"engine {version}: needs {ENGINE[0]} or later", f"update and start Docker; {NO_DOCKER}"
        )
    return Check(OK, "docker", f"engine {version}")


def check_plugin(name: str, answer: Answer, runtime: str, least: tuple[int, int] = (0, 0)) -> Check:
    """Judge a plugin of the docker command by what it says to `version`."""
    problem = FAIL if runtime == "docker" else WARN
    cure = f"install or update docker-{name}-plugin, or Docker Desktop; {NO_DOCKER}"
    if answer.code != 0:
        return Check(problem, name, f"docker {name} does not work: {_last(answer.error)}", cure)
    if _version(answer.words) < least:
        return Check(problem, name, f"{_number(answer.words)}: needs {least[0]}.{least[1]} or later", cure)
    return Check(OK, name, _number(answer.words))


def check_port(setting: str, value: str, containers: str, project: str, *, needed: bool = True) -> Check:
    """Judge a port that a setting names; `containers` are the lines of `docker ps`, each a name and its ports."""
    if not value.isdigit() or not 0 < int(value) <= ports.LAST:
        return Check(FAIL, setting, f"is {value!r}, not a port number", f"unset {setting}")
    port, name = int(value), f"port {value}"
    if ports.is_free(port):
        return Check(OK, name, "free")
    holders = [line.split()[0] for line in containers.splitlines() if f":{port}->" in line]
    if any(holder.startswith(f"{project}-") for holder in holders):
        return Check(OK, name, f"taken by our own {holders[0]}")
    kept = {
        "PORT": ("serve_model", f"serving/{port}.json"),
        "DEPLOYER_PORT": ("start_deployer", f"deployer/{port}"),
    }.get(setting)
    if kept and (venv.ROOT / ".slipway" / kept[1]).exists():
        return Check(OK, name, f"taken by our own make {kept[0]}")
    other = f"{setting}={5050 if port == ports.AIRPLAY else ports.find_next(port)} on every make command"
    level = FAIL if needed else WARN
    if "AirTunes" in machine.name_server(port):
        off = "switch AirPlay Receiver off in System Settings > General > AirDrop & Handoff"
        return Check(level, name, "taken by macOS's AirPlay Receiver", f"{off}; or {other}")
    words = f"taken by the container {holders[0]}" if holders else "taken by another program"
    return Check(level, name, words, f"stop it (lsof -i :{port} names it); or {other}")


def check_ports_apart(values: Mapping[str, str]) -> list[Check]:
    """Judge whether two settings name one port: what starts second finds it taken by the first."""
    found = []
    for value in sorted({*values.values()}):
        names = [name for name, other in values.items() if other == value]
        if len(names) > 1:
            found.append(Check(WARN, f"port {value}", f"is used by {' and '.join(names)}", f"another {names[-1]}"))
    return found


def check_checkout(root: Path) -> Check:
    """Judge the path of the checkout."""
    trouble = venv.find_trouble(root)
    return Check(FAIL, "checkout", trouble, venv.MOVE) if trouble else Check(OK, "checkout", str(root))


def check_disk(name: str, free: float) -> Check:
    """Judge a file system by its free bytes."""
    level = FAIL if free < DISK_FAIL else WARN if free < DISK_WARN else OK
    return Check(
        level,
        name,
        f"{free / GIGABYTE:.1f} GB free",
        "" if level == OK else "free some: make clean, docker system prune",
    )


def check_memory(available: int | None, engine: int, runtime: str) -> Check:
    """Judge the memory that is left: this machine's, and the engine's own limit where it has one (0: no engine)."""
    known = [size for size in (available, engine if runtime == "docker" else 0) if size]
    if not known:
        return Check(WARN, "memory", "cannot tell how much there is")
    least = min(known)
    level = OK if least >= MEMORY_WARN else FAIL if least < MEMORY_FAIL and runtime == "docker" else WARN
    limited = runtime == "docker" and bool(engine) and least == engine
    cure = "give it more in Docker Desktop, Settings > Resources" if limited else "close other programs"
    return Check(
        level,
        "memory",
        f"{least / GIGABYTE:.1f} GB {'for Docker' if limited else 'available'}",
        "" if level == OK else cure,
    )


def check_proxy(variables: Mapping[str, str]) -> Check:
    """Judge the proxy variables; what is printed of them is without credentials."""
    found = {name: mask(value) for name, value in variables.items() if name.lower() in PROXIES}
    if not found:
        return Check(OK, "proxy", "none")
    words = ", ".join(f"{name}={value}" for name, value in found.items())
    direct = (
        variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    )  # the small one wins, as in urllib and requests
    hosts = {host.strip() for host in direct.split(",")}
    if "*" in hosts or {"localhost", "127.0.0.1"} <= hosts:
        return Check(OK, "proxy", f"{words}; not for {direct}")
    cure = f"export NO_PROXY={','.join([*filter(None, [direct]), 'localhost', '127.0.0.1'])}; export no_proxy=$NO_PROXY"
    words += "; NO_PROXY lacks localhost and 127.0.0.1: calls to our own services may go to the proxy"
    return Check(WARN, "proxy", words, cure)


def check_certificates(name: str, path: Path) -> Check:
    """Judge the file of certificates that a variable names."""
    cure = f"export {name}=/path/of/a.pem, or unset {name}"
    if not path.exists():
        return Check(FAIL, "CA", f"{name} does not name a file: {path}", cure)
    try:
        machine.count_certificates(path)
    except OSError as error:
        reason = "cannot be read" if isinstance(error, PermissionError) else "is not PEM"
        return Check(FAIL, "CA", f"{name}: {path} {reason}", cure)
    return Check(OK, "CA", f"{name}={path}")


def check_tracking(uri: str, port: str, runtime: str) -> Check:
    """Judge an exported MLFLOW_TRACKING_URI: whether it is the server that Slipway starts."""
    ours = runtime == "docker" and re.match(rf"https?://(localhost|127\.0\.0\.1|\[::1\]):{re.escape(port)}(/|$)", uri)
    if not uri or ours:
        return Check(OK, "tracking", "our own")
    words = f"MLFLOW_TRACKING_URI is exported: make will use {mask(uri)}"
    return Check(WARN, "tracking", words, "unset MLFLOW_TRACKING_URI, unless you mean it")


def check_leftovers(variables: Mapping[str, str], venv: Path) -> Check:
    """Judge what another project or an earlier session may have left in the environment."""
    found = [name for name in LEFTOVERS if name in variables]
    active = variables.get("VIRTUAL_ENV")
    if active and Path(active).resolve() != venv.resolve():
        found.append("VIRTUAL_ENV")
    if not found:
        return Check(OK, "shell", "nothing left over")
    values = ", ".join(f"{name}={mask(variables[name])}" for name in found)
    cure = f"unset {' '.join(found)}" if "VIRTUAL_ENV" not in found else f"deactivate; unset {' '.join(found)}"
    return Check(WARN, "shell", f"left over: {values}", cure)


def check_artifacts(root: Path, *, writable: bool) -> Check:
    """Judge the folder of the artifacts."""
    cure = "export MLFLOW_ARTIFACT_ROOT=/a/folder/of/yours"
    if not writable:
        return Check(FAIL, "artifacts", f"{root} cannot be written to", cure)
    if any(Path(folder) in (root, *root.parents) for folder in TEMPORARY):
        return Check(WARN, "artifacts", f"{root} does not outlive a reboot", cure)
    return Check(OK, "artifacts", str(root))


def mask(value: str) -> str:
    """Return an address without its user name and password."""
    return re.sub(r"^(\w[\w+.-]*://)?.*@", r"\1***@", value)


def _version(words: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _number(words).split(".")[:2] if part.isdigit())


def _number(words: str) -> str:
    found = re.search(r"\d+\.\d+(\.\d+)?", words)
    return found.group() if found else words


def _last(words: str) -> str:
    return words.splitlines()[-1] if words else "it says nothing"
