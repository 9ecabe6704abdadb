"""Small bodies out of which large tables would come.

Each is refused soon, memory stays, and a neighbour does not notice.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from collections.abc import Sized
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import mlflow.pyfunc
import pytest
from mlflow.pyfunc.model import PythonModel

from tests import beside
from tests.polling import wait_until
from tests.scoring.conftest import DEADLINE, Server, body, exchange
from tests.scoring.hostile import bodies

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from tests.scoring.test_start import Serve

SLOW = 10.0  # s; a busy machine's ten times the second that is wanted
GROWTH = 50 << 20  # bytes, which the first use of pyarrow is part of
TRIMMED = 5.0  # s, in which memory is given back
PEAK = 400 << 20  # bytes, meanwhile
STALL = 0.25  # s of the processor, which a busy machine does not make more of; a body takes a tenth of that
CALL = 0.001  # s of the processor for a neighbour's request
WAIT = 5.0  # s that a neighbour's slowest request may take on a busy machine
BODIES = cache(lambda: list(bodies()))  # made when they are sent, not when tests are collected


class Rows(PythonModel):
    """Counts rows, and takes whatever it gets."""

    def predict(self, context: object, model_input: object, params: object = None) -> list[int]:  # noqa: ARG002 -- MLflow's
        """Return how many there are."""
        assert isinstance(model_input, Sized)
        return [len(model_input)]


@pytest.fixture(scope="module")
def plain(serve: Serve, folders: dict[str, Path]) -> Iterator[Server]:
    """Return a server of a model with columns."""
    with serve(folders["one"], "--access-log", "off") as server:
        yield server


@pytest.fixture(scope="module")
def untyped(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of a model without signature."""
    folder = tmp_path_factory.mktemp("untyped") / "model"
    mlflow.pyfunc.save_model(str(folder), python_model=Rows(), pip_requirements=[])
    with serve(folder, "--access-log", "off") as server:
        yield server


class Cost(NamedTuple):
    """What a body cost."""

    status: int
    seconds: float
    loop: float  # the processor's seconds of the event loop's thread: for so long nobody else is answered
    peak: int  # bytes more than before

    @property
    def is_small(self) -> bool:
        """Whether nobody else notices it."""
        return self.seconds < SLOW and self.loop < STALL and self.peak < PEAK


def _send_all(server: Server, path: str = "", waits: Sequence[float] = ()) -> dict[str, Cost]:
    """Return what each body costs, beside a neighbour's requests."""
    found = {}
    for name, content, headers, at in BODIES():
        if path in {"", at}:
            _read_peak(server)
            memory, loop, calls, started = server.memory(), _read_loop_seconds(server), len(waits), time.perf_counter()
            answer = server.ask("POST", at, content, **{key.replace("-", "_"): value for key, value in headers.items()})
            seconds = time.perf_counter() - started
            loop = _read_loop_seconds(server) - loop - CALL * (len(waits) - calls)
            found[name] = Cost(answer.status, round(seconds, 2), round(loop, 2), _read_peak(server) - memory)
    return found


def test_columns(plain: Server) -> None:
    """A model with columns refuses each body soon, keeps its memory, and answers a neighbour meanwhile."""
    waits: list[float] = []
    plain.ask("POST", "/invocations", b"a,b,c\n0.5,1.0,2.0\n", Content_Type="text/csv")  # brings pandas

    def call(is_over: threading.Event) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", plain.port, timeout=DEADLINE)) as connection:
            while not is_over.is_set():
                started = time.perf_counter()
                assert exchange(connection, "POST", "/invocations", body(0.0, 1.0), {}).status == 200
                waits.append(time.perf_counter() - started)
                time.sleep(0.01)

    with beside.threads(call):
        before = plain.memory()
        found = _send_all(plain, waits=waits)

    assert {name: each for name, each in found.items() if each.status >= 500 or not each.is_small} == {}
    assert {name for name, each in found.items() if each.status == 200} <= {
        "records, one whole and many empty"
    }  # in the model's columns
    wait_until(lambda: plain.memory() - before < GROWTH, TRIMMED, lambda: f"{plain.memory() - before} bytes more")
    assert max(waits) < WAIT, found


def test_without_signature(untyped: Server) -> None:
    """MLflow's own parser gets no body out of which more would come than it may hold."""
    untyped.ask("POST", "/invocations", b"a,b,c\n0.5,1.0,2.0\n", Content_Type="text/csv")
    before = untyped.memory()
    found = _send_all(untyped, "/invocations")

    assert {name: each for name, each in found.items() if each.status >= 500 or not each.is_small} == {}
    assert {name for name, each in found.items() if each.status == 200} <= {
        "CSV, commas", "a row of many", "keys beside the rows", "brackets in a text", "Parquet, lists",
        "CSV, commas, a long line",
    }  # fmt: skip
    wait_until(lambda: untyped.memory() - before < GROWTH, TRIMMED, lambda: f"{untyped.memory() - before} bytes more")


def _read_peak(server: Server) -> int:
    """Return the most bytes that a server's process has held since this was last asked."""
    proc = Path(f"/proc/{server.process.pid}")
    found = (
        int(next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmHWM")).split()[1])
        * 1024
    )
    (proc / "clear_refs").write_text("5")
    return found


def _read_loop_seconds(server: Server) -> float:
    """Return the processor's seconds that the event loop's thread has taken."""
    fields = (
        Path(f"/proc/{server.process.pid}/task/{server.process.pid}/stat")
        .read_text(encoding="utf-8")
        .rpartition(")")[2]
        .split()
    )
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
