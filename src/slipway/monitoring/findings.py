"""What monitoring finds: windows of the log, and in each the columns beside the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt

    from slipway.monitoring import drift
    from slipway.monitoring.realised import Realised


@dataclass(frozen=True)
class Window:
    """A span of the log, and what it shows."""

    since: dt.datetime
    until: dt.datetime
    rows: int
    failed: int  # requests that were refused or failed
    realised: Realised | None = None
    columns: list[drift.Column] = field(default_factory=list)  # empty: too few rows to judge

    @property
    def drifted(self) -> list[str]:
        """The names of the columns that have drifted."""
        return [column.name for column in self.columns if column.drifted]


@dataclass(frozen=True)
class Beside:
    """Two versions on the same rows, which both were asked and whose truth is known."""

    version: str  # the other one
    own: Realised
    other: Realised


@dataclass(frozen=True)
class Monitored:
    """A version's log beside its reference."""

    model: str
    version: str
    windows: list[Window]  # a day each, or all of it where days have too few rows
    known: dict[str, Any]  # the reference
    rules: drift.Rules
    realised: Realised | None = None
    beside: list[Beside] = field(default_factory=list)

    @property
    def latest(self) -> Window | None:
        """The last window with enough rows."""
        return next((window for window in reversed(self.windows) if window.columns), None)
