"""How far a batch is: a bar on a terminal, elsewhere a line now and then, or JSON for who reads the log of a pod."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from scoring.processes.batch.plan import Done

WIDTH = 24  # characters of the bar
DRAWN_S, SAID_S = 0.2, 10.0  # between two of each


class Progress:
    """Counts rows, and bytes of the `total`, and shows them on stderr."""

    def __init__(self, total: int, done: int, *, is_bar: bool) -> None:
        self._total, self._done, self._begun_with, self._is_bar = max(total, 1), done, done, is_bar
        self._rows = 0
        self._started = self._shown = time.monotonic()

    def count(self, rows: int, size: int) -> None:
        """Count rows that were predicted, and the bytes that they had."""
        self._rows += rows
        self._done += size
        self._show()

    def finish(self, part: Done) -> None:
        """Do nothing: what counts are rows and bytes."""

    def end(self) -> None:
        """Leave the bar's line."""
        if self._is_bar:
            self._show(at_once=True)
            print(file=sys.stderr, flush=True)

    def _show(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now - self._shown < (DRAWN_S if self._is_bar else SAID_S):
            return
        self._shown, seconds = now, max(now - self._started, 1e-3)
        share, worked = min(self._done / self._total, 1.0), self._done - self._begun_with
        left = f", {seconds * (self._total - self._done) / worked:,.0f} s left" if worked and share < 1 else ""
        words = f"{share:4.0%}  {self._rows:,} rows, {self._rows / seconds:,.0f} a second{left}"
        if self._is_bar:
            bar = "█" * round(share * WIDTH)
            print(f"\r{bar:·<{WIDTH}} {words}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(words.strip(), file=sys.stderr, flush=True)


class Told:
    """Counts parts and rows of a share of a batch, and tells them on stderr: those of an earlier process, too."""

    def __init__(self, share: Collection[int], done: Collection[Done]) -> None:
        self._of, self._share, self._shown = len(share), frozenset(share), 0.0
        self._done = {each.number: each.rows_in for each in done if each.number in self._share}
        self._rows = 0  # of parts that are not done

    def count(self, rows: int, _: int) -> None:
        """Count rows that were predicted."""
        self._rows += rows
        if time.monotonic() - self._shown >= SAID_S:
            self.end()

    def finish(self, part: Done) -> None:
        """Count a part; a process has several at a time, so that rows of the others wait until they are done."""
        self._done[part.number] = part.rows_in
        self._rows = 0

    def end(self) -> None:
        """Tell how far it is."""
        self._shown = time.monotonic()
        told = {"parts": len(self._done), "of": self._of, "rows": sum(self._done.values()) + self._rows}
        print(json.dumps(told), file=sys.stderr, flush=True)
