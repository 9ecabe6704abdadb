"""Removes what was built (`make clean`), or everything, including data (`make wipe`).

Standard library only, Python 3.8 or later: `.venv` itself goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints
from slipway.bootstrap import engine, machine, ownership, venv
from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

GB, MB = 1e9, 1e6
CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache")
UNTOUCHED = {".git", ".venv", ".slipway", "backups"}  # where no caches of ours are looked for
OF_MLFLOW = re.compile(r"\d+|workspaces")  # the names at the top of its artifact root


@dataclass(frozen=True)
class Place:
    """What may be removed: a checkout, the data of its services, and the images of ours that an engine holds."""

    root: Path
    artifact_root: Path
    backup_dir: Path
    project: str  # of compose: it names the services' containers, network and volumes
    images: str = "slipway/*"

    def list_held(self, kind: str) -> list[str]:
        """Return the names of what an engine holds of it, of a kind in `engine.KINDS`."""
        return engine.list_ours(self.project, self.images, kind)


def find_place(variables: Mapping[str, str]) -> Place:
    """Return this checkout's place, as the settings among the environment `variables` say."""
    given = {**hints.read_defaults(), **{name: value.strip() for name, value in variables.items() if value.strip()}}
    root = venv.ROOT.resolve()
    return Place(
        root=root,
        artifact_root=Path(given["MLFLOW_ARTIFACT_ROOT"]).expanduser().resolve(),
        backup_dir=(root / given["BACKUP_DIR"]).resolve(),
        project=given["COMPOSE_PROJECT_NAME"],
    )


def clean(place: Place) -> None:
    """Remove what was built: build/, caches and images; `.venv` and data stay.

    Raises SlipwayError when a folder cannot be removed.
    """
    folders = _spare(place.root, _find_built(place.root))
    files, size = _measure(folders)
    _remove_folders(folders)
    print(f"removed build/ and caches: {files} files, {_words(size)}", flush=True)
    if not engine.answers():
        return
    images, before = place.list_held("images"), engine.measure_images()
    engine.remove("images", images)
    kept = place.list_held("images")
    print(
        f"removed {len(images) - len(kept)} images: {_words(before - engine.measure_images())}; "
        "docker builder prune frees the build cache"
    )
    if kept:
        print(
            f"kept, in use by containers: {', '.join(kept)}\n  try: {hints.complete('make stop_mlflow_services clean')}"
        )


def wipe(place: Place, agree: Callable[[], bool]) -> None:
    """List everything of ours, including data, and remove it if `agree` returns True; backups stay.

    Raises SlipwayError when the artifact root is a folder that must not go, nobody agrees, or something cannot be
    removed.
    """
    folders = [place.artifact_root, place.root / ".slipway", *_find_built(place.root), place.root / ".venv"]
    folders = [folder for folder in folders if os.path.lexists(folder)]
    _refuse_unsafe(place, folders)
    kinds = list(engine.KINDS) if engine.answers() else []
    known = (place.root / ".slipway" / "postgres_password").exists()
    ownership.check_artifacts(place.artifact_root, known=known)
    if kinds:
        ownership.check_project(place.project)
        ownership.check_volumes(place.project, known=known)
    found = {kind: place.list_held(kind) for kind in kinds}
    if not folders and not any(found.values()):
        print("nothing to delete")
        return
    _show(place, folders, found)
    if not agree():
        raise SlipwayError("nothing was deleted", "make wipe, and type wipe; or YES=1 make wipe")
    for kind in kinds:
        engine.remove(kind, place.list_held(kind))
    _remove_folders(folders)
    left = [name for kind in kinds if kind != "images" for name in place.list_held(kind)]
    if left:
        raise SlipwayError(f"still in use: {', '.join(left)}", "stop what uses them (docker ps), then make wipe")
    if kinds and place.list_held("images"):
        print("images used by another project's containers stay")
    print("deleted everything listed")


def agrees(variables: Mapping[str, str]) -> bool:
    """Whether the caller gave YES=1, or someone at a terminal types the word wipe."""
    if variables.get("YES") == "1":
        return True
    if not sys.stdin.isatty():
        return False
    try:
        return input("type wipe to delete all of this: ").strip() == "wipe"
    except EOFError:
        print()
        return False


