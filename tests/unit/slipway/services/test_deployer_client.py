"""A command that waits for a deployer: what it is told, and what is a time-out."""

from __future__ import annotations

import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from slipway import settings
from slipway.errors import TimedOutError
from slipway.services import deployer_client
from tests import beside
from tests.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.settings import Settings

STATUS = {"model": "m", "champion": 2, "created": 7, "targets": {"local": {"url": "http://127.0.0.1:1"}}}
WAITS = {"deployments": [{"id": "a", "target": "local"}]}


class Deployer(BaseHTTPRequestHandler):
    """A deployer, as far as a command sees it: it answers /look as it is told to, the last answer for ever."""

    looks: ClassVar[list[tuple[int, dict[str, Any]]]] = []

    def do_GET(self) -> None:
        """Be followed."""
        self._answer(200, STATUS if self.path == "/status" else {"state": "running", "reason": ""})

    def do_POST(self) -> None:
        """Look."""
        self._answer(*(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]))

    def _answer(self, status: int, what: dict[str, Any]) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def ours() -> Iterator[Settings]:
    """Run a deployer whose token we have; wait a second for it."""
    with beside.serving(ThreadingHTTPServer(("127.0.0.1", 0), Deployer)) as port:
        found = changed(settings.load(), services={"deployer_port": port}, cluster={"rollout_timeout": 1})
        home = deployer_client.find_home(found.services)
        home.mkdir(parents=True)
        (home / "token").write_text("ours")
        yield found
        shutil.rmtree(home)


def test_a_look_that_fails_is_asked_again(ours: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Our own deployer that could not look is no other's: it is asked until it did."""
    Deployer.looks = [(503, {}), (200, {"deployments": []})]

    assert deployer_client.follow_up(ours, "m", 2, 7)
    assert "version 2 answers on local" in capsys.readouterr().out


def test_another_checkouts_deployer_follows_by_itself(ours: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """One that does not take our token is not waited for."""
    Deployer.looks = [(403, {})]

    assert deployer_client.follow_up(ours, "m", 2, 7)
    assert "notices the move within" in capsys.readouterr().out


@pytest.mark.parametrize("look", [(503, {}), (200, WAITS)], ids=["does not look", "is still at it"])
def test_what_takes_too_long_is_a_time_out(ours: Settings, look: tuple[int, dict[str, Any]]) -> None:
    """The promotion is done, and what follows it was not waited for to its end: no failure of anything."""
    Deployer.looks = [look]

    with pytest.raises(TimedOutError, match=r"within 1 s \(ROLLOUT_TIMEOUT\)") as late:
        deployer_client.follow_up(ours, "m", 2, 7)
    assert "@champion has moved" in late.value.cure
