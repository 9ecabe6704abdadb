"""The sampler, at a real server that answers metrics: bounded, and undisturbed by what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

import pytest

from slipway.deployer.figures import sampler
from slipway.deployer.figures.sampler import Sampler
from tests import beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.release.protocols import Target


@dataclass
class Place:
    """A target: where its servers are, and what they answer."""

    addresses: list[str] = field(default_factory=list)
    body: bytes = b""
    status: int = 200

    def list_addresses(self) -> list[str]:
        """Return where they answer."""
        return self.addresses

    def count(self, requests: int, version: str = "1") -> None:
        """Answer so many requests."""
        self.body = (
            f'scoring_requests_total{{code="200"}} {requests}\nscoring_model_info{{version="{version}"}} 1\n'
        ).encode()


@pytest.fixture
def place() -> Iterator[Place]:
    """Run a server."""
    found = Place()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with beside.serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        found.addresses = [f"http://127.0.0.1:{port}"]
        yield found


def begin(place: Place) -> Sampler:
    """Return a sampler of the place."""
    return Sampler({"local": cast("Target", place)})


def test_a_point_is_what_happened_since_the_last_one(place: Place) -> None:
    """The first point has no rate; the next has it, and the version."""
    ours = begin(place)
    for requests in (10, 30):
        place.count(requests)
        ours.look("local")
    first, second = ours.show()["local"]["hour"]["points"]

    assert first["requests"] is None
    assert second["requests"] > 0
    assert second["version"] == "1"


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html>" * 10, 200), (b"\xff\xfe\x00", 200), (b"a" * (sampler.LARGEST + 1), 200), (b"", 500)],
    ids=["a page", "no text", "too much", "an error"],
)
def test_what_is_no_model_server_leaves_a_gap(place: Place, body: bytes, status: int) -> None:
    """The point is there, without figures."""
    place.body, place.status = body, status
    ours = begin(place)
    ours.look("local")
    (point,) = ours.show()["local"]["hour"]["points"]

    assert {value for name, value in point.items() if name != "at"} == {None}


def test_an_outage_is_a_gap_and_then_a_restart(place: Place) -> None:
    """A server that does not answer leaves a gap; the same version that answers again has been restarted."""
    ours = begin(place)
    for status in (200, 500, 200):
        place.count(10)
        place.status = status
        ours.look("local")
    points = ours.show()["local"]["hour"]["points"]

    assert [point["restarts"] for point in points] == [0, None, 1]


def test_memory_is_bounded(place: Place) -> None:
    """After two days there are an hour's and a day's points; the day has what the hour had."""
    ours = begin(place)
    place.addresses = []
    for at in range(2 * 86400 // sampler.EVERY_S):
        ours.look("local", now=1e9 + at * sampler.EVERY_S)
    shown = ours.show()["local"]

    assert (len(shown["hour"]["points"]), len(shown["day"]["points"])) == (sampler.HOUR, sampler.DAY)
    assert {shown["day"]["points"][at + 1]["at"] - shown["day"]["points"][at]["at"] for at in range(20)} == {
        sampler.LONG_S
    }
