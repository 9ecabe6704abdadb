"""Whose a container, network, volume or artifact folder is; and what is said to who comes second."""

import re
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slipway import hints, settings
from slipway.bootstrap import cleanup, ownership
from slipway.errors import SlipwayError
from slipway.services import credentials, restore
from tests.conftest import changed

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
    """Return a function that asks the engine; whatever has the project's name is removed afterwards, its image too."""

    def run(*arguments: str, words: bytes = b"") -> str:
        return subprocess.run(["docker", *arguments], check=True, capture_output=True, input=words).stdout.decode()

    run("import", "-", f"{project}/empty:1", words=EMPTY_TAR)
    yield run
    for kind, listing in (
        ("container", ["ps", "-aq"]),
        ("network", ["network", "ls", "-q"]),
        ("volume", ["volume", "ls", "-q"]),
    ):
        if found := run(*listing, "--filter", f"name=^/?{project}").split():
            run(kind, "rm", *(["--force"] if kind == "container" else []), *found)
    run("image", "rm", f"{project}/empty:1")


def test_another_checkout_is_one_that_is_there(other: str, tmp_path: Path) -> None:
    """A path is another checkout's when one stands there; ours, none, and one that was moved or deleted are not."""
    assert ownership.is_another(other)
    assert not ownership.is_another(ownership.CHECKOUT)
    assert not ownership.is_another("")
    assert not ownership.is_another(str(tmp_path / "deleted"))
    (tmp_path / "link").symlink_to(ownership.CHECKOUT)
    assert not ownership.is_another(str(tmp_path / "link")), "ours, by another path"


@pytest.mark.parametrize(
    "kind", ["container", "network", "volume", "container of a Slipway before labels", "served model"]
)
def test_what_is_anothers_is_refused_and_kept(engine: Run, project: str, other: str, kind: str) -> None:
    """A project of which anything bears another checkout's label is refused, with its path.

    Without that it is anybody's.
    """
    of_compose = ["--label", f"{ownership.PROJECT}={project}"]
    theirs = ["--label", f"{ownership.LABEL}={other}"]
    before = ["--label", f"{ownership.FILES}={other}/{ownership.COMPOSE_FILE}"]
    made = {
        "container": ["create", "--name", f"{project}-mlflow-1", *of_compose, *theirs, f"{project}/empty:1", "true"],
        "network": ["network", "create", *theirs, project],
        "volume": ["volume", "create", *theirs, f"{project}_postgres17"],
        "container of a Slipway before labels": [
            "create",
            "--name",
            f"{project}-a",
            *of_compose,
            *before,
            f"{project}/empty:1",
            "true",
        ],
        "served model": ["create", "--name", f"{project}-serve-8001", *theirs, f"{project}/empty:1", "true"],
    }
    ownership.check_project(project)
    engine(*made[kind])

    with pytest.raises(SlipwayError, match=f"belongs to the checkout {re.escape(other)}: nothing was changed"):
        ownership.check_project(project)


def test_a_container_of_anothers_is_not_removed(engine: Run, project: str, other: str) -> None:
    """A container is removed when it is ours or nobody's; another checkout's is refused, and is still there."""
    for name, label in (("theirs", other), ("ours", ownership.CHECKOUT), ("nobodys", "")):
        engine(
            "create",
            "--name",
            f"{project}-{name}",
            "--label",
            f"{ownership.LABEL}={label}",
            f"{project}/empty:1",
            "true",
        )
    ownership.remove_container(f"{project}-ours")
    ownership.remove_container(f"{project}-nobodys", labelled=True)  # it does not run
    with pytest.raises(SlipwayError, match="belongs to the checkout"):
        ownership.remove_container(f"{project}-theirs")

    assert engine("ps", "--all", "--filter", f"name=^{project}", "--format", "{{.Names}}").split() == [
        f"{project}-theirs"
    ]


def test_what_we_make_bears_our_label_and_what_is_there_stays(engine: Run, project: str) -> None:
    """A network and a volume are made with our label.

    A volume of before labels is kept as it is, for who had services here before.
    """
    engine("volume", "create", f"{project}_postgres16")
    for kind, name, role in (("network", project, "default"), ("volume", f"{project}_postgres17", "postgres")):
        ownership.make(kind, name, project, role)
        ownership.make(kind, name, project, role)
        found = engine(kind, "inspect", name, "--format", f'{{{{index .Labels "{ownership.LABEL}"}}}}')
        assert found.strip() == ownership.CHECKOUT
    ownership.make("volume", f"{project}_postgres16", project, "postgres")

    ownership.check_project(project)
    ownership.check_volumes(project, known=True)
    with pytest.raises(
        SlipwayError, match=f"the volume {project}_postgres16 exists, but this checkout did not create it"
    ):
        ownership.check_volumes(project, known=False)
    engine("volume", "rm", f"{project}_postgres16")
    ownership.check_volumes(project, known=False)


