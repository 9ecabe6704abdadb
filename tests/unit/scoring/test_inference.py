"""Which bodies the event loop reads itself, and which are read beside it: what could hold it up is not for it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.batching import BatchQueue, QueuedPredict
from scoring.codecs.media import CSV, JSON, PARQUET
from scoring.inference import Scorer
from scoring.metrics import Metrics
from scoring.models.base import Identity, Model
from scoring.models.signature import Column, Signature
from scoring.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.aliases import Data, Json

NAMES = list("abcdefghij")
NUMBERS = Signature(tuple(Column(name, "double") for name in NAMES))
DATES = Signature((Column("w", "datetime"),))
SPARSE = Signature(tuple(Column(f"c{at}", "double", required=False) for at in range(60)))
WIDE = Signature((*(Column(f"c{at}", "double") for at in range(20_000)), Column("s", "string")))
SPLIT = {"columns": NAMES, "data": [[0.5] * 10]}


class _Request:
    """A request as the scorer sees it."""

    def __init__(self, body: bytes, content_type: bytes) -> None:
        self.body, self.rows, self.follows = body, 0, False
        self._content_type = content_type
        self.out_of_range: Mapping[str, int] = {}
        self.predicted: tuple[Any, Any, str] | None = None
        self.size = 0

    def header(self, name: bytes) -> bytes | None:
        """Return the content type, its only header."""
        return self._content_type if name == b"content-type" else None

    def answer(self, *_: object) -> None:
        """Take no answer: what is queued is not predicted."""

    def refuse(self, refusal: object) -> None:
        """Fail: every body is right."""
        raise AssertionError(refusal)

    def stream(self, _: object) -> None:
        """Take no events: none is made."""

    @property
    def is_over(self) -> bool:
        """Somebody waits."""
        return False


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[QueuedPredict]:
    """Return what is queued before the models."""
    found: list[QueuedPredict] = []
    monkeypatch.setattr(BatchQueue, "submit", lambda _, each: found.append(each))
    return found


def _is_read_here(
    queue: list[QueuedPredict],
    signature: Signature,
    body: bytes | dict[str, Any],
    kind: bytes = JSON,
    *,
    v2: bool = False,
) -> bool:
    """Whether a body has been read when its request is queued."""
    scorer = Scorer(Model(Identity(), signature, None), Settings(Path()), Metrics())
    data = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
    (scorer.infer if v2 else scorer.invocations)(_Request(data, kind))
    return queue.pop().run is None


def _infer(datatype: str, data: Data, *shape: int, **more: Json) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": list(shape), "datatype": datatype, "data": data}], **more}


def test_what_is_soon_read(queue: list[QueuedPredict]) -> None:
    """One row, and as many as are read in some milliseconds, are read at once."""
    rows = [[0.1234567890123] * 10] * 1000
    matrix = Signature(tensor=("int64", 4))

    assert _is_read_here(queue, NUMBERS, {"dataframe_split": SPLIT})
    assert _is_read_here(queue, NUMBERS, {"dataframe_split": {**SPLIT, "data": rows}})
    assert _is_read_here(queue, NUMBERS, {"dataframe_records": [dict.fromkeys(NAMES, 0.5)]})
    assert _is_read_here(queue, NUMBERS, {"instances": [dict.fromkeys(NAMES, 0.5)]})
    assert _is_read_here(queue, NUMBERS, b"a,b,c,d,e,f,g,h,i,j\n1,1,1,1,1,1,1,1,1,1\n", CSV)
    assert _is_read_here(queue, NUMBERS, _infer("FP64", rows, 1000, 10), v2=True)
    assert _is_read_here(queue, NUMBERS, _infer("INT64", [1] * 10, 1, 10), v2=True)
    assert _is_read_here(queue, matrix, {"inputs": [[1, 2, 3, 4]] * 1000})
    assert _is_read_here(queue, DATES, {"instances": [{"w": "2024-01-31T12:00:00"}]})


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        (NUMBERS, {**{str(at): 1 for at in range(50_000)}, "dataframe_split": SPLIT}),
        (NUMBERS, {"dataframe_split": {**SPLIT, "columns": ["a"] * 50_000}}),
        (NUMBERS, {"dataframe_split": {**SPLIT, "data": ["0123456789"] * 50_000}}),
        (NUMBERS, {"dataframe_split": {**SPLIT, "data": [[1] * 10] * 60_000}}),
        (Signature(tensor=("int64", 784)), {"inputs": [[1] * 784] * 100}),
        (WIDE, {"dataframe_split": {"columns": [*WIDE.names], "data": [[*[0.5] * 20_000, "x"]]}}),
        (DATES, {"instances": [{"w": "2024-01-31T12:00:00"}] * 150}),
    ],
    ids=[
        "keys",
        "columns",
        "texts for rows",
        "short rows",
        "whole numbers of a matrix",
        "many columns, and one text",
        "dates",
    ],
)
def test_json_that_takes_long(queue: list[QueuedPredict], signature: Signature, body: dict[str, Any]) -> None:
    """What takes long in JSON is counted, whatever it is."""
    assert not _is_read_here(queue, signature, body)


@pytest.mark.parametrize(
    "body",
    [
        _infer("FP64", [0.5] * 10, 1, 10, parameters={str(at): 1 for at in range(50_000)}),
        _infer("INT64", [1] * 100_000, 10_000, 10),
        _infer("FP64", [1] * 1_000_000, 100_000, 10),
        _infer("FP64", [[[0.5] * 10]] * 2000, 2000, 1, 10),
        _infer("BYTES", ["x"] * 20_000, 20_000),
    ],
    ids=["parameters", "whole numbers", "very many", "nested deeper than rows", "texts"],
)
def test_tensors_that_take_long(queue: list[QueuedPredict], body: dict[str, Any]) -> None:
    """So it is with tensors: those that become objects of Python's are few."""
    assert not _is_read_here(queue, NUMBERS, body, v2=True)


def test_tables_that_are_larger_than_their_bodies(queue: list[QueuedPredict]) -> None:
    """Small Parquet and CSV that make large tables, or wide ones, are read elsewhere."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(dict.fromkeys(NAMES, np.zeros(100_000))), buffer)
    header = ",".join(NAMES)

    assert len(buffer.getvalue()) < 8192
    assert not _is_read_here(queue, NUMBERS, buffer.getvalue(), PARQUET)
    assert not _is_read_here(queue, NUMBERS, f"{header}{',' * 3900}\n1{',' * 3910}\n".encode(), CSV)
    assert not _is_read_here(queue, SPARSE, {"dataframe_records": [{f"c{at % 60}": 1} for at in range(350)]})


def test_the_log_names_the_model() -> None:
    """A line of the access log has the model's name and version as JSON, whatever signs they have."""
    scorer = Scorer(Model(Identity('a "b" é', "1"), Signature(), None), Settings(Path()), Metrics())

    assert scorer.log_fields == '"model":"a \\"b\\" é","version":"1"'.encode()
