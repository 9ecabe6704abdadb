"""Environments of the host: whole or not there, found again, and the oldest that nobody runs in removed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from slipway import settings as slipway_settings
from slipway.errors import SlipwayError
from slipway.runtimes import environments, locks, pythons
from slipway.settings import ROOT, Settings
from tests.conftest import changed

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.runtimes.locks import Lock

CLICK = re.findall(r"^click==.*?(?=^\w)", (ROOT / "requirements" / "host.txt").read_text(), re.MULTILINE | re.DOTALL)[0]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of the host runtime, and a place of our own for its environments."""
    monkeypatch.setattr(environments, "PLACE", tmp_path / "environments")
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    (tmp_path / "src").mkdir()
    return changed(slipway_settings.load(), runtime="host")


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    """Return a lock with one small library."""
    (folder := tmp_path / "lock").mkdir()
    (folder / "requirements.txt").write_text(CLICK)
    (folder / "training.txt").write_text(CLICK)
    (folder / "environment.json").write_text(f'{{"python": "{pythons.OWN}", "image": "python", "system": []}}')
    return locks.Lock(folder)


def test_an_environment_is_made_once_and_held_while_it_runs(
    host: Settings, lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has what the lock pins and nothing of ours, finds our source, and stays while a process runs in it."""
    python = environments.find_python(host, lock)
    started = time.perf_counter()
    again = environments.find_python(host, lock)
    seconds = time.perf_counter() - started
    code = "import click, sys; print(*sys.path, flush=True); input()"
    with subprocess.Popen([python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert str(tmp_path / "src") in [os.path.normpath(each) for each in process.stdout.readline().split()]
        monkeypatch.setattr(environments, "KEPT", 1)
        environments._prune(tmp_path)  # noqa: SLF001 -- what is tested
        held = python.exists()
        process.communicate("\n")
    environments._prune(tmp_path)  # noqa: SLF001 -- what is tested

    assert again == python
    assert seconds < 0.05
    assert python.parent.parent.name == f"{lock.digest}-{pythons.OWN}"
    assert held
    assert not python.exists()
    assert list((tmp_path / "environments").iterdir()) == []


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number, those used longest ago are removed, and what a kill left an hour ago."""
    monkeypatch.setattr(environments, "PLACE", tmp_path)
    monkeypatch.setattr(environments, "KEPT", 8)
    for number in range(10):
        (tmp_path / f"lock{number}").mkdir()
        (tmp_path / f"lock{number}" / "in-use").touch()
        os.utime(tmp_path / f"lock{number}", (number, number))
    for name, age in (("unfinished-new", 10), ("unfinished-old", 4000)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    environments._prune(tmp_path / "lock0")  # noqa: SLF001 -- what is tested

    assert {each.name for each in tmp_path.iterdir()} == {
        "lock0",
        *(f"lock{number}" for number in range(3, 10)),
        "unfinished-new",
    }


def test_what_is_not_there_leaves_nothing(host: Settings, lock: Lock, tmp_path: Path) -> None:
    """A library that the index has not ends in an error that names it, and leaves no environment."""
    (lock.folder / "requirements.txt").write_text(f"slipway-no-such-library==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(SlipwayError, match="cannot be installed") as raised:
        environments.find_python(host, lock)

    assert "slipway-no-such-library" in raised.value.message
    assert list((tmp_path / "environments").iterdir()) == []


def test_what_cannot_be_built_is_named_with_the_reason(host: Settings, lock: Lock, tmp_path: Path) -> None:
    """Of a library without a wheel the error has the last words of its build, and no advice on networks."""
    texts = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "broken"\nbackend-path = ["."]\n',
        "broken.py": "raise ValueError('too old')\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with tarfile.open(tmp_path / "broken-1.0.tar.gz", "w:gz") as sources:
        for name in texts:
            sources.add(tmp_path / name, f"broken-1.0/{name}")
    digest = hashlib.sha256((tmp_path / "broken-1.0.tar.gz").read_bytes()).hexdigest()
    text = f"--find-links {tmp_path}\nbroken==1.0 --hash=sha256:{digest}\n"
    (lock.folder / "requirements.txt").write_text(text)
    with pytest.raises(SlipwayError) as raised:
        environments.find_python(host, lock)

    assert raised.value.message.endswith(
        "broken==1.0 has no wheel for this Python and machine, and cannot be built: ValueError: too old"
    )
    assert raised.value.cure.startswith("a version of broken that has one")


def test_a_pod_uses_its_own_libraries_if_they_will_do(
    host: Settings, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deployer in a cluster has an environment; for another lock it needs an index, or says who has one."""
    inside = changed(host, cluster={"is_inside": True})
    own = environments.find_python(inside, lock)
    (lock.folder / "requirements.txt").write_text(f"click==0.1 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(pythons, "UV", "false")
    with pytest.raises(SlipwayError) as raised:
        environments.find_python(inside, lock)

    assert str(own) == sys.executable
    assert "TARGET=kubernetes" in raised.value.cure
