"""What runs where: the settings name a runtime, and each answers the same questions in its own way."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from requests.utils import get_environ_proxies

from slipway import model_folder, runtimes, settings, shell
from slipway.errors import SlipwayError
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import containers, environments, locks
from slipway.runtimes.base import KEEPER, Prepared, Script
from slipway.runtimes.host import Processes
from slipway.settings import ROOT
from tests.conftest import changed
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("runtime", "in_cluster", "name"),
    [("docker", False, "Docker"), ("host", False, "Host"), ("host", True, "Pod")],
    ids=["docker", "host", "pod"],
)
def test_the_settings_choose(runtime: str, name: str, *, in_cluster: bool) -> None:
    """RUNTIME chooses; a deployer in a cluster runs processes, and has images all the same."""
    chosen = runtimes.of(changed(settings.load(), runtime=runtime, cluster={"is_inside": in_cluster}))

    assert type(chosen).__name__ == name
    assert chosen.has_images == (name != "Host")
    assert chosen.shares_files == (name != "Docker")


@pytest.mark.parametrize(
    ("runtime", "network", "url"),
    [
        ("host", "", "http://127.0.0.1:9001"),
        ("docker", "", "http://127.0.0.1:9001"),
        ("docker", "slipway", "http://trial:8080"),
    ],
    ids=["process", "container", "container beside ours"],
)
def test_a_server_is_reached_where_it_runs(runtime: str, network: str, url: str) -> None:
    """On this machine by its port; from a container of the same network by its name."""
    assert runtimes.of(replace(settings.load(), runtime=runtime, network=network)).address("trial", 9001) == url


JOIN = ["docker", "network", "connect", "ours", "slipway-live-9001"]


@pytest.mark.parametrize(
    ("network", "said", "asked"),
    [
        ("", shell.Answer(1, err="network not found"), []),
        ("ours", shell.Answer(0), [JOIN]),
        ("ours", shell.Answer(1, err="endpoint with name slipway-live-9001 already exists in network ours"), [JOIN]),
    ],
    ids=["of this machine", "joins", "is there"],
)
def test_a_deployers_container_reaches_a_keeper_of_its_process(
    network: str, said: shell.Answer, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A keeper that was started without the deployer's network joins it; what is not in one needs none."""
    commands: list[list[str]] = []

    def ask(command: list[str]) -> shell.Answer:
        commands.append(command)
        return said

    monkeypatch.setattr(shell, "ask", ask)
    ours = changed(
        settings.load(), runtime="docker", network=network, serving={"port": 9001}, services={"project": "slipway"}
    )
    runtimes.of(ours).live_server(tmp_path).reach(KEEPER)

    assert commands == asked


def test_a_keeper_that_cannot_join(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The engine's words are the reason, and a new start of the deployer the cure."""
    monkeypatch.setattr(shell, "ask", lambda _: shell.Answer(1, err="network ours not found"))
    live = runtimes.of(changed(settings.load(), runtime="docker", network="ours")).live_server(tmp_path)
    with pytest.raises(SlipwayError, match="does not join the network: network ours not found") as refused:
        live.reach(KEEPER)

    assert refused.value.cure == "make stop_deployer start_deployer"


def test_a_container_beside_ours_is_called_past_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No caller can list its name."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    url = runtimes.of(replace(settings.load(), runtime="docker", network="slipway")).address("trial-of-m", 9001)

    assert not get_environ_proxies(f"{url}/ping")
    assert get_environ_proxies("http://packages.example/pypi")


def test_a_process_serves_the_files_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RUNTIME=host runs the server of this checkout by the version's lock, and tells it who its model is."""
    lock = locks.Lock(tmp_path)
    monkeypatch.setattr(environments, "find_python", lambda _, given: Path(sys.executable) if given == lock else None)
    ours = changed(settings.load(), runtime="host", serving={"port": 9001, "scoring": {"SCORING_WORKERS": "2"}})
    prepared = Prepared(ModelRef("models:/m/1", "", "m", "1"), tmp_path, '{"name": "m"}', lock)

    command, variables = runtimes.of(ours).serve_command(prepared)
    assert command == [sys.executable, "-m", "scoring", str(tmp_path), "--port", "9001"]
    assert variables == {"SCORING_WORKERS": "2", "SCORING_IDENTITY": '{"name": "m"}'}


def test_a_script_runs_in_its_folder(tmp_path: Path) -> None:
    """A script of RUNTIME=host finds its own files, is told the tracking server and the folder to keep things in."""
    (tmp_path / "train.py").write_text("import os; print(os.environ['MLFLOW_TRACKING_URI'], os.environ['KEPT_DIR'])")
    ours = changed(settings.load(), runtime="host", tracking={"external_uri": "http://tracking.example"})
    model = replace(model_folder.load(ROOT / "model"), path=tmp_path)
    script = Script(["train.py"], locks.of_folder(ours, model), kept=tmp_path / "kept")

    assert runtimes.of(ours).run_script(model, script) == (0, f"http://tracking.example {tmp_path}/kept")


SLEEPS = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('awake', flush=True); time.sleep(60)"
)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Processes]:
    """Return a live server of processes, with the record of a version that only sleeps, and of a keeper that ends."""
    found = Processes(replace(settings.load(), runtime="host"), tmp_path)
    for name, code in ((KEEPER, "raise SystemExit(1)"), ("v1", SLEEPS)):
        found.place(name).mkdir(parents=True)
        (found.place(name) / "start.json").write_text(json.dumps([[sys.executable, "-c", code, str(tmp_path)], {}]))
    yield found
    for name in found.list_names():
        found.stop(name)


