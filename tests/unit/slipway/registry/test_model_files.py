"""A model's files with a lock among them: part of their checksum, and harmless where a kill cut its upload off."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from slipway.errors import SlipwayError
from slipway.registry import model_files
from slipway.registry.model_uri import BARE_TAG, CHECKSUM_TAG, ModelRef
from tests import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from slipway.registry.client import Registry

NAMES = ("environment.json", "requirements.txt", "training.txt")


@dataclass
class Store:
    """A registry with two versions over the same files; its uploads can be cut off after some files."""

    files: Path
    versions: dict[str, dict[str, str]] = field(default_factory=dict)  # their tags
    uploads: int = 99
    meanwhile: Callable[[], object] = lambda: None

    @property
    def tags(self) -> dict[str, str]:
        """The first version's."""
        return self.versions["1"]

    def download(self, location: str, target: Path) -> None:
        """Bring the files at a place."""
        shutil.copytree(self.files / location.removeprefix("store:/m").lstrip("/"), target)

    def add_files(self, _: str, folder: Path, names: Iterable[str]) -> None:
        """Take files, one after another."""
        self.meanwhile()
        (self.files / folder.name).mkdir(exist_ok=True)
        for count, name in enumerate(names):
            if count == self.uploads:
                raise KeyboardInterrupt
            shutil.copy(folder / name, self.files / folder.name / name)

    def list_files(self, _: str, folder: str) -> set[str]:
        """Return what a folder holds."""
        return {path.name for path in (self.files / folder).glob("*")}

    def tag_version(self, _name: str, number: str, tag: str, value: str) -> None:
        """Keep a tag."""
        self.versions[number][tag] = value

    def find_version(self, _name: str, number: str) -> SimpleNamespace:
        """Return a version."""
        return SimpleNamespace(tags=self.versions[number])

    def list_versions(self) -> list[SimpleNamespace]:
        """Return both versions."""
        return [SimpleNamespace(tags=tags) for tags in self.versions.values()]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store with a model, whose checksum is recorded."""
    monkeypatch.setattr(model_files, "BUILD", tmp_path / "build")
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "MLmodel").write_text("flavors: {}\n")
    bare = model_files.compute_checksum(tmp_path / "stored")
    return Store(tmp_path / "stored", {"1": {CHECKSUM_TAG: bare}, "2": {CHECKSUM_TAG: bare}})


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return a lock's folder."""
    (folder := tmp_path / "lock").mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    return folder


def _refer(store: Store, number: str = "1") -> ModelRef:
    tags = store.versions[number]
    return ModelRef(
        f"models:/m/{number}", "store:/m", "m", number, checksum=tags[CHECKSUM_TAG], bare=tags.get(BARE_TAG)
    )


def _fetch(store: Store, number: str = "1", *, fresh: bool = False) -> Path:
    return model_files.fetch(cast("Registry", store), _refer(store, number), fresh=fresh)


def _add(store: Store, files: Path, lock: Path, number: str = "1") -> None:
    model_files.add_environment(cast("Registry", store), _refer(store, number), files, lock)


