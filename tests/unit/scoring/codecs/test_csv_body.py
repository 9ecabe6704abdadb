"""CSV: lines that do not fit to the header, and where quotes begin."""

from __future__ import annotations

import pytest

from scoring.bounds import DEFAULT
from scoring.codecs import csv_body
from scoring.errors import Refusal, ValueRefusal
from scoring.models.signature import Column

COLUMNS = (Column("a", "double"), Column("s", "string"))


def _read(text: str) -> list[list[object]]:
    frame = csv_body.read(text.encode(), COLUMNS, DEFAULT).frame
    assert frame is not None
    return list(frame[["a", "s"]].to_numpy().tolist())


@pytest.mark.parametrize(
    ("header", "end"), [("a,s", "\n"), ("a,s,more", "\n"), ("more,s,a", "\r\n"), ("a,more,s", "\r")], ids=repr
)
def test_a_line_that_is_too_long(header: str, end: str) -> None:
    """A line with more values than the header is refused, wherever it stands, even with unknown columns."""
    lines = [header, *[",".join(["1"] * (header.count(",") + 1))] * 45_000]  # more than one piece

    assert len(_read(end.join(lines))) == 45_000
    for at in (1, 2, 22_000, 45_000):
        long = [*lines[:at], lines[at] + ",1,1", *lines[at + 1 :]]
        with pytest.raises(Refusal) as refused:
            _read(end.join(long))
        assert refused.value.status == 400


def test_rows_that_are_all_too_long() -> None:
    """A comma after each row is a value more: pandas would take each value for the column before."""
    with pytest.raises(Refusal, match="more values than the header"):
        _read("a,s\n1,x,\n2,y,\n")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('a,more,s\n1,"x,y,z","p,q"\n2,,"r\n,,,,\ns"\n', [[1.0, "p,q"], [2.0, "r\n,,,,\ns"]]),
        ('a,more,s\n1,"he said ""a,b,c,d""",x\n', [[1.0, "x"]]),
        ('a,more,s\n1,5",x"\n', [[1.0, 'x"']]),
        ('"a","more, and more","s"\n1,2,x\n\n2,3,y', [[1.0, "x"], [2.0, "y"]]),
        ("a,more,s\n1\n", None),
    ],
    ids=["commas in quotes", "doubled quotes", "quotes that quote nothing", "a header in quotes", "a short line"],
)
def test_lines_that_fit(text: str, rows: list[list[object]] | None) -> None:
    """What stands in quotes is no further value; a short line lacks its last ones."""
    if rows is None:
        assert [str(value) for value in _read(text)[0]] == ["1.0", "nan"]
    else:
        assert _read(text) == rows


@pytest.mark.parametrize(
    ("value", "kind"), [("abc", "double"), ("1_0", "float"), ("", "long"), ("9999999999", "integer"), ("no", "boolean")]
)
def test_a_wrong_value_is_found(value: str, kind: str) -> None:
    """The refusal has the column and the row, and keeps the value from the server's callers."""
    with pytest.raises(ValueRefusal) as refused:
        csv_body.read(
            f's,a\r\n"x\ny",1\r\nx,{value}\r\n'.replace("1", "true" if kind == "boolean" else "1", 1).encode(),
            (Column("a", kind),),
            DEFAULT,
        )

    assert (refused.value.row, refused.value.value) == (2, value)
    assert refused.value.message == f"column a contains a value that is not a valid {kind}, in row 2"


def test_a_long_line_beside_odd_quotes() -> None:
    """A quote that quotes nothing hides no long line."""
    with pytest.raises(Refusal):
        _read('a,more,s\n1,2,x\n1,5",x,2,3\n')


def test_many_columns_without_a_name() -> None:
    """Columns without a name have one name: pandas compares each with all."""
    assert _read("a,s" + "," * 200 + "\n1,x" + "," * 200 + "\n") == [[1.0, "x"]]
    with pytest.raises(Refusal, match="twice"):
        _read("a,s" + "," * 3900 + "\n1,x" + "," * 3901 + "\n")
