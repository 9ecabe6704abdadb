"""Which Python versions there are: the runtime's own, and others on this machine."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import shell
from slipway.bootstrap import docker_cli, venv
from slipway.settings import BUILD, VERSION

if TYPE_CHECKING:
    from slipway.settings import Settings

BASE = f"slipway/base:{VERSION}"
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
UV = Path(sys.executable).with_name("uv")
OFFICIAL = "python:{}-slim-trixie"  # the image of a Python version


def of_runtime(settings: Settings) -> str:
    """Return the Python version, such as 3.13, of the base image; with RUNTIME=host, of `.venv`."""
    return _ask_base(settings.images.python) if settings.in_docker else OWN


def name_image(settings: Settings, python: str) -> str:
    """Return the image to build on for a Python version: PYTHON_IMAGE if it has that version."""
    given = settings.images.python
    if _read_tag(given) == python or (settings.in_docker and of_runtime(settings) == python):
        return given
    return OFFICIAL.format(python)


def find(python: str) -> Path | None:
    """Return an interpreter of a version on this machine, or None; none is downloaded."""
    if python == OWN:
        return Path(sys.executable)
    command, variables = uv("python", "find", "--system", "--no-python-downloads", "--no-project", python)
    answer = shell.ask(command, env={**variables, "PYENV_VERSION": python})  # else pyenv's commands start no other
    return Path(answer.out) if answer.code == 0 and Path(answer.out).exists() else None


def uv(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return a command of uv and its environment: set-up's, without what the caller set for other uses of uv."""
    ours = venv.environment()
    dropped = [part for name in sorted(os.environ.keys() - ours.keys()) for part in ("-u", name)]
    return [*(["env", *dropped] if dropped else []), str(UV), *arguments], ours


@cache
def _ask_base(image: str) -> str:
    """Return the Python version of the base image, or, without an engine that has one, what the image's tag says.

    An image without the variable of Docker's official ones is run for it, once.
    """
    answer = shell.ask(docker_cli.read_variables(BASE))
    if answer.code != 0:
        return _read_tag(image) or OWN
    if found := re.search(r"\bPYTHON_VERSION=(3\.\d+)", answer.out):
        return found[1]
    noted = BUILD / "pythons" / answer.out.split()[0].replace(":", "-")
    if not noted.exists():
        asked = shell.ask(docker_cli.run(BASE, ["--rm"], ["python3", "-c", "import sys; print(*sys.version_info[:2])"]))
        if asked.code != 0:
            return _read_tag(image) or OWN
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.write_text(asked.out.replace(" ", "."), encoding="utf-8")
    return noted.read_text(encoding="utf-8")


def _read_tag(image: str) -> str:
    found = re.search(r"python:(3\.\d+)", image)
    return found[1] if found else ""
