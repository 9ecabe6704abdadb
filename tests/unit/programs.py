"""A live server of programs that only exist in name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.runtimes.base import KEEPER, Command, LiveServer, Prepared

if TYPE_CHECKING:
    from pathlib import Path

    from slipway import settings


class Programs(LiveServer):
    """Programs that only exist in name; `events` has what happened to them."""

    url = "http://127.0.0.1:1"

    def __init__(self, ours: settings.Settings, folder: Path) -> None:
        super().__init__(ours, folder)
        self.events: list[str] = []
        self.running: set[str] = set()
        self.reached: list[str] = []
        self.dies = self.hangs = False  # a version as it starts; one that is to end
        self.fails = False  # the engine, when a program is to end
        self.is_taken = False  # the port, so that no keeper can listen
        self.holding: set[str] = set()  # the port
        self.asks = 0  # until the version before lets go

    def check(self) -> None:
        """Be ours."""

    def reach(self, name: str) -> None:
        """Be there."""
        self.reached.append(name.split("-", maxsplit=1)[0])

    def find_url(self, name: str) -> str:
        """Return where only this version answers."""
        return f"http://{name}"

    def keep_alive(self, name: str) -> None:
        """Be there for good."""
        self._tell("settle", name)

    def _make_keeper(self, prepared: Prepared) -> Command:
        return ["keep", prepared.identity], {}

    def _make_version(self, name: str, prepared: Prepared) -> Command:
        return ["serve", name, prepared.identity], {}

    def _detach(self, name: str, command: list[str], variables: dict[str, str]) -> None:
        self._tell(command[0], name)
        assert variables == {}
        if not (self.is_taken if name == KEEPER else self.dies):
            self.running.add(name)

    def _runs_detached(self, name: str) -> bool:
        return name in self.running

    def end(self, name: str) -> None:
        """End, unless it hangs."""
        if self.fails:
            raise SlipwayError("Docker does not list the owners")
        self._tell("end", name)
        if not self.hangs:
            self.running.discard(name)

    def _remove(self, name: str) -> None:
        if name in self.running:
            self._tell("kill", name)
        self.running.discard(name)

    def answer(self, url: str) -> dict[str, int]:
        """Say what readiness says: the version that the link names takes the port, the one before then lets go."""
        name, link = url.removeprefix("http://"), self._folder / "current"
        current = link.readlink().name if link.is_symlink() else ""
        if name == current and KEEPER in self.running:
            self.holding.add(name)
        elif {name, current} <= self.holding:
            self.asks -= 1
            if self.asks < 0:
                self.holding.discard(name)
        return {"workers": 1, "sockets": int(name in self.holding)}

    def read_log(self, name: str) -> str:
        """Return why it died."""
        return f"INFO: as usual\nerror: {name[:2]} is broken\n"

    def _tell(self, what: str, name: str) -> None:
        self.events.append(f"{what} {name.split('-', maxsplit=1)[0]}")
