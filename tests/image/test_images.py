"""The images as they are: what is in them, what is not, and how their tags are made."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.model_folder import ModelFolder
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import containers, docker, images, left_out
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.settings import ROOT, Settings
from tests.image.conftest import NAME, ask_docker, inspect, run_once


@pytest.mark.parametrize("program", ["gcc", "g++", "cmake", "git", "make", "uv"])
def test_the_serving_image_builds_nothing(served: str, program: str) -> None:
    """No compiler, and no program that installs, is in the serving image."""
    found = run_once(served, "sh", "-c", f"command -v {program} || true")

    assert found == ""


def test_the_serving_image_holds_what_serving_needs(served: str) -> None:
    """Of MLflow it has the skinny distribution alone, and not all that this asks for; no tests of large libraries."""
    code = "import importlib.metadata as m; print(*sorted({d.name.lower() for d in m.distributions(path=['{}'])}))"
    packages = run_once(served, "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    distributions = run_once(served, "python", "-c", code.replace("{}", packages)).split()
    largest = [f"{packages}/{name}" for name in ("numpy", "pandas", "scipy", "sklearn")]
    tests = run_once(served, "find", *largest, "-type", "d", "-name", "tests")

    assert packages.startswith("/opt/venv/")
    assert [name for name in distributions if name.startswith("mlflow")] == ["mlflow-skinny"]
    assert not {"matplotlib", "pytest", "pip", "setuptools", "sqlalchemy", "pyarrow"} & set(distributions)
    assert not left_out.LEFT_OUT.keys() & set(distributions)
    assert tests == ""
    assert int(run_once(served, "du", "-sm", "--apparent-size", "/opt/venv").split()[0]) < 330


def test_the_labels_say_what_it_is(served: str) -> None:
    """The image's labels name the model, its version and run, and the commit."""
    labels = inspect(served)["Config"]["Labels"]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()

    assert {
        name: value for name, value in labels.items() if name.startswith(("org.opencontainers", "io.slipway.model"))
    } == {
        "org.opencontainers.image.title": NAME,
        "org.opencontainers.image.version": "7",
        "org.opencontainers.image.revision": commit,
        "io.slipway.model.name": NAME,
        "io.slipway.model.version": "7",
        "io.slipway.model.run": "0123abcd",
    }


def test_layer_3_holds_the_model_alone(
    served: str, model: ModelFolder, lock: Lock, files: Path, tmp_path: Path
) -> None:
    """The image of a version is the runtime image and one more layer, which has only the model's files."""
    below, layers = (inspect(tag)["RootFS"]["Layers"] for tag in (images.runtime_tag(model, lock), served))
    ask_docker("save", "--output", str(tmp_path / "image.tar"), served)
    with tarfile.open(tmp_path / "image.tar") as saved:
        listed = saved.extractfile("manifest.json")
        assert listed
        manifest = json.load(listed)
        with tarfile.open(fileobj=saved.extractfile(manifest[0]["Layers"][-1])) as layer:
            names = {member.name for member in layer if member.isfile()}

    assert layers[:-1] == below
    assert names == {f"opt/model/{file.relative_to(files)}" for file in files.rglob("*") if file.is_file()}


def test_a_tag_is_made_from_the_content(build: Callable[[Path], str], served: str, files: Path, tmp_path: Path) -> None:
    """The same files elsewhere have the same tag; one changed file makes another, which names the version too."""
    same, other = (Path(shutil.copytree(files, tmp_path / name)) for name in ("same", "other"))
    (other / "MLmodel").write_text((files / "MLmodel").read_text() + "# changed\n")

    assert build(same) == served
    assert build(other) != served
    assert re.fullmatch(rf"slipway/{NAME}:v7-[0-9a-f]{{12}}", served)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("src/scoring/http/app.py", {"runtime", "train"}),
        ("src/page_kit/static/base.css", {"runtime", "train"}),
        ("lock/requirements.txt", {"runtime", "train"}),
        ("model/Dockerfile", {"runtime", "train"}),
        ("lock/training.txt", {"train"}),
        ("model/train.py", {"train"}),
        ("src/slipway/runtimes/images.py", set()),
    ],
    ids=[
        "server code",
        "its page",
        "serving libraries",
        "Dockerfile",
        "training libraries",
        "training code",
        "our own code",
    ],
)
def test_a_change_makes_the_tags_of_what_it_is_in(  # noqa: PLR0913, PLR0917 -- four fixtures, two parameters
    model: ModelFolder, lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, changes: set[str]
) -> None:
    """A change to what goes into an image changes that image's tag, and no other's."""
    for part in ("model", "src"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "mlruns"))
    given = Lock(Path(shutil.copytree(lock.folder, tmp_path / "lock")))
    monkeypatch.setattr(images, "ROOT", tmp_path)
    copy = replace(model, path=tmp_path / "model")
    before = {"runtime": images.runtime_tag(copy, given), "train": images.training_tag(copy, given)}
    (tmp_path / file).write_text((tmp_path / file).read_text() + "\n# changed\n")
    after = {"runtime": images.runtime_tag(copy, given), "train": images.training_tag(copy, given)}

    assert {kind for kind in before if before[kind] != after[kind]} == changes


