"""Requests that are made of a model's input example, or of its signature."""

from typing import Any

import pytest

from slipway.serving import example
from tests.aliases import Json

TABLE = {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, "x"], [2.0, "y"]]}}
COUNTED = {"dataframe_split": {"data": [[1.0, 2.0], [3.0, 4.0]]}}
TENSOR = {"inputs": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}
NAMED = {"inputs": {"a": [1, 2], "b": [[0.5], [1.5]]}}
WORDS = {"inputs": ["one", "two"], "params": {"k": 1}}
OBJECTS = {"inputs": [{"role": "user", "n": 1}, {"role": "other", "n": 2}]}
CHAT = {"messages": [{"role": "user", "content": "hello"}]}


def column(name: Json, kind: str, *, required: bool = True) -> dict[str, Any]:
    """Return a column of a signature."""
    return {"name": name, "type": kind, "required": required}


def tensor(shape: list[int], kind: str = "float64", **name: str) -> dict[str, Any]:
    """Return a tensor of a signature."""
    return {"type": "tensor", "tensor-spec": {"dtype": kind, "shape": shape}, **name}


MESSAGE = {"type": "object", "properties": {"n": {"type": "long", "required": False}, "role": {"type": "string"}}}


@pytest.mark.parametrize(
    ("request_", "inputs", "first", "incomplete", "wrong"),
    [
        (
            TABLE, [column("a", "double"), column("b", "string")],
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, "x"]]}},
            ("a", {"dataframe_split": {"columns": ["b"], "data": [["x"], ["y"]]}}),
            {"dataframe_split": {"columns": ["a", "b"], "data": [["a word", ["a", "list"]], [2.0, "y"]]}},
        ),
        (
            TABLE, [column("a", "double", required=False), column("b", "any")],
            {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, "x"]]}},
            ("b", {"dataframe_split": {"columns": ["a"], "data": [[1.0], [2.0]]}}),
            {"dataframe_split": {"columns": ["a", "b"], "data": [["a word", "x"], [2.0, "y"]]}},
        ),
        (
            COUNTED, [column(0, "double"), column(1, "double")], {"dataframe_split": {"data": [[1.0, 2.0]]}},
            ("0", {"dataframe_split": {"columns": [1], "data": [[2.0], [4.0]]}}),
            {"dataframe_split": {"data": [["a word", "a word"], [3.0, 4.0]]}},
        ),
        (
            TENSOR, [tensor([-1, 2])], {"inputs": [[1.0, 2.0]]},
            ("the first value of each row", {"inputs": [[2.0], [4.0], [6.0]]}),
            {"inputs": [["a word", 2.0], [3.0, 4.0], [5.0, 6.0]]},
        ),
        (
            NAMED, [tensor([-1], name="a"), tensor([-1, 1], name="b")], {"inputs": {"a": [1], "b": [[0.5]]}},
            ("a", {"inputs": {"b": [[0.5], [1.5]]}}), {"inputs": {"a": ["a word", 2], "b": [["a word"], [1.5]]}},
        ),
        (
            WORDS, [{"type": "string"}], {"inputs": ["one"], "params": {"k": 1}}, None,
            {"inputs": [["a", "list"], "two"], "params": {"k": 1}},
        ),
        (
            OBJECTS, [MESSAGE], {"inputs": [{"role": "user", "n": 1}]}, ("role", {"inputs": [{"n": 1}, {"n": 2}]}),
            {"inputs": ["a word", {"role": "other", "n": 2}]},
        ),
        (TABLE, [], {"dataframe_split": {"columns": ["a", "b"], "data": [[1.0, "x"]]}}, None, None),
        (CHAT, [column("messages", "array")], CHAT, None, None),
    ],
    ids=[
        "table", "optional column", "counted columns", "tensor", "named tensors", "words", "objects", "no signature",
        "chat",
    ],
)  # fmt: skip
def test_requests_are_made_of_an_example(
    request_: dict[str, Any], inputs: list[dict[str, Any]], first: dict[str, Any],
    incomplete: tuple[str, dict[str, Any]] | None, wrong: dict[str, Any] | None,
) -> None:  # fmt: skip
    """The first row alone, a request that lacks what the signature requires, one with values of the wrong type.

    The example stays as it is.
    """
    before = repr(request_)

    assert example.cut(request_, 1) == first
    assert example.make_incomplete(request_, inputs) == incomplete
    assert example.make_wrong(request_, inputs) == wrong
    assert repr(request_) == before


@pytest.mark.parametrize(
    ("request_", "columns", "lines"),
    [
        (TABLE, ["a", "b"], [[1.0, "x"], [2.0, "y"]]),
        (COUNTED, ["0", "1"], [[1.0, 2.0], [3.0, 4.0]]),
        (TENSOR, ["0", "1"], TENSOR["inputs"]),
        (NAMED, ["a", "b"], [[1, [0.5]], [2, [1.5]]]),
        (WORDS, ["0"], [["one"], ["two"]]),
        (OBJECTS, ["role", "n"], [["user", 1], ["other", 2]]),
        (CHAT, ["messages"], [[CHAT["messages"]]]),
    ],
    ids=["table", "counted columns", "tensor", "named tensors", "words", "objects", "chat"],
)
def test_rows_are_shown_in_lines(request_: dict[str, Any], columns: list[str], lines: list[list[Any]]) -> None:
    """Whatever form an example has, it has headings, and a line for each row."""
    assert example.list_lines(request_) == (columns, lines)


@pytest.mark.parametrize(
    ("inputs", "made"),
    [
        (
            [column("a", "double"), column("b", "string"), column("c", "boolean"), column("d", "long")],
            {"dataframe_split": {"columns": ["a", "b", "c", "d"], "data": [[0.5, "a", True, 1], [1.5, "a", False, 2]]}},
        ),
        ([tensor([-1, 2])], {"inputs": [[0.5, 0.5], [0.5, 0.5]]}),
        ([tensor([-1, -1], "int64", name="a")], {"inputs": {"a": [[1], [1]]}}),
        ([{"type": "array", "items": {"type": "string"}}], {"inputs": [["a"], ["a"]]}),
        ([MESSAGE], {"inputs": [{"n": 1, "role": "a"}, {"n": 2, "role": "a"}]}),
        ([{"type": "long"}, {"type": "double"}], {"dataframe_split": {"data": [[1, 0.5], [2, 1.5]]}}),
        ([column("a", "any")], None),
        ([], None),
    ],
    ids=["columns", "tensor", "named tensor", "lists", "objects", "nameless columns", "any type", "no signature"],
)
def test_rows_are_made_up_of_a_signature(inputs: list[dict[str, Any]], made: dict[str, Any] | None) -> None:
    """Where every input has a type there are rows of it; a type that says nothing makes none."""
    assert example.make_up(inputs) == made


def test_lines_of_a_file_get_the_signatures_types() -> None:
    """Text stays text and whole numbers whole; without a signature all are numbers."""
    inputs = [column("a", "long"), column("b", "string"), column("c", "boolean")]

    assert example.read_lines(["a", "b", "c"], [["1.0", "2", "True"]], inputs) == {
        "dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, "2", True]]}
    }
    with pytest.raises(ValueError, match="could not convert"):
        example.read_lines(["a"], [["x"]], [])


def test_rows_of_a_table_are_counted() -> None:
    """Each row of a table has its prediction; what another form is answered with may be of any length."""
    assert example.count_rows({"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}) == 2
    assert example.count_rows({"dataframe_records": [{"a": 1}]}) == 1
    assert example.count_rows({"inputs": [[1.0], [2.0], [3.0]]}) is None
