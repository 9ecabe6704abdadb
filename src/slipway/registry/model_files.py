"""A model's files on this machine, and what the registry records of them: checksum and image."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.registry.model_uri import BARE_TAG, CHECKSUM_TAG, OTHERS
from slipway.settings import BUILD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef

META = "registered_model_meta"  # MLflow adds it, in a local store to the very files, when it loads a registered version
ENVIRONMENT = "environment"  # what a version is served and validated with: see runtimes/locks.py
IMAGE_TAG = "slipway.served_image"  # of a version: how a cluster calls its image


def fetch(registry: Registry | None, model: ModelRef, *, fresh: bool = False) -> Path:
    """Return a local folder with the model's files; downloaded once, unless `fresh`: a logged model never changes.

    Raises SlipwayError when its files are gone, or are not those that were registered.
    """
    if registry is None or not re.match(r"[a-z-]+:/", model.location):
        return Path(model.location)
    target = BUILD / "models" / (model.model_id or model_folder.digest([], model.location)[:32])
    with _alone(target):
        if target.exists():
            whole = _is_registered(registry, model, target) if model.checksum else _is_as_noted(target)
            if whole and not fresh:
                return target
            if not whole:
                shutil.rmtree(target)  # it was changed here
        return _download(registry, model, target)


def _download(registry: Registry, model: ModelRef, target: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        try:
            registry.download(model.location, Path(scratch, "files"))
        except OSError as error:
            raise SlipwayError(f"the files of {model.uri} cannot be read: {error}", OTHERS) from None
        found = next(Path(scratch).rglob("MLmodel"), None)
        if found is None:
            raise SlipwayError(f"the files of {model.uri} are gone: there is no MLmodel at {model.location}", OTHERS)
        (found.parent / META).unlink(missing_ok=True)
        if not _is_registered(registry, model, found.parent):
            _drop_lock(model, found.parent)
        present = compute_checksum(found.parent)
        if target.exists() and compute_checksum(target) != present:  # with the lock of another version
            shutil.rmtree(target)
        _checksum_file(target).write_text(present, encoding="utf-8")
        if not target.exists():
            found.parent.rename(target)
    return target


def _is_registered(registry: Registry, model: ModelRef, files: Path) -> bool:
    """Whether files are a version's: by its checksum, or its own and a lock that another version over them recorded."""
    present = compute_checksum(files)
    if model.checksum in {None, present}:
        return True
    ours = compute_checksum(files, bare=True) in {model.checksum, model.bare}
    return ours and _is_on_record(registry, present)


def _is_on_record(registry: Registry, present: str) -> bool:
    return any(version.tags.get(CHECKSUM_TAG) == present for version in registry.list_versions())


def _drop_lock(model: ModelRef, files: Path) -> None:
    """Remove a lock that nobody recorded: a kill left it, or it was changed. The version gets another.

    Raises SlipwayError when other files are not a version's either.
    """
    present = compute_checksum(files, bare=True)
    if present not in {model.checksum, model.bare}:
        raise SlipwayError(
            f"the files of {model.uri} are not those that were registered: their checksum differs", OTHERS
        )
    if present != model.checksum:
        print(f"warning: the lock of {model.uri} was changed, and is not used", file=sys.stderr, flush=True)
    shutil.rmtree(files / ENVIRONMENT, ignore_errors=True)


def checksum(files: Path) -> str:
    """Return the checksum that a model's files had when they were downloaded.

    For the user's own folder, the current one.
    """
    noted = _checksum_file(files)
    return (
        noted.read_text(encoding="utf-8")
        if files.parent == BUILD / "models" and noted.exists()
        else compute_checksum(files)
    )


