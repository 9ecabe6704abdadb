"""Locking: poetry.lock from pyproject.toml, and from it each group's hashed requirements. Standard library only.

Poetry lives in build/poetry, an environment of its own made from requirements/lock.txt. Its index is always the one
that pip uses here, by the plain pages that every index has, and stands in the environment only: the lock names no
index.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.bootstrap import projects
from slipway.bootstrap.venv import ROOT, find_python
from slipway.errors import USAGE, SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILD = ROOT / "build"
HOME = BUILD / "poetry"
PYTHON = HOME / "bin" / "python"
POETRY = HOME / "bin" / "poetry"
MADE_FROM = HOME / "made-from"  # the digest of the requirements that HOME was completely made from
LONGEST = 500  # characters of Poetry's reason
INDEX_OF_PIP = (
    "from pip._internal.commands import create_command as c; print(c('download').parse_args([])[0].index_url)"
)


class StaleError(SlipwayError):
    """The lock is of another pyproject.toml."""


def lock(folder: Path, *, upgrade: bool = False) -> None:
    """Lock what a model folder uses, its own pyproject.toml or the checkout's, and export; all or nothing.

    Versions that are locked already stay; with `upgrade` it takes the newest. After the checkout come the folders whose
    locks no longer match: each has the server's libraries, too. Raises SlipwayError when a step fails; poetry.lock and
    requirements/ are then as they were.
    """
    project = projects.find(folder)
    changed = _relock(project, upgrade=upgrade)
    for other in projects.list_all()[1:] if project == ROOT else []:
        changed += _relock(other, upgrade=False) if _find_stale(other) else []
    print("changed:", ", ".join(changed) if changed else "nothing")


def _relock(project: Path, *, upgrade: bool) -> list[str]:
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    with _locked(project, text, upgrade=upgrade) as made:
        return _change(project, made)


def add(folder: Path, libraries: list[str], group: str, asked: list[str]) -> None:
    """Add libraries to a group of what a model folder uses, lock and export; all or nothing.

    A folder beside model/ gets a pyproject.toml of its own, which begins with what it `asked` for so far. Raises
    SlipwayError, with Poetry's reason, for a library that is not there, or that does not go with the others.
    """
    for library in libraries:
        projects.parse(library)
    if not libraries or group not in projects.ADDED_TO:
        words = f"GROUP is {group!r}: must be model or training" if libraries else "LIBRARY is empty: which library?"
        raise SlipwayError(words, "make add LIBRARY=lightgbm, or make add LIBRARY=shap GROUP=training", USAGE)
    project = projects.find(folder) if folder == ROOT / "model" else folder
    file = project / "pyproject.toml"
    text = file.read_text(encoding="utf-8") if file.exists() else projects.begin(folder, asked)
    for library in libraries:
        text = projects.add(text, group, library)
    with _locked(project, text, quiet=True) as made:
        (own := made[Path("poetry.lock")].with_name("own.toml")).write_text(text, encoding="utf-8")
        exported = made[Path("requirements", "training.txt")].read_text(encoding="utf-8")
        changed = _change(project, {Path("pyproject.toml"): own, **made})
    for library in libraries:
        name = projects.parse(library)[0]
        found = re.search(rf"^{re.escape(name)}(\[[^]]*\])?==([^\s;]+)", exported, re.MULTILINE)
        print(f"locked: {name} {found[2] if found else 'for other machines'}, in the group {group} of {_name(file)}")
    print("changed:", ", ".join(changed) if changed else "nothing")


def check() -> None:
    """Raise SlipwayError with the names of what differs between each pyproject.toml, its lock and its requirements/.

    Write nothing.
    """
    _make_home()
    stale = [name for project in projects.list_all() for name in _find_stale(project)]
    if stale:
        raise SlipwayError(f"does not match pyproject.toml: {', '.join(stale)}", "make lock")
    print("pyproject.toml, poetry.lock and requirements/ agree")


def _find_stale(project: Path) -> list[str]:
    """Return the names of a project's files that do not match its pyproject.toml."""
    with tempfile.TemporaryDirectory(dir=str(BUILD)) as name:
        scratch = _copy(project, (project / "pyproject.toml").read_text(encoding="utf-8"), Path(name))
        try:
            made = {Path("requirements", each + ".txt"): _export(scratch, each) for each in projects.groups(project)}
        except StaleError:
            return [_name(project / "poetry.lock")]
        return [_name(project / file) for file, new in made.items() if not _equal(project / file, new)]


