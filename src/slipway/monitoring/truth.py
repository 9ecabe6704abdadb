"""What came true: the truth of logged predictions, by request id and row, whenever it comes.

Below the prediction log's root: `truth/model=<name>/<time>-<random>.parquet` with id, row, truth and received. Of two
truths for one prediction the one that was received last counts.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pandas as pd

from slipway import hints, model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.monitoring.prediction_log import PredictionLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slipway.settings import Settings

ID = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)  # as the server takes it
LONGEST = 1000  # signs of a truth
NAMED = 10  # wrong lines that are shown
BLOCK = 100_000  # truths of a file
CURE = "a CSV or Parquet file with the columns id, truth and, for requests of several rows, row"


@dataclass(frozen=True)
class Truth:
    """What came true of one row of a request."""

    id: str
    row: int
    truth: float | str


def parse(given: Any) -> Truth:  # noqa: ANN401 -- from a file, or from JSON
    """Read one truth: a mapping with id, truth and perhaps row; raise ValueError, with the reason, for another."""
    id_, row, truth = given.get("id"), given.get("row"), given.get("truth")
    if not isinstance(id_, str) or not ID.fullmatch(id_):
        raise ValueError("id must be the X-Request-Id of a prediction")
    if isinstance(row, str):
        row = int(row) if row.strip().isdecimal() and len(row) < 10 else None if not row.strip() else -1  # noqa: PLR2004 -- digits
    row = 0 if row is None or row != row else row  # noqa: PLR0124 -- pandas' missing value
    if isinstance(row, bool) or not isinstance(row, int | float) or not 0 <= row < 2**31 or row != int(row):
        raise ValueError("row must be the row's number in its request, from 0")
    if isinstance(truth, bool):
        truth = str(truth)
    if isinstance(truth, str):
        try:
            truth = float(truth)
        except ValueError:
            truth = truth.strip()
    if not isinstance(truth, int | float | str) or truth == "" or truth != truth or len(str(truth)) > LONGEST:  # noqa: PLR0124 -- NaN
        raise ValueError("truth must be a number or a text")
    if isinstance(truth, str) and any("\ud800" <= sign <= "\udfff" for sign in truth):
        raise ValueError("truth must be whole characters")  # a surrogate alone can be kept nowhere
    if not isinstance(truth, str) and not abs(truth) <= sys.float_info.max:
        raise ValueError("truth must be finite")
    return Truth(id_, int(row), truth if isinstance(truth, str) else float(truth))


class Store:
    """The truths of one model."""

    def __init__(self, root: str, model: str) -> None:
        self._log = PredictionLog(root)
        self._place = f"{self._log.path}/truth/model={quote(model, safe='')}"

    def write(self, truths: list[Truth]) -> None:
        """Add truths: one file, whole or not there. Raises SlipwayError when it cannot be written."""
        import pyarrow as pa  # noqa: PLC0415 -- takes a moment
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

        now = dt.datetime.now(dt.UTC)
        numbers = [each.truth if isinstance(each.truth, float) else None for each in truths]
        table = pa.table({
            "id": pa.array([each.id for each in truths], pa.string()),
            "row": pa.array([each.row for each in truths], pa.int32()),
            "number": pa.array(numbers, pa.float64()),
            "text": pa.array([each.truth if isinstance(each.truth, str) else None for each in truths], pa.string()),
            "received": pa.array([now] * len(truths), pa.timestamp("us", "UTC")),
        })  # fmt: skip
        name = f"{time.time_ns()}-{os.urandom(4).hex()}.parquet"
        try:
            if "://" not in self._log.root:
                self._log.files.create_dir(self._place)
            begun = f"{self._place}/.{name}"
            pq.write_table(table, begun, filesystem=self._log.files)
            self._log.files.move(begun, f"{self._place}/{name}")
        except OSError as error:
            raise SlipwayError(
                f"the truth cannot be written to {self._place}: {error}", "PREDICTION_LOG_DIR=…"
            ) from None

    def read(self, ids: set[str]) -> pd.DataFrame:
        """Return what is known of requests: columns id, row and truth, one row for each; only these are in memory."""
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above

        parts = []
        for entry in sorted(self._log.entries(self._place), key=lambda entry: str(entry.base_name)):
            if entry.base_name.startswith(".") or not entry.path.endswith(".parquet"):
                continue
            for batch in pq.ParquetFile(entry.path, filesystem=self._log.files).iter_batches(BLOCK):
                frame = batch.to_pandas()
                parts.append(frame[frame["id"].isin(ids)])
        if not parts:
            return pd.DataFrame({"id": [], "row": [], "truth": []})
        found = pd.concat(parts).sort_values("received", kind="stable").drop_duplicates(["id", "row"], keep="last")
        texts = found["text"].notna().any()
        found["truth"] = found["text"].fillna(found["number"].map("{:.15g}".format)) if texts else found["number"]
        return found[["id", "row", "truth"]]


def add(settings: Settings, file: str) -> int:
    """Add the truths of a file to those of the folder's model; return how many.

    Raises SlipwayError, with the first wrong lines, for a file that cannot be used; nothing is added then.
    """
    if not file.strip():
        raise SlipwayError("FILE is empty: which file has the truth?", f"make add_truth FILE=truth.csv: {CURE}", USAGE)
    path = Path(file).expanduser()
    model = model_folder.load(settings.model_dir).name
    truths, wrong = [], []
    try:
        for number, row in _read(path):
            try:
                truths.append(parse(row))
            except ValueError as error:
                wrong.append(f"line {number}: {error}")
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise SlipwayError(f"{path} cannot be read: {error}", CURE) from None
    if wrong:
        more = f"\n    and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        words = "\n    ".join(wrong[:NAMED])
        raise SlipwayError(f"{path} has {len(wrong)} wrong lines, so nothing was added:\n    {words}{more}", CURE)
    if not truths:
        raise SlipwayError(f"{path} has no rows", CURE)
    store = Store(settings.serving.log_dir, model)
    for at in range(0, len(truths), BLOCK):
        store.write(truths[at : at + BLOCK])
    twice = len(truths) - len({(each.id, each.row) for each in truths})
    print(f"added {len(truths)} truths of {model}" + (f"; of {twice} twice, the last counts" if twice else ""))
    hints.say_next("make monitor")
    return len(truths)


def _read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a file, each with the number of its line."""
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        rows: Iterable[dict[str, Any]] = frame.to_dict("records")
        names, numbered = list(map(str, frame.columns)), enumerate(rows, 1)
        _check_names(names)
        yield from numbered
        return
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        _check_names(list(reader.fieldnames or ()))
        for row in reader:
            yield reader.line_num, row


def _check_names(names: list[str]) -> None:
    if missing := {"id", "truth"} - set(names):
        raise ValueError(f"it has no column {', '.join(sorted(missing))}; it has {', '.join(names) or 'none'}")


def say_unknown(count: int) -> None:
    """Say that truths came for predictions that the log lacks."""
    if count:
        print(f"note: {count} truths are of requests that the log of these days lacks", file=sys.stderr)
