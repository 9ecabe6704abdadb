"""mlflow_env.sh is the one list of settings: one form, the caller wins, and nothing reads a setting outside it."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from slipway import settings
from slipway.bootstrap import doctor, proxies
from slipway.settings import ROOT
from tests.conftest import need
from tests.repo import tree

FORM = re.compile(r'export ([A-Z][A-Z0-9_]*)="\$\{\1:-(.*)\}"  # (\S.*)')
LINES = [line for line in tree.read("mlflow_env.sh").splitlines() if line and not line.startswith("#")]
SETTINGS = {found[1]: found[2] for line in LINES if (found := FORM.fullmatch(line))}
CALLERS = {*proxies.PROXIES, *proxies.PACKAGE_INDEXES, "KUBERNETES_SERVICE_HOST"}  # not ours to set
STARTED_BY = {  # compose files, and what gives compose their variables
    "compose.yaml": ["services/mlflow.py"],
    "postgres.yaml": ["services/mlflow.py", "services/credentials.py"],
    "mlflow.yaml": ["services/mlflow.py", "services/credentials.py"],
    "registry.yaml": ["services/mlflow.py", "services/image_registry.py"],
    "prometheus.yaml": ["services/mlflow.py", "services/monitoring.py"],
    "alertmanager.yaml": ["services/mlflow.py", "services/monitoring.py"],
    "grafana.yaml": ["services/mlflow.py", "services/monitoring.py"],
    "deployer.yaml": ["services/mlflow.py", "deployer/start.py"],
}
OTHERS = {
    "DO_NOT_TRACK",
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR",
}  # what MLflow itself reads
READERS = {  # the modules that look up a variable by its name
    "venv": "runs before set-up: certificates and package indexes",
    "settings": "the one place",
    "proxies": "what is the caller's: proxies",
    "connection": "MLFLOW_TRACKING_URI, to leave it as it was: MLflow sets it",
    "locustfile": "Locust runs it, in an environment of its own: where its plan is",
    "lockfile": "runs before settings can be imported (Python 3.8): UPGRADE and certificates",
}


def source(shell: str, **caller: str) -> dict[str, str]:
    """Return the environment after a shell has read mlflow_env.sh with nothing but the caller's variables."""
    need(shell, shutil.which(shell) is not None, f"install {shell}")
    environment = {"PATH": os.environ["PATH"], "HOME": "/home/someone", **caller}
    command = [shell, "-eu", "-c", ". ./mlflow_env.sh && exec env -0"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=environment).stdout
    return dict(line.split("=", 1) for line in printed.split("\0") if line)


@pytest.mark.parametrize("line", LINES, ids=[line[7:].split("=")[0] for line in LINES])
def test_a_line_has_the_one_form(line: str) -> None:
    """A setting is one line: name, default that gives way to the caller's value, meaning."""
    assert FORM.fullmatch(line)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_defaults_are_as_written(shell: str) -> None:
    """In every shell that make may use, a setting that the caller leaves alone has the default on its line."""
    found = source(shell)

    assert {name: found[name] for name in SETTINGS} == {
        name: default.replace("${HOME}", "/home/someone") for name, default in SETTINGS.items()
    }


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_caller_wins(shell: str) -> None:
    """In every shell that make may use, what the caller exported stays, with spaces and quotes."""
    mine = dict.fromkeys(SETTINGS, 'the caller\'s "own" $value')

    assert {name: source(shell, **mine)[name] for name in SETTINGS} == mine


def test_no_setting_is_there_twice() -> None:
    """Each setting has one line."""
    assert len(SETTINGS) == len(LINES)


def test_what_python_reads_is_listed() -> None:
    """Every variable that the settings read is a setting, or the caller's own."""
    names = {
        text
        for path in tree.find("src/slipway/settings/*.py")
        for text in tree.strings(path)
        if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", text)
    }

    assert names - CALLERS - set(settings.__all__) <= SETTINGS.keys()


def test_each_compose_file_is_known() -> None:
    """Each compose file is started by a module of ours."""
    assert {path.name for path in tree.find("mlflow_services/*.yaml")} == STARTED_BY.keys()


@pytest.mark.parametrize("name", STARTED_BY)
def test_what_compose_reads_is_given(name: str) -> None:
    """Every variable of a compose file is named where its service is started: compose stops at one without a value."""
    names = set(re.findall(r"\$\{(\w+)", tree.read(f"mlflow_services/{name}")))
    given = {text for module in STARTED_BY[name] for text in tree.strings(Path("src/slipway", module))}

    assert names - given == set()


def test_every_setting_is_read() -> None:
    """Each setting is named by our code or a compose file, or is MLflow's own."""
    files = [
        path
        for path in tree.find("src/*.py", "scripts/*.py", "mlflow_services/*.yaml", "model/*.py")
        if path.name != "doctor.py"
    ]
    text = "\n".join(tree.read(path) for path in files)
    unread = [name for name in SETTINGS if not re.search(rf"\b{name}\b", text)]

    assert set(unread) == OTHERS - {name for name in OTHERS if name in text}


def test_python_has_the_same_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that runs without make sees the same settings as under make."""
    sourced = source("sh")
    monkeypatch.setattr(os, "environ", sourced)
    under_make = settings.load()
    monkeypatch.setattr(os, "environ", {name: value for name, value in sourced.items() if name not in SETTINGS})

    assert settings.load() == under_make
    assert set(doctor.SETTINGS) <= SETTINGS.keys()


@pytest.mark.parametrize("path", tree.find("src/slipway/*.py"), ids=str)
def test_settings_are_read_in_one_place(path: Path) -> None:
    """Only the modules above look a variable up by its name; the others are handed Settings."""
    read = [
        node.lineno
        for node in ast.walk(ast.parse(tree.read(path)))
        if (isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ")
        or (isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.getenv", "os.environ.get", "os.environ.pop"})
    ]

    assert not read or path.stem in READERS, f"lines {read}"