@contextmanager
def _locked(project: Path, text: str, *, upgrade: bool = False, quiet: bool = False) -> Iterator[dict[Path, Path]]:
    """Lock a pyproject.toml in a scratch folder; yield the new files by their places in the project."""
    _make_home()
    with tempfile.TemporaryDirectory(dir=str(BUILD)) as name:
        scratch = _copy(project, text, Path(name))
        command = [str(POETRY), "lock", *(["--regenerate"] if upgrade else [])]
        _run(command, cwd=scratch, index=_find_index(), quiet=quiet)
        if "[package.source]" in (scratch / "poetry.lock").read_text(encoding="utf-8"):
            raise SlipwayError(
                "the new lock names a package index, so it would only work on this machine",
                "take the source out of pyproject.toml",
            )
        made = {Path("poetry.lock"): scratch / "poetry.lock"}
        for group in projects.groups(project):
            made[Path("requirements", group + ".txt")] = _export(scratch, group)
        yield made


def _copy(project: Path, text: str, scratch: Path) -> Path:
    """Fill a scratch folder with what Poetry locks: the complete pyproject.toml, and the lock so far.

    That of the checkout, whose versions then stay, for a folder without one.
    """
    (scratch / "pyproject.toml").write_text(projects.complete(project, text), encoding="utf-8")
    source = project if (project / "poetry.lock").exists() else ROOT
    if (source / "poetry.lock").exists():
        shutil.copy(str(source / "poetry.lock"), str(scratch))
    return scratch


def _change(project: Path, made: dict[Path, Path]) -> list[str]:
    """Put new files that differ in their places; return their names."""
    changed = {project / file: new for file, new in made.items() if not _equal(project / file, new)}
    _replace(changed)
    return [_name(path) for path in changed]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT)) if ROOT in path.parents else str(path)


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


def _export(scratch: Path, group: str) -> Path:
    """Export a group from the lock in a scratch folder; return the file. Raises StaleError for another file's lock."""
    file = scratch / (group + ".txt")
    command = [str(POETRY), "export", "--project", str(scratch), "--only", group, "--output", str(file)]
    completed = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
    if completed.returncode == 0:
        return file
    words = (completed.stderr + completed.stdout).strip()
    kind = StaleError if "changed significantly" in words else SlipwayError
    raise kind(f"poetry cannot export the group {group}: {words}", "make lock")


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


def _run(command: list[str], cwd: Path = ROOT, index: str = "", *, quiet: bool = False) -> None:
    """Run a step. Raises SlipwayError when it fails: with what it said if it was `quiet`."""
    print("$", " ".join(command).replace(f"{ROOT}/", ""), flush=True)
    completed = subprocess.run(
        command, check=False, cwd=str(cwd), env=_environment(index), stderr=subprocess.PIPE if quiet else None
    )
    if completed.returncode != 0:
        reason = _find_reason((completed.stderr or b"").decode("utf-8", "replace"))
        raise SlipwayError(
            f"nothing was changed: {reason}" if reason else "locking stopped at the command above; nothing was changed",
            "another version, or make doctor, to see whether a proxy or the disk is the cause",
        )


def _find_reason(said: str) -> str:
    """Return why Poetry found no versions, in one line, from what it printed."""
    whole = " ".join(said.split())
    found = re.search(r"(Because .*version solving failed|Incompatible constraints .*)", whole)
    return (found[0] if found else whole[-LONGEST:])[:LONGEST]
