"""What a version is served with: a complete, hashed lock of its libraries, its Python and its system's packages.

It lies among the version's files, in `environment/`: `requirements.txt` (the model's libraries and the server's),
`training.txt` (the model's, and what the folder's scripts import), `environment.json`. A version that has none gets one
when it is registered, or when it is first used: the folder's lock if that has what the model asks for, else one that uv
resolves from the model's requirements. See docs/adr/0017-a-version-carries-its-environment.md.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import InvalidName, canonicalize_name

from slipway import model_folder
from slipway.bootstrap import projects
from slipway.errors import SlipwayError
from slipway.registry import model_files
from slipway.runtimes import declared, left_out, pythons, requirements, resolution
from slipway.settings import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.registry.model_uri import ModelRef
    from slipway.runtimes.requirements import Asked
    from slipway.settings import Settings

SERVING, TRAINING, ABOUT = "requirements.txt", "training.txt", "environment.json"
PARQUET = "pyarrow"
DIGITS = 12  # of a digest
PYTHON = re.compile(r"3\.\d+")
OLDEST = (3, 10)  # Python that MLflow 3 runs in


@dataclass(frozen=True)
class Lock:
    """A folder with a lock. Its properties raise OSError where it has none."""

    folder: Path

    @property
    def is_whole(self) -> bool:
        """Whether the folder has a lock."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            is_known = bool(PYTHON.fullmatch(self.python) and self.image) and isinstance(
                self._about.get("system", []), list
            )
            return is_known and (self.folder / SERVING).is_file() and (self.folder / TRAINING).is_file()
        return False

    @cached_property
    def digest(self) -> str:
        """What identifies an environment that serves."""
        return model_folder.digest([self.folder / SERVING, self.folder / ABOUT])[:DIGITS]

    @cached_property
    def training_digest(self) -> str:
        """What identifies an environment that scripts run in."""
        return model_folder.digest([self.folder / TRAINING, self.folder / ABOUT])[:DIGITS]

    @property
    def python(self) -> str:
        """The Python version, such as 3.13."""
        return str(self._about["python"])

    @property
    def image(self) -> str:
        """The image to build on, such as python:3.13-slim-trixie."""
        return str(self._about["image"])

    @property
    def system(self) -> tuple[str, ...]:
        """The Debian packages that libraries load, such as libgomp1; raise SlipwayError for what is no such name."""
        names = tuple(map(str, self._about.get("system", ())))
        if wrong := [name for name in names if not model_folder.DEBIAN.fullmatch(name)]:
            raise SlipwayError(f"{self.folder / ABOUT} names {wrong[0]!r}, which is no Debian package")
        return names

    @property
    def kept(self) -> tuple[str, ...]:
        """The libraries that the model asks for though others are served without them: see `left_out`.

        All of them with a lock that says nothing of it: it was made when nothing was left out. Raises SlipwayError.
        """
        names = self._about.get("kept", sorted(left_out.LEFT_OUT))
        try:
            return tuple(canonicalize_name(name, validate=True) for name in names)
        except (InvalidName, TypeError):
            raise SlipwayError(f"{self.folder / ABOUT}: kept is no list of libraries: {names!r}") from None

    @cached_property
    def _about(self) -> dict[str, str | list[str]]:
        return dict(json.loads((self.folder / ABOUT).read_text(encoding="utf-8")))


def of_folder(settings: Settings, model: ModelFolder) -> Lock:
    """Return the lock of a model folder, for the runtime's Python."""
    return _keep(settings, model, *_read_both(settings, model))