def add_environment(registry: Registry, model: ModelRef, files: Path, lock: Path) -> None:
    """Add the files of a lock to a version's, in the registry and here, and record the checksum of all.

    The file that says what it is comes last: without it, or without the checksum, the lock does not count. Another
    version over the same files may have added one meanwhile, which stays. An image with the files as they were is no
    longer the version's.
    """
    is_copy = files.parent == BUILD / "models"  # of the store's files, and not these themselves
    names = sorted((file.name for file in lock.iterdir()), key=lambda name: (name.endswith(".json"), name))
    with _alone(files) if is_copy else contextlib.nullcontext():
        there = is_copy and _take_environment(registry, model, files, set(names))
        if not there:
            with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
                copy = Path(shutil.copytree(lock, Path(scratch, ENVIRONMENT)))
                registry.add_files(model.location, copy, names)
                if is_copy:
                    _place(copy, files)
        if model.name and model.version:
            record_checksum(registry, model.name, model.version, files)
            version = registry.find_version(model.name, model.version)
            if version and version.tags.get(IMAGE_TAG):
                record_image(registry, model, "")


def _take_environment(registry: Registry, model: ModelRef, files: Path, names: set[str]) -> bool:
    """Whether another version over the same files recorded its lock after these were fetched: then they get it."""
    if names <= {file.name for file in (files / ENVIRONMENT).glob("*")} and _is_as_noted(files):
        return True  # another command of this machine did both
    if not names <= registry.list_files(model.location, ENVIRONMENT):
        return False
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        registry.download(f"{model.location}/{ENVIRONMENT}", Path(scratch, "files"))
        _place(next(Path(scratch).rglob(min(names))).parent, files)
    return _is_on_record(registry, checksum(files))


def _place(environment: Path, files: Path) -> None:
    shutil.rmtree(files / ENVIRONMENT, ignore_errors=True)
    environment.rename(files / ENVIRONMENT)
    _checksum_file(files).write_text(compute_checksum(files), encoding="utf-8")


def record_checksum(registry: Registry, name: str, version: int | str, files: Path) -> None:
    """Record the checksum of a version's files in the registry: only these are served from now on."""
    if (files / ENVIRONMENT).exists():
        registry.tag_version(name, version, BARE_TAG, compute_checksum(files, bare=True))
    registry.tag_version(name, version, CHECKSUM_TAG, checksum(files))


def record_image(registry: Registry, model: ModelRef, image: str) -> None:
    """Record in the registry the name by which a cluster pulls a version's image."""
    registry.tag_version(str(model.name), str(model.version), IMAGE_TAG, image)


def find_image(registry: Registry, model: ModelRef) -> str:
    """Return the name by which a cluster pulls a version's image. Raises SlipwayError if none was pushed."""
    version = registry.find_version(str(model.name), str(model.version))
    found = version.tags.get(IMAGE_TAG) if version else None
    if not found:
        cure = f"make push_model MODEL={shlex.quote(model.uri)} REGISTRY=… or IMAGE_LOAD=…"
        raise SlipwayError(f"no image of version {model.version} has been pushed", cure)
    return str(found)


def compute_checksum(files: Path, *, bare: bool = False) -> str:
    """Return sha256 over `find . -type f ! -name registered_model_meta | LC_ALL=C sort | xargs sha256sum`.

    The server computes it again before it loads them. If `bare`, without the lock.
    """
    total = hashlib.sha256()
    for name in sorted(
        f"./{path.relative_to(files)}" for path in files.rglob("*") if path.is_file() and path.name != META
    ):
        if bare and name.startswith(f"./{ENVIRONMENT}/"):
            continue
        total.update(f"{hashlib.sha256((files / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _checksum_file(files: Path) -> Path:
    return files.with_name(f"{files.name}.sha256")


def _is_as_noted(files: Path) -> bool:
    return compute_checksum(files) == checksum(files)


@contextmanager
def _alone(files: Path) -> Iterator[None]:
    """Keep other commands of this machine from a folder of `build/models` meanwhile."""
    files.parent.mkdir(parents=True, exist_ok=True)
    with files.with_name(f"{files.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
