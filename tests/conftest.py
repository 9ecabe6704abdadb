"""What all tests share: the rule for missing tools, settings of their own, and running make in a clean environment."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slipway import settings as slipway_settings
from slipway.bootstrap import proxies
from slipway.settings import ROOT, Settings
from tests import polling
from tests.aliases import Option

os.environ.update(proxies.no_proxy())  # as verbs.run does: the tests call our services, too
pytest_plugins = ["tests.bounds"]  # a run's memory and end
REQUIRED = {tool for tool in os.environ.get("REQUIRE", "").split(",") if tool}  # CI sets it; a missing tool then fails
LONG = {
    "services",
    "contract",
    "protocols",
    "scoring",
    "browser",
}  # folders of which make test runs what is marked as fast
signal.signal(
    signal.SIGINT, signal.default_int_handler
)  # a background job may ignore Ctrl-C, and all it starts with it
signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does, with its fixtures


def need(tool: str, present: bool, cure: str) -> None:
    """Skip the test on a machine without a tool, and say so; fail where REQUIRE names it."""
    if present:
        return
    if tool in REQUIRED:
        pytest.fail(f"REQUIRE names {tool}, and it is not here: {cure}", pytrace=False)
    pytest.skip(f"needs {tool}: {cure}")


def find_command(target: str) -> list[str]:
    """Return what make runs for a target, as the Makefile has it, to be run without make, which hides its exit code."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n\t@\$\(ENV\) (?:\$\(PYTHON\)|python3 -\w+) (.+)", makefile, re.MULTILINE)
    assert found, f"the Makefile has no command for {target}"
    return [sys.executable, *found[1].replace("$(MAKECMDGOALS)", target).split()]


def changed(settings: Settings, **changes: Option) -> Settings:
    """Return other settings; new fields of a group are a dictionary: `changed(settings, serving={"port": 1})`."""
    groups = {name: replace(getattr(settings, name), **new) for name, new in changes.items() if isinstance(new, dict)}
    return replace(settings, **{**changes, **groups})


@pytest.fixture(scope="session")
def docker() -> None:
    """Need a Docker engine that answers."""
    answers = (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "version"], check=False, capture_output=True).returncode == 0
    )
    need("docker", answers, "start Docker, then make test_e2e")


@pytest.fixture
def host_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of the host runtime with a store of the test's own."""
    for name in ("MLFLOW_TRACKING_URI", "MODEL_DIR", "TRAIN_ARGS", "URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNTIME", "host")
    return changed(slipway_settings.load(), tracking={"external_uri": f"sqlite:///{tmp_path}/mlflow.db"})


@pytest.fixture(scope="session")
def make() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `make TARGET NAME=value…` in this checkout and returns what it printed."""

    def run(target: str, timeout: float = 600, **variables: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--no-print-directory", target, *(f"{name}={value}" for name, value in variables.items())]
        return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Find out how much longer deadlines are on this machine, once for all processes of a session.

    The time limit of a test is stretched, too, before pytest-timeout reads it.
    """
    os.environ[polling.SETTING] = str(polling.find_factor())
    if config.option.timeout is None:
        config.option.timeout = polling.stretch(float(config.getini("timeout")))


def pytest_report_header() -> str:
    """Say how much longer deadlines are."""
    return f"deadlines: × {polling.find_factor()} ({polling.SETTING})"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what is in a long folder and not marked as fast; stretch the time limits that tests name."""
    for item in items:
        if limit := item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(polling.stretch(limit.args[0])), append=False)
        if item.nodeid.split("/")[1] in LONG and not item.get_closest_marker("fast"):
            item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what a run left out, and why: tests that this machine lacks something for, long ones, and other targets'."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    left = terminalreporter.stats.get("deselected", []) if config.option.markexpr else []  # -k is the caller's choice
    slow = [item for item in left if item.get_closest_marker("slow") and "not slow" in config.option.markexpr]
    thorough = [item for item in left if item.get_closest_marker("thorough") and item not in slow]
    lines = [f"{count} tests: {reason}" for reason, count in reasons.items()]
    lines += [f"{len(slow)} tests that take longer: make test_all"] * bool(slow)
    lines += [f"{len(thorough)} thorough tests: the same without -m"] * bool(thorough)
    if any(argument.startswith("tests/services") for argument in config.args):
        lines += ["what needs Docker: make test_e2e; what needs Kubernetes: make test_cluster"]
    for line in lines:
        terminalreporter.write_line(f"left out: {line}")