def of_version(settings: Settings, registry: Registry | None, model: ModelRef, files: Path) -> Lock:
    """Return the lock that a model's files carry, made now, and recorded if the registry is ours, if they have none.

    With SCORING_CHECK_LIBRARIES=off the folder's lock serves, whatever the model asks for. Raises SlipwayError for
    libraries that cannot be resolved, and for a Python version that is not here and that the model needs.
    """
    folder = model_folder.load(settings.model_dir)
    if settings.serving.scoring.get("SCORING_CHECK_LIBRARIES") == "off":
        return _complete(settings, folder, of_folder(settings, folder), files)
    lock = Lock(files / model_files.ENVIRONMENT)
    # In a cluster the version's image is there already: with other files it would not start
    is_written = bool(model.name and model.version) and _is_ours(settings) and not settings.cluster.is_inside
    if not lock.is_whole:
        lock = _choose(settings, folder, files, model.uri)
        if registry and is_written and folder.name == model.name:  # another folder's packages are not the version's
            with suppress(SlipwayError, OSError):  # who may not write there resolves it again elsewhere
                model_files.add_environment(registry, model, files, lock.folder)
                if Lock(files / model_files.ENVIRONMENT).is_whole:  # it may be one that was there first
                    lock = Lock(files / model_files.ENVIRONMENT)
    elif registry and is_written and model.checksum not in {None, model_files.checksum(files)}:
        with suppress(SlipwayError):  # the lock of another version over the same files
            model_files.record_checksum(registry, str(model.name), str(model.version), files)
    _check_base(settings, lock, files, model.uri)
    return _complete(settings, folder, _renew(settings, folder, lock, files, model.uri), files)


def give(settings: Settings, registry: Registry, model: ModelRef, files: Path, trained: Lock) -> None:
    """Add a lock to the files of a version that was just registered, unless it has one, and record their checksum.

    `trained` is the lock that its script ran with: what that has for scripts alone is none of the model's libraries.
    A model whose libraries cannot be resolved is registered all the same, with a warning: nobody trains in vain.
    """
    if Lock(files / model_files.ENVIRONMENT).is_whole:
        model_files.record_checksum(registry, str(model.name), str(model.version), files)
        return
    try:
        lock = _choose(settings, model_folder.load(settings.model_dir), files, model.uri, trained)
    except SlipwayError as error:
        print(f"warning: it is registered, and cannot be served yet: {error.message}", file=sys.stderr)
        print(f"  try: {error.cure}", file=sys.stderr, flush=True)
        model_files.record_checksum(registry, str(model.name), str(model.version), files)
        return
    model_files.add_environment(registry, model, files, lock.folder)


def _choose(settings: Settings, folder: ModelFolder, files: Path, uri: str, trained: Lock | None = None) -> Lock:
    """Return the folder's lock, as it was when it `trained`, if it has what the model asks for; else uv resolves one.

    Of a version that somebody else may have trained, nothing that it asks for is left out.
    """
    if trained:
        serving, training = _read(trained.folder / SERVING), _read(trained.folder / TRAINING)
        folder = replace(folder, system=trained.system)
    else:
        serving, training = _read_both(settings, folder)
    locked = requirements.pins(serving)
    asked = requirements.read(uri, files, requirements.pins(training).keys() - locked.keys() if trained else ())
    if asked is None:
        _say(f"{uri} does not say which libraries it needs: those of {folder.path.name}/ serve it")
        return _keep(settings, folder, serving, training, requirements.read_python(files))
    for remark in asked.remarks:
        _say(f"{uri}: {remark}")
    if requirements.fits(asked, locked):
        return _keep(settings, folder, serving, training, asked.python)
    return _resolve(settings, folder, asked, (serving, training))


def _resolve(settings: Settings, folder: ModelFolder, asked: Asked, near: tuple[str, str]) -> Lock:
    """Resolve what a model asks for with what our server needs, near another lock's files.

    For the model's Python and the runtime's: the older of both, unless that is older than our server's libraries.
    """
    here = pythons.of_runtime(settings)
    asked = replace(asked, python=asked.python or here)
    oldest = min((asked.python, here), key=_number)
    both = resolution.resolve(replace(asked, python=oldest if _number(oldest) >= OLDEST else here), near)
    return _keep(settings, folder, *both, asked.python)


def _renew(settings: Settings, folder: ModelFolder, lock: Lock, files: Path, uri: str) -> Lock:
    """Return a lock that our server can run with: with an old one, the server's libraries are resolved again.

    The model's stay: what it asks for is pinned, the rest preferred.
    """
    texts = (_read(lock.folder / SERVING), _read(lock.folder / TRAINING))
    if requirements.serves(requirements.pins(texts[0])):
        return lock
    asked = requirements.read(uri, files) or requirements.Asked(uri, files, "")
    return _resolve(settings, replace(folder, system=lock.system), replace(asked, python=lock.python), texts)