def _list(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_lock_becomes_part_of_the_files(store: Store, lock: Path) -> None:
    """The checksum on record is that of all files, in the store and here, and a changed lock is refused."""
    files = _fetch(store)
    before = store.tags[CHECKSUM_TAG]
    _add(store, files, lock)
    after = store.tags[CHECKSUM_TAG]

    assert after != before
    assert after == model_files.compute_checksum(files) == model_files.compute_checksum(store.files)
    assert _list(_fetch(store, fresh=True) / "environment") == list(NAMES)
    (store.files / "MLmodel").write_text("flavors: {another: {}}\n")
    with pytest.raises(SlipwayError, match="are not those that were registered"):
        _fetch(store, fresh=True)


def test_a_changed_lock_is_not_used(store: Store, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody recorded what stands there: the version is as without a lock, and gets another."""
    _add(store, _fetch(store), lock)
    (store.files / "environment" / "requirements.txt").write_text("another==1\n")
    files = _fetch(store, fresh=True)
    left = _list(files)
    _add(store, files, lock)

    assert left == ["MLmodel"]
    assert capsys.readouterr().err == "warning: the lock of models:/m/1 was changed, and is not used\n"
    assert (store.files / "environment" / "requirements.txt").read_text() == "requirements.txt"
    assert _list(_fetch(store, fresh=True) / "environment") == list(NAMES)


def test_versions_over_the_same_files_share_a_lock(
    store: Store, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that comes second takes the lock that is there, also where it had the files without it."""
    with monkeypatch.context() as patched:
        patched.setattr(model_files, "BUILD", tmp_path / "elsewhere")
        early = _fetch(store, "2")
    _add(store, _fetch(store), lock)
    seen = _list(_fetch(store, "2") / "environment")
    (lock / "requirements.txt").write_text("another==1\n")
    with monkeypatch.context() as patched:
        patched.setattr(model_files, "BUILD", tmp_path / "elsewhere")
        _add(store, early, lock, "2")

    assert seen == list(NAMES)
    assert store.versions["1"] == store.versions["2"]
    assert (early / "environment" / "requirements.txt").read_text() == "requirements.txt"
    assert _list(_fetch(store, fresh=True) / "environment") == list(NAMES)


def test_another_versions_lock_serves_too(store: Store, lock: Path) -> None:
    """Where two commands each wrote a lock, the one that is there and on record serves both versions."""
    files = _fetch(store)
    _add(store, files, lock)
    (store.files / "environment" / "requirements.txt").write_text("another==1\n")
    store.versions["2"][CHECKSUM_TAG] = model_files.compute_checksum(store.files)
    found = [(_fetch(store, number, fresh=True) / "environment" / "requirements.txt").read_text() for number in "12"]

    assert found == ["another==1\n"] * 2
    assert _fetch(store) == files


def test_a_fetch_waits_for_a_lock_that_is_being_added(store: Store, lock: Path) -> None:
    """Another command, which found the version before, gets the files as they are afterwards."""
    files, model = _fetch(store), _refer(store)
    found: list[list[str]] = []
    began = threading.Event()

    def fetch() -> None:
        assert began.wait(10)
        found.append(_list(model_files.fetch(cast("Registry", store), model) / "environment"))

    def look() -> None:
        began.set()
        time.sleep(0.2)

    store.meanwhile = look
    with beside.together(fetch, 1):
        _add(store, files, lock)

    assert found == [list(NAMES)]
    assert model_files.compute_checksum(files) == store.tags[CHECKSUM_TAG]


def test_an_image_with_other_files_is_no_longer_the_versions(store: Store, lock: Path) -> None:
    """What was pushed before the version had a lock is not started in a cluster: it holds the files as they were."""
    files = _fetch(store)
    model_files.record_image(cast("Registry", store), _refer(store), "registry.example/m:1")
    _add(store, files, lock)

    with pytest.raises(SlipwayError, match="no image of version 1 has been pushed") as raised:
        model_files.find_image(cast("Registry", store), _refer(store))
    assert raised.value.cure.startswith("make push_model MODEL=models:/m/1 ")


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
            _add(store, files, lock)
    store.uploads = 99
    found = _fetch(store)
    left = _list(found)
    _add(store, found, lock)

    assert left == ["MLmodel"]
    assert _list(_fetch(store, fresh=True) / "environment") == list(NAMES)


def test_a_version_without_a_checksum_gets_one(store: Store, lock: Path) -> None:
    """Of a version registered elsewhere, the first use records lock and checksum together."""
    model = replace(_refer(store), checksum=None)
    files = model_files.fetch(cast("Registry", store), model)
    model_files.add_environment(cast("Registry", store), model, files, lock)

    assert store.tags[CHECKSUM_TAG] == model_files.compute_checksum(store.files)
