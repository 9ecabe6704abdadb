"""A port that a keeper hands from one version's processes to the next one's."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from slipway import ports
from tests import beside
from tests.scoring.conftest import DEADLINE, Answer, Server, end, start, until
from tests.scoring.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SWAPS = {1: 4, 2: 20}  # by workers
FACTORS = {"one": 1.0, "two": 2.0}  # by which the code of a version multiplies
MODEL = """
import mlflow
from prep_features import scale


class Scaled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return scale(model_input).to_numpy()


mlflow.models.set_model(Scaled())
"""


@dataclass
class Kept:
    """A keeper and the versions that it knows, as `make serve_model FOLLOW=1` would run them."""

    at: Path
    sockets: int
    port: int = field(default_factory=ports.find_free)
    versions: dict[str, Server] = field(default_factory=dict)
    keeper: subprocess.Popen[bytes] | None = None

    @property
    def public(self) -> Server:
        """The port, as clients see it; its process is the keeper."""
        assert self.keeper
        return Server(self.port, self.keeper, self.at / "none", self.at / "none")

    def keep(self) -> None:
        """Start the keeper."""
        command = [sys.executable, "-m", "scoring.processes.keeper", str(self.at), "--door", str(self.at / "door")]
        (self.at / "door").unlink(missing_ok=True)
        self.keeper = subprocess.Popen([*command, "--port", str(self.port), "--sockets", str(self.sockets)])
        until((self.at / "door").exists, "the keeper listens")

    def kill_keeper(self) -> None:
        """Kill the keeper, and start another, which the versions find."""
        assert self.keeper
        self.keeper.kill()
        self.keeper.wait()
        self.keep()

    def start(self, name: str, folder: Path, *flags: str) -> Server:
        """Start a version beside the one that answers, and wait until all its processes are ready."""
        identity = f'{{"name": "m", "version": "{name}"}}'
        flags = ("--keeper", str(self.at / "door"), "--keeper-name", name, "--workers", str(self.sockets), *flags)
        self.versions[name] = server = start(folder, self.at, "--identity", identity, "--access-log", "off", *flags)
        until(lambda: server.is_ready() and self.ready(name)[0] == self.sockets, f"{name} is ready")
        return server

    def point(self, name: str) -> None:
        """Have a version answer, and wait until it alone accepts."""
        (self.at / "new").symlink_to(f"versions/{name}")
        (self.at / "new").rename(self.at / "current")
        until(lambda: self.ready(name)[1] == self.sockets, f"{name} has the port")
        others = [each for each in self.versions if each != name and self.versions[each].process.poll() is None]
        until(lambda: all(self.ready(each)[1] == 0 for each in others), "the others have let go")

    def ready(self, name: str) -> tuple[int, int]:
        """Return how many processes a version has, and on how many of the keeper's sockets they accept."""
        found = self.versions[name].ask("GET", "/readyz").json()
        return found["workers"], found["sockets"]

    def stop(self, name: str) -> int:
        """End a version; return its exit code."""
        return self.versions.pop(name).stop()


@contextlib.contextmanager
def _keeping(at: Path, sockets: int) -> Iterator[Kept]:
    """Start a keeper with a socket for each worker of its versions."""
    found = Kept(at, sockets)
    found.keep()
    try:
        yield found
    finally:
        for server in found.versions.values():
            end(server)
        assert found.keeper
        found.keeper.kill()
        found.keeper.wait()


@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.thorough)], ids=["one worker", "two workers"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Return a keeper for versions with so many workers."""
    with _keeping(tmp_path, request.param) as found:
        yield found


@pytest.fixture(scope="session")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return two versions, whose code differs in a module of one name."""
    at, rows = tmp_path_factory.mktemp("scaled"), pd.DataFrame({"a": [0.0], "b": [10.0], "c": [0.0]})
    for name, factor in FACTORS.items():
        (at / f"{name}-code").mkdir()
        module, code = at / f"{name}-code" / "prep_features.py", at / f"{name}-code" / "scaled.py"
        module.write_text(f"def scale(frame):\n    return frame['b'] * {factor}\n")
        code.write_text(MODEL)
        program = (
            "import sys, mlflow, pandas as pd; from mlflow.models import infer_signature\n"
            f"sys.path.insert(0, {str(module.parent)!r}); rows = pd.DataFrame({rows.to_dict('list')!r})\n"
            f"mlflow.pyfunc.save_model({str(at / name)!r}, python_model={str(code)!r}, code_paths=[{str(module)!r}],"
            "signature=infer_signature(rows, pd.Series([1.0])), input_example=rows, pip_requirements=[])"
        )
        subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, capture_output=True)
    return {name: at / name for name in FACTORS}


