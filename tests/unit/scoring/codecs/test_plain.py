"""Plain bodies: compiled code reads them as pandas and numpy do, to the bit and type, whatever their size and form."""

from __future__ import annotations

import json
import random
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scoring.bounds import Bounds
from scoring.codecs import fast_json, mlflow_forms, open_inference, tensors
from scoring.codecs.fast_json import Decoder, MatrixDecoder
from scoring.codecs.plain import numbers
from scoring.codecs.plain import tensors as plain
from scoring.errors import Refusal
from scoring.models import rows as table
from scoring.models.signature import SCALARS, Column, Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from scoring.models.rows import Table

NUMBERS = ("double", "float", "long", "integer")
KINDS = (*NUMBERS, "boolean", "string")
FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
OTHERS: list[Any] = [
    None,
    True,
    "1",
    "",
    [1],
    {},
    1,
    1.5,
    2**53 + 1,
    2**31,
    2**63,
    2**64,
    1e39,
    -0.0,
    10**30,
]  # wrong here or there
TEXTS = ["", "a", "é", "null", 'q"', "\\", "[{", "x\0", "x" * 50]


def _value(random_: random.Random, kind: str) -> Any:  # noqa: ANN401 -- JSON
    if kind in {"double", "float"}:
        any_double = struct.unpack("d", random_.randbytes(8))[0]
        whole = random_.choice([0, -1, 7, 2**40])
        finite = any_double if abs(any_double) < 1e300 else 0.1
        return random_.choice([random_.gauss(0, 1), whole, finite if kind == "double" else 0.1, -0.0])
    if kind in {"long", "integer"}:
        return random_.choice([0, -3, random_.randrange(-(2**31), 2**31), 2**52 if kind == "long" else 5])
    return random_.random() < 0.5 if kind == "boolean" else random_.choice(TEXTS)


def _table(seed: int) -> tuple[random.Random, list[Column], list[list[Any]], bool]:
    """Return columns and rows; one value in some tables is of another type, and they are not `right`."""
    random_ = random.Random(seed)  # noqa: S311 -- it keeps no secret
    pool = random_.choice([("double",), NUMBERS, KINDS])
    columns = [Column(f"{random_.choice('abé _')}{at}", random_.choice(pool)) for at in range(random_.randint(1, 6))]
    rows = [[_value(random_, column.type) for column in columns] for _ in range(random_.choice([1, 2, 30]))]
    if is_wrong := random_.random() < 0.4:
        random_.choice(rows)[random_.randrange(len(columns))] = random_.choice(OTHERS)
    if random_.random() < 0.2:
        random_.choice(rows)[0:1] = []
        is_wrong = True
    return random_, columns, rows, not is_wrong


def _dump(random_: random.Random, body: dict[str, Any]) -> bytes:
    return json.dumps(
        body,
        ensure_ascii=random_.random() < 0.5,
        indent=random_.choice([None, 1]),
        separators=random_.choice([(",", ":"), (", ", ": ")]),
    ).encode()


def _body(random_: random.Random, form: str, columns: list[Column], rows: list[list[Any]]) -> bytes:
    order = random_.sample(range(len(columns)), len(columns)) if random_.random() < 0.5 else list(range(len(columns)))
    if any(len(row) < len(columns) for row in rows):
        order = sorted(order)
    names = [columns[at].name for at in order]
    rows = [[row[at] for at in order if at < len(row)] for row in rows]
    records = [dict(zip(names, row, strict=False)) for row in rows]
    if random_.random() < 0.1:
        records[-1] = dict(reversed(records[-1].items()))
    data: Any = {
        "dataframe_split": {"columns": names, "data": rows},
        "dataframe_records": records, "instances": records,
        "inputs": {name: [row[at] for row in rows if at < len(row)] for at, name in enumerate(names)},
    }[form]  # fmt: skip
    return _dump(random_, {form: data, **({"x": [[1]]} if random_.random() < 0.1 else {})})


def _ask(call: Callable[[], Table]) -> Table | None:
    try:
        return call()
    except Refusal:
        return None


def _same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Compare names, types of columns, and values to the bit, zeros' signs and all."""
    assert list(one) == list(other)
    assert list(one.dtypes) == list(other.dtypes)
    for name in one:
        left, right = one[name].to_numpy(), other[name].to_numpy()
        if left.dtype == object:
            assert list(map(repr, left)) == list(map(repr, right))
        else:
            assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("large", [0, 10**9], ids=["as large ones", "as small ones"])
