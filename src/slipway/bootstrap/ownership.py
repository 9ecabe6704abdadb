"""Which checkout owns what.

Each container, network, volume and artifact folder has its checkout's label, and we touch only our own.

Standard library only, Python 3.8 or later: `make wipe` asks before `.venv` goes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shlex
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from slipway import hints, ports
from slipway.bootstrap import docker_cli, machine, venv
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "io.slipway.checkout"
CHECKOUT = str(venv.ROOT.resolve())
OURS = {LABEL: CHECKOUT}  # the label of what we make
PROJECT, FILES = "com.docker.compose.project", "com.docker.compose.project.config_files"  # labels that compose gives
COMPOSE_FILE = "mlflow_services/compose.yaml"
MARK = ".slipway-checkout"  # in an artifact folder: the path of the checkout that keeps its artifacts there
PATIENCE = 60.0  # s for an engine that is busy
PAUSE_S = 1.0  # before a question is put again that failed
PORTS = ("MLFLOW_PORT", "PORT", "DEPLOYER_PORT", "REGISTRY_PORT")
STEP, TRIES = 10, 50  # from one checkout's ports to the next one's


def is_another(checkout: str) -> bool:
    """Whether a path is that of another checkout, which is still there.

    One that was moved or deleted owns nothing any more.
    """
    if checkout in {"", CHECKOUT}:
        return False
    try:
        os.stat(os.path.join(checkout, COMPOSE_FILE))  # noqa: PTH116, PTH118 -- Path.exists takes "you may not look" for "is not there"
        return not os.path.samefile(checkout, CHECKOUT)  # ours by another path: a symbolic link, a mount  # noqa: PTH121 -- as above
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def check_project(project: str) -> None:
    """Raise SlipwayError when the containers, network or volumes of a compose project are another checkout's.

    Nothing was touched.
    """
    volume = re.compile(match_volumes(project))
    found = [
        *_list("container", ["Names", LABEL, FILES], f"label={PROJECT}={project}"),
        *_list("container", ["Names", LABEL], f"name={match_programs(project)}"),
        *_list("network", ["Name", LABEL], f"name=^{re.escape(project)}$"),
        *[row for row in _list("volume", ["Name", LABEL]) if volume.fullmatch(row[0])],
    ]
    for name, label, *files in found:
        checkout = label or _read_files(*files)
        if is_another(checkout):
            raise refuse(f"{name} belongs to the checkout {checkout}")


def check_volumes(project: str, *, known: bool) -> None:
    """Raise SlipwayError if a volume has no owner's label, and this checkout is not `known` to have services."""
    volume = re.compile(rf"{re.escape(project)}_postgres\w*")
    for name, label in [] if known else _list("volume", ["Name", LABEL]):
        if volume.fullmatch(name) and not label:  # as of a Slipway before labels
            words = f"the volume {name} exists, but this checkout did not create it: nothing was changed"
            raise SlipwayError(words, f"{suggest()}; or, if it is yours: make reset_database_password, then this again")


def make(kind: str, name: str, project: str, role: str, options: Mapping[str, str] = MappingProxyType({})) -> None:
    """Create a network or a volume as compose does, but with our label; an existing one stays as it is."""
    there = docker_cli.find(kind, name)
    if machine.ask(there, PATIENCE).code == 0:
        return
    labels = {**OURS, PROJECT: project, f"com.docker.compose.{kind}": role}
    answer = machine.ask(docker_cli.create(kind, name, labels, options), PATIENCE)
    if answer.code != 0 and machine.ask(there, PATIENCE).code != 0:
        raise SlipwayError(f"cannot create the {kind} {name}: {answer.error}", "make doctor")


def check_artifacts(folder: Path, *, known: bool) -> None:
    """Raise SlipwayError if an artifact folder is another checkout's.

    Or if it holds files, and this checkout is not `known` to have had services.
    """
    mark = folder / MARK
    if mark.is_file():
        if is_another(checkout := mark.read_text(encoding="utf-8").strip()):
            raise refuse(f"the artifact folder {folder} belongs to the checkout {checkout}")
        return
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    for name, label, files in _list("container", ["Names", LABEL, FILES], f"volume={folder}"):
        if is_another(checkout := label or _read_files(files)):
            raise refuse(f"the artifact folder {folder} is used by {name} of the checkout {checkout}")
    if not known:
        raise refuse(f"the artifact folder {folder} contains files that do not belong to this checkout")


def mark(folder: Path) -> None:
    """Record this checkout as owner in an artifact folder."""
    (folder / MARK).write_text(f"{CHECKOUT}\n", encoding="utf-8")


def check_port(port: int, setting: str) -> None:
    """Raise SlipwayError if a port is taken; it names another checkout's container."""
    if not ports.is_free(port):
        _see_containers.cache_clear()
        refuse_other(port)
        ports.check(port, setting)


def refuse_other(port: int) -> None:
    """Raise SlipwayError when it was another checkout's container that answered on a port when we looked last."""
    seen = _see_containers()
    for name, label, files, _, published in seen if isinstance(seen, list) else []:
        if publishes(published, port) and is_another(checkout := label or _read_files(files)):
            raise refuse(f"port {port} is used by {name} of the checkout {checkout}")


