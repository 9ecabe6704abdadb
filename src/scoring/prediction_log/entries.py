"""What is kept of a request until the log is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Predicted(NamedTuple):
    """What a request's predict took and gave: `data` is a Table, or what a model without plain columns takes."""

    data: Any
    predictions: Any  # None: there are none, as the predict failed
    method: str = "predict"


@dataclass(slots=True)
class Entry:
    """One request, as it is logged."""

    time: float  # s since 1970
    id: bytes
    seconds: float  # it took
    rows: int
    error: str  # or ""
    is_sampled: bool  # it is in the share, whatever else it is
    is_outlier: bool
    predicted: Predicted | None