def test_json(form: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the short way takes is the same by the long one; and it takes what is right and has no zero in a text."""
    monkeypatch.setattr(fast_json, "LARGE", large)
    monkeypatch.setattr(numbers, "MANY", large)
    taken = 0
    for seed in range(300):
        random_, columns, rows, is_right = _table(seed)
        body = _body(random_, form, columns, rows)
        found = _ask(lambda: Decoder(columns).decode(body))  # type: ignore[arg-type,return-value] # noqa: B023
        if found is None:
            assert not is_right or b"u0000" in body or b'"x"' in body or large == 0
            continue
        taken += 1
        expected = mlflow_forms.to_table(mlflow_forms.parse(body), columns)
        _same(table.frame([found], columns), table.frame([expected], columns))

    assert taken > 100


@pytest.mark.parametrize("large", [0, 10**9], ids=["as large ones", "as small ones"])
def test_tensors(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is with tensors, one a column or one in all; and their matrix is the same."""
    monkeypatch.setattr(plain, "LARGE", large)
    monkeypatch.setattr(plain, "SMALL", large)
    taken = 0
    for seed in range(600):
        random_, columns, rows, is_right = _table(seed)
        shape = random_.choice([[len(rows)], [len(rows), 1]])
        inputs = [
            {"name": column.name, "shape": shape, "datatype": plain.KINDS[column.type][0],
             "data": [row[at] for row in rows if at < len(row)]}
            for at, column in enumerate(columns)
        ]  # fmt: skip
        if random_.random() < 0.2:
            flat = [value for row in rows for value in row]
            inputs = [{"name": "m", "shape": [len(rows), len(columns)], "datatype": "FP64",
                       "data": random_.choice([flat, rows])}]  # fmt: skip
        body = _dump(random_, {"inputs": inputs, **random_.choice([{}, {"id": "7", "parameters": {"a": 1}}])})
        found = plain.reader_for(Signature(tuple(columns))).decode(body)  # type: ignore[union-attr]
        if found is None:
            assert not is_right or len(inputs) == 1 or max(map(len, rows)) > 0
            continue
        taken += 1
        read = open_inference.parse(body, None)
        expected = tensors.to_table(read.arrays(), columns)
        assert (found[1].infer.id, found[1].params()) == (read.infer.id, read.params())
        _same(table.frame([found[0]], columns), table.frame([expected], columns))
        if all(column.type in NUMBERS for column in columns):
            kind = np.result_type(*(SCALARS[column.type] for column in columns))
            assert table.matrix([found[0]], kind).tobytes() == table.matrix([expected], kind).tobytes()

    assert taken > 200


def test_which_are_read_into_a_matrix() -> None:
    """Large bodies of numbers become a block in every form, in another order, too."""
    columns = [Column(name, "double") for name in "abc"]
    rows = np.random.default_rng(0).normal(size=(2000, 3))
    names = ["c", "a", "b"]
    moved = rows[:, [2, 0, 1]].tolist()
    bodies: list[dict[str, Any]] = [
        {"dataframe_split": {"columns": names, "data": moved}},
        {"dataframe_records": [dict(zip(names, row, strict=True)) for row in moved]},
        {"instances": [dict(zip(names, row, strict=True)) for row in moved]},
        {"inputs": {name: [row[at] for row in moved] for at, name in enumerate(names)}},
    ]
    for body in bodies:
        found = Decoder(columns).decode(json.dumps(body).encode())
        assert found is not None
        assert found.block is not None
        assert np.array_equal(found.block, rows)
    for form in ("inputs", "instances"):
        matrix = MatrixDecoder("float64", 3).decode(json.dumps({form: rows.tolist()}).encode())
        assert matrix is not None
        assert matrix.block is not None
        assert np.array_equal(matrix.block, rows)


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_records": [{"a": 1, 2, "b": 3}, {"a": 4, "b": 5}]}',
        b'{"dataframe_records": [{"a": 1, "b": [3]}, {"a": 4, "b": 5}]}',
        b'{"dataframe_records": [{"a": 1, "b": 3], {"a": 4, "b": 5}}}',
        b'{"dataframe_records": [{"a": 1, "b": 3}, {"b": 4, "a": 5}]}',
        b'{"dataframe_records": [{"a": 1, "b": 3}, {"a": 4, "b": 5]]}',
        b'{"dataframe_records": [{"a": 1, "b": 3}, {"a": 4, "b": }, {"a": 1, 2, "b": 3}]}',
        b'{"dataframe_records": [{"a": 1, "b": 3}, ["a": 4, "b": 5}]}',
        b'{"dataframe_records": [{"a": 1, "b": 3} {"a": 4, "b": 5}]}',
        b'{"dataframe_records": [{"a": 1, "b": 3}, {"a": 4, "a": 5}]}',
        b'{"dataframe_records": [{"a": 1, "b": 3}]}]}',
        b'{"dataframe_records": [{"a": 1, "b": 3}], "params": {}}',
        b'{"inputs": {"a": [1, 2], "b": [[3], [4]]}}',
        b'{"inputs": {"a": [1, 2], "b": [3]}}',
        b'{"inputs": {"a": [1], "b": [3], "a": [2]}}',
    ],
)
def test_what_is_not_plain(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no JSON, or only looks like a table of numbers once it is flattened, makes no matrix."""
    monkeypatch.setattr(numbers, "MANY", 0)
    reader = numbers.NumberReader([Column("a", "double"), Column("b", "double")], Bounds())
    try:
        found = reader.read(body)
    except fast_json.FAILURES:
        found = None

    assert found is None


@pytest.mark.parametrize("shape", ["[40.0]", "[true, 40]", "[[40]]", "[39]", "[40, 2]", "[-1]", '"40"', "[1, 40]"])
@pytest.mark.parametrize("large", [0, 10**9], ids=["as large ones", "as small ones"])
def test_shapes(shape: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape is whole numbers, and those of the data."""
    monkeypatch.setattr(plain, "LARGE", large)
    columns = [Column("a", "double"), Column("b", "double")]
    values = json.dumps([0.5] * 40)
    inputs = [f'{{"name": "{name}", "shape": [40], "datatype": "FP64", "data": {values}}}' for name in "ab"]
    reader = plain.reader_for(Signature(tuple(columns)))
    right = f'{{"inputs": [{", ".join(inputs)}], "id": "1"}}'
    wrong = right.replace("[40]", shape, 1)

    assert reader is not None
    assert reader.decode(right.encode()) is not None
    assert reader.decode(wrong.encode()) is None
    assert reader.decode(right.replace("0.5", "true", 1).encode()) is None
    matrix = {"name": "m", "shape": [20, 2], "datatype": "FP64", "data": [0.5] * 40, "x": " " * 4000}
    assert reader.decode(json.dumps({"inputs": [matrix]}).encode()) is None


def test_bounds_hold() -> None:
    """No more rows or cells than may be are read in the short ways."""
    columns = [Column("a", "double"), Column("b", "double")]
    rows = [{"a": 1.5, "b": 2.5}] * 3000
    body = json.dumps({"dataframe_records": rows}).encode()

    assert Decoder(columns, Bounds(max_cells=5999)).decode(body) is None
    with pytest.raises(Refusal, match="more than 2999 rows"):
        Decoder(columns, Bounds(max_rows=2999)).decode(body)


def test_records_whose_first_key_alone_is_long() -> None:
    """Comparing 400,000 keys of 2 bytes with one of 20,000 would take 8 GB: the body is declined before."""
    rows = b'{"dataframe_records": [{' + b" " * 20_000 + b'"a":1.5}' + b',{"a":2.5}' * 400_000 + b"]}"

    assert numbers.NumberReader([Column("a", "double")], Bounds()).read(rows) is None


def test_columns_of_text_without_values() -> None:
    """A null among texts is none, as in pandas; requests whose columns are empty share no predict with others."""
    columns = [Column("s", "string"), Column("a", "double")]
    empty, other = (
        Decoder(columns).decode(json.dumps({"dataframe_records": [{"s": text, "a": None}]}).encode())
        for text in (None, "x")
    )

    assert empty is not None
    assert other is not None
    assert empty.kind() != other.kind()
    assert table.frame([empty], columns)["s"].tolist() == [None]
    assert np.isnan(table.frame([empty], columns)["a"]).all()
