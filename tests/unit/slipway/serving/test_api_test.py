"""What the API test is told, and what it means when it does not end."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from slipway import ports, settings
from slipway.errors import SlipwayError, TimedOutError
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from slipway.serving import api_checks, api_test, server, smoke_test
from tests import beside
from tests.conftest import changed
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slipway.settings import Settings
    from tests.aliases import Json

ROWS = {"dataframe_split": {"columns": ["a"], "data": [[1.0]]}}
INPUTS = [{"name": "a", "type": "double", "required": True}]
CASE = api_test.Case("http://127.0.0.1:8001", "models:/diabetes/3", ROWS, {"predictions": [2.0]}, [], inputs=INPUTS)


@contextmanager
def serve(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Serve HTTP on a port of this machine; `answer` is told each request, and hears no end before its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

    with beside.serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"") -> None:
    """Answer a request with a status and a body."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.mark.parametrize("is_alive", [None, lambda: True], ids=["another's", "our own"])
def test_a_server_that_is_not_ready_in_time_is_a_time_out(is_alive: Callable[[], bool] | None) -> None:
    """A server that starts for longer than START_TIMEOUT is told as that, with the setting to change."""
    slow = changed(settings.load(), serving={"start_timeout": 1})
    with (
        serve(lambda handler: send(handler, 503)) as url,
        pytest.raises(TimedOutError, match=r"time-out: .* within 1 s") as raised,
    ):
        api_test.wait_until_ready(slow.serving, url, is_alive)

    assert raised.value.cure.startswith("START_TIMEOUT=2 ")


def test_nothing_that_listens_is_no_time_out() -> None:
    """Where nothing listens, no limit is too small: nobody serves a model there."""
    with pytest.raises(SlipwayError, match="no model answers") as raised:
        api_test.wait_until_ready(
            changed(settings.load(), serving={"start_timeout": 1}).serving, f"http://127.0.0.1:{ports.find_free()}"
        )

    assert not isinstance(raised.value, TimedOutError)


def test_an_answer_that_is_late_is_a_time_out() -> None:
    """A request that outlasts REQUEST_TIMEOUT, or that the server gives up, says nothing against the version."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200 if handler.path == "/ping" else 504)

    with serve(answer) as url, pytest.raises(api_test.UntestedError, match=r"time-out: .* did not answer.* 504"):
        api_test.ask(settings.load(), replace(CASE, url=url))


def test_a_test_that_does_not_end_says_nothing_about_the_version() -> None:
    """When the time for the test runs out, the error says that it is this machine's, and is of a kind of its own."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0 if handler.path == "/ping" else 0.5)
        send(handler, 200)

    with (
        serve(answer) as url,
        pytest.raises(
            api_test.UntestedError, match="this machine did not finish the test of models:/diabetes/3 within 0 s"
        ),
    ):
        api_test.ask(changed(settings.load(), serving={"test_timeout": 0}), replace(CASE, url=url))


