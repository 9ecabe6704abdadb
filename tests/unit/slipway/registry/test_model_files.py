"""A model's files with a lock among them: part of their checksum, and harmless where a kill cut its upload off."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import pytest

from slipway.errors import SlipwayError
from slipway.registry import model_files
from slipway.registry.model_uri import CHECKSUM_TAG, ModelRef

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from slipway.registry.client import Registry

NAMES = ("environment.json", "requirements.txt", "training.txt")


@dataclass
class Store:
    """A registry with one version; its uploads can be cut off after some files."""

    files: Path
    tags: dict[str, str] = field(default_factory=dict)
    uploads: int = 99

    def download(self, _: str, target: Path) -> None:
        """Bring the files."""
        shutil.copytree(self.files, target)

    def add_files(self, _: str, folder: Path, names: Iterable[str]) -> None:
        """Take files, one after another."""
        (self.files / folder.name).mkdir(exist_ok=True)
        for count, name in enumerate(names):
            if count == self.uploads:
                raise KeyboardInterrupt
            shutil.copy(folder / name, self.files / folder.name / name)

    def tag_version(self, _name: str, _number: str, tag: str, value: str) -> None:
        """Keep a tag."""
        self.tags[tag] = value


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store with a model, whose checksum is recorded."""
    monkeypatch.setattr(model_files, "BUILD", tmp_path / "build")
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "MLmodel").write_text("flavors: {}\n")
    return Store(tmp_path / "stored", {CHECKSUM_TAG: model_files.compute_checksum(tmp_path / "stored")})


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return a lock's folder."""
    (folder := tmp_path / "lock").mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    return folder


def _refer(store: Store) -> ModelRef:
    return ModelRef("models:/m/1", "store:/m", "m", "1", checksum=store.tags[CHECKSUM_TAG])


def _fetch(store: Store, *, fresh: bool = False) -> Path:
    return model_files.fetch(cast("Registry", store), _refer(store), fresh=fresh)


def _list(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_lock_becomes_part_of_the_files(store: Store, lock: Path) -> None:
    """The checksum on record is that of all files, in the store and here, and a changed lock is refused."""
    files = _fetch(store)
    before = store.tags[CHECKSUM_TAG]
    model_files.add_environment(cast("Registry", store), _refer(store), files, lock)
    after = store.tags[CHECKSUM_TAG]

    assert after != before
    assert after == model_files.compute_checksum(files) == model_files.compute_checksum(store.files)
    assert _list(_fetch(store, fresh=True) / "environment") == list(NAMES)
    (store.files / "environment" / "requirements.txt").write_text("another==1\n")
    with pytest.raises(SlipwayError, match="are not those that were registered"):
        _fetch(store, fresh=True)


@pytest.mark.parametrize("uploads", [0, 1, 2, 3], ids=["no file", "one", "two", "all, and no checksum"])
def test_what_a_kill_left_does_not_count(
    store: Store, lock: Path, monkeypatch: pytest.MonkeyPatch, uploads: int
) -> None:
    """An upload that was cut off leaves a version that is served as before, and that a lock can be added to."""
    files = _fetch(store)
    store.uploads = uploads

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "tag_version", end)
        with pytest.raises(KeyboardInterrupt):
            model_files.add_environment(cast("Registry", store), _refer(store), files, lock)
    store.uploads = 99
    found = _fetch(store)
    left = _list(found)
    model_files.add_environment(cast("Registry", store), _refer(store), found, lock)

    assert left == ["MLmodel"]
    assert _list(_fetch(store, fresh=True) / "environment") == list(NAMES)


def test_a_version_without_a_checksum_gets_one(store: Store, lock: Path) -> None:
    """Of a version registered elsewhere, the first use records lock and checksum together."""
    model = replace(_refer(store), checksum=None)
    files = model_files.fetch(cast("Registry", store), model)
    model_files.add_environment(cast("Registry", store), model, files, lock)

    assert store.tags[CHECKSUM_TAG] == model_files.compute_checksum(store.files)
