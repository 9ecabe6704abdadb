"""The lock: of pyproject.toml, without an index of anyone's, and equal to the requirements that are installed."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from slipway.bootstrap import lockfile, projects
from slipway.errors import SlipwayError
from slipway.settings import ROOT
from tests.conftest import need

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = tomllib.loads((ROOT / "poetry.lock").read_text(encoding="utf-8"))
REQUIREMENT = re.compile(r"([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==(\S+)(?: ; [^\\]+?)?((?: --hash=sha256:[0-9a-f]{64})+)")


def test_every_group_is_exported() -> None:
    """Each dependency group has its file in requirements/, except those that are only part of others."""
    files = {path.stem for path in (ROOT / "requirements").iterdir()}

    assert files == set(projects.GROUPS) == PROJECT["dependency-groups"].keys() - {"model", "server", "store"}


@pytest.mark.parametrize("group", projects.GROUPS)
def test_requirements_are_those_of_the_lock(group: str) -> None:
    """An exported file has exactly its group's packages, each in the lock's versions and with all of their hashes."""
    lines = (ROOT / "requirements" / f"{group}.txt").read_text(encoding="utf-8").replace(" \\\n   ", "").splitlines()
    exported = {}
    for line in lines:
        found = REQUIREMENT.fullmatch(line)
        assert found, f"not a pinned and hashed requirement: {line[:120]}"
        exported[found[1], found[2]] = set(re.findall(r"sha256:[0-9a-f]{64}", found[3]))
    packages = [package for package in LOCK["package"] if group in package["groups"]]
    locked = {
        (package["name"], package["version"]): {file["hash"] for file in package["files"]} for package in packages
    }

    assert exported == locked
    assert len(lines) == len(exported), "a package is there twice"


@pytest.mark.parametrize("folder", projects.list_all(), ids=lambda folder: folder.name)
def test_a_lock_is_of_its_pyproject(folder: Path) -> None:
    """A lock's content hash is that of pyproject.toml, as Poetry's Locker (2.3 and later) computes it.

    A folder's own has the groups of the checkout that serve it and that log to MLflow.
    """
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(projects.complete(folder, text))
    lock = tomllib.loads((folder / "poetry.lock").read_text(encoding="utf-8"))
    named = ("requires-python", "dependencies", "optional-dependencies")
    head = {key: value for key, value in project["project"].items() if key in named}
    poetry = {
        key: value
        for key, value in project["tool"]["poetry"].items()
        if key in {"dependencies", "source", "extras", "group"}
    }
    content = {"project": head, "dependency-groups": project["dependency-groups"], "tool": {"poetry": poetry}}
    computed = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    assert lock["metadata"]["content-hash"] == computed, "make lock"


def test_the_lock_names_no_index() -> None:
    """No package of the lock has a source: it installs from whatever index a machine has."""
    with_source = [package["name"] for package in LOCK["package"] if "source" in package]

    assert with_source == []


def test_poetry_agrees() -> None:
    """Poetry itself exports, markers and all, what requirements/ holds."""
    need("poetry", lockfile.POETRY.exists(), "make lock")
    completed = subprocess.run(
        [sys.executable, "scripts/setup.py", "lock", "--check"], cwd=ROOT, check=False, capture_output=True, text=True
    )

    assert completed.returncode == 0, completed.stderr


@pytest.mark.parametrize(
    "script",
    ["exit 1", "[ $1 != export ] || exit 1; echo new > poetry.lock", "echo '[package.source]' > poetry.lock"],
    ids=["lock fails", "export fails", "a source"],
)
def test_a_lock_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """After a failed lock, poetry.lock and requirements/ are as they were, and no scratch is left."""
    old = {
        "pyproject.toml": "project",
        "poetry.lock": "old",
        "requirements/host.txt": "old",
        "build/poetry/poetry": f"#!/bin/sh\n{script}\n",
    }
    for name, words in old.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(words)
    (tmp_path / "build/poetry/poetry").chmod(0o755)
    for name, value in {
        "ROOT": tmp_path,
        "BUILD": tmp_path / "build",
        "POETRY": tmp_path / "build/poetry/poetry",
    }.items():
        monkeypatch.setattr(lockfile, name, value)
    monkeypatch.setattr(projects, "ROOT", tmp_path)
    monkeypatch.setattr(lockfile, "_make_home", lambda: None)
    monkeypatch.setattr(lockfile, "_find_index", lambda: "none")
    with pytest.raises(SlipwayError):
        lockfile.lock(tmp_path / "model")

    assert {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == old


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a model folder without a lock of its own, which asks for a library."""
    (tmp_path / "model.toml").write_text('name = "wine"\nmetric = "rmse"\ndirection = "minimize"\n')
    (tmp_path / "requirements.txt").write_text("--prefer-binary\nlightgbm # trees\n")
    return tmp_path


def _add(folder: Path, *libraries: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "MODEL_DIR": str(folder), "LIBRARY": " ".join(libraries)}
    command = [sys.executable, "scripts/model.py", "add"]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=given)


def test_a_folder_gets_libraries_of_its_own(folder: Path) -> None:
    """`make add` gives a folder its own lock, complete for training and for serving; one that cannot be leaves all."""
    need("poetry", lockfile.POETRY.exists(), "make lock")
    refused = _add(folder, "slipway-has-no-such-library")
    left = {path.name for path in folder.iterdir()}
    added = _add(folder, "scikit-learn==1.8.0")
    locked = {name: (folder / "requirements" / f"{name}.txt").read_text() for name in projects.OF_FOLDER}
    before = (folder / "poetry.lock").read_bytes()
    conflict = _add(folder, "numpy<1.20")

    assert refused.returncode == 1
    assert "error: nothing was changed: Because " in refused.stderr
    assert "slipway-has-no-such-library" in refused.stderr
    assert left == {"model.toml", "requirements.txt"}
    assert added.returncode == 0, added.stderr
    assert "locked: scikit-learn 1.8.0, in the group model" in added.stdout
    assert all("\nlightgbm==" in each and "\nscikit-learn==1.8.0 " in each for each in locked.values())
    assert re.search("^uvicorn==", locked["serving"], re.MULTILINE)
    assert re.search("^matplotlib==", locked["training"], re.MULTILINE)
    assert conflict.returncode == 1
    assert "nothing was changed: Incompatible constraints" in conflict.stderr
    assert "numpy (<1.20)" in conflict.stderr
    assert (folder / "poetry.lock").read_bytes() == before
