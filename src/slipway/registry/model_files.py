"""A model's files on this machine, and what the registry records of them: checksum and image."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.registry.model_uri import CHECKSUM_TAG, OTHERS
from slipway.settings import BUILD

if TYPE_CHECKING:
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
    if target.exists():
        whole = compute_checksum(target) == (model.checksum or checksum(target))
        if whole and not fresh:
            return target
        if not whole:
            shutil.rmtree(target)  # it was changed here
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        try:
            registry.download(model.location, Path(scratch, "files"))
        except OSError as error:
            raise SlipwayError(f"the files of {model.uri} cannot be read: {error}", OTHERS) from None
        found = next(Path(scratch).rglob("MLmodel"), None)
        if found is None:
            raise SlipwayError(f"the files of {model.uri} are gone: there is no MLmodel at {model.location}", OTHERS)
        (found.parent / META).unlink(missing_ok=True)
        present = compute_checksum(found.parent)
        if model.checksum not in {None, present} and (found.parent / ENVIRONMENT).exists():
            shutil.rmtree(found.parent / ENVIRONMENT)  # added later, by a command that was killed before it recorded it
            present = compute_checksum(found.parent)
        if model.checksum not in {None, present}:
            raise SlipwayError(
                f"the files of {model.uri} are not those that were registered: their checksum differs", OTHERS
            )
        _checksum_file(target).write_text(present, encoding="utf-8")
        with contextlib.suppress(OSError):  # another command was quicker; the files are the same
            found.parent.rename(target)
    return target


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

    The file that says what it is comes last: without it, or without the checksum, the lock does not count.
    """
    *others, last = sorted(lock.iterdir(), key=lambda file: file.suffix == ".json")
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        copy = Path(shutil.copytree(lock, Path(scratch, ENVIRONMENT)))
        registry.add_files(model.location, copy, [file.name for file in (*others, last)])
        if files.parent == BUILD / "models":  # a copy of the store's files, and not these themselves
            shutil.rmtree(files / ENVIRONMENT, ignore_errors=True)
            copy.rename(files / ENVIRONMENT)
            _checksum_file(files).write_text(compute_checksum(files), encoding="utf-8")
    if model.name and model.version:
        record_checksum(registry, model.name, model.version, files)


def record_checksum(registry: Registry, name: str, version: int | str, files: Path) -> None:
    """Record the checksum of a version's files in the registry: only these are served from now on."""
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


def compute_checksum(files: Path) -> str:
    """Return sha256 over `find . -type f ! -name registered_model_meta | LC_ALL=C sort | xargs sha256sum`.

    The server computes it again before it loads them.
    """
    total = hashlib.sha256()
    for name in sorted(
        f"./{path.relative_to(files)}" for path in files.rglob("*") if path.is_file() and path.name != META
    ):
        total.update(f"{hashlib.sha256((files / name).read_bytes()).hexdigest()}  {name}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _checksum_file(files: Path) -> Path:
    return files.with_name(f"{files.name}.sha256")
