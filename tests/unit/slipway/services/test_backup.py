"""The parts of backup and restore that need no services: the archive, and what may be restored where."""

import gzip
import io
import json
import stat
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slipway import settings as slipway_settings
from slipway.errors import SlipwayError
from slipway.services import archive, database, restore
from slipway.services.archive import Manifest
from slipway.settings import Settings
from tests.conftest import changed

MADE = Manifest(archive.FORMAT, "0.1.0", "2026-01-31T23:59:59+01:00", 17, "3.17.2", {"runs": 1})
Change = Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Return an archive of a small dump and two artifacts."""
    files = tmp_path / "store" / "0" / "files"
    files.mkdir(parents=True)
    (tmp_path / "dump").write_bytes(b"a dump" * 1000)
    (files / "model.pkl").write_bytes(bytes(range(256)) * 400)
    (files / "größe; 1.txt").write_text("")
    archive.pack(tmp_path / "packed.tar.gz", tmp_path / "dump", tmp_path / "store", MADE)
    return tmp_path / "packed.tar.gz"


@pytest.fixture
def docker_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings with Postgres 17 and a backup folder of the test's own."""
    monkeypatch.setenv("POSTGRES_IMAGE", "postgres:17")
    return changed(slipway_settings.load(), services={"backup_dir": tmp_path})


def repack(path: Path, change: Change) -> Path:
    """Write an archive again, changed, as someone would who knows the format."""
    with tarfile.open(path) as tar:
        members = [(member, source.read()) for member in tar if (source := tar.extractfile(member))]
    change(members)
    changed = path.with_name("changed.tar.gz")
    with tarfile.open(changed, "w:gz") as tar:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return changed


def add(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Change:
    """Return the change that adds a member, and the manifest's line for it."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        manifest = json.loads(members[-1][1])
        manifest["files"][name] = [0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
        members[-1:] = [(member, b""), (members[-1][0], json.dumps(manifest).encode())]

    return change


def edit_manifest(**changes: object) -> Change:
    """Return the change that gives the manifest other values."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members[-1] = (members[-1][0], json.dumps({**json.loads(members[-1][1]), **changes}).encode())

    return change


def test_what_was_packed_is_verified_and_comes_back(packed: Path, tmp_path: Path) -> None:
    """The manifest lists every file, the archive is its owner's alone, and the files come back byte for byte."""
    manifest = archive.verify(packed)
    archive.extract(packed, tmp_path / "back")

    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    assert manifest.counts == {"runs": 1, "artifact files": 2}
    assert sorted(manifest.files) == ["artifacts/0/files/größe; 1.txt", "artifacts/0/files/model.pkl", "database.dump"]
    assert (tmp_path / "back" / "database.dump").read_bytes() == b"a dump" * 1000
    assert (tmp_path / "back" / "artifacts" / "0" / "files" / "model.pkl").read_bytes() == bytes(range(256)) * 400


def test_every_flipped_byte_is_found(packed: Path) -> None:
    """Wherever a byte changes, the archive is damaged, unless it still unpacks to the same (gzip has unused bits)."""
    whole = packed.read_bytes()
    missed = []
    for place in range(0, len(whole), 7):
        packed.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            archive.verify(packed)
        except SlipwayError:
            continue
        if gzip.decompress(packed.read_bytes()) != gzip.decompress(whole):
            missed.append(place)

    assert missed == []


@pytest.mark.parametrize(
    "left", [0, 5, 0.3, 0.9, -1], ids=["empty", "header only", "a third", "most", "all but a byte"]
)
def test_a_truncated_archive_is_refused(packed: Path, left: float) -> None:
    """An archive that a copy broke off is damaged, wherever it broke off."""
    whole = packed.read_bytes()
    packed.write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])

    with pytest.raises(SlipwayError, match="is damaged, or not a backup"):
        archive.verify(packed)