def test_serving_builds_no_training_image(
    settings: Settings, model: ModelFolder, lock: Lock, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit of train.py builds nothing when a version is served: not matplotlib and all."""
    built: list[str] = []
    monkeypatch.setattr(images, "_look", lambda *_: {images.BASE: "sha256:0"})
    monkeypatch.setattr(images, "_build", lambda _settings, _file, target, *_: built.append(target))
    version = Prepared(ModelRef(f"models:/{NAME}/8", "", NAME, "8"), files, "{}", lock)
    images.build_served(settings, model, version)

    assert built == ["runtime", "serve"]


@pytest.mark.usefixtures("served")
def test_an_image_that_is_there_takes_one_question(
    build: Callable[[Path], str], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker is asked once for the base image, the runtime image and the version's, and builds nothing."""
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\nexec {shutil.which("docker")} "$@"\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    build(files)
    asked = (tmp_path / "asked").read_text().splitlines()

    assert [words.split(" --")[0] for words in asked] == ["image ls"]


@pytest.mark.usefixtures("served")
def test_a_list_that_lacks_a_moving_tag_is_asked_for_again(
    build: Callable[[Path], str], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another checkout builds the base image, one list of Docker's in ten is without it: the first one here."""
    before = build(files)
    (tmp_path / "docker").write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "image ls" ] && mkdir {tmp_path}/asked 2>/dev/null; then exit 0; fi\n'
        f'exec {shutil.which("docker")} "$@"\n'
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert build(files) == before
    assert (tmp_path / "asked").is_dir()


def test_the_training_image_trains(model: ModelFolder, lock: Lock) -> None:
    """The training image has matplotlib and the model's script, which may write beside itself, and no health check."""
    tag = images.training_tag(model, lock)
    run = ("run", "--rm", *containers.HARDENING, tag, "python")
    version = ask_docker(*run, "-c", "import matplotlib; print(matplotlib.__version__)")
    words = ask_docker(*run, "train.py", "--help")
    volume = ("--volume", docker.WORKPLACE, "--user", "12345:12345")
    written = ask_docker(
        *run[:-2], *volume, *run[-2:], "-c", "open('beside.png', 'w'); print(open('train.py').read(3))"
    )

    assert f"matplotlib=={version} " in (ROOT / "requirements" / "training.txt").read_text()
    assert "--alpha" in words
    assert written == '"""'
    assert inspect(tag)["Config"]["Healthcheck"] == {"Test": ["NONE"]}


def test_a_system_library_is_in_the_images_of_its_lock(
    settings: Settings, model: ModelFolder, lock: Lock, files: Path, tmp_path: Path
) -> None:
    """What model.toml lists as `system` is installed where the model is served, and the libraries stay as they are."""
    folder = Path(shutil.copytree(lock.folder, tmp_path / "lock"))
    about = json.loads((folder / "environment.json").read_text()) | {"system": ["libgomp1"]}
    (folder / "environment.json").write_text(json.dumps(about))
    version = Prepared(ModelRef(f"models:/{NAME}/9", "", NAME, "9"), files, "{}", Lock(folder))
    tag = images.build_served(settings, model, version)

    assert run_once(tag, "sh", "-c", "ls /usr/lib/*/libgomp.so.1")
    assert run_once(tag, "id", "-u") == "10001"
