"""Environments of the host: one for each lock, in `build/environments`, made by uv when it is first needed.

Every process that runs in one holds a shared lock of its file `in-use`, by a line that Python runs as it starts, so
that the oldest can be removed while others serve.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from slipway import shell
from slipway.errors import SlipwayError
from slipway.runtimes import left_out, locks, pythons, requirements
from slipway.settings import BUILD, ROOT

if TYPE_CHECKING:
    from collections.abc import Collection

    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

PLACE = BUILD / "environments"
KEPT = 16
UNFINISHED = "unfinished-"  # begins the names of what is being made, or removed
ABANDONED_S = 3600.0
IN_USE = "in-use"
UNBUILT = re.compile(
    r"Failed to build `([^`]+)`(?:.*^\s*(\w*Error: [^\n]*))?", re.DOTALL | re.MULTILINE
)  # as uv says it
HOLD = (
    f"import sys, fcntl; sys.in_use = open(sys.prefix + '/{IN_USE}'); fcntl.flock(sys.in_use, fcntl.LOCK_SH); "
    "sys.dont_write_bytecode = False\n"  # else each start would compile the libraries again, where the caller said so
)


def find_python(settings: Settings, lock: Lock, *, training: bool = False) -> Path:
    """Return the interpreter of a lock's environment: to serve, or (`training`) to run a folder's scripts.

    The environment is made if missing. Raises SlipwayError when a library cannot be installed.
    """
    if settings.cluster.is_inside and _has(lock, training=training):
        return Path(sys.executable)  # the pod's own will do
    digest = lock.training_digest if training else lock.digest
    place = PLACE / f"{digest}-{lock.python}"
    interpreter: Path | None = None
    if not (place / "bin" / "python").exists():
        interpreter = pythons.find(lock.python)
        place = place if interpreter else PLACE / f"{digest}-{pythons.OWN}"
    if (place / "bin" / "python").exists():
        with suppress(OSError):
            os.utime(place)
        return place / "bin" / "python"
    _make(settings, place, lock.folder / (locks.TRAINING if training else locks.SERVING), interpreter,
          None if training else lock.kept)  # fmt: skip
    _prune(place)
    return place / "bin" / "python"


def _make(
    settings: Settings, place: Path, wanted: Path, interpreter: Path | None, kept: Collection[str] | None
) -> None:
    """Make an environment under another name and move it to its place: what is there is whole.

    One that serves has not what is `left_out`, but what is `kept`.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=PLACE))
    try:
        _run(settings, "venv", "--quiet", "--allow-existing", "--relocatable", "--no-project",
             "--python", str(interpreter or sys.executable), str(made))  # fmt: skip
        print(f"making {place.relative_to(ROOT)} from the version's lock", file=sys.stderr, flush=True)
        _run(settings, "pip", "install", "--quiet", "--require-hashes", "--python", str(made / "bin" / "python"),
             "--requirement", str(wanted))  # fmt: skip
        if kept is not None:
            python = made / "bin" / "python"
            remove, variables = pythons.uv("pip", "uninstall", "--quiet", "--python", str(python))
            _try(settings, [str(python), left_out.__file__, *kept, "--", *remove], variables)
        packages = next(made.glob("lib/python3*/site-packages"))
        source = os.path.relpath(ROOT / "src", packages)  # a checkout may be moved
        (packages / "slipway.pth").write_text(f"{source}\n{HOLD}", encoding="utf-8")
        (made / IN_USE).touch()
        made.chmod(0o755)
        if not (place / "bin" / "python").exists():
            shutil.rmtree(place, ignore_errors=True)  # the interpreter that it was made with has gone
        with suppress(OSError):  # another command was quicker
            made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _run(settings: Settings, *arguments: str) -> None:
    _try(settings, *pythons.uv(*arguments))


def _try(settings: Settings, command: list[str], variables: dict[str, str]) -> None:
    answer = shell.ask(command, env=variables)
    if answer.code == 0:
        return
    said = answer.words[-600:]
    if failed := UNBUILT.search(answer.words):
        said = f"{failed[1]} has no wheel for this Python and machine, and cannot be built: {(failed[2] or '').strip()}"
        cure = f"a version of {failed[1].split('==')[0]} that has one, in the requirements of the model or its folder"
    elif "hash" in answer.words.lower():
        cure = "train the version again: its lock is not what the package index has, or is not whole"
    elif settings.cluster.is_inside:
        cure = "release it from a machine: make promote or make rollback TARGET=kubernetes"
    else:
        cure = "make doctor, to see whether a proxy or the disk is the cause; RUNTIME=docker installs in an image"
    raise SlipwayError(f"the libraries of the version cannot be installed: {said}", cure)


def _has(lock: Lock, *, training: bool) -> bool:
    """Whether our own environment has all that a lock pins, in these versions."""
    text = (lock.folder / (locks.TRAINING if training else locks.SERVING)).read_text(encoding="utf-8")
    here = {(canonicalize_name(each.name), each.version) for each in metadata.distributions()}
    return requirements.applying(text) <= here


def _prune(newest: Path) -> None:
    """Remove the environments used longest ago, beyond `KEPT`, that no process runs in, and what a kill left."""
    with suppress(OSError):
        found = sorted(PLACE.iterdir(), key=lambda each: -each.stat().st_mtime)
        for left in [each for each in found if each.name.startswith(UNFINISHED)]:
            if left.stat().st_mtime < time.time() - ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)
        whole = [each for each in found if each != newest and not each.name.startswith(UNFINISHED)]
        for place in whole[KEPT - 1 :]:
            with suppress(OSError), (place / IN_USE).open("r+b") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                gone = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=PLACE))
                place.rename(gone / place.name)
                shutil.rmtree(gone, ignore_errors=True)