def _refuse_unsafe(place: Place, folders: Iterable[Path]) -> None:
    artifacts = place.artifact_root
    cure = "MLFLOW_ARTIFACT_ROOT=/the/folder/that/holds/the/artifacts make wipe"
    for holy in (
        Path.home().resolve(),
        place.root.resolve(),
        Path(tempfile.gettempdir()).resolve(),
        Path(sys.executable).resolve(),
    ):
        if artifacts in (holy, *holy.parents):
            raise SlipwayError(f"MLFLOW_ARTIFACT_ROOT is {artifacts}, which holds {holy}: nothing was deleted", cure)
    tracked = machine.ask([*venv.GIT, "-C", str(place.root), "ls-files", "--", str(artifacts)]).words
    if tracked or place.root / ".git" in (artifacts, *artifacts.parents):
        raise SlipwayError(
            f"MLFLOW_ARTIFACT_ROOT is {artifacts}, which holds files of the checkout: nothing was deleted", cure
        )
    for folder in folders:
        if folder.resolve() in (place.backup_dir, *place.backup_dir.parents):
            raise SlipwayError(
                f"BACKUP_DIR is in {folder}, which this would delete: nothing was deleted",
                "move the backups and set BACKUP_DIR",
            )


def _show(place: Place, folders: Iterable[Path], found: Mapping[str, list[str]]) -> None:
    print("this deletes, for good:")
    for folder in folders:
        is_data = folder == place.artifact_root
        files, size = _measure([folder])
        print(
            f"  {_shorten(place, folder):<28} {files} files, {_words(size)}{': models and pictures' if is_data else ''}"
        )
        names = [entry.name for entry in folder.iterdir()] if is_data else []
        others = [name for name in names if not OF_MLFLOW.fullmatch(name) and name != ownership.MARK]
        if others:
            print(f"    CHECK: MLflow does not use these names: {', '.join(sorted(others))}")
    sizes = engine.measure_volumes() if found.get("volumes") else {}
    for kind, names in found.items():
        shown = [
            f"{name} ({sizes[name]}: runs, metrics, the registry)" if name in sizes and "_postgres" in name else name
            for name in names
        ]
        print(*([f"  {kind:<28} {', '.join(shown)}\n"] if names else []), sep="", end="")
    files, size = _measure([place.backup_dir])
    print(f"this stays:\n  {_shorten(place, place.backup_dir):<28} {files} files, {_words(size)}", flush=True)


def _find_built(root: Path) -> list[Path]:
    found = [folder for folder in (root / "build", *(root / name for name in CACHES)) if folder.is_dir()]
    for path, names, _ in os.walk(root):
        names[:] = [name for name in names if name not in UNTOUCHED and Path(path, name) not in found]
        if "__pycache__" in names:
            names.remove("__pycache__")
            found.append(Path(path, "__pycache__"))
    return found


def _spare(root: Path, folders: list[Path]) -> list[Path]:
    """Return, in the place of build/, what is in it without the environments that servers run in; say which stay."""
    build, place = root / "build", root / "build" / "environments"
    kept = sorted(folder for folder in place.glob("*") if _is_in_use(folder))
    if not kept or build.is_symlink():
        return folders
    print(f"kept, servers run in them: {', '.join(str(folder.relative_to(root)) for folder in kept)}", flush=True)
    gone = [path for path in (*build.iterdir(), *place.iterdir()) if path != place and path not in kept]
    return [*(folder for folder in folders if folder != build), *gone]


def _is_in_use(environment: Path) -> bool:
    """Whether a process runs in an environment: it holds a shared lock of this file."""
    try:
        with (environment / "in-use").open("r+b") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _remove_folders(folders: Iterable[Path]) -> None:
    for folder in folders:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
    left = [
        folder for folder in folders if folder.exists() and (not os.access(folder, os.R_OK) or any(folder.iterdir()))
    ]
    if left:
        names = " ".join(shlex.quote(str(folder)) for folder in left)
        raise SlipwayError(f"you may not delete all of {names}: other users own some of it", f"sudo rm -rf {names}")


def _measure(folders: Iterable[Path]) -> tuple[int, int]:
    """Return how many files lie under some folders, and their bytes."""
    sizes = []
    for path, _, names in (step for folder in folders for step in os.walk(folder)):
        for name in names:
            with contextlib.suppress(OSError):  # gone meanwhile
                sizes.append(os.lstat(f"{path}/{name}").st_size)
    return len(sizes), sum(sizes)


def _words(size: float) -> str:
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / MB:.1f} MB"


def _shorten(place: Place, folder: Path) -> str:
    return f"{folder.relative_to(place.root)}/" if place.root in folder.parents else str(folder)