@contextlib.contextmanager
def _asked(kept: Kept) -> Iterator[list[Load]]:
    """Have clients ask: on connections kept alive, busy and idle ones, and on a new one each time."""
    loads = [
        Load(kept.public, 4, pause=0.1),
        Load(kept.public, 2, pause=0.1, closes=True),
        Load(kept.public, 4, pause=0.7),
    ]
    with contextlib.ExitStack() as stack:
        for load in loads:
            stack.enter_context(load)
        yield loads


def _check(loads: list[Load], factors: dict[str, float]) -> None:
    """Have no request lost, and each answer be that of the version that it names."""
    answers = [answer for load in loads for answer in load.answers]

    assert [words for load in loads for words in load.lost] == []
    assert sum(load.refused for load in loads) == 0
    assert {answer.status for _, answer in answers} == {200}
    assert {answer.headers["x-model-version"].split("-")[0] for _, answer in answers} == factors.keys()
    assert all(
        answer.json() == {"predictions": [sent * factors[answer.headers["x-model-version"].split("-")[0]]]}
        for sent, answer in answers
    )


def test_swaps_under_load(kept: Kept, scaled: dict[str, Path]) -> None:
    """Versions with different code in a module of one name change places under load.

    No request fails, each answer is that of the version it names, and each version ends by itself when told to.
    """
    kept.start("one-0", scaled["one"])
    kept.point("one-0")
    with _asked(kept) as loads:
        for at in range(1, SWAPS[kept.sockets] + 1):
            name, before = ("two" if at % 2 else "one"), f"{('one' if at % 2 else 'two')}-{at - 1}"
            kept.start(f"{name}-{at}", scaled[name])
            kept.point(f"{name}-{at}")
            assert kept.stop(before) == 0

    _check(loads, FACTORS)


def test_kills_under_load(kept: Kept, folders: dict[str, Path]) -> None:
    """SIGKILL to a keeper costs no request; to a version, only those that it had.

    Callers wait for what is started in its place, which gets the port again.
    """
    kept.start("one-0", folders["one"])
    kept.point("one-0")
    with _asked(kept) as loads:
        for _ in range(3):
            kept.kill_keeper()
            for load in loads:
                load.more()
        lost_with_keepers = [words for load in loads for words in load.lost]
        kept.versions["one-0"].process.kill()  # the supervisor, where there is one: its workers end with it
        kept.start("one-0", folders["one"])
        for load in loads:
            load.more()

    assert lost_with_keepers == []
    lost = [words for load in loads for words in load.lost]
    assert len(lost) <= 10, lost  # one for each client
    assert kept.ready("one-0") == (kept.sockets, kept.sockets)


def test_a_killed_worker(tmp_path: Path, folders: dict[str, Path]) -> None:
    """The sockets of a worker that is killed go to the other at once, and one comes back to its successor."""
    with _keeping(tmp_path, 2) as kept:
        server = kept.start("one-0", folders["one"])
        kept.point("one-0")
        os.kill(server.workers()[0], signal.SIGKILL)
        seconds = [_time(kept.public) for _ in range(20)]  # half of them on the killed one's socket
        until(lambda: kept.ready("one-0") == (2, 2), "it was replaced")

        assert max(seconds) < 1, seconds


def test_the_port_is_given_back(tmp_path: Path, folders: dict[str, Path]) -> None:
    """A version that was told to let go, and has not ended, answers again when the link names it."""
    with _keeping(tmp_path, 1) as kept:
        kept.start("one-0", folders["one"])
        kept.point("one-0")
        kept.start("two-0", folders["two"])
        kept.point("two-0")
        let_go = kept.versions["one-0"].ask("GET", "/readyz")
        kept.point("one-0")
        answer = kept.public.predict(1.0)

        assert (let_go.status, let_go.json()["sockets"]) == (503, 0)
        assert (answer.json(), answer.headers["x-model-version"]) == ({"predictions": [1.0]}, "one-0")
        assert "connection" not in answer.headers


def test_callers_wait_for_a_version(tmp_path: Path, folders: dict[str, Path]) -> None:
    """Who calls before a version has the port waits, and is answered."""
    with _keeping(tmp_path, 1) as kept:
        answers: list[Answer] = []
        with beside.together(lambda: answers.append(kept.public.predict(3.0)), 3):
            kept.start("two-0", folders["two"])
            kept.point("two-0")

        assert [answer.json() for answer in answers] == [{"predictions": [1003.0]}] * 3


def test_a_taken_port(tmp_path: Path) -> None:
    """A keeper does not share a port with another program."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "scoring.processes.keeper", str(tmp_path), "--door", str(tmp_path / "door")]
        ended = subprocess.run(
            [*command, "--port", port], check=False, capture_output=True, text=True, timeout=DEADLINE
        )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"error: cannot keep 127.0.0.1:{port}: Address already in use\n"


def _time(server: Server) -> float:
    """Return the seconds that one request on a new connection takes."""
    began = time.monotonic()
    assert server.predict(1.0).status == 200
    return time.monotonic() - began
