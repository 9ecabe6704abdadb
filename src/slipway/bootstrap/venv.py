"""The virtual environment `.venv`, made from the locked, hashed requirements. Standard library only: it runs first."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Mapping

GIT = (
    "git",
    "-c",
    "safe.directory=*",
)  # a checkout may be another user's; whoever types make in it runs its files anyway
SUPPORTED = ((3, 13), (3, 12), (3, 11))
OTHERS = ("PYTHON", "PIP_", "UV_")  # begin the names of what Python, pip and uv read
SOURCES = {  # of them, where packages come from and how they are brought here
    *(f"PIP_{name}" for name in (
        "INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "TRUSTED_HOST", "CERT", "CLIENT_CERT", "PROXY",
        "TIMEOUT",
        "DEFAULT_TIMEOUT", "RETRIES", "CACHE_DIR", "NO_CACHE_DIR", "KEYRING_PROVIDER", "CONFIG_FILE",
    )),
    *(f"UV_{name}" for name in (
        "DEFAULT_INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "INSECURE_HOST",
        "HTTP_TIMEOUT", "REQUEST_TIMEOUT", "HTTP_RETRIES", "HTTP_CONNECT_TIMEOUT", "SYSTEM_CERTS", "NATIVE_TLS",
        "CACHE_DIR", "NO_CACHE", "KEYRING_PROVIDER", "CREDENTIALS_DIR", "CONFIG_FILE", "NO_CONFIG", "LINK_MODE",
        "OFFLINE", "CONCURRENT_DOWNLOADS", "CONCURRENT_BUILDS", "CONCURRENT_INSTALLS", "COMPILE_BYTECODE_TIMEOUT",
    )),
}  # fmt: skip
ACTIVE = {"VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__"}  # another environment that is active
SUBSETS = {"host": ("host",), "dev": ("dev", "host")}  # what each set of requirements satisfies
ROOT = Path(__file__).parents[3]
MOVE = "move the checkout to a folder without it, then rm -r .venv, then the same command again"
VENV = ROOT / ".venv"


def find_trouble(root: Path) -> str:
    """Return why a checkout cannot be used at its path, or nothing."""
    marks = {":": "which separates folders in PATH and in docker's options", "\n": "a line break"}
    found = [f"{mark!r}, {why}" for mark, why in marks.items() if mark in str(root)]
    return f"the path of the checkout has {' and '.join(found)}: {root}" if found else ""


def find_python() -> str:
    """Return a supported Python: the running one if it is, else one on PATH.

    Raises SlipwayError when there is none.
    """
    if sys.version_info[:2] in SUPPORTED:
        return sys.executable
    for major, minor in SUPPORTED:
        found = shutil.which(f"python{major}.{minor}")
        if found and subprocess.run([found, "-c", "import venv"], check=False, env=clean(os.environ)).returncode == 0:
            return found
    running = ".".join(map(str, sys.version_info[:2]))
    raise SlipwayError(
        f"Slipway needs Python 3.11, 3.12 or 3.13; python3 is {running} and no python3.1x is on PATH",
        "install one of them (apt install python3.12-venv, brew install python@3.12), then the same command again",
    )


def set_up(requirements: str) -> None:
    """Make `.venv` match `requirements/<requirements>.txt`; an interrupted set-up is resumed.

    Raises SlipwayError when a step fails.
    """
    trouble = find_trouble(ROOT)
    if trouble:
        raise SlipwayError(trouble, MOVE)
    python = VENV / "bin" / "python"
    if not _works(python):
        shutil.rmtree(VENV, ignore_errors=True)
        _run(
            [find_python(), "-m", "venv", str(VENV)],
            "install your system's package for venv (apt install python3-venv)",
        )
    if not (VENV / "bin" / "uv").exists():
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
              "-r", str(ROOT / "requirements" / "setup.txt")])  # fmt: skip
    quiet = [] if sys.stderr.isatty() else ["--quiet"]  # a terminal shows progress, a log a line for each package
    _run([str(VENV / "bin" / "uv"), "pip", "install", *quiet, "--python", str(python),
          "--require-hashes", "--compile-bytecode",
          "-r", str(ROOT / "requirements" / (requirements + ".txt"))])  # fmt: skip
    for site_packages in VENV.glob("lib/python*/site-packages"):
        (site_packages / "slipway.pth").write_text(
            "../../../../src\n", encoding="utf-8"
        )  # relative: a checkout may be moved
    for satisfied in SUBSETS[requirements]:
        (VENV / satisfied).touch()


def index_for_uv(variables: dict[str, str]) -> dict[str, str]:
    """Return uv's names for the package index that is set for pip, which uv does not read.

    Not a folder, which no container has.
    """
    names = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX"}
    given = {uv: variables.get(pip, "") for pip, uv in names.items() if not variables.get(uv)}
    return {uv: index for uv, index in given.items() if index.startswith("http")}


def clean(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what the caller set for Python, pip and uv elsewhere.

    Only where packages come from, and how, stays.

    PIP_USER, PIP_TARGET, PYTHONPATH, UV_EXCLUDE_NEWER and the like would have a set-up fail, or install somewhere else.
    """
    kept = {
        name: value
        for name, value in given.items()
        if not name.startswith(OTHERS) or name in SOURCES or name.startswith("UV_INDEX")
    }
    kept = {name: value for name, value in kept.items() if name not in ACTIVE}
    return {**kept, "PIP_USER": "0"}  # a pip.conf may say it, too


def environment() -> dict[str, str]:
    """Return the environment for pip and uv.

    Clean, with CA_BUNDLE or the system's certificates, and one index for both.
    """
    variables = clean(os.environ)
    variables.update(index_for_uv(variables))
    variables.setdefault("UV_COMPILE_BYTECODE_TIMEOUT", "0")  # no limit: a busy machine may need more than uv's 60 s
    variables.setdefault("UV_HTTP_TIMEOUT", "300")
    if os.environ.get("CA_BUNDLE"):
        variables.update({"SSL_CERT_FILE": os.environ["CA_BUNDLE"], "PIP_CERT": os.environ["CA_BUNDLE"]})
    if ssl.get_default_verify_paths().cafile:
        variables.setdefault("UV_SYSTEM_CERTS", "1")
    return variables


def _works(python: Path) -> bool:
    if not python.exists():
        return False
    return (
        subprocess.run(
            [str(python), "-m", "pip", "--version"], check=False, capture_output=True, env=clean(os.environ)
        ).returncode
        == 0
    )


def _run(command: list[str], cure: str = "make doctor, to see whether a proxy or the disk is the cause") -> None:
    words = " ".join(command).replace(f"{ROOT}/", "")
    print("$", words, file=sys.stderr, flush=True)  # stdout may be evaluated: make env
    if subprocess.run(command, check=False, env=environment()).returncode != 0:
        raise SlipwayError("set-up stopped at the command above; nothing else was changed", cure)
