"""Clean and wipe, on checkouts and compose projects of the tests' own."""

import fcntl
import os
import pty
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.bootstrap import cleanup
from slipway.bootstrap.cleanup import Place
from slipway.errors import SlipwayError
from slipway.settings import ROOT

SOURCES = (
    "__init__",
    "errors",
    "hints",
    "ports",
    *(f"bootstrap/{name}" for name in ("__init__", "cleanup", "docker_cli", "engine", "machine", "ownership", "venv")),
)
BUILT = ("build/k8s/all.yaml", "src/a/__pycache__/a.pyc", ".ruff_cache/x")
DATA = ("artifacts/1/models/m-1/model.skops", "checkout/.slipway/postgres_password", "checkout/.venv/bin/python")
EMPTY_TAR = b"\0" * 10240
KEPT = ("checkout/backups/2030.tar.gz", "checkout/model/train.py")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a small checkout with data, whose images and project are nobody's."""
    for name in (*(f"checkout/{name}" for name in BUILT), *DATA, *KEPT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * 1000)
    unique = f"slipwaytest{uuid.uuid4().hex[:12]}"
    checkout = tmp_path / "checkout"
    return Place(checkout, tmp_path / "artifacts", checkout / "backups", unique, images=f"{unique}/*")


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take every program from PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.fixture
def held(place: Place, docker: None) -> Iterator[dict[str, list[str]]]:  # noqa: ARG001 -- needed, not used
    """Have the engine hold what the services leave: two containers, a network, two volumes, an image.

    And what is another project's.
    """
    project, image, other = place.project, f"{place.project}/model:1", f"{place.project}x"
    label = f"com.docker.compose.project={project}"
    _docker("import", "-", image, words=EMPTY_TAR)
    _docker("network", "create", "--label", label, project)
    _docker("volume", "create", f"{project}_postgres17")
    _docker("volume", "create", f"{project}_postgres16")
    _docker("volume", "create", f"{other}_postgres17")
    _docker("create", "--name", f"{project}-mlflow-1", "--label", label, image, "true")
    _docker("create", "--name", f"{project}-serve-8001", image, "true")
    _docker("create", "--name", f"{other}-mlflow-1", image, "true")
    yield {
        "containers": [f"{project}-mlflow-1", f"{project}-serve-8001"],
        "other": [f"{other}-mlflow-1", f"{other}_postgres17"],
    }
    subprocess.run(
        ["docker", "rm", "--force", f"{other}-mlflow-1", f"{project}-mlflow-1", f"{project}-serve-8001"], check=False
    )
    subprocess.run(
        ["docker", "volume", "rm", f"{other}_postgres17", f"{project}_postgres16", f"{project}_postgres17"], check=False
    )
    subprocess.run(["docker", "network", "rm", project], check=False)
    subprocess.run(["docker", "image", "rm", image], check=False)


def _docker(*arguments: str, words: bytes = b"") -> list[str]:
    return (
        subprocess.run(["docker", *arguments], check=True, capture_output=True, input=words)
        .stdout.decode()
        .splitlines()
    )


def _existing(tmp_path: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (tmp_path / name).exists()]


def _copy_script(tmp_path: Path) -> dict[str, str]:
    """Copy the script and its imports into the small checkout; return an environment that can reach nothing else."""
    for name in (*(f"src/slipway/{source}.py" for source in SOURCES), "scripts/setup.py", "mlflow_env.sh"):
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "checkout" / name)
    (tmp_path / "home").mkdir()
    return {
        "PATH": str(tmp_path / "empty"),
        "HOME": str(tmp_path / "home"),
        "MLFLOW_ARTIFACT_ROOT": str(tmp_path / "artifacts"),
    }