def publishes(published: str, port: int) -> bool:
    """Whether what docker says of a container's ports, such as `127.0.0.1:8000-8001->80-81/tcp`, has a port for TCP."""
    ranges = re.findall(r":(\d+)(?:-(\d+))?->[\d-]+/tcp", published)
    return any(int(first) <= port <= int(last or first) for first, last in ranges)


def check_container(name: str, *, labelled: bool = False) -> bool:
    """Return whether there is a container of a name.

    Raises SlipwayError when it is another checkout's; with `labelled` also when it runs and does not say who owns it.
    """
    _see_containers.cache_clear()
    seen = _see_containers()
    if isinstance(seen, SlipwayError):
        raise seen
    found = [row for row in seen if name in row[0].split(",")]  # a link gives a container another name
    for _, label, _, state, _ in found:
        if is_another(label):
            raise refuse(f"the container {name} belongs to the checkout {label}")
        if labelled and not label and state == "running":
            raise SlipwayError(
                f"the container {name} is running but has no owner label", f"docker rm --force {name}, if it is yours"
            )
    return bool(found)


@functools.lru_cache(maxsize=None)  # noqa: UP033 -- Python 3.8
def _see_containers() -> list[list[str]] | SlipwayError:
    """Return all containers: name, our label, compose files, state, ports. Or why docker does not tell.

    One answer for all that a command asks of them; who needs to know it as it is now clears the cache.
    """
    try:
        return _list("container", ["Names", LABEL, FILES, "State", "Ports"])
    except SlipwayError as error:
        return error


def remove_container(name: str, *, labelled: bool = False) -> None:
    """Remove a container of ours, if there is one. Raises SlipwayError as `check_container` does."""
    if check_container(name, labelled=labelled):
        machine.ask(docker_cli.remove("container", [name], with_volumes=True), PATIENCE)


def refuse(what: str) -> SlipwayError:
    """Return the error for something that belongs to another checkout, with names, ports and a folder for this one."""
    return SlipwayError(
        f"{what}: nothing was changed. Each checkout on a machine needs its own names and ports", suggest()
    )


def suggest() -> str:
    """Return the line that gives this checkout a project, ports and an artifact folder of its own."""
    words = re.sub(r"[^a-z0-9]+", "-", Path(CHECKOUT).name.lower()).strip("-")
    digest = hashlib.sha256(CHECKOUT.encode()).hexdigest()[:4]
    project = "-".join(
        filter(None, ("slipway", digest, words))
    )  # slipway-trial-… would be a container of the project slipway
    published = " ".join(
        row[0] for row in _list("running container", ["Ports"], f"label={LABEL}={CHECKOUT}", strict=False)
    )
    ours = {int(port) for port in re.findall(r":(\d+)->", published)}
    shifts = range(STEP, STEP * TRIES, STEP)
    usual = {name: int(value) for name, value in hints.read_defaults().items() if name in PORTS}
    free = (by for by in shifts if all(port + by in ours or ports.is_free(port + by) for port in usual.values()))
    shift = next(free, STEP)
    values = {"COMPOSE_PROJECT_NAME": project, **{name: str(port + shift) for name, port in usual.items()}}
    values["MLFLOW_ARTIFACT_ROOT"] = str(Path.home() / ".local" / "share" / project / "artifacts")
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())


def _read_files(files: str = "") -> str:
    """Return the checkout that a compose file is of: what a container has on record that does not say whose it is."""
    first = files.split(",", maxsplit=1)[0]
    return first[: -len(COMPOSE_FILE) - 1] if first.endswith(f"/{COMPOSE_FILE}") else ""


def match_programs(project: str) -> str:
    """Return a pattern for the names of the containers in which a project trains and serves."""
    return f"^{re.escape(project)}-(serve|live|trial|train)-.+$"


def match_volumes(project: str) -> str:
    """Return a pattern for the names of a project's volumes: the database's, and what live servers share in memory."""
    return rf"{re.escape(project)}_(postgres\w*|live_\d+)"


def _list(kind: str, fields: list[str], *filters: str, strict: bool = True) -> list[list[str]]:
    """Return what docker lists, a row of fields each: its own, or labels; nothing where there is no docker.

    Raises SlipwayError when it does not answer, unless the question is not `strict`: what is not known to be ours is
    not touched.
    """
    command = docker_cli.list_all(kind, fields, filters)
    answer = machine.ask(command, PATIENCE)
    if answer.code not in {0, machine.NOT_FOUND, machine.NO_ANSWER}:  # an engine may fail for a moment
        time.sleep(PAUSE_S)
        answer = machine.ask(command, PATIENCE)
    if strict and answer.code not in {0, machine.NOT_FOUND}:
        last = (answer.error.splitlines() or [f"exit code {answer.code}"])[-1]
        raise SlipwayError(
            f"Docker does not list the owners: {last}; nothing was changed", "make doctor, then this again"
        )
    rows = [line.split(docker_cli.SEPARATOR) for line in answer.words.splitlines()]
    return [row + [""] * (len(fields) - len(row)) for row in rows]