@pytest.mark.parametrize("setting", ["request_timeout", "test_timeout"])
def test_an_answer_that_drips_is_a_time_out(setting: str) -> None:
    """An answer that never ends, byte by byte, ends with the test's time; one that stops does with the request's."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/ping":
            return send(handler, 200)
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(40):
            if setting == "test_timeout":
                handler.wfile.write(b" ")
            time.sleep(0.1)
        return None

    limited = changed(settings.load(), serving={setting: 1})
    with serve(answer) as url:
        started = time.monotonic()
        with pytest.raises(api_test.UntestedError, match=f"within 1 s .{setting.upper()}.") as raised:
            api_test.ask(limited, replace(CASE, url=url, seconds=limited.serving.request_timeout))
        took = time.monotonic() - started

    assert took < 3, "it waited for the whole answer, which takes 4 s"
    assert raised.value.cure.startswith(f"{setting.upper()}=2 ")


@pytest.mark.parametrize(
    ("predictions", "status", "why"),
    [
        ([2.0], 400, ""),
        ([2.0 + 1e-12], 422, ""),
        ([2.1], 400, "it predicts 2.1, the model loaded directly 2.0"),
        ([2.0, 2.0], 400, "2 values, the model loaded directly gives 1"),
        (["2.0"], 400, "a prediction is 2.0, which is not a number"),
        (None, 400, "no predictions in {"),
        ([10**400], 400, "OverflowError: "),
        ([2.0], 200, "without a it answers 200; to "),
        ([2.0], 500, "without a it answers 500; to "),
    ],
    ids=[
        "right",
        "right to 1e-9",
        "another value",
        "more rows",
        "words",
        "none",
        "a number of 400 digits",
        "takes what is wrong",
        "fails at what is wrong",
    ],
)
def test_what_an_api_must_do(
    predictions: list[object] | None, status: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An API passes that answers the example as the model does, and refuses three wrong bodies.

    Whatever else it does is said.
    """

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        is_right = body == json.dumps(ROWS).encode()
        asked = is_right or handler.path == "/ping"
        send(handler, 200 if asked else status, json.dumps({"predictions": predictions}).encode())

    with serve(answer) as url:
        if why:
            with pytest.raises(SlipwayError, match=f"does not answer as models:/diabetes/3 should: {re.escape(why)}"):
                api_test.ask(settings.load(), replace(CASE, url=url))
        else:
            api_test.ask(settings.load(), replace(CASE, url=url))
    printed = capsys.readouterr().out

    assert printed.startswith("FAILED ") if why else printed.startswith("4 passed in ")


@pytest.mark.parametrize("inputs", [INPUTS, []], ids=["signature", "no signature"])
def test_without_rows_only_a_malformed_body_is_sent(
    inputs: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A case without rows passes where half a body is refused; nothing else is asked."""
    asked: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.rfile.read(int(handler.headers.get("Content-Length", 0))))
        send(handler, 200 if handler.path == "/ping" else 400)

    with serve(answer) as url:
        api_test.ask(settings.load(), replace(CASE, url=url, request=None, expected=None, inputs=inputs))
    api_test.show(replace(CASE, request=None))

    assert asked == [b"", b'{"dataframe_split": ']
    assert capsys.readouterr().out.startswith("1 passed, 3 skipped in ")


def test_an_api_that_goes_away_fails() -> None:
    """A connection that is cut is a failure, and no time-out."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/ping":
            send(handler, 200)
        else:
            handler.close_connection = True

    with (
        serve(answer) as url,
        pytest.raises(SlipwayError, match="should: the request failed: ConnectionError") as raised,
    ):
        api_test.ask(settings.load(), replace(CASE, url=url))

    assert not isinstance(raised.value, TimedOutError)


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
    """What one command needs twice of a model without a server is asked once.

    Its answer to other rows, or of other files, is another.
    """
    asked: list[Json] = []
    monkeypatch.setattr(server, "_answered", {})

    def predict(_settings: Settings, _prepared: Prepared, rows: Json) -> list[int]:
        asked.append(rows)
        return [len(asked)]

    monkeypatch.setattr(server, "_predict", predict)
    (tmp_path / "MLmodel").write_text("one")
    prepared = Prepared(ModelRef("models:/diabetes/3", str(tmp_path)), tmp_path, "", Lock(tmp_path))
    rows, others = {"columns": ["a"], "data": [[1.0]]}, {"columns": ["a"], "data": [[2.0]]}
    answers = [server.predict(settings.load(), prepared, each) for each in (rows, rows, others)]
    (tmp_path / "MLmodel").write_text("two")

    assert [*answers, server.predict(settings.load(), prepared, rows)] == [[1], [1], [2], [3]]


def test_nothing_is_sent_after_its_time() -> None:
    """A test that ran out of time leaves it at the request that it waited for: another model may answer there now."""
    asked, may_answer = [], threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        may_answer.wait(60)
        send(handler, 400)

    with serve(answer) as url:
        before = {*threading.enumerate()}
        with pytest.raises(api_checks.OutOfTimeError):
            api_checks.run(api_checks.Api(url, ROWS, CASE.expected, INPUTS, "", 60), 0.5)
        (left,) = [thread for thread in threading.enumerate() if thread.name == "API test" and thread not in before]
        may_answer.set()
        wait_until(lambda: not left.is_alive(), 20, "the thread goes on")

    assert asked == ["/invocations"]
