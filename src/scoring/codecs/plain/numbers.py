"""Large JSON whose values are all numbers, read into one matrix without an object for each value.

simdjson parses, and copies the numbers of nested lists into one buffer. It flattens whatever is nested: so the
brackets of a body are counted, and are as many as its form needs. Rows that are objects become lists first, as their
keys are overwritten with spaces, once each is proven to be the one that the first row has in its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from scoring.codecs.plain.simd import count, parse_numbers
from scoring.models.rows import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.bounds import Bounds
    from scoring.models.signature import Column

EXTRA = 1000  # columns that a plain body may have beside those of the model
EXACT = 2.0**53  # below this a double holds every whole number
DEEP = 4  # levels of the deepest form
HUGE = 256 * 1024  # bytes; such a body is not read twice
MANY = 24 * 1024  # bytes of objects; of fewer, a tuple each is made sooner
FORMS = frozenset(
    {"dataframe_split", "dataframe_records", "inputs", "instances", "params", "messages", "prompt", "input"}
)
OF_RECORDS = re.compile(rb'\s*\{\s*"(?:dataframe_records|instances)"\s*:\s*(\[\s*)(?=\{)')
OF_COLUMNS = re.compile(rb'\s*\{\s*"inputs"\s*:\s*\{')
SPLIT = b'"dataframe_split"'
END = re.compile(rb"\]\s*\}\s*\Z")
TAIL = 64  # bytes in which the end stands
KEY = re.compile(rb'[{,]\s*"([^"\\:,{}\[\]]*)"\s*:')
SPACE = b" "
TWO = 2  # members of a table: columns and data
NUMBERS_BY_NAME = msgspec.json.Decoder(dict[str, float])


class NumberReader:
    """Reads large bodies for the columns of a signature, which are all numbers."""

    def __init__(self, columns: Sequence[Column], bounds: Bounds) -> None:
        self._names = [column.name for column in columns]
        self._bounds = bounds
        self._integers = [at for at, column in enumerate(columns) if column.type in {"long", "integer"}]
        self._bound = 2.0**31 if any(column.type == "integer" for column in columns) else EXACT

    def read(self, body: bytes) -> Table | None:
        """Return the rows as a block [n, columns] of float64; None for what is not plain.

        Raises Refusal for too many rows, and what simdjson, msgspec and numpy raise for what is not plain either.
        """
        if self._bounds.max_depth < DEEP:
            return None
        if begin := OF_RECORDS.match(body):
            found = self._read_records(body, begin) if len(body) > MANY else None
        elif OF_COLUMNS.match(body):
            found = self._read_columns(body)
        else:
            found = self._read_split(body)
        if found is None or not self.holds(found):
            return None
        return Table(len(found), block=found)

    def holds(self, block: np.ndarray) -> bool:
        """Whether the columns of integers have such values, and a double holds each exactly."""
        if not self._integers:
            return True
        whole = block[:, self._integers]
        return not (np.abs(whole).max() >= self._bound or (whole != np.trunc(whole)).any())

    def positions(self, given: list[str]) -> list[int]:
        """Return where the signature's columns stand among a request's.

        Raise KeyError or ValueError where they do not, or twice.
        """
        if len(given) > len(self._names) + EXTRA:
            raise ValueError(len(given))
        place = {name: at for at, name in enumerate(given)}
        if len(place) != len(given):
            raise ValueError(given)
        return [place[name] for name in self._names]

    def _read_split(self, body: bytes) -> np.ndarray | None:
        if SPLIT not in body:
            return None
        document: Any = parse_numbers(body)
        if len(document) > EXTRA:
            return None
        keys, split = list(document.keys()), document["dataframe_split"]
        if len(set(keys)) != len(keys) or len(FORMS & set(keys)) > 1:
            return None
        if len(split) != TWO or len(split["columns"]) > len(self._names) + EXTRA:
            return None
        given = split["columns"].as_list()
        at = None if given == self._names else self.positions(given)
        if len(keys) > 1 and count(body, b"{")[0] >= self._bounds.max_depth:
            return None
        block = _flatten(split["data"], len(given), count(body, b"[")[0] - 1, self._bounds)
        return block if block is None or at is None else block[:, at]

    def _read_columns(self, body: bytes) -> np.ndarray | None:
        document: Any = parse_numbers(body)
        inputs = document["inputs"]
        width = len(self._names)
        if len(document) != 1 or len(inputs) != width or count(body, b"[") != [width]:
            return None
        names = list(inputs.keys())
        return gather([inputs[names[at]] for at in self.positions(names)], self._bounds)

    def _read_records(self, body: bytes, begin: re.Match[bytes]) -> np.ndarray | None:
        if (end := END.search(body, max(begin.end(), len(body) - TAIL))) is None:
            return None
        first = body[begin.end() : body.index(b"}", begin.end()) + 1]
        if first.count(b",") > len(self._names) + EXTRA:
            return None
        given = list(NUMBERS_BY_NAME.decode(first))
        keys = list(KEY.finditer(first))
        if [key[1].decode() for key in keys] != given:
            return None
        at = self.positions(given)
        rows = _to_lists(body[begin.start(1) : end.start() + 1], [key[0] for key in keys])
        block = _flatten(parse_numbers(rows), len(given), count(rows, b"[")[0], self._bounds) if rows else None
        return block if block is None or given == self._names else block[:, at]


def read_lists(body: bytes, width: int, bounds: Bounds) -> np.ndarray | None:
    """Return `inputs` or `instances` that are rows [n, width]; None for what is not plain. Raises as `read` does."""
    document: Any = parse_numbers(body)
    if len(document) > EXTRA:
        return None
    keys = list(document.keys())
    forms = list(FORMS.intersection(keys))
    if len(set(keys)) != len(keys) or len(forms) != 1 or forms[0] not in {"inputs", "instances"}:
        return None
    if len(keys) > 1 and count(body, b"{")[0] >= bounds.max_depth:
        return None
    return _flatten(document[forms[0]], width, count(body, b"[")[0], bounds)


def _to_lists(rows: bytes, keys: list[bytes]) -> bytes | None:
    """Return a list of objects as one of lists, in as many bytes; None where they are not alike.

    `keys` are the first object's, each from its comma or brace to its colon: all others must have the same bytes in
    their places. What stands between them is left to the parser.
    """
    data = np.frombuffer(rows, np.uint8).copy()
    colons, ends = np.flatnonzero(data == ord(":")), np.flatnonzero(data == ord("}"))
    n = len(ends)
    if not n or len(colons) != n * len(keys) or n * sum(map(len, keys)) > len(data):
        return None
    for at, key in enumerate(keys):
        # all runs of bytes that are as long as the key
        runs = np.ndarray((len(data) - len(key) + 1,), f"V{len(key)}", data, strides=(1,))
        places = colons[at :: len(keys)] - (len(key) - 1)
        if places[0] < 0 or runs[places].tobytes() != key * n:
            return None
        runs[places] = np.void((b"[" if at == 0 else b",") + SPACE * (len(key) - 1))
    data[ends] = ord("]")
    return data.tobytes()


def _flatten(rows: Any, width: int, lists: int, bounds: Bounds) -> np.ndarray | None:  # noqa: ANN401 -- simdjson's arrays have no types
    """Return rows [n, width] among as many lists in all; None for rows of other lengths, or that hold further lists."""
    n = len(rows)
    bounds.check_rows(n)
    if n == 0 or n * width > bounds.max_cells or lists != n + 1 or set(map(len, rows)) != {width}:
        return None
    return np.frombuffer(rows.as_buffer(of_type="d"), np.float64).reshape(n, width)


def gather(columns: list[Any], bounds: Bounds) -> np.ndarray | None:
    """Return simdjson's lists of numbers, which hold no further lists, as columns; None for those of other lengths."""
    n = len(columns[0])
    bounds.check_rows(n)
    if n == 0 or n * len(columns) > bounds.max_cells or set(map(len, columns)) != {n}:
        return None
    block = np.empty((n, len(columns)))
    for at, column in enumerate(columns):
        block[:, at] = np.frombuffer(column.as_buffer(of_type="d"), np.float64)
    return block