@pytest.mark.parametrize(
    "change",
    [
        add("../outside"),
        add("artifacts/../../outside"),
        add("/etc/outside"),
        add("elsewhere/file"),
        add("artifacts/link", tarfile.SYMTYPE, "/etc/passwd"),
        add("artifacts/link", tarfile.LNKTYPE, "database.dump"),
        add("artifacts/pipe", tarfile.FIFOTYPE),
        add("database.dump"),
        lambda members: members.pop(0),
        lambda members: members.pop(1),
        lambda members: members.pop(),
        lambda members: members.__setitem__(1, (members[1][0], b"another model")),
        edit_manifest(files={}),
        edit_manifest(files=None),
        edit_manifest(surplus=1),
    ],
    ids=[
        "path outside", "path outside by a detour", "absolute path", "another folder", "symbolic link", "hard link",
        "pipe", "twice", "no dump", "a file missing", "no manifest", "another content", "no files listed", "files null",
        "unknown field",
    ],
)  # fmt: skip
def test_an_archive_that_someone_changed_is_refused(packed: Path, change: Change) -> None:
    """What leads outside, is no plain file, or differs from the manifest is refused, though gzip and tar are fine."""
    changed = repack(packed, change)

    with pytest.raises(SlipwayError, match="is damaged, or not a backup"):
        archive.verify(changed)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Any other gzip file is no backup."""
    other = tmp_path / "other.tar.gz"
    other.write_bytes(gzip.compress(b"words"))

    with pytest.raises(SlipwayError, match="is damaged, or not a backup"):
        archive.verify(other)


def test_an_unknown_format_names_the_slipway_that_wrote_it(packed: Path) -> None:
    """An archive of a later format says who can read it."""
    changed = repack(packed, edit_manifest(format=2, slipway="9.0.0"))

    with pytest.raises(SlipwayError, match="has format 2, and this Slipway reads 1") as error:
        archive.verify(changed)
    assert error.value.cure == "Slipway 9.0.0, which wrote it"


@pytest.mark.parametrize(
    ("postgres", "mlflow", "words"),
    [(18, "3.17.2", "PostgreSQL 18, and postgres:17 is older"), (17, "99.0.0", "MLflow 99.0.0, and .* is older")],
    ids=["postgres", "mlflow"],
)
def test_what_newer_programs_made_is_refused(docker_settings: Settings, postgres: int, mlflow: str, words: str) -> None:
    """An older Postgres or MLflow cannot read what a newer one wrote."""
    with pytest.raises(SlipwayError, match=words):
        restore.check_versions(replace(MADE, postgres=postgres, mlflow=mlflow), docker_settings)


def test_what_older_programs_made_is_welcome(docker_settings: Settings) -> None:
    """An archive of an older Postgres and MLflow can be restored."""
    restore.check_versions(replace(MADE, postgres=16, mlflow="3.9.10"), docker_settings)


@pytest.mark.parametrize(("name", "code"), [("", 2), ("no/such.tar.gz", 1)], ids=["none", "no such file"])
def test_without_an_archive_the_error_lists_what_there_is(docker_settings: Settings, name: str, code: int) -> None:
    """The newest archive is listed first, and is what the cure names.

    The exit code is that of wrong usage when none was given.
    """
    for date in ("20260101-000000", "20260131-235959"):
        (docker_settings.services.backup_dir / f"slipway-{date}.tar.gz").touch()
    with pytest.raises(SlipwayError) as error:
        restore.find(docker_settings.services, name)

    assert error.value.message.index("20260131") < error.value.message.index("20260101")
    assert (
        error.value.cure == f"make restore BACKUP={docker_settings.services.backup_dir}/slipway-20260131-235959.tar.gz"
    )
    assert error.value.code == code


@pytest.mark.parametrize(
    ("rows", "filled"),
    [
        ({}, []),
        ({"alembic_version": 1, "experiments": 1, "workspaces": 1, "experiment_tags": 1, "runs": 0}, []),
        ({"experiments": 2, "runs": 0}, ["experiments"]),
        ({"experiments": 1, "runs": 1, "trace_info": 3}, ["runs", "trace_info"]),
    ],
    ids=["never started", "started once", "an experiment", "a run and traces"],
)
def test_a_database_is_empty_until_people_put_something_there(rows: dict[str, int], filled: list[str]) -> None:
    """What MLflow's server itself writes into a new database does not count."""
    assert database.find_filled(rows) == filled


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    """Writing to a full disk is an error with its cure, and no traceback."""
    with (
        pytest.raises(SlipwayError, match="the disk is full"),
        archive.disk_errors(tmp_path),
        Path("/dev/full").open("wb", 0) as full,
    ):
        full.write(b"x")
