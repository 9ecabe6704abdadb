"""What of ours an engine holds: listed, measured and removed by name. Standard library only, Python 3.8 or later."""

from __future__ import annotations

import re
import shlex
import sys

from slipway.bootstrap import docker_cli, machine, ownership
from slipway.errors import SlipwayError

PATIENCE = 600.0  # s; removing many images from a slow disk takes its time
KINDS = ("containers", "networks", "volumes", "images")  # in the order in which they go


def answers() -> bool:
    """Whether an engine answers; print what stays without one that is installed."""
    if not docker_cli.is_installed():
        return False
    is_there = machine.ask(docker_cli.name_server_version()).code == 0
    if not is_there:
        print("Docker does not answer, so its images and volumes stay; start Docker first to remove them too")
    return is_there


def list_ours(project: str, images: str, kind: str) -> list[str]:
    """Return the names of our containers, networks, volumes or images."""
    of_project = f"label={ownership.PROJECT}={project}"
    if kind == "containers":
        filters = [
            of_project,
            f"name={ownership.match_programs(project)}",
            *(f"network={name}" for name in list_ours(project, images, "networks")),
        ]
        return sorted({name for one in filters for name in _ask(docker_cli.list_all("container", ["Names"], [one]))})
    if kind == "networks":
        return _ask(docker_cli.list_all("network", ["Name"], [of_project]))
    if kind == "volumes":
        pattern = ownership.match_volumes(project)
        return [name for name in _ask(docker_cli.list_all("volume", ["Name"])) if re.fullmatch(pattern, name)]
    rows = _ask(docker_cli.list_all("image", ["Repository", "Tag"], [f"reference={images}"]))
    names = [row.replace(docker_cli.SEPARATOR, ":") for row in rows]
    return [name for name in names if not name.endswith(":<none>")]


def remove(kind: str, names: list[str]) -> None:
    """Ask the engine to remove things; what it keeps is still listed afterwards."""
    if names:
        command = docker_cli.remove(kind[:-1], names, with_volumes=kind == "containers")
        print("$", " ".join(map(shlex.quote, command)), file=sys.stderr, flush=True)
        machine.ask(command, timeout=PATIENCE)


def measure_volumes() -> dict[str, str]:
    """Return the size of each of the engine's volumes, in its words."""
    lines = _ask(docker_cli.measure_volumes(), strict=False)
    return {line.split(" ")[0]: line.split(" ")[1] for line in lines if line}


def measure_images() -> float:
    """Return the bytes that the engine's images take, each layer counted once."""
    lines = _ask(docker_cli.measure(), strict=False)
    found = re.search(r"^Images ([\d.]+)([kMGT]?)B$", "\n".join(lines), re.MULTILINE)
    return float(found.group(1)) * 1000 ** " kMGT".index(found.group(2) or " ") if found else 0.0


def _ask(command: list[str], *, strict: bool = True) -> list[str]:
    answer = machine.ask(command, timeout=PATIENCE)
    if strict and answer.code != 0:  # what it does not list would be taken for gone
        raise SlipwayError(f"`{command[0]} {command[1]}` failed: {answer.error}", "make doctor, then this again")
    return answer.words.splitlines()
