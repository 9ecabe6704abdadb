"""Requests as they arrive in pieces: which of their bytes count as a head."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from uvicorn import Config, server

from scoring.http.app import Application
from scoring.http.fast_exchange import DirectExchange
from scoring.http.fast_protocol import LARGEST_HEAD, DirectProtocol
from scoring.http.state import ServerState
from scoring.metrics import Metrics
from scoring.models.base import EstimatorModel, Identity
from scoring.models.signature import Column, Signature
from scoring.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.http.exchange import Exchange

ROWS = b'{"inputs": {"a": [2]}}'.ljust(200_000)
HEAD = (
    b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    % len(ROWS)
)
REQUEST = HEAD + b"\r\n" + ROWS


async def _statuses(pieces: list[bytes], count: int) -> list[int]:
    """Return the statuses of so many answers to what arrives in these pieces."""
    estimator = LinearRegression().fit(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    model = EstimatorModel(Identity(), Signature((Column("a", "double"),)), None, estimator, "predict", lambda: model)
    model.predict_seconds = 0.0  # as one that was measured
    state = ServerState.of(Settings(Path(), access_log="off"), model, Metrics(None))
    config = Config(
        Application(state), http=DirectProtocol, interface="asgi3", lifespan="off", proxy_headers=False, log_config=None
    )
    config.load()
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: DirectProtocol(config, server.ServerState(), {}), theirs
    )
    for piece in pieces:
        protocol.data_received(piece)
        await asyncio.sleep(0)
    answers = b""
    async with asyncio.timeout(30):
        while answers.count(b"HTTP/1.1 ") < count:
            answers += await asyncio.get_running_loop().sock_recv(ours, 65536)
    protocol.transport.close()
    state.scorer.close()
    ours.close()
    return [int(answer[:3]) for answer in answers.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("cut", [1, 30, len(HEAD) - 1])
def test_the_end_of_a_body_is_no_head(cut: int) -> None:
    """What ends one body and begins the next head is no large head."""
    both = REQUEST + REQUEST
    half, end = len(HEAD) + 80_000, len(REQUEST) + cut

    assert asyncio.run(_statuses([both[:half], both[half:end], both[end:]], 2)) == [200, 200]


@pytest.mark.parametrize("before", [b"", REQUEST], ids=["the first", "a later one"])
@pytest.mark.parametrize("piece", [1000, 100_000])
def test_a_head_has_an_end(before: bytes, piece: int) -> None:
    """A head that goes on and on is refused, in whatever pieces it comes."""
    head = HEAD + b"X-Long: " + b"x" * (LARGEST_HEAD + 100_000)
    pieces = [head[at : at + piece] for at in range(0, len(head), piece)]
    count = 1 + bool(before)

    assert asyncio.run(_statuses([before, *pieces] if before else pieces, count)) == [200, 400][-count:]


def test_only_the_first_of_a_burst_follows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of requests that arrive at once one may be predicted at once: the others leave the loop to other connections."""
    rows = b'{"inputs": {"a": [2]}}'
    small = HEAD.replace(b"%d" % len(ROWS), b"%d" % len(rows)) + b"\r\n" + rows
    follow: list[bool] = []
    handle = DirectExchange.handle

    def watch(self: DirectExchange, handler: Callable[[Exchange], None]) -> None:
        follow.append(self.follows)
        handle(self, handler)

    monkeypatch.setattr(DirectExchange, "handle", watch)

    assert asyncio.run(_statuses([small, small, small * 20], 22)) == [200] * 22
    assert follow[:3] == [False, True, True]
    assert sum(follow) == 2  # on a busy machine a predict goes to a thread, and those behind it go through ASGI
