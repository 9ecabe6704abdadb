"""A run of the tests that fails leaves nothing running, ends with Ctrl-C, and takes no more memory than it may."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from slipway.settings import ROOT
from tests import beside, processes
from tests.conftest import need
from tests.repo import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WITHIN = 90  # s, on a busy machine
HEAD = """
import os, subprocess, sys, threading, time, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import pytest
from tests import beside

class Silent(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass

def ask(port, ended):
    while not ended.is_set():
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()

@pytest.fixture
def load():
    with beside.serving(ThreadingHTTPServer(("127.0.0.1", 0), Silent)) as port:
        with beside.threads(lambda ended: ask(port, ended), 3):
            yield
"""
LEFT = """
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    leave = f"import subprocess; subprocess.Popen({sleep}, start_new_session=True)"
    subprocess.run([sys.executable, "-c", leave])
    subprocess.Popen(sleep)
"""


@dataclass
class Run:
    """A run of pytest with the plugins of these tests, on one test file."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def mark(self) -> str:
        """What its processes bear."""
        return f"{os.environ[processes.MARK]}/{self.process.pid}"

    def wait(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it printed."""
        return self.process.wait(WITHIN), self.log.read_text()

    def find_left(self) -> list[str]:
        """Return its processes."""
        return [each.command for each in processes.find(self.mark, self.process.pid).values()]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Return a function that starts pytest on a test's lines; nothing of it stays."""
    need("linux", processes.PROC.joinpath("self").exists(), "run these tests on Linux")
    started: list[subprocess.Popen[str]] = []

    def start(lines: str, **variables: str) -> Run:
        file, log = tmp_path / "test_it.py", tmp_path / "log"
        file.write_text(f"{HEAD}\ndef test_it(load):\n    print('began', flush=True)\n{lines}")
        command = [sys.executable, "-m", "pytest", "-p", "tests.bounds", "-p", "no:cacheprovider", "-s", str(file)]
        with log.open("w") as out:
            started.append(
                subprocess.Popen(
                    command, cwd=ROOT, env={**os.environ, **variables}, stdout=out, stderr=out, text=True,
                    start_new_session=True,
                )
            )  # fmt: skip
        return Run(started[0], log)

    yield start
    for process in started:
        beside.kill(process)


def test_a_test_that_fails_leaves_nothing(run: Callable[..., Run]) -> None:
    """Clients under load, their server and processes, even one whose parent has gone, end with a test that fails."""
    found = run(f"{LEFT}    assert False")
    code, printed = found.wait()

    assert code == 1, printed
    assert "1 failed" in printed
    assert printed.count("killed, because a test left it running: ") == 2
    assert found.find_left() == []


def test_a_time_out_leaves_nothing(run: Callable[..., Run]) -> None:
    """A test that is stopped by its time-out fails; the run ends."""
    found = run("    time.sleep(600)", PYTEST_TIMEOUT="2")
    code, printed = found.wait()

    assert code == 1, printed
    assert "Timeout (>2.0s)" in printed
    assert found.find_left() == []


def test_ctrl_c_ends_a_run(run: Callable[..., Run]) -> None:
    """Ctrl-C in a test under load ends pytest, though another thread of the test never ends."""
    found = run(f"{LEFT}    threading.Thread(target=time.sleep, args=(600,), name='deaf').start()\n    time.sleep(600)",
                TEST_LEAVE_S="1")  # fmt: skip
    deadline = time.monotonic() + WITHIN
    while "began" not in found.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)  # its processes start
    found.process.send_signal(signal.SIGINT)
    code, printed = found.wait()

    assert code == 2, printed
    assert "Python cannot exit because of running threads: MainThread, deaf" in printed
    assert found.find_left() == []


def test_a_run_that_takes_too_much_memory_ends(run: Callable[..., Run]) -> None:
    """A process of a test that grows past the limit is named and killed, and the run ends with it."""
    growing = "import time; held = bytearray(b'x') * (300 << 20); time.sleep(600)"
    found = run(f"    subprocess.run([sys.executable, '-c', {growing!r}])\n    time.sleep(600)", TEST_MEMORY_MB="200")
    code, printed = found.wait()

    assert code == 2, printed
    assert "more than TEST_MEMORY_MB=200; ending the run:" in printed
    assert "held = bytearray" in printed
    assert found.find_left() == []


@pytest.mark.parametrize("path", tree.find("tests/*.py"), ids=str)
def test_threads_end_with_their_block(path: Path) -> None:
    """Only `beside` starts threads in tests, so none outlives its test; bounds and a program have their own."""
    own = {"tests/beside.py", "tests/bounds.py", "tests/contract/mlflow_servers.py"}
    calls = [node for node in ast.walk(ast.parse(tree.read(path))) if isinstance(node, ast.Call)]

    assert str(path) in own or "threading.Thread" not in {ast.unparse(call.func) for call in calls}
