"""HTTP on raw sockets: the direct way and the plain ASGI way answer the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scoring.conftest import body, read_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scoring.conftest import Server
    from tests.scoring.test_start import Serve

pytestmark = pytest.mark.fast

ONE = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LONG = 100_000  # bytes that cannot be sent at once
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def post(value: float, head: str = "", version: str = "1.1", content: bytes | None = None) -> bytes:
    """Return a request's bytes."""
    content = body(value) if content is None else content
    return (
        f"{ONE}{head}Content-Length: {len(content)}\r\n\r\n".replace("HTTP/1.1", f"HTTP/{version}").encode() + content
    )


def chunked(value: float, size: int = 7) -> bytes:
    """Return a request in chunks."""
    content = body(value)
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    head = f"{ONE}Transfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.fixture(scope="module", params=[[], ["--cors-origins", "https://a.example"]], ids=["direct", "plain ASGI"])
def plain(request: pytest.FixtureRequest, serve: Serve, folders: dict[str, Path]) -> Iterator[Server]:
    """Return a server of a quick model."""
    with serve(folders["one"], *request.param) as server:
        yield server


CASES: dict[str, tuple[bytes, list[tuple[int, str | None]]]] = {
    "pipelined":
        (post(1) + post(2) + PING + post(3) + LAST, [(200, "1.0"), (200, "2.0"), (200, ""), (200, "3.0"), (200, "")]),
    "bad ones among them": (
        post(1) + post(0, content=b"{") + post(2, "X-Request-Id: a\r\n") + b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
        b"DELETE /invocations HTTP/1.1\r\nHost: x\r\n\r\n" + chunked(3) + LAST,
        [(200, "1.0"), (400, None), (200, "2.0"), (404, None), (405, None), (200, "3.0"), (200, "")],
    ),
    "HTTP/1.0": (post(1, version="1.0"), [(200, "1.0")]),
    "close": (post(1, "Connection: close\r\n"), [(200, "1.0")]),
    "chunked": (chunked(1, 1) + chunked(2, 1000) + LAST, [(200, "1.0"), (200, "2.0"), (200, "")]),
    "HEAD": (b"HEAD /ping HTTP/1.0\r\nHost: x\r\n\r\n", [(200, "")]),
    "HEAD where POST is": (b"HEAD /invocations HTTP/1.0\r\nHost: x\r\n\r\n", [(405, "")]),
    "upgrade":
        (post(1, "Connection: Upgrade\r\nUpgrade: h2c\r\n") + post(2) + LAST, [(200, "1.0"), (200, "2.0"), (200, "")]),
    "tunnel": (b"CONNECT a.example:80 HTTP/1.1\r\nHost: x\r\n\r\n", [(400, None)]),
    "query": (post(1).replace(b"/invocations", b"/invocations?a=1") + LAST, [(200, "1.0"), (200, "")]),
    "garbage": (b"\x16\x03\x01 nothing\r\n\r\n", [(400, None)]),
    "garbage behind": (post(1) + PING + b"\x00\x01\r\n\r\n", [(200, "1.0"), (200, ""), (400, None)]),
    "bad length": (post(1).replace(b"Content-Length: ", b"Content-Length: x"), [(400, None)]),
    "bad chunk": (post(1) + chunked(1).replace(b"\r\n7\r\n", b"\r\nzz\r\n", 1), [(200, "1.0"), (400, None)]),
    "two lengths": (post(1, "Content-Length: 5\r\n"), [(400, None)]),
    "large header": (b"GET /ping HTTP/1.1\r\nX: " + b"x" * 2_000_000, [(400, None)]),
    "many headers": (b"GET /ping HTTP/1.1\r\n" + b"X: x\r\n" * 300_000, [(400, None)]),
    "large URL": (b"GET /" + b"x" * 2_000_000, [(400, None)]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("split", [False, True], ids=["at once", "in parts"])
def test_answers(case: str, split: bool, plain: Server) -> None:
    """Requests on one connection are answered in their order, good and bad; then the connection is closed."""
    sent, expected = CASES[case]
    with plain.connect() as line:
        try:
            for part in [sent[at : at + 100] for at in range(0, min(len(sent), 3000), 100)] if split else [sent]:
                line.sendall(part)
            line.sendall(sent[3000:] if split else b"")
        except ConnectionError:  # who goes on sending may find the line cut before the last answer is read
            assert expected[-1][0] == 400
            expected = []
        answers = read_all(line)

    if expected and not (len(sent) > LONG and not answers):
        assert [answer.status for answer in answers] == [status for status, _ in expected]
    for answer, (status, text) in zip(answers, expected, strict=False):
        if status >= 400:
            assert answer.headers["content-type"] == "application/json"
        elif text:
            assert answer.json() == {"predictions": [float(text)]}
    assert plain.predict(1.0).status == 200


def test_expect(plain: Server) -> None:
    """Expect: 100-continue is answered with 100 before the body is sent, and with the prediction after."""
    head, content = post(4, "Expect: 100-continue\r\nConnection: close\r\n").split(b"\r\n\r\n")
    with plain.connect() as line:
        line.sendall(head + b"\r\n\r\n")
        first = line.recv(100)
        line.sendall(content)
        answers = read_all(line)

    assert first.startswith(b"HTTP/1.1 100 ")
    assert answers[0].json() == {"predictions": [4.0]}


@pytest.mark.parametrize("prefix", ["", "/diabetes", "/a/b"], ids=["none", "one", "another, of two parts"])
def test_a_prefix_is_taken_off(serve: Serve, folders: dict[str, Path], prefix: str) -> None:
    """Behind a proxy that passes requests on with their prefix, all is where it is without, by either way.

    Errors have their form.
    """
    posted = {"/invocations": body(1), "/invocations?a=1": body(1), "/v2/models/none/infer": b"{"}
    got = ("/ping", "/openapi.json", "/", "/page/base.css", "/none")
    with serve(folders["one"], "--root-path", "/diabetes, /a/b/") as server:
        answers = [
            server.ask("POST", prefix + path, content, Content_Type="application/json")
            for path, content in posted.items()
        ]
        answers += [server.ask("GET", prefix + path) for path in got]
        elsewhere = server.ask("GET", "/elsewhere/ping")

    assert [answer.status for answer in answers] == [200, 200, 404, 200, 200, 200, 200, 404]
    assert b'"error"' in answers[2].body
    assert elsewhere.status == 404
