"""What the deployer does of itself about its champion: monitoring, and a rollback by the folder's rule."""

from __future__ import annotations

import datetime as dt
import sys
import threading
import time
from typing import TYPE_CHECKING

from slipway import model_folder, shell
from slipway.monitoring import rollback
from slipway.registry.client import Registry
from slipway.release import history
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slipway.release.history import Release
    from slipway.settings import Settings

BY = "rollback rule"  # begins who did it
MONITOR = [sys.executable, str(ROOT / "scripts" / "release.py"), "monitor"]
LONGEST_S = 3600.0  # for one monitoring


class Guardian:
    """Two threads beside the deployer's work."""

    def __init__(self, settings: Settings, model: str, roll_back: Callable[[int, str], object]) -> None:
        """Take what rolls back to a version, with who asks for it and why."""
        self._settings, self._model, self._roll_back = settings, model, roll_back
        self._said = ""

    def begin(self) -> None:
        """Start what is asked for."""
        if self._settings.monitoring.every:
            threading.Thread(target=self._monitor, daemon=True, name="monitor").start()
        threading.Thread(target=self._watch, daemon=True, name="rollback rule").start()

    def look(self, now: dt.datetime | None = None) -> str:
        """Roll the champion back where the rule says so; return the reason, or ""."""
        rule = rollback.read_rule(model_folder.load(self._settings.model_dir))
        if rule is None:
            return ""
        name, root = self._model, self._settings.serving.log_dir
        registry = Registry.connect(self._settings)
        champion, releases = registry.find_champion(name), history.read(registry, name)
        now = now or dt.datetime.now(dt.UTC)
        found = find_pair(releases, champion, now, rule.window)
        if found is None or champion is None:
            return ""
        before, since = found
        own = rollback.measure(root, name, champion, since, now)
        if own.known < rule.rows:
            return ""
        its = rollback.measure(root, name, before, since - rule.window, since)
        reason = rollback.judge(rule, (champion, own), (before, its))
        if reason:
            print(f"== {name}: {reason}; rolling back to version {before}", flush=True)
            self._roll_back(before, f"{BY}: {reason}")
        return reason

    def _watch(self) -> None:
        while True:
            time.sleep(self._settings.monitoring.rollback_every)
            try:
                self.look()
                self._said = ""
            except Exception as error:  # noqa: BLE001 -- an outage, a file that is no TOML: the next look may succeed
                self._warn(f"the rollback rule could not be checked: {getattr(error, 'message', error)}")

    def _monitor(self) -> None:
        while True:
            answer = shell.ask(MONITOR, seconds=LONGEST_S)
            if answer.code != 0:
                self._warn(f"monitoring: {answer.last}")
            time.sleep(self._settings.monitoring.every)

    def _warn(self, words: str) -> None:
        if words != self._said:
            print(f"warning: {words}", file=sys.stderr, flush=True)
        self._said = words


def find_pair(
    releases: Sequence[Release], champion: int | None, now: dt.datetime, window: dt.timedelta
) -> tuple[int, dt.datetime] | None:
    """Return the version before the champion, and since when the champion is one (pure).

    None where there is nothing to go back to, or it was gone back to, or the rule has acted in the window.
    """
    way = history.walk(releases, champion)
    moved = [each for each in releases if each.action in {history.PROMOTED, history.ROLLED_BACK}]
    last = next((each for each in reversed(moved) if each.version == champion), None)
    acted = [each for each in releases if each.by.startswith(BY) and now - _at(each) < window]
    if len(way) < 2 or last is None or last.action != history.PROMOTED or acted:  # noqa: PLR2004 -- and one before it
        return None
    return way[-2], _at(last)


def _at(release: Release) -> dt.datetime:
    return dt.datetime.fromtimestamp(release.at / 1000, dt.UTC)