def test_a_refused_restore_takes_nothing_over(
    engine: Run, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout that never had services restores nothing into what another may have left.

    No mark, no password, nothing started.
    """
    monkeypatch.setattr(credentials, "PASSWORD", tmp_path / "postgres_password")
    (tmp_path / "artifacts" / "1").mkdir(parents=True)
    ours = changed(
        settings.load(),
        runtime="docker",
        services={"project": project},
        tracking={"artifact_root": tmp_path / "artifacts"},
    )
    engine("volume", "create", volume := f"{project}_postgres{ours.images.postgres_major}")
    for words in (f"the volume {volume} exists", "contains files that do not belong to this checkout"):
        with pytest.raises(SlipwayError, match=words):
            restore.restore(ours, "no/such.tar.gz")
        engine("volume", "rm", "--force", volume)

    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"]
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["1"]


def test_wipe_leaves_a_database_that_may_be_anothers(engine: Run, project: str, tmp_path: Path) -> None:
    """A checkout that never had services does not delete a volume that says not whose it is."""
    place = cleanup.Place(tmp_path, tmp_path / "artifacts", tmp_path / "backups", project, images=f"{project}/none")
    engine("volume", "create", volume := f"{project}_postgres16")
    with pytest.raises(SlipwayError, match=f"the volume {volume} exists, but this checkout did not create it"):
        cleanup.wipe(place, lambda: pytest.fail("asked"))

    assert volume in engine("volume", "ls", "--format", "{{.Name}}").split()


@pytest.mark.parametrize(("failures", "passes"), [(1, True), (9, False)], ids=["once", "always"])
def test_who_does_not_hear_whose_it_is_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, *, passes: bool
) -> None:
    """A docker that fails once is asked again.

    One that goes on failing is an error, and no word that nothing is another's.
    """
    (tmp_path / "docker").write_text(
        f"#!/bin/sh\necho x >> {tmp_path}/asked\n"
        f'[ "$(wc -l < {tmp_path}/asked)" -gt {failures} ] || {{ echo "busy" >&2; exit 1; }}\n'
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(ownership, "PAUSE_S", 0)
    try:
        ownership.check_project("p")
        said = ""
    except SlipwayError as error:
        said = error.message

    assert said == ("" if passes else "Docker does not list the owners: busy; nothing was changed")


@pytest.mark.parametrize(
    ("published", "has_it"),
    [
        ("127.0.0.1:5000->5000/tcp", True),
        ("80/tcp, 0.0.0.0:5000->8080/tcp, :::5000->8080/tcp", True),
        ("0.0.0.0:4999-5001->80-82/tcp", True),
        ("0.0.0.0:50001->5000/tcp", False),
        ("0.0.0.0:5000->5000/udp", False),
        ("5000/tcp", False),
        ("", False),
    ],
    ids=["local", "all addresses", "range", "inside only", "UDP", "not published", "nothing"],
)
def test_a_published_port_is_read(published: str, *, has_it: bool) -> None:
    """What docker ps says of ports names the machine's first, ranges among them."""
    assert ownership.publishes(published, 5000) == has_it


def test_docker_is_asked_once_about_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    """Whose a container is, and then whose port, is one question; what is to be removed is looked at afresh."""
    row = f"theirs\t{other}\t\trunning\t127.0.0.1:5000->5000/tcp"
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\nprintf '{row}\\n'\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert not ownership.check_container("p-serve-8001", labelled=True)
    ownership.refuse_other(5001)
    asked = (tmp_path / "asked").read_text().count("x")
    with pytest.raises(SlipwayError, match=f"port 5000 is used by theirs of the checkout {re.escape(other)}"):
        ownership.refuse_other(5000)
    with pytest.raises(SlipwayError, match="the container theirs belongs to the checkout"):
        ownership.remove_container("theirs")

    assert asked == 1


def test_an_artifact_folder_is_one_checkouts(tmp_path: Path, other: str) -> None:
    """A folder with another's mark, or with files and no mark where this checkout never had services, is refused.

    Others are ours.
    """
    folder = tmp_path / "artifacts"
    ownership.check_artifacts(folder, known=False)
    folder.mkdir()
    ownership.check_artifacts(folder, known=False)
    (folder / "1").mkdir()
    ownership.check_artifacts(folder, known=True)
    with pytest.raises(SlipwayError, match="contains files that do not belong to this checkout"):
        ownership.check_artifacts(folder, known=False)
    ownership.mark(folder)
    ownership.check_artifacts(folder, known=False)
    (folder / ownership.MARK).write_text(other)
    with pytest.raises(SlipwayError, match=f"belongs to the checkout {re.escape(other)}"):
        ownership.check_artifacts(folder, known=True)


def test_the_cure_is_one_line_to_paste() -> None:
    """The line gives a project, each port and a folder, all different from the defaults.

    It is the same when asked again.
    """
    cure = ownership.suggest()
    words = shlex.split(cure)
    values = dict(word.split("=", 1) for word in words[1:])

    assert words[0] == "export"
    assert values.keys() == {"COMPOSE_PROJECT_NAME", "MLFLOW_ARTIFACT_ROOT", *ownership.PORTS}
    assert re.fullmatch(r"slipway-[a-z0-9-]+", values["COMPOSE_PROJECT_NAME"])
    assert len({values[name] for name in ownership.PORTS}) == len(ownership.PORTS)
    assert all(values[name] != hints.read_defaults()[name] for name in ownership.PORTS)
    assert ownership.suggest() == cure


@pytest.mark.parametrize("folder", ["trial", "live", "train", "serve"])
def test_the_cure_locks_nobody_out(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Whatever the checkout's folder is called, its containers are not taken for those of the default project."""
    monkeypatch.setattr(ownership, "CHECKOUT", f"/home/someone/{folder}")
    project = shlex.split(ownership.suggest())[1].partition("=")[2]

    assert project.endswith(f"-{folder}")
    assert not re.match("slipway-(serve|live|trial|train)-", f"{project}-mlflow-1")


def test_what_docker_does_not_list_is_not_taken_for_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that answers, and then does not list what it holds, is an error, and no word that it is deleted."""
    (tmp_path / "docker").write_text('#!/bin/sh\n[ "$1" = version ] || { echo "busy" >&2; exit 1; }\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(SlipwayError, match="`docker image` failed: busy"):
        cleanup.clean(cleanup.Place(tmp_path, tmp_path / "artifacts", tmp_path / "backups", "p"))
