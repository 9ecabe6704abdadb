"""The doctor's judgements, on real facts of this machine and on given ones."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import certifi
import pytest

from slipway import ports
from slipway.bootstrap import checks, clocks, machine
from slipway.bootstrap.machine import Answer
from slipway.settings import ROOT
from tests import beside

GB = 10**9


class _AirPlay(BaseHTTPRequestHandler):
    """Answers as macOS's AirPlay Receiver does."""

    def version_string(self) -> str:
        return "AirTunes/775.3.1"

    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def _listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def test_a_stopped_engine_fails() -> None:
    """A client whose engine is gone fails in the docker runtime and only warns in the host runtime."""
    answer = Answer(1, error="Cannot connect to the Docker daemon")

    assert checks.check_engine(answer, {"ServerVersion": ""}, "docker").level == checks.FAIL
    assert checks.check_engine(answer, {"ServerVersion": ""}, "host").level == checks.WARN


def test_an_engine_without_permission_names_the_group() -> None:
    """Where the user may not talk to the engine, the cure is its group."""
    answer = Answer(1, error="permission denied while trying to connect to the Docker daemon socket")

    assert "usermod -aG docker" in checks.check_engine(answer, {}, "docker").cure


@pytest.mark.parametrize(
    ("version", "level"),
    [("24.0.9", checks.FAIL), ("25.0.0", checks.OK), ("26.1.5+dfsg1", checks.OK), ("29.0.0-rc.1", checks.OK)],
    ids=["before start_interval", "the first", "Debian's", "a candidate"],
)
def test_the_engine_is_new_enough(version: str, level: str) -> None:
    """An engine that compose refuses our health checks on fails."""
    assert checks.check_engine(Answer(0), {"ServerVersion": version}, "docker").level == level


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (Answer(0, "2.19.1"), checks.FAIL),
        (Answer(0, "v2.20.0"), checks.OK),
        (Answer(0, "5.0.1"), checks.OK),
        (Answer(1), checks.FAIL),
    ],
    ids=["old", "the first", "new", "missing"],
)
def test_compose_is_new_enough(answer: Answer, level: str) -> None:
    """Compose before 2.20, or none, fails."""
    assert checks.check_plugin("compose", answer, "docker", checks.COMPOSE).level == level


def test_a_free_port_is_ok() -> None:
    """A port that nothing listens on passes."""
    assert checks.check_port("PORT", str(ports.find_free()), "", "slipway").level == checks.OK


def test_a_taken_port_fails() -> None:
    """A port that another program listens on fails; another port is the cure."""
    with _listening() as port:
        check = checks.check_port("MLFLOW_PORT", port, "", "slipway")

    assert check.level == checks.FAIL
    assert f"or MLFLOW_PORT={int(port) + 1}" in check.cure


def test_our_own_container_may_hold_a_port() -> None:
    """A port that a container of our compose project publishes passes; one of another project does not."""
    with _listening() as port:
        lines = f"other-db-1 5432/tcp\nmine-mlflow-1 127.0.0.1:{port}->5000/tcp"
        ours = checks.check_port("MLFLOW_PORT", port, lines, "mine")
        theirs = checks.check_port("MLFLOW_PORT", port, lines, "min")

    assert (ours.level, ours.words) == (checks.OK, "taken by our own mine-mlflow-1")
    assert (theirs.level, theirs.words) == (checks.FAIL, "taken by the container mine-mlflow-1")


def test_airplay_is_named() -> None:
    """A port that answers with the server header AirTunes is macOS's AirPlay Receiver, which can be switched off."""
    with beside.serving(HTTPServer(("127.0.0.1", 0), _AirPlay)) as port:
        check = checks.check_port("MLFLOW_PORT", str(port), "", "slipway")

    assert (check.level, check.words) == (checks.FAIL, "taken by macOS's AirPlay Receiver")
    assert check.cure.startswith("switch AirPlay Receiver off")


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1"])
def test_a_port_is_a_number(value: str) -> None:
    """What is no port number fails."""
    assert checks.check_port("PORT", value, "", "slipway").level == checks.FAIL


@pytest.mark.parametrize(
    ("free", "level"),
    [(2.9 * GB, checks.FAIL), (9.9 * GB, checks.WARN), (10 * GB, checks.OK)],
    ids=["full", "scarce", "enough"],
)
def test_disk(free: float, level: str) -> None:
    """Below 3 GB of disk fails, below 10 GB warns."""
    assert checks.check_disk("disk", free).level == level


@pytest.mark.parametrize(
    ("available", "engine", "runtime", "level"),
    [
        (8 * GB, 0, "docker", checks.OK),
        (1 * GB, 8 * GB, "docker", checks.FAIL),
        (8 * GB, 2 * GB, "docker", checks.WARN),
        (8 * GB, 1 * GB, "docker", checks.FAIL),
        (8 * GB, 1 * GB, "host", checks.OK),
        (1 * GB, 0, "host", checks.WARN),
        (None, 0, "docker", checks.WARN),
    ],
    ids=["enough", "busy machine", "scarce engine", "tiny engine", "engine unused", "busy, no Docker", "unknown"],
)
def test_memory(available: int | None, engine: int, runtime: str, level: str) -> None:
    """The lesser of the machine's memory and the engine's own limit decides."""
    assert checks.check_memory(available, engine, runtime).level == level


def test_this_machine_has_memory_and_disk() -> None:
    """Memory and disks are measured on this machine, each file system once, also below a folder that does not exist."""
    disks = machine.measure_disks({"disk": ROOT, "the same": ROOT / "not" / "there"})

    assert (machine.measure_memory() or 0) > 10**7
    assert list(disks) == ["disk"]


