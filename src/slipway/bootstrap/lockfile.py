"""Locking: poetry.lock from pyproject.toml, and from it each group's hashed requirements. Standard library only.

Poetry lives in build/poetry, an environment of its own made from requirements/lock.txt. Its index is always the one
that pip uses here, by the plain pages that every index has, and stands in the environment only: the lock names no
index.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from slipway.bootstrap.venv import ROOT, find_python
from slipway.errors import SlipwayError

GROUPS = ("serving", "training", "mlflow", "deployer", "host", "dev", "setup", "lock")  # `model` and `server` are only part of others
BUILD = ROOT / "build"
HOME = BUILD / "poetry"
PYTHON = HOME / "bin" / "python"
POETRY = HOME / "bin" / "poetry"
MADE_FROM = HOME / "made-from"  # the digest of the requirements that HOME was completely made from
INDEX_OF_PIP = (
    "from pip._internal.commands import create_command as c; print(c('download').parse_args([])[0].index_url)"
)


def lock(*, upgrade: bool = False) -> None:
    """Lock with the versions that are locked already, or with `upgrade` the newest, and export; all or nothing.

    Raises SlipwayError when a step fails; poetry.lock and requirements/ are then as they were.
    """
    _make_home()
    with tempfile.TemporaryDirectory(dir=str(BUILD)) as name:
        scratch = Path(name)
        for file in ("pyproject.toml", "poetry.lock"):
            if (ROOT / file).exists():
                shutil.copy(str(ROOT / file), str(scratch))
        _run([str(POETRY), "lock", *(["--regenerate"] if upgrade else [])], cwd=scratch, index=_find_index())
        if "[package.source]" in (scratch / "poetry.lock").read_text(encoding="utf-8"):
            raise SlipwayError(
                "the new lock names a package index, so it would only work on this machine",
                "take the source out of pyproject.toml",
            )
        made = {Path("poetry.lock"): scratch / "poetry.lock"}
        for group in GROUPS:
            made[Path("requirements", group + ".txt")] = _export(scratch, group, scratch)
        changed = {ROOT / file: new for file, new in made.items() if not _equal(ROOT / file, new)}
        _replace(changed)
    print("changed:", ", ".join(str(path.relative_to(ROOT)) for path in changed) if changed else "nothing")


def check() -> None:
    """Raise SlipwayError with the names of what differs between pyproject.toml, the lock and requirements/.

    Write nothing.
    """
    _make_home()
    with tempfile.TemporaryDirectory(dir=str(BUILD)) as scratch:
        exported = {group: _export(ROOT, group, Path(scratch)) for group in GROUPS}
        stale = [
            f"requirements/{group}.txt"
            for group, new in exported.items()
            if not _equal(ROOT / "requirements" / (group + ".txt"), new)
        ]
    if stale:
        raise SlipwayError(f"does not match poetry.lock: {', '.join(stale)}", "make lock")
    print("pyproject.toml, poetry.lock and requirements/ agree")


def _make_home() -> None:
    requirements = ROOT / "requirements" / "lock.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if MADE_FROM.exists() and MADE_FROM.read_text(encoding="utf-8") == digest and _works():
        return
    shutil.rmtree(str(HOME), ignore_errors=True)
    BUILD.mkdir(exist_ok=True)
    _run([find_python(), "-m", "venv", str(HOME)])
    _run(
        [
            str(PYTHON),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
            str(requirements),
        ]
    )
    MADE_FROM.write_text(digest, encoding="utf-8")


def _works() -> bool:
    """Whether the environment runs: the Python it was made with may have gone since."""
    try:
        return subprocess.run([str(PYTHON), "-c", "import poetry"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _find_index() -> str:
    """Return the index that pip uses, from its options, files and defaults; POETRY_PYPI_MIRROR_URL goes before it."""
    completed = subprocess.run([str(PYTHON), "-c", INDEX_OF_PIP], check=False, capture_output=True, text=True)
    index = os.environ.get("POETRY_PYPI_MIRROR_URL") or completed.stdout.strip()
    if not index:
        raise SlipwayError(
            f"pip does not say which index it uses: {completed.stderr.strip()}", "POETRY_PYPI_MIRROR_URL=… make lock"
        )
    return index


def _export(project: Path, group: str, folder: Path) -> Path:
    """Export a group from a project's lock into a folder; return the file."""
    file = folder / (group + ".txt")
    command = [str(POETRY), "export", "--project", str(project), "--only", group, "--output", str(file)]
    completed = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
    if completed.returncode != 0 and "changed significantly" in completed.stderr:
        raise SlipwayError("poetry.lock does not match pyproject.toml", "make lock")
    if completed.returncode != 0:
        raise SlipwayError(
            f"poetry cannot export the group {group}: {(completed.stderr + completed.stdout).strip()}", "make lock"
        )
    return file


def _replace(files: dict[Path, Path]) -> None:
    """Put new files in the place of old ones; Ctrl-C waits for the moment that this takes."""
    stopping = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    try:
        for path, new in files.items():
            path.parent.mkdir(exist_ok=True)
            os.replace(str(new), str(path))  # noqa: PTH105 -- as is
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _equal(old: Path, new: Path) -> bool:
    return old.exists() and old.read_bytes() == new.read_bytes()


def _environment(index: str = "") -> dict[str, str]:
    """Return the environment for pip and poetry.

    The caller's, the certificates where they look for them, the index if any.
    """
    environment = {name: value for name, value in os.environ.items() if name != "POETRY_PYPI_MIRROR_URL"}
    environment["POETRY_VIRTUALENVS_CREATE"] = "false"
    own = os.environ.get("CA_BUNDLE")
    bundle = own or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if bundle:
        environment["REQUESTS_CA_BUNDLE"] = bundle
    if own:
        environment["PIP_CERT"] = own
    if index:
        environment["POETRY_PYPI_MIRROR_URL"] = index
    return environment


def _run(command: list[str], cwd: Path = ROOT, index: str = "") -> None:
    print("$", " ".join(command).replace(f"{ROOT}/", ""), flush=True)
    if subprocess.run(command, check=False, cwd=str(cwd), env=_environment(index)).returncode != 0:
        raise SlipwayError(
            "locking stopped at the command above; nothing was changed",
            "make doctor, to see whether a proxy or the disk is the cause",
        )
