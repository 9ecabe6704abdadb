"""The serving image at work: it answers in a closed container, and ends as it should."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from slipway.registry.model_uri import ModelRef
from slipway.runtimes import containers
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.serving import server
from slipway.settings import Settings
from tests.image.conftest import CLOSED, NAME, answers, ask_docker, inspect, run_server, wait_until

REQUEST = {"dataframe_split": {"columns": ["x"], "data": [[1.0], [3.0]]}}


def test_the_serving_image_answers_in_a_closed_container(served: str) -> None:
    """Without a writable file, a capability or root, the server answers /invocations as user 10001."""
    with run_server(served, *CLOSED) as (name, url):
        wait_until(lambda: answers(url), name)
        answer = requests.post(f"{url}/invocations", json=REQUEST, timeout=30)
        user = ask_docker("exec", name, "id", "-u")

    assert answer.json()["predictions"] == pytest.approx([2.0, 6.0])
    assert user == "10001"


def test_the_reference_that_a_kill_left_is_in_nobodys_way(
    settings: Settings, served: str, files: Path, lock: Lock
) -> None:
    """Asking a model without a server replaces an earlier container, whose process ids a restarted one has again."""
    name = containers.name_reference(settings.services)
    ask_docker("run", "--detach", "--name", name, served, "sleep", "600")
    prepared = Prepared(ModelRef(f"models:/{NAME}/7", "", NAME, "7"), files, "{}", lock)
    answer = server.predict(settings, prepared, REQUEST)

    assert answer["predictions"] == pytest.approx([2.0, 6.0])
    assert ask_docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""


def test_the_server_writes_nothing(served: str) -> None:
    """In a container that could be written to, loading and answering change no file.

    No __pycache__, no temporary files.
    """
    with run_server(served) as (name, url):
        wait_until(lambda: answers(url), name)
        requests.post(f"{url}/invocations", json=REQUEST, timeout=30).raise_for_status()
        changed = ask_docker("diff", name)

    assert changed == ""


def test_the_health_check_turns_healthy(served: str) -> None:
    """Docker sees by itself that the server answers, within seconds of it."""
    with run_server(served, *CLOSED) as (name, url):
        wait_until(lambda: answers(url), name)
        answered = time.monotonic()
        wait_until(lambda: inspect(name)["State"]["Health"]["Status"] == "healthy", name)
        took = time.monotonic() - answered

    assert took < 10


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("MLmodel", "error: no MLflow model at /opt/model: it has no MLmodel file"),
        ("model.skops", "error: the model at /opt/model did not load: "),
    ],
    ids=["no model", "broken model"],
)
def test_a_model_that_does_not_load_ends_the_container(
    build: Callable[[Path], str], files: Path, tmp_path: Path, file: str, words: str
) -> None:
    """A container whose model cannot be loaded ends with code 3 and one line that says why."""
    broken = Path(shutil.copytree(files, tmp_path / "model"))
    (broken / file).rename(tmp_path / "kept")
    if file != "MLmodel":
        (broken / file).write_text("broken")
    tag = build(broken)
    done = subprocess.run(["docker", "run", "--rm", *CLOSED, tag], check=False, capture_output=True, text=True)
    said = [
        line for line in done.stderr.splitlines() if "WARNING mlflow" not in line
    ]  # it was saved by the tests' Python

    assert done.returncode == 3
    assert len(said) == 1
    assert said[0].startswith(words)


@pytest.mark.parametrize("options", [[], ["--init"]], ids=["as process 1", "under an init"])
@pytest.mark.parametrize("ready", [False, True], ids=["while it loads", "while it serves"])
def test_sigterm_ends_the_server(served: str, options: list[str], ready: bool) -> None:
    """SIGTERM ends a server within five seconds, at any time, with exit code 0."""
    with run_server(served, *CLOSED, *options) as (name, url):
        if ready:
            wait_until(lambda: answers(url), name)
        else:
            wait_until(lambda: "scoring" in ask_docker("top", name), name)
            time.sleep(0.5)  # Python is up, the libraries are not
        started = time.monotonic()
        ask_docker("stop", "--time", "10", name)
        took = time.monotonic() - started
        code = inspect(name)["State"]["ExitCode"]

    assert code == 0
    assert took < 5
