"""Answers that come in pieces: an agent's events, their bounds and their end."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import pytest

from tests.scoring.conftest import DEADLINE, body, until
from tests.scoring.talker import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aliases import Json
    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

TIMEOUT = 4  # s for one request of the shared server
DONE, LATE, FAILED = (
    "[DONE]", {"error": "the request took too long"}, {"error": "the model failed before its answer was complete"},
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the agent."""
    at = tmp_path_factory.mktemp("agents") / "talker"
    mlflow.tracing.disable()  # of the answers that are compared: they need no database
    mlflow.pyfunc.save_model(str(at), python_model=str(Path(__file__).parent / "talker.py"), pip_requirements=[])
    return at


@pytest.fixture(scope="module")
def server(serve: Serve, folder: Path) -> Iterator[Server]:
    """Serve the agent, which has time for two streams at once."""
    with serve(folder, "--threads", "2", "--request-timeout", str(TIMEOUT)) as served:
        yield served


def request(text: str, *, stream: bool = True, **custom: Json) -> bytes:
    """Return a request of MLflow's form."""
    given = {"input": [{"role": "user", "content": text}], "custom_inputs": custom}
    return json.dumps({**given, "stream": True} if stream else given).encode()


class Reader:
    """A client that reads a stream's events one by one."""

    def __init__(self, server: Server, text: str, path: str = "/invocations", **custom: Json) -> None:
        self.line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        self.line.request("POST", path, request(text, **custom), {"Content-Type": "application/json"})
        self.answer = self.line.getresponse()

    def next(self) -> Json:
        """Return the next event; None when the answer is over."""
        lines = iter(self.answer.readline, b"\n")
        data = b"".join(iter(lambda: next(lines, b""), b""))
        assert data == b"" or data.startswith(b"data: ")
        text = data.removeprefix(b"data: ").strip().decode()
        return (DONE if text == DONE else json.loads(text)) if text else None

    def rest(self) -> list[Json]:
        """Return all further events."""
        return list(iter(self.next, None))


def test_it_answers_as_mlflow_does(server: Server, folder: Path) -> None:
    """An answer, and each event of a stream, is what mlflow.pyfunc gives; OpenAI's clients call /responses."""
    model = mlflow.pyfunc.load_model(str(folder))
    asked = json.loads(request("so be it"))
    one = server.ask("POST", "/invocations", request("so be it", stream=False))
    told = Reader(server, "so be it")
    again = Reader(server, "so be it", "/responses")

    assert one.json() == model.predict(json.loads(request("so be it", stream=False)))
    assert told.answer.status == 200
    assert told.answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert told.answer.headers["X-Model-Version"] == "unregistered"
    assert told.rest() == again.rest() == [*model.predict_stream(asked), DONE]


def test_events_come_as_they_are_made(server: Server) -> None:
    """The first event is there long before the last; a predict need not wait for streams, whose threads are others."""
    began = time.monotonic()
    readers = [Reader(server, "first sleep=2 last") for _ in range(2)]
    firsts = [reader.next()["delta"] for reader in readers]
    one = server.ask("POST", "/invocations", request("at once", stream=False))
    soon = time.monotonic() - began
    third = Reader(server, "third").rest()  # waits for one of the two threads

    assert firsts == ["first"] * 2
    assert one.status == 200
    assert soon < 2 < time.monotonic() - began
    assert [event["delta"] for event in third[:1]] == ["third"]
    assert [reader.rest()[-1] for reader in readers] == [DONE] * 2