def _script(
    tmp_path: Path, variables: dict[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-B", str(tmp_path / "checkout" / "scripts" / "setup.py"), "wipe"]
    return subprocess.run(command, env=variables, check=False, capture_output=True, text=True, stdin=stdin)


@pytest.mark.usefixtures("no_docker")
def test_clean_removes_what_was_built(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clean removes build/ and the caches, says how much that was, and leaves data and .venv."""
    cleanup.clean(place)

    assert _existing(place.root, BUILT) == []
    assert _existing(tmp_path, DATA + KEPT) == [*DATA, *KEPT]
    assert capsys.readouterr().out == "removed build/ and caches: 3 files, 0.0 MB\n"


def test_clean_keeps_images_in_use(
    place: Place, held: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Clean removes our images, keeps those of containers, and names them."""
    _docker("import", "-", f"{place.project}/unused:1", words=EMPTY_TAR)
    cleanup.clean(place)
    images = _docker("image", "ls", "--filter", f"reference={place.images}", "--format", "{{.Repository}}:{{.Tag}}")

    assert f"{place.project}/unused:1" not in images
    assert f"kept, in use by containers: {', '.join(images)}" in capsys.readouterr().out
    assert held["containers"][0] in _docker("ps", "--all", "--format", "{{.Names}}")


@pytest.mark.usefixtures("no_docker")
def test_wipe_removes_data_and_keeps_backups(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wipe lists what goes with its size and what stays, then removes all but the backups and the code."""
    cleanup.wipe(place, lambda: True)
    shown = capsys.readouterr().out

    assert _existing(tmp_path, DATA) == []
    assert _existing(tmp_path, KEPT) == list(KEPT)
    assert f"{place.artifact_root} 1 files, 0.0 MB: models and pictures" in shown
    assert "this stays:\n  backups/                     1 files" in shown


@pytest.mark.usefixtures("no_docker")
def test_wipe_twice_finds_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """A second wipe has nothing to delete, and does not ask."""
    cleanup.wipe(place, lambda: True)
    cleanup.wipe(place, lambda: pytest.fail("asked"))

    assert capsys.readouterr().out.endswith("nothing to delete\n")


def test_wipe_removes_what_the_engine_holds(
    place: Place, held: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Wipe removes the project's containers, network and volumes of every Postgres version, and no other project's."""
    cleanup.wipe(place, lambda: True)
    left = [
        *_docker("ps", "--all", "--format", "{{.Names}}"),
        *_docker("network", "ls", "--format", "{{.Name}}"),
        *_docker("volume", "ls", "--format", "{{.Name}}"),
    ]
    ours = {place.project, f"{place.project}_postgres16", f"{place.project}_postgres17", *held["containers"]}

    assert ours.isdisjoint(left)
    assert set(held["other"]) <= set(left)
    assert f"{place.project}_postgres17" in capsys.readouterr().out


def test_wipe_removes_images(place: Place, held: dict[str, list[str]]) -> None:
    """Wipe removes our images once no container of another project uses them."""
    _docker("rm", held["other"][0])
    cleanup.wipe(place, lambda: True)

    assert _docker("image", "ls", "--filter", f"reference={place.images}", "--quiet") == []


@pytest.mark.usefixtures("no_docker")
def test_wipe_without_agreement_deletes_nothing(place: Place, tmp_path: Path) -> None:
    """Whoever does not agree keeps everything."""
    with pytest.raises(SlipwayError, match="nothing was deleted"):
        cleanup.wipe(place, lambda: False)

    assert _existing(tmp_path, DATA) == list(DATA)


@pytest.mark.usefixtures("no_docker")
@pytest.mark.parametrize(
    "folder",
    ["/", str(Path.home()), str(Path.home().parent), "checkout", "."],
    ids=["/", "home", "above home", "checkout", "above"],
)
def test_wipe_refuses_a_folder_that_holds_more(place: Place, tmp_path: Path, folder: str) -> None:
    """An artifact root that is or holds the home folder or the checkout is refused, before anyone is asked."""
    unsafe = replace(place, artifact_root=(tmp_path / folder).resolve())

    with pytest.raises(SlipwayError, match="nothing was deleted"):
        cleanup.wipe(unsafe, lambda: pytest.fail("asked"))


def test_wipe_refuses_files_that_git_keeps(place: Place) -> None:
    """An artifact root with files of the checkout is refused."""
    subprocess.run(["git", "init", "--quiet", str(place.root)], check=True)
    subprocess.run(["git", "-C", str(place.root), "add", "model"], check=True)

    with pytest.raises(SlipwayError, match="holds files of the checkout"):
        cleanup.wipe(replace(place, artifact_root=place.root / "model"), lambda: pytest.fail("asked"))


@pytest.mark.usefixtures("no_docker")
def test_wipe_refuses_backups_among_what_goes(place: Place) -> None:
    """Backups in a folder that would go are a reason to stop."""
    with pytest.raises(SlipwayError, match="BACKUP_DIR is in"):
        cleanup.wipe(replace(place, backup_dir=place.root / "build" / "backups"), lambda: pytest.fail("asked"))


@pytest.mark.usefixtures("no_docker")
def test_wipe_points_at_what_mlflow_did_not_write(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Other files in the artifact root are named before the question."""
    (place.artifact_root / "thesis.tex").touch()
    with pytest.raises(SlipwayError):
        cleanup.wipe(place, lambda: False)

    assert "CHECK: MLflow does not use these names: thesis.tex" in capsys.readouterr().out


@pytest.mark.usefixtures("no_docker")
def test_a_link_goes_and_its_target_stays(place: Place, tmp_path: Path) -> None:
    """Where .venv is a link, the link is deleted and not what it points to."""
    (place.root / ".venv").rename(tmp_path / "elsewhere")
    (place.root / ".venv").symlink_to(tmp_path / "elsewhere")
    cleanup.wipe(place, lambda: True)

    assert not os.path.lexists(place.root / ".venv")
    assert (tmp_path / "elsewhere" / "bin" / "python").exists()


@pytest.mark.usefixtures("place")
def test_the_script_deletes_nothing_without_a_terminal(tmp_path: Path) -> None:
    """Without a terminal to ask at, nothing is deleted, and the script ends with 1."""
    done = _script(tmp_path, _copy_script(tmp_path))

    assert "nothing was deleted" in done.stderr
    assert done.returncode == 1
    assert _existing(tmp_path, DATA) == list(DATA)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("typed", "left"),
    [("wipe", ()), ("yes", DATA), ("", DATA), ("\x04", DATA)],
    ids=["wipe", "yes", "return", "Ctrl-D"],
)
def test_the_script_asks_for_the_word(tmp_path: Path, typed: str, left: tuple[str, ...]) -> None:
    """At a terminal, the word wipe deletes; anything else does not."""
    environment = _copy_script(tmp_path)
    ours, theirs = pty.openpty()
    os.write(ours, f"{typed}\n".encode())
    done = _script(tmp_path, environment, theirs)
    os.close(ours)
    os.close(theirs)

    assert tuple(_existing(tmp_path, DATA)) == left
    assert done.returncode == (1 if left else 0)


@pytest.mark.usefixtures("place")
def test_yes_agrees(tmp_path: Path) -> None:
    """YES=1 deletes without asking, for scripts; nothing of the script's own is left behind."""
    environment = {**_copy_script(tmp_path), "YES": "1"}
    done, again = _script(tmp_path, environment), _script(tmp_path, environment)

    assert (done.returncode, done.stderr) == (0, "")
    assert _existing(tmp_path, DATA + KEPT) == list(KEPT)
    assert again.stdout == "nothing to delete\n"


@pytest.mark.usefixtures("no_docker")
def test_clean_keeps_environments_that_servers_run_in(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What a process holds stays, and all else that was built goes."""
    environments = place.root / "build" / "environments"
    for name in ("served", "idle"):
        (environments / name).mkdir(parents=True)
        (environments / name / "in-use").touch()
    (place.root / "build" / "a-file").touch()
    with (environments / "served" / "in-use").open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        cleanup.clean(place)

    assert [path.name for path in environments.iterdir()] == ["served"]
    assert [path.name for path in (place.root / "build").iterdir()] == ["environments"]
    assert not (place.root / ".ruff_cache").exists()
    assert "kept, servers run in them: build/environments/served\n" in capsys.readouterr().out
