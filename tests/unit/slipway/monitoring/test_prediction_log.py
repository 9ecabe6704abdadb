"""The reader of the prediction log: what is damaged, what is much, and what came first."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from slipway.monitoring import prediction_log
from slipway.monitoring.prediction_log import PredictionLog

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
SPAN = (BEGIN, BEGIN + dt.timedelta(days=7))


def write(root: Path, day: int, rows: int, value: float = 0.0) -> Path:
    """Write a file of a day, as the server does: every tenth row is one that failed, and the next is not sampled."""
    at = np.arange(rows)
    begin = BEGIN + dt.timedelta(days=day)
    path = root / "model=a%20b" / "version=1" / f"day={begin:%Y-%m-%d}" / "1-1.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame({
        "_time": pd.Timestamp(begin) + pd.to_timedelta(at[::-1], "s"),
        "_sampled": at % 10 != 1,
        "_error": ["400 BAD_REQUEST" if each % 10 == 0 else None for each in at],
        "in.x": value,
    }).to_parquet(path)  # fmt: skip
    return path


@pytest.mark.parametrize("kept", [0, 100, -100], ids=["empty", "without an end", "damaged inside"])
def test_a_damaged_file_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: int) -> None:
    """A file that cannot be read is named, and the others are read."""
    write(tmp_path, 0, 50)
    damaged = write(tmp_path, 1, 50)
    content = damaged.read_bytes()
    damaged.write_bytes(content[:kept] if kept >= 0 else content[:4] + bytes(200) + content[204:])

    assert len(PredictionLog(str(tmp_path)).read("a b", "1", *SPAN)) == 50
    assert str(damaged) in capsys.readouterr().err


def test_many_columns_are_read_as_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values have a bound as rows have one, so that many columns fit in memory; few are read whole."""
    write(tmp_path, 0, 100)
    monkeypatch.setattr(prediction_log, "CELLS", 100)
    log = PredictionLog(str(tmp_path))

    assert len(log.read("a b", "1", *SPAN)) == 25
    assert len(log.read("a b", "1", *SPAN, columns=["_time"])) == 100


def test_the_first_rows_are_of_the_first_days(tmp_path: Path) -> None:
    """They are the oldest that were sampled and answered, whatever came later; a log without rows has none."""
    for day, value in enumerate([1.0, 2.0, 3.0]):
        write(tmp_path, day, 100, value)
    log = PredictionLog(str(tmp_path))
    found = log.read_first("a b", "1", 100)

    assert found["in.x"].value_counts().to_dict() == {1.0: 80, 2.0: 20}
    assert found["_time"].is_monotonic_increasing
    assert len(log.read_first("a b", "1", 1000)) == 240
    assert log.read_first("a b", "2", 10).empty
