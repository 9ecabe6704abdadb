"""Whose a container, network, volume or artifact folder is; and what is said to who comes second."""

import re
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slipway import ownership
from slipway.errors import SlipwayError

EMPTY_TAR = b"\0" * 10240
Run = Callable[..., str]


@pytest.fixture
def other(tmp_path: Path) -> str:
    """Return the path of another checkout."""
    (tmp_path / "other" / "mlflow_services").mkdir(parents=True)
    (tmp_path / "other" / ownership.COMPOSE_FILE).touch()
    return str(tmp_path / "other")


@pytest.fixture
def project() -> str:
    """Return a project name of the test's own."""
    return f"slipwaytest{uuid.uuid4().hex[:12]}"


@pytest.fixture
def engine(docker: None, project: str) -> Iterator[Run]:  # noqa: ARG001 -- needed, not used
    """Return a function that asks the engine; what the project's name begins is gone afterwards, and so is its image."""

    def run(*arguments: str, words: bytes = b"") -> str:
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, input=words).stdout.decode()

    run("import", "-", f"{project}/empty:1", words=EMPTY_TAR)
    yield run
    for kind, listing in (("container", ["ps", "-aq"]), ("network", ["network", "ls", "-q"]), ("volume", ["volume", "ls", "-q"])):
        if found := run(*listing, "--filter", f"name=^/?{project}").split():
            run(kind, "rm", *(["--force"] if kind == "container" else []), *found)
    run("image", "rm", f"{project}/empty:1")


def test_another_checkout_is_one_that_is_there(other: str, tmp_path: Path) -> None:
    """A path is another checkout's when one stands there; ours, none, and one that was moved or deleted are not."""
    assert ownership.is_another(other)
    assert not ownership.is_another(ownership.CHECKOUT)
    assert not ownership.is_another("")
    assert not ownership.is_another(str(tmp_path / "deleted"))


@pytest.mark.parametrize("kind", ["container", "network", "volume", "container of a Slipway before labels", "served model"])
def test_what_is_anothers_is_refused_and_kept(engine: Run, project: str, other: str, kind: str) -> None:
    """A project of which anything bears another checkout's label is refused, with its path; without that it is anybody's."""
    of_compose = ["--label", f"{ownership.PROJECT}={project}"]
    theirs = ["--label", f"{ownership.LABEL}={other}"]
    before = ["--label", f"{ownership.FILES}={other}/{ownership.COMPOSE_FILE}"]
    made = {
        "container": ["create", "--name", f"{project}-mlflow-1", *of_compose, *theirs, f"{project}/empty:1", "true"],
        "network": ["network", "create", *theirs, project],
        "volume": ["volume", "create", *theirs, f"{project}_postgres17"],
        "container of a Slipway before labels": ["create", "--name", f"{project}-a", *of_compose, *before, f"{project}/empty:1", "true"],
        "served model": ["create", "--name", f"{project}-serve-8001", *theirs, f"{project}/empty:1", "true"],
    }
    ownership.check_project(project)
    engine(*made[kind])

    with pytest.raises(SlipwayError, match=f"belongs to the checkout {re.escape(other)}: nothing was changed"):
        ownership.check_project(project)


def test_a_container_of_anothers_is_not_removed(engine: Run, project: str, other: str) -> None:
    """A container is removed when it is ours or nobody's; another checkout's is refused, and is still there."""
    for name, label in (("theirs", other), ("ours", ownership.CHECKOUT), ("nobodys", "")):
        engine("create", "--name", f"{project}-{name}", "--label", f"{ownership.LABEL}={label}", f"{project}/empty:1", "true")
    ownership.remove_container(f"{project}-ours")
    ownership.remove_container(f"{project}-nobodys", labelled=True)  # it does not run
    with pytest.raises(SlipwayError, match="belongs to the checkout"):
        ownership.remove_container(f"{project}-theirs")

    assert engine("ps", "--all", "--filter", f"name=^{project}", "--format", "{{.Names}}").split() == [f"{project}-theirs"]


def test_what_we_make_bears_our_label_and_what_is_there_stays(engine: Run, project: str) -> None:
    """A network and a volume are made with our label; a volume of before labels is kept as it is, and known as nobody's."""
    engine("volume", "create", f"{project}_postgres16")
    for kind, name, role in (("network", project, "default"), ("volume", f"{project}_postgres17", "postgres")):
        ownership.make(kind, name, project, role)
        ownership.make(kind, name, project, role)
        found = engine(kind, "inspect", name, "--format", f'{{{{index .Labels "{ownership.LABEL}"}}}}')
        assert found.strip() == ownership.CHECKOUT
    ownership.make("volume", f"{project}_postgres16", project, "postgres")

    assert ownership.is_unknown(f"{project}_postgres16")
    assert not ownership.is_unknown(f"{project}_postgres17")
    ownership.check_project(project)


def test_an_artifact_folder_is_one_checkouts(tmp_path: Path, other: str) -> None:
    """A folder with another's mark, or with files and no mark where this checkout never had services, is refused; others are ours."""
    folder = tmp_path / "artifacts"
    ownership.check_artifacts(folder, known=False)
    folder.mkdir()
    ownership.check_artifacts(folder, known=False)
    (folder / "1").mkdir()
    ownership.check_artifacts(folder, known=True)
    with pytest.raises(SlipwayError, match="holds files, and not of this checkout"):
        ownership.check_artifacts(folder, known=False)
    ownership.mark(folder)
    ownership.check_artifacts(folder, known=False)
    (folder / ownership.MARK).write_text(other)
    with pytest.raises(SlipwayError, match=f"belongs to the checkout {re.escape(other)}"):
        ownership.check_artifacts(folder, known=True)


def test_the_cure_is_one_line_to_paste() -> None:
    """The line gives a project, each port and a folder, all different from the defaults; it is the same when asked again."""
    cure = ownership.suggest()
    words = shlex.split(cure)
    values = dict(word.split("=", 1) for word in words[1:])

    assert words[0] == "export"
    assert values.keys() == {"COMPOSE_PROJECT_NAME", "MLFLOW_ARTIFACT_ROOT", *ownership.PORTS}
    assert re.fullmatch(r"slipway-[a-z0-9-]+", values["COMPOSE_PROJECT_NAME"])
    assert len({values[name] for name in ownership.PORTS}) == len(ownership.PORTS)
    assert all(int(values[name]) != port for name, port in ownership.PORTS.items())
    assert ownership.suggest() == cure
