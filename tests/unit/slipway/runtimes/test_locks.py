"""Which lock a version gets: its own, its folder's, or one that uv resolves."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.registry import model_files
from slipway.runtimes import left_out, locks, pythons, requirements, resolution
from slipway.settings import ROOT, Settings
from tests.conftest import changed
from tests.unit.slipway.runtimes.conftest import LOCKED, PANDAS, VERSION, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("apart")


def _no_uv(*_: object) -> NoReturn:
    pytest.fail("uv was asked")


def test_the_folders_lock_has_it_at_no_cost(
    host: Settings, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that asks for what its folder locks gets just that lock, without a word and without uv."""
    monkeypatch.setattr(resolution, "resolve", _no_uv)
    lock = locks.of_version(host, None, VERSION, files)

    assert (lock.folder / "requirements.txt").read_bytes() == (ROOT / "requirements" / "serving.txt").read_bytes()
    assert (lock.folder / "training.txt").read_bytes() == (ROOT / "requirements" / "training.txt").read_bytes()
    assert json.loads((lock.folder / "environment.json").read_text()) == {
        "python": pythons.OWN,
        "image": pythons.name_image(host, pythons.OWN),
        "system": [],
        "kept": [],
    }
    assert capsys.readouterr().err == ""


def test_the_versions_own_lock_is_taken(host: Settings, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock among a version's files serves it, whatever the folder locks by now."""
    monkeypatch.setattr(resolution, "resolve", _no_uv)
    shutil.copytree(locks.of_version(host, None, VERSION, files).folder, files / "environment")
    write(files, "pandas==0.1\n")

    assert locks.of_version(host, None, VERSION, files).folder == files / "environment"


@pytest.mark.parametrize("about", ["[1]", "{}", '{"python": "../x", "image": "python"}', '{"python": "3.13"}'])
def test_a_lock_that_says_nonsense_is_none(host: Settings, files: Path, about: str) -> None:
    """What it says becomes the name of a folder, and arguments of commands."""
    shutil.copytree(locks.of_version(host, None, VERSION, files).folder, files / "environment")
    (files / "environment" / "environment.json").write_text(about)

    assert locks.of_version(host, None, VERSION, files).python == pythons.OWN


def test_half_a_lock_is_none(host: Settings, files: Path) -> None:
    """What a killed upload left does not count: the file that says what it is comes last."""
    (files / "environment").mkdir()
    (files / "environment" / "requirements.txt").write_text("pandas==0.1\n")

    assert locks.of_version(host, None, VERSION, files).folder != files / "environment"


def test_a_digest_is_of_what_an_environment_is_made_from(host: Settings, tmp_path: Path) -> None:
    """What only scripts need makes another training environment, and the same one to serve."""
    first = locks.of_folder(host, model_folder.load(ROOT / "model"))
    folder = shutil.copytree(first.folder, tmp_path / "other")
    (folder / "training.txt").write_text("tqdm==1\n")
    other = locks.Lock(folder)

    assert other.digest == first.digest
    assert other.training_digest != first.training_digest
    assert re.fullmatch("[0-9a-f]{12}", first.digest)


def test_other_libraries_are_resolved_near_the_folders(
    host: Settings, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the model pins wins; all else is as the folder locks it, hashed, with what the server needs. Once."""
    write(files, "mlflow==2.14.1\ntabulate==0.9.0\npytest==9.0\n")
    lock = locks.of_version(host, None, VERSION, files)
    said = capsys.readouterr().err
    text = (lock.folder / "requirements.txt").read_text()
    found = requirements.pins(text)
    scripts = requirements.pins((lock.folder / "training.txt").read_text())
    again = locks.of_version(host, None, VERSION, files)

    assert found["tabulate"] == {"0.9.0"}
    assert found["uvicorn"] == LOCKED["uvicorn"]
    assert found["mlflow-skinny"] == LOCKED["mlflow-skinny"]
    assert scripts["tabulate"] == {"0.9.0"}
    assert {"matplotlib", "sqlalchemy"} <= scripts.keys()
    assert not {"matplotlib", "pytest", "mlflow"} & found.keys()
    assert text.count("--hash=sha256:") > len(found)
    assert said.splitlines() == [
        "note: models:/wine/3: it asks for MLflow 2.14.1, and gets mlflow-skinny <4,>=3.1",
        "note: models:/wine/3: not a requirement, because only training has it: pytest==9.0",
        "note: no lock has what models:/wine/3 asks for: resolving its libraries",
    ]
    assert again == lock
    assert "resolving" not in capsys.readouterr().err


def test_what_cannot_be_had_is_named(host: Settings, files: Path) -> None:
    """The error names the requirement that does not exist; with the check off, the folder's lock is taken unasked."""
    write(files, "pandas>=2\nslipway-no-such-library==1.2\n")
    with pytest.raises(SlipwayError) as raised:
        locks.of_version(host, None, VERSION, files)

    assert raised.value.message.startswith("the libraries of models:/wine/3 cannot be resolved: ")
    assert "slipway-no-such-library" in raised.value.message
    assert "\n" not in raised.value.message
    assert "SCORING_CHECK_LIBRARIES=off" in raised.value.cure
    off = changed(host, serving={"scoring": {"SCORING_CHECK_LIBRARIES": "off"}})
    assert locks.of_version(off, None, VERSION, files) == locks.of_folder(off, model_folder.load(ROOT / "model"))


def test_an_old_lock_gets_the_server_of_today(host: Settings, files: Path) -> None:
    """A version's lock whose server is out of range keeps the model's libraries, and gets the server's anew."""
    write(files, "tabulate==0.9.0\n")
    shutil.copytree(locks.of_version(host, None, VERSION, files).folder, files / "environment")
    file = files / "environment" / "requirements.txt"
    file.write_text(re.sub(r"^uvicorn==\S+", "uvicorn==0.30.0", file.read_text(), flags=re.MULTILINE))
    lock = locks.of_version(host, None, VERSION, files)
    found = requirements.pins((lock.folder / "requirements.txt").read_text())

    assert found["tabulate"] == {"0.9.0"}
    assert found["pandas"] == LOCKED["pandas"]
    assert requirements.serves(found)


def test_a_folder_says_what_its_libraries_load(host: Settings) -> None:
    """Debian packages of model.toml are part of a lock, and of both digests."""
    model = model_folder.load(ROOT / "model")
    plain, other = (locks.of_folder(host, replace(model, system=names)) for names in ((), ("libgomp1",)))

    assert other.system == ("libgomp1",)
    assert plain.digest != other.digest
    assert plain.training_digest != other.training_digest


def test_what_only_scripts_need_is_left_out_after_a_training_alone(
    host: Settings, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a version that came from elsewhere, a library that this folder only trains with is the model's own."""
    asked: list[list[str]] = []
    given: list[Path] = []

    def resolve(wanted: requirements.Asked, *_: object) -> tuple[str, str]:
        asked.append(wanted.lines)
        return _no_uv()

    registry: Any = None
    monkeypatch.setattr(resolution, "resolve", resolve)
    monkeypatch.setattr(model_files, "add_environment", lambda *called: given.append(called[3]))
    write(files, f"pandas=={PANDAS}\nmatplotlib==3.0\n")
    trained = locks.of_folder(host, model_folder.load(ROOT / "model"))
    locks.give(host, registry, VERSION, files, trained)
    with pytest.raises(pytest.fail.Exception, match="uv was asked"):
        locks.of_version(host, None, VERSION, files)

    assert given == [trained.folder]
    assert asked == [[f"pandas=={PANDAS}", "matplotlib==3.0"]]
    assert "only training has it: matplotlib==3.0" in capsys.readouterr().err


def test_a_version_gets_the_lock_that_it_was_trained_with(
    host: Settings, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the folder locks by the end of a training is not what trained."""
    given: list[locks.Lock] = []
    registry: Any = None
    monkeypatch.setattr(model_files, "add_environment", lambda *called: given.append(locks.Lock(called[3])))
    trained = locks.Lock(
        shutil.copytree(locks.of_folder(host, model_folder.load(ROOT / "model")).folder, tmp_path / "trained")
    )
    file = trained.folder / "requirements.txt"
    file.write_text(file.read_text() + "tabulate==0.9.0 --hash=sha256:0\n")
    about = json.loads((trained.folder / "environment.json").read_text()) | {"system": ["libgomp1"]}
    (trained.folder / "environment.json").write_text(json.dumps(about))
    locks.give(host, registry, VERSION, files, trained)

    assert (given[0].folder / "requirements.txt").read_bytes() == file.read_bytes()
    assert given[0].system == ("libgomp1",)


@pytest.mark.parametrize(("name", "recorded"), [("diabetes", True), ("wine", False)], ids=["its folder", "another"])
def test_the_first_use_records_a_lock_with_its_own_folder_alone(
    host: Settings, files: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, recorded: bool
) -> None:
    """Another folder's system packages and libraries do not become the version's for good."""
    given: list[object] = []
    registry: Any = object()
    monkeypatch.setattr(model_files, "add_environment", lambda *called: given.append(called[1]))
    ours = changed(host, model_dir=ROOT / "model")
    version = replace(VERSION, name=name)

    assert locks.of_version(ours, registry, version, files).is_whole
    assert given == [version] * recorded


def test_what_a_model_names_is_kept_in_its_environment(host: Settings, files: Path) -> None:
    """A library that is left out elsewhere, and extras, stay if the model asks for them: in another environment."""
    plain = locks.of_version(host, None, VERSION, files)
    shutil.copytree(plain.folder, files / "environment")
    write(files, f"{PANDAS}\ncryptography\npandas[excel]\n")
    lock = locks.of_version(host, None, VERSION, files)

    assert plain.kept == ()
    assert lock.kept == ("cryptography", "pandas")
    assert lock.digest != plain.digest
    assert (lock.folder / "requirements.txt").read_text() == (plain.folder / "requirements.txt").read_text()


def test_nothing_is_left_out_with_a_lock_from_before(host: Settings, files: Path) -> None:
    """A lock that does not say what is kept was made when all was served: its model may import any of it."""
    plain = locks.of_version(host, None, VERSION, files)
    shutil.copytree(plain.folder, files / "environment")
    about = files / "environment" / "environment.json"
    about.write_text(
        json.dumps({name: value for name, value in json.loads(about.read_text()).items() if name != "kept"})
    )

    assert locks.of_version(host, None, VERSION, files).kept == tuple(sorted(left_out.LEFT_OUT))


@pytest.mark.parametrize("kept", [["--all"], ["a b"], [1], 7], ids=["option", "spaces", "number", "no list"])
def test_what_is_kept_are_names(host: Settings, files: Path, kept: object) -> None:
    """What a version says becomes arguments of commands."""
    lock = locks.of_version(host, None, VERSION, files)
    about = lock.folder / "environment.json"
    shutil.copytree(lock.folder, files / "environment")
    (files / "environment" / "environment.json").write_text(json.dumps(json.loads(about.read_text()) | {"kept": kept}))

    with pytest.raises(SlipwayError, match="kept is no list of libraries"):
        locks.of_version(host, None, VERSION, files)


def test_parquet_is_added_to_any_version(host: Settings, files: Path) -> None:
    """PARQUET=1 adds pyarrow, with hashes, to what a version is served with, an old one's too; its lock stays."""
    plain = locks.of_version(host, None, VERSION, files)
    shutil.copytree(plain.folder, files / "environment")
    lock = locks.of_version(changed(host, serving={"parquet": True}), None, VERSION, files)
    found = (lock.folder / "requirements.txt").read_text()

    assert "pyarrow" not in requirements.pins((plain.folder / "requirements.txt").read_text())
    assert requirements.pins(found)["pyarrow"]
    assert re.search(r"^pyarrow==\S+ .*\\\n +--hash=sha256:", found, re.MULTILINE)
    assert locks.of_version(host, None, VERSION, files).folder == files / "environment"
