"""Connections that wait for their next request, and more of them than there may be."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import resource
import time
from typing import TYPE_CHECKING

from tests import beside
from tests.scoring.conftest import DEADLINE, body, exchange, read_all, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scoring.test_start import Serve

MANY = 60
PIPELINED = 3000
KEEP_ALIVE = 2  # s


def test_no_request_is_lost_at_the_limit(serve: Serve, folders: dict[str, Path]) -> None:
    """A connection is closed some time after its limit, and not at it: requests sent just then are answered."""
    with serve(folders["one"], "--keep-alive", str(KEEP_ALIVE)) as server:
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE) for _ in range(MANY)]
        first = [exchange(each, "POST", "/invocations", body(1.0), {}).status for each in connections]
        time.sleep(KEEP_ALIVE)
        second = [exchange(each, "POST", "/invocations", body(1.0), {}).status for each in connections]
        idle = connections[0].sock.recv(1)  # waits until it is closed

    assert first == second == [200] * MANY
    assert idle == b""


def test_no_descriptors_left(serve: Serve, folders: dict[str, Path]) -> None:
    """A server that may open no more files says so, once, and says when that is over."""
    with serve(folders["one"]) as server:
        number = len(os.listdir(f"/proc/{server.process.pid}/fd")) + 4  # noqa: PTH208
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (number, number))
        lines = [server.connect() for _ in range(8)]
        until(lambda: "Too many open files" in server.err.read_text(), "it says so")
        time.sleep(1)
        said = server.err.read_text()
        for line in lines:
            line.close()
        until(lambda: "accepted again" in server.err.read_text(), "it is over")

        assert said.count("Too many open files") == 1
        assert f"{number} files" in said
        assert server.predict(1.0).status == 200


def test_pipelined_and_compressed(serve: Serve, folders: dict[str, Path]) -> None:
    """Thousands of requests that are sent at once are each answered.

    So is a body in gzip, in gzip where that is asked for.
    """
    head = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    requests = [head + b"Content-Length: %d\r\n\r\n" % len(body(at)) + body(at) for at in range(PIPELINED)]
    rows = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[float(at), 0.0, 0.5] for at in range(1000)]}}
    with serve(folders["one"], "--access-log", "off") as server, server.connect() as line:
        last = head.replace(b"POST", b"GET") + b"Connection: close\r\n\r\n"
        with beside.together(lambda: line.sendall(b"".join([*requests, last])), 1):
            answers = read_all(line)
        packed = server.ask(
            "POST",
            "/invocations",
            gzip.compress(json.dumps(rows).encode()),
            Content_Encoding="gzip",
            Accept_Encoding="gzip",
        )

    assert [answer.status for answer in answers] == [200] * PIPELINED + [405]
    assert [answer.json()["predictions"] for answer in answers[:-1]] == [[float(at)] for at in range(PIPELINED)]
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == {"predictions": [at + 0.5 for at in range(1000)]}