def test_a_failure_shows_nothing_of_the_inside(server: Server) -> None:
    """Before the first event it is an answer of its own; later it is the last event but the end, and in the log."""
    before = server.ask("POST", "/invocations", request("fail"))
    later = Reader(server, "word fail").rest()

    assert (before.status, before.json()["message"]) == (400, "the model cannot predict these rows")
    assert later[0]["delta"] == "word"
    assert later[1:] == [FAILED, DONE]
    assert "the model raised ValueError at " in server.err.read_text()
    assert "secret" not in server.err.read_text()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"input": "text", "stream": true}', 400),
        (b'{"input": [{"role": "user", "content": "a"}], "stream": "yes"}', 400),
        (b'{"stream": true}', 400),
        (b'{"stream": true, "input": ' + b"[" * 40 + b"]" * 40 + b"}", 400),
        (b'{"input": [{"role": "user", "content": "a"}], "stream": true', 400),
        (body(1.0).replace(b"{", b'{"stream": true, ', 1), 400),
    ],
    ids=["no list", "stream is no boolean", "no input", "deep", "no JSON", "rows"],
)
def test_a_wrong_request_is_no_stream(content: bytes, status: int, server: Server) -> None:
    """It is refused in one piece."""
    answer = server.ask("POST", "/invocations", content)

    assert answer.status == status
    assert answer.json()["error_code"] == "BAD_REQUEST"


def test_a_client_that_leaves_ends_its_stream(server: Server, tmp_path: Path) -> None:
    """The model's generator is closed, not read to its end."""
    witness = tmp_path / "made"
    reader = Reader(server, "one " + "sleep=0.1 " * 50, witness=str(witness))
    assert reader.next()["delta"] == "one"
    reader.answer.close()
    reader.line.close()
    until(witness.exists, "the generator is closed")

    assert 1 <= int(until(witness.read_text, "the number")) < 50
    until(lambda: server.metrics()["scoring_in_flight"] == 0, "nothing is under way")


def test_a_model_waits_for_a_slow_client(server: Server, tmp_path: Path) -> None:
    """Few bytes wait for a client that does not read, and when its time is over, its connection is cut."""
    witness, before = tmp_path / "made", server.memory()
    reader = Reader(server, "flood=20000", witness=str(witness))
    reader.next()
    until(witness.exists, "its time is over")
    made = int(until(witness.read_text, "the number"))
    with contextlib.suppress(OSError, http.client.HTTPException):
        reader.answer.read()

    assert 10 <= made * PIECE <= 32 << 20  # most of it in the kernel's buffers; all would be 640 MB
    assert server.memory() - before < 64 << 20


def test_the_time_of_a_request_holds_for_its_stream(server: Server) -> None:
    """A stream that takes longer ends with an event that says so."""
    began = time.monotonic()
    told = Reader(server, "one " + "sleep=0.5 " * 40).rest()

    assert TIMEOUT - 1 < time.monotonic() - began < TIMEOUT + 10
    assert told[0]["delta"] == "one"
    assert told[-2:] == [LATE, DONE]


def test_a_stream_counts_once(server: Server) -> None:
    """Metrics and the access log have one entry, with all of its time."""
    before = server.metrics()
    Reader(server, "sleep=1 end").rest()
    until(lambda: server.lines() and server.lines()[-1]["ms"] >= 1000, "its line in the log")
    line, after = server.lines()[-1], server.metrics()

    assert (line["path"], line["code"], line["rows"]) == ("/invocations", 200, 1)
    for name in ("scoring_requests_total[200]", "scoring_request_duration_seconds_count"):
        assert after[name] - before[name] == 1, name
    assert after["scoring_request_duration_seconds_sum"] - before["scoring_request_duration_seconds_sum"] >= 1


@pytest.mark.parametrize(
    "flags", [[], pytest.param(["--workers", "2"], marks=pytest.mark.thorough)], ids=["one", "two"]
)
def test_a_stream_is_finished_at_the_end(flags: list[str], serve: Serve, folder: Path) -> None:
    """After SIGTERM a stream goes on to its end, and the exit code is 0; CORS is no hindrance."""
    with serve(folder, "--cors-origins", "https://a.example", *flags) as server:
        reader = Reader(server, "one sleep=2 last")
        first = reader.next()
        server.process.send_signal(signal.SIGTERM)
        rest: list[Any] = reader.rest()
        code = server.process.wait(DEADLINE)

    assert first["delta"] == "one"
    assert [event["delta"] for event in rest[:2]] == ["sleep=2", "last"]
    assert rest[-1] == DONE
    assert code == 0
