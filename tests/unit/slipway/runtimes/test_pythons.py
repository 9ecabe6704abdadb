"""In which Python, and on which base image, a version is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from slipway.errors import SlipwayError
from slipway.runtimes import locks, pythons, requirements, resolution
from tests.conftest import changed
from tests.unit.slipway.runtimes.conftest import VERSION, write

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.settings import Settings

OTHER = "3.10"  # a Python that is never ours
OFFICIAL = pythons.OFFICIAL.format(pythons.OWN)
pytestmark = pytest.mark.usefixtures("apart")


@pytest.mark.parametrize(
    ("model", "here", "wanted"),
    [("3.8", "3.12", "3.12"), ("3.11", "3.13", "3.11"), ("3.13", "3.11", "3.11"), ("", "3.12", "3.12")],
    ids=["too old for MLflow 3", "older", "newer", "unknown"],
)
def test_a_lock_holds_for_both_pythons(  # noqa: PLR0913, PLR0917 -- three fixtures, three parameters
    host: Settings, files: Path, monkeypatch: pytest.MonkeyPatch, model: str, here: str, wanted: str
) -> None:
    """Libraries are resolved for the model's Python and the one that is here, which may have to load it."""
    asked: list[str] = []

    def resolve(given: requirements.Asked, *_: object) -> tuple[str, str]:
        asked.append(given.python)
        return "", ""

    monkeypatch.setattr(resolution, "resolve", resolve)
    monkeypatch.setattr(pythons, "of_runtime", lambda _: here)
    monkeypatch.setattr(requirements, "serves", lambda _: True)
    write(files, "tabulate==0.9.0\n", model)
    lock = locks.of_version(host, None, VERSION, files)

    assert asked == [wanted]
    assert lock.python == (model or here)


def test_another_python_is_said_and_tried_or_refused(
    host: Settings, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of data are tried in the Python that is here; a pickle is refused, with what would serve it."""
    write(files, "pandas>=2\n", OTHER)
    words = f"models:/wine/3 was trained in Python {OTHER}, and this machine has {pythons.OWN}"
    cure = f"install Python {OTHER}, or RUNTIME=docker PYTHON_IMAGE=python:{OTHER}-slim-trixie"
    lock = locks.of_version(host, None, VERSION, files)

    assert (lock.python, lock.image) == (OTHER, f"python:{OTHER}-slim-trixie")
    assert f"note: {words}, which should read its files; if not: {cure}" in capsys.readouterr().err
    (files / "model.pkl").touch()
    with pytest.raises(SlipwayError, match="cannot read its pickled files") as raised:
        locks.of_version(host, None, VERSION, files)
    assert raised.value.message.startswith(words)
    assert raised.value.cure == cure


def test_a_python_that_is_here_is_used(host: Settings, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an interpreter of that version on this machine, pickles and all are served without a word."""
    write(files, "pandas>=2\n", OTHER)
    (files / "model.pkl").touch()
    monkeypatch.setattr(pythons, "find", lambda version: files if version == OTHER else None)

    assert locks.of_version(host, None, VERSION, files).python == OTHER


@pytest.mark.parametrize(
    ("image", "python", "named"),
    [
        ("mirror.example/python:3.13-slim", "3.13", "mirror.example/python:3.13-slim"),
        ("mirror.example/python:3.13-slim", "3.12", "python:3.12-slim-trixie"),
        ("mirror.example/own:7", "3.13", "python:3.13-slim-trixie"),
    ],
    ids=["that version", "another", "unknown"],
)
def test_the_image_has_the_versions_python(host: Settings, image: str, python: str, named: str) -> None:
    """PYTHON_IMAGE if its tag says that it has the Python of the version, else the official one."""
    assert pythons.name_image(changed(host, images={"python": image}), python) == named


@pytest.mark.parametrize(
    ("present", "told"),
    [(OFFICIAL, False), (f"{OFFICIAL}@sha256:1", False), ("own:7", True)],
    ids=["the same", "pinned", "another"],
)
def test_another_base_image_is_said(  # noqa: PLR0913 -- four fixtures, two parameters
    host: Settings,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    present: str,
    *,
    told: bool,
) -> None:
    """A version that was trained on another image with the same Python is served, and a line tells of it."""
    monkeypatch.setattr(pythons, "of_runtime", lambda _: pythons.OWN)
    before = changed(host, images={"python": OFFICIAL})
    locks.of_version(before, None, VERSION, files).folder.rename(files / "environment")
    locks.of_version(changed(before, runtime="docker", images={"python": present}), None, VERSION, files)
    words = f"note: models:/wine/3 has the base image {OFFICIAL} on record, and is served on own:7; PYTHON_IMAGE="

    assert capsys.readouterr().err.startswith(words) == told