def test_a_live_process_is_found_again(live: Processes, tmp_path: Path) -> None:
    """A detached version is known, to another process too, by what it left in its folder; one that hangs is killed."""
    assert live.mend("v1")
    wait_until(lambda: live.read_log("v1") == "awake\n", 30, "it runs")
    other = Processes(replace(settings.load(), runtime="host"), tmp_path)
    there = other.is_running("v1"), other.mend("v1")
    other.stop("v1", 0.2)

    assert there == (True, False)
    assert not live.is_running("v1")
    assert other.list_names() == [KEEPER]


def test_another_process_is_not_taken_for_ours(live: Processes) -> None:
    """A number that belongs to another program by now is not our version's, which is not ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        (live.place("v1") / "pid").write_text(str(process.pid))
        there = live.is_running("v1")
        live.stop("v1", 0.1)

        assert not there
        assert process.poll() is None


def test_what_keeps_ending_is_started_ever_later(live: Processes) -> None:
    """A program that ends again and again is started at once, and then after pauses."""
    ended_before = live.keeps_ending(KEEPER)
    started = live.mend(KEEPER)
    wait_until(lambda: not live.is_running(KEEPER), 30, "it ended")

    assert (ended_before, started, live.keeps_ending(KEEPER)) == (False, True, True)
    assert not live.mend(KEEPER)
    assert not live.mend("v9")  # of which there is no record
    wait_until(lambda: live.mend(KEEPER), 3, "it is started again")


def test_a_containers_variables_are_in_no_list_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's client is given the values of params.env, except for those that it would heed itself."""
    seen: list[tuple[list[str], dict[str, str]]] = []

    def show(command: list[str], env: dict[str, str]) -> tuple[int, str]:
        seen.append((command, env))
        return 0, ""

    monkeypatch.setattr("slipway.runtimes.docker.images.build_training", lambda *_: "image")
    monkeypatch.setattr("slipway.runtimes.docker.ownership.remove_container", lambda _: None)
    monkeypatch.setattr("slipway.runtimes.docker.shell.show", show)
    ours = changed(settings.load(), runtime="docker", tracking={"external_uri": "http://tracking.example"})
    variables = {"TOKEN": "hidden words", "PATH": "/opt/bin", "MLFLOW_TRACKING_URI": "not theirs"}
    runtimes.of(ours).run_script(model_folder.load(ROOT / "model"), Script(["train.py"], locks.Lock(ROOT), variables))
    command, env = seen[0]
    given = {command[at + 1] for at, word in enumerate(command) if word == "--env"}

    assert env == {"TOKEN": "hidden words"}
    assert {"TOKEN", "PATH=/opt/bin", "MLFLOW_TRACKING_URI=http://tracking.example"} <= given
    assert not [word for word in command if "hidden" in word or "theirs" in word]


def test_a_path_with_signs_is_one_mount() -> None:
    """Colons, commas and quotes belong to it: Docker reads its option as a record of CSV."""
    found = containers.bind(Path('/data/a:b,"c"'), "/given", "readonly")

    assert found == ["--mount", 'type=bind,"source=/data/a:b,""c""",target=/given,readonly']