def test_a_proxy_is_shown_without_credentials() -> None:
    """A proxy that our own addresses would go through warns, and its password is not printed."""
    check = checks.check_proxy({"HTTPS_PROXY": "http://me:p@ss@proxy:3128", "NO_PROXY": ".corp"})

    assert check.level == checks.WARN
    assert "HTTPS_PROXY=http://***@proxy:3128" in check.words
    assert "NO_PROXY=.corp,localhost,127.0.0.1" in check.cure


def test_a_proxy_beside_local_addresses_is_ok() -> None:
    """A proxy with localhost and 127.0.0.1 in NO_PROXY passes."""
    assert checks.check_proxy({"http_proxy": "proxy:3128", "no_proxy": "localhost, 127.0.0.1"}).level == checks.OK


def test_a_file_of_certificates_is_ok() -> None:
    """A PEM file passes."""
    assert checks.check_certificates("CA_BUNDLE", Path(certifi.where())).level == checks.OK


def test_certificates_in_another_form_fail(tmp_path: Path) -> None:
    """A certificate in DER, and a name of nothing, fail with their variable's name."""
    der = tmp_path / "certificate.der"
    first = Path(certifi.where()).read_text(encoding="utf-8").split("-----BEGIN")[1]
    der.write_bytes(ssl.PEM_cert_to_DER_cert("-----BEGIN" + first[: first.index("-----END") + 25]))

    assert str(checks.check_certificates("CA_BUNDLE", der)).startswith(f"FAIL  CA          CA_BUNDLE: {der} is not PEM")
    assert "does not name a file" in checks.check_certificates("CA_BUNDLE", tmp_path / "none.pem").words


@pytest.mark.parametrize(
    ("uri", "runtime", "level"),
    [
        ("", "docker", checks.OK),
        ("http://127.0.0.1:5000", "docker", checks.OK),
        ("http://localhost:5000/", "docker", checks.OK),
        ("http://localhost:5000", "host", checks.WARN),
        ("http://127.0.0.1:50001", "docker", checks.WARN),
        ("https://me:secret@mlflow.corp", "docker", checks.WARN),
    ],
    ids=["unset", "ours", "ours by name", "not the embedded store", "another port", "another server"],
)
def test_an_exported_tracking_uri(uri: str, runtime: str, level: str) -> None:
    """A tracking server other than ours warns, without its password."""
    check = checks.check_tracking(uri, "5000", runtime)

    assert check.level == level
    assert "secret" not in check.words


def test_leftovers_of_another_project_warn(tmp_path: Path) -> None:
    """A run id and another project's active environment warn; our own environment does not."""
    venv = tmp_path / ".venv"
    check = checks.check_leftovers({"MLFLOW_RUN_ID": "1f", "VIRTUAL_ENV": "/other/.venv"}, venv)

    assert (check.level, check.cure) == (checks.WARN, "deactivate; unset MLFLOW_RUN_ID VIRTUAL_ENV")
    assert checks.check_leftovers({"VIRTUAL_ENV": str(venv)}, venv).level == checks.OK


@pytest.mark.parametrize(
    ("root", "writable", "level"),
    [
        ("/srv/artifacts", True, checks.OK),
        ("/srv/artifacts", False, checks.FAIL),
        ("/tmp/artifacts", True, checks.WARN),  # noqa: S108 -- a name, not a file
    ],
    ids=["durable", "not ours", "gone after a reboot"],
)
def test_the_artifact_root(root: str, writable: bool, level: str) -> None:
    """An artifact root that cannot be written to fails, one under /tmp warns."""
    assert checks.check_artifacts(Path(root), writable=writable).level == level


def test_a_clock_before_the_checkout_fails() -> None:
    """A clock that is a day behind the newest commit or file of the checkout fails; today's passes."""
    newest = machine.find_newest(ROOT)

    assert clocks.check_clock(newest - 86400, newest).level == checks.FAIL
    assert clocks.check_clock(time.time(), newest).level == checks.OK


def test_an_engine_whose_clock_drifted_fails() -> None:
    """The engine's clock may be up to 5 s away from when it was asked and answered, whatever its time zone."""
    now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    answer = Answer(0, asked=now - 1, answered=now)

    assert clocks.check_engine_clock("2030-01-02T04:04:05.123456789+01:00", answer, "docker").level == checks.OK
    assert clocks.check_engine_clock("2030-01-02T03:02:00.1Z", answer, "docker").level == checks.FAIL
    assert (
        clocks.check_engine_clock("2030-01-02T03:02:00.1Z", replace(answer, asked=now - 130), "docker").level
        == checks.OK
    )


@pytest.mark.parametrize(
    ("answer", "level", "cure"),
    [
        (machine.Answer(0, "g++ installed\nlibgomp1 installed\n"), checks.OK, ""),
        (machine.Answer(1, "g++ installed\n"), checks.WARN, "apt install libgomp1"),
        (machine.Answer(0, "g++ installed\nlibgomp1 config-files\n"), checks.WARN, "apt install libgomp1"),
        (machine.Answer(machine.NOT_FOUND), checks.WARN, ""),
    ],
    ids=["there", "unknown", "removed", "no Debian"],
)
def test_a_missing_system_library_is_named(answer: machine.Answer, level: str, cure: str) -> None:
    """What model.toml's `system` names must be installed; elsewhere than on Debian its names are said."""
    check = checks.check_system(["g++", "libgomp1"], answer)

    assert (check.level, check.cure) == (level, cure)
    assert "libgomp1" in check.words
