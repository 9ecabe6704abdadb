"""What the API test is told, and what it means when it does not end."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from slipway import ports, settings
from slipway.errors import SlipwayError, TimedOutError
from slipway.registry import models
from slipway.serving import api_test, server, smoke_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CASE = api_test.Case("http://127.0.0.1:8001", "models:/diabetes/3", {"columns": ["a"], "data": [[1.0]]}, [2.0], [])


def test_each_test_has_a_case_of_its_own() -> None:
    """Two tests of one port at once each read their own case, and nothing of either is left."""
    other = replace(CASE, uri="models:/diabetes/4")
    with api_test._written(CASE) as first, api_test._written(other) as second:  # noqa: SLF001 -- what is tested
        read = [json.loads(file.read_text())["uri"] for file in (first, second)]

    assert read == ["models:/diabetes/3", "models:/diabetes/4"]
    assert [first.exists(), second.exists()] == [False, False]


def test_a_test_that_does_not_end_says_nothing_about_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time for the test runs out, the error says that it is this machine's, and is of a kind of its own."""
    monkeypatch.setattr(api_test, "wait_until_ready", lambda *_: None)

    with pytest.raises(api_test.UntestedError, match="time-out: this machine did not end the test of models:/diabetes/3 within 0 s"):
        api_test.ask(replace(settings.load(), test_timeout=0), CASE)


@contextmanager
def serve(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve HTTP on a port of this machine; `answer` is told each request, and hears no end before its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int) -> None:
    """Answer a request with a status and no body."""
    handler.send_response(status)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize("is_alive", [None, lambda: True], ids=["another's", "our own"])
def test_a_server_that_is_not_ready_in_time_is_a_time_out(is_alive: Callable[[], bool] | None) -> None:
    """A server that starts for longer than START_TIMEOUT is told as that, with the setting to change."""
    slow = replace(settings.load(), start_timeout=1)
    with serve(lambda handler: send(handler, 503)) as url, pytest.raises(TimedOutError, match=r"time-out: .* within 1 s") as raised:
        api_test.wait_until_ready(slow, url, is_alive)

    assert raised.value.cure.startswith("START_TIMEOUT=2 ")


def test_nothing_that_listens_is_no_time_out() -> None:
    """Where nothing listens, no limit is too small: nobody serves a model there."""
    with pytest.raises(SlipwayError, match="no model answers") as raised:
        api_test.wait_until_ready(replace(settings.load(), start_timeout=1), f"http://127.0.0.1:{ports.find_free()}")

    assert not isinstance(raised.value, TimedOutError)


def test_an_answer_that_is_late_is_a_time_out() -> None:
    """A request to the model that takes longer than REQUEST_TIMEOUT, or that its server gives up, says nothing against the version."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200 if handler.path == "/ping" else 504)

    with serve(answer) as url, pytest.raises(api_test.UntestedError, match=r"time-out: .* did not answer.* 504"):
        api_test.ask(settings.load(), replace(CASE, url=url))


@pytest.mark.parametrize(
    ("taken", "bound", "best", "times"),
    [([150, 90, 80], 100, 90, 2), ([150, 140, 130], 100, 130, 3), ([50], 100, 50, 1), ([500], None, 500, 1)],
    ids=["the second is quick enough", "never", "at once", "no bound"],
)
def test_a_latency_is_measured_again_before_it_counts(
    taken: list[float], bound: float | None, best: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too slow is measured up to three times, and the best counts."""
    rest = list(taken)
    monkeypatch.setattr(smoke_test, "_measure", lambda *_: rest.pop(0))

    assert smoke_test._measure_well(CASE, None, bound) == best  # type: ignore[arg-type]  # noqa: SLF001 -- what is tested
    assert len(taken) - len(rest) == times


def test_a_model_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one command needs twice of a model without a server is asked once: its answer to other rows, or of other files, is another."""
    asked: list[str] = []
    monkeypatch.setattr(server, "_answered", {})
    monkeypatch.setattr(server, "_predict", lambda _settings, _prepared, rows: asked.append(rows) or [len(asked)])
    (tmp_path / "MLmodel").write_text("one")
    prepared = server.Prepared(models.Model("models:/diabetes/3", str(tmp_path)), tmp_path, "")
    rows, others = {"columns": ["a"], "data": [[1.0]]}, {"columns": ["a"], "data": [[2.0]]}
    answers = [server.predict(settings.load(), prepared, each) for each in (rows, rows, others)]
    (tmp_path / "MLmodel").write_text("two")

    assert [*answers, server.predict(settings.load(), prepared, rows)] == [[1], [1], [2], [3]]