def _complete(settings: Settings, folder: ModelFolder, lock: Lock, files: Path) -> Lock:
    """Return a lock that also says what of `left_out` the model asks for, and has pyarrow if Parquet is to be read."""
    serving, asked = _read(lock.folder / SERVING), requirements.read("", files)
    kept = {*lock.kept, *_find_kept(asked.lines if asked else [])}
    lacks = settings.serving.parquet and PARQUET not in requirements.pins(serving)
    if kept == set(lock.kept) and not lacks:
        return lock
    serving += _read(ROOT / "requirements" / "parquet.txt") if lacks else ""
    training = _read(lock.folder / TRAINING)
    return _keep(settings, replace(folder, system=lock.system), serving, training, lock.python, kept)


def _find_kept(lines: Iterable[str]) -> set[str]:
    """Return what of `left_out` stays because requirements name it, and the names whose extras they ask for."""
    wanted = [found for line in lines if (found := requirements.parse(line))]
    names = {canonicalize_name(each.name) for each in wanted}
    return {canonicalize_name(each.name) for each in wanted if each.extras} | names & left_out.LEFT_OUT.keys()


def _check_base(settings: Settings, lock: Lock, files: Path, uri: str) -> None:
    """Say that a model was trained on another base image, or in another Python.

    Raises SlipwayError where that Python is not here and must be.
    """
    here, image, present = pythons.of_runtime(settings), lock.image, settings.images.python
    build = f"PYTHON_IMAGE={image} make build_base_container"
    if lock.python == here or (not settings.in_docker and pythons.find(lock.python)):
        if settings.in_docker and image.partition("@")[0] != present.partition("@")[0]:  # without the digest
            _say(f"{uri} has the base image {image} on record, and is served on {present}; {build} brings that back")
        return
    if settings.in_docker:
        where, cure = "the base image", f"{build}, then the same command again"
    else:
        where, cure = "this machine", f"install Python {lock.python}, or RUNTIME=docker PYTHON_IMAGE={image}"
    words = f"{uri} was trained in Python {lock.python}, and {where} has {here}"
    if not requirements.is_portable(files):
        raise SlipwayError(f"{words}, which cannot read its pickled files", cure)
    _say(f"{words}, which should read its files; if not: {cure}")


def _keep(  # noqa: PLR0913, PLR0917 -- the parts of a lock
    settings: Settings, folder: ModelFolder, serving: str, training: str, python: str = "", kept: Iterable[str] = ()
) -> Lock:
    """Return a lock of this content in `build/locks`."""
    python = python or pythons.of_runtime(settings)
    about = {"python": python, "image": pythons.name_image(settings, python), "system": list(folder.system)}
    about["kept"] = sorted({*kept, *_find_kept(projects.read_model(folder.path))})
    place = BUILD / "locks"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        for name, text in ((SERVING, serving), (TRAINING, training), (ABOUT, json.dumps(about, indent=1) + "\n")):
            Path(scratch, name).write_text(text, encoding="utf-8")
        target = place / model_folder.digest(sorted(Path(scratch).iterdir()))[:DIGITS]
        if not target.exists():
            new = Path(shutil.copytree(scratch, f"{scratch}.new"))
            try:
                new.rename(target)
            except OSError:  # another command was quicker
                shutil.rmtree(new)
    return Lock(target)


def _number(python: str) -> tuple[int, ...]:
    return tuple(map(int, python.split(".")))


def _is_ours(settings: Settings) -> bool:
    return settings.tracking.is_ours or not settings.tracking_uri.startswith("http")


def _read_both(settings: Settings, folder: ModelFolder) -> tuple[str, str]:
    """Return the files of a folder's lock, to serve and to train.

    Those of a folder whose own files ask for something else than the checkout's lock has are resolved by uv.
    """
    both = _read(folder.requirements / "serving.txt"), _read(folder.requirements / "training.txt")
    asked = declared.read(folder)
    if asked is None:
        return both
    for remark in asked.remarks:
        _say(f"{asked.uri}: {remark}")
    if declared.is_had(asked, folder):
        return both
    return resolution.resolve(replace(asked, python=pythons.of_runtime(settings)), both)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SlipwayError(f"{file} cannot be read: {error.strerror}", "make lock") from None


@cache
def _say(words: str) -> None:
    """Tell the user something, once in a command."""
    print(f"note: {words}", file=sys.stderr, flush=True)
