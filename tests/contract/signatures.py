"""Cases about kinds of signatures.

None, one column, columns without names, one of type hints, a column named as an LLM's input.
"""

from __future__ import annotations

from typing import Any

from tests.contract.case import CSV, Case, cases

VALUES = [  # of inputs and of instances; each kind of signature takes or refuses them in a way of its own
    "null", "{}", "[]", '"x"', "5", "0.5", "true", "[{}]", "[null]", "[0.5]", "[0.5, 1.5]", '["x", "yz"]', "[5, null]",
    "[NaN, 1e400]", "[[0.5]]", "[[0.5, 2]]", "[[0.5, 2], [1.5, 3]]", "[[0.5, 2], [1.5]]", '[[0.5, "hemlock"]]',
    '[["x"]]', "[[[0.5, 2]]]", '{"a": 0.5, "b": 2}', '{"a": [0.5], "b": [2]}', '{"a": [0.5, 1], "b": [2]}',
    '{"a": [[0.5]], "b": [2]}', '{"input": ["x", "y"]}', '{"input": "x"}', '{"input": [5]}', '{"input": [["x"]]}',
    '[{"a": 0.5, "b": 2}, {"a": 1}]', '[{"input": "x"}, {"input": "y"}]', '[{"a": 1}, 31337]',
    "[" * 100_000 + "]" * 100_000,
]  # fmt: skip
SPLITS: dict[str, Any] = {
    "named": {"columns": ["p", "q"], "data": [[0.5, 2]]},
    "not named": {"data": [[0.5, 2], [1.5, 3]]},
    "one column": {"columns": ["input"], "data": ["x", "y"]},
    "three columns": {"data": [[0.5, 2, "x"]]},
    "text": {"data": [["hemlock", 2]]},
    "fraction": {"data": [[0.5, 2.5]]},
    "null": {"data": [[None, 2]]},
    "zero rows": {"columns": ["a", "b"], "data": []},
    "index": {"columns": ["a", "b"], "index": ["p", "q"], "data": [[0.5, 2], [1, 3]]},
    "a column of lists": {"columns": ["input"], "data": [[["x"]]]},
}
OTHERS: dict[str, Any] = {
    "records": {"dataframe_records": [{"a": 0.5, "b": 2}, {"b": 3, "a": 1}]},
    "records, key missing": {"dataframe_records": [{"a": 0.5, "b": 2}, {"b": 3}]},
    "records, mixed": {"dataframe_records": [{"a": 0.5, "b": "x"}, {"a": True, "b": [1]}]},
    "split and input": {"dataframe_split": {"columns": ["input"], "data": ["x"]}, "input": "hemlock"},
    "input": {"input": "é"},
    "input, two": {"input": ["x", "y"]},
    "input, a number": {"input": 31337},
    "input, null": {"input": None},
    "input, list of lists": {"input": [["x"]]},
    "input, an object": {"input": {"hemlock": 1}},
    "input and more": {"input": "x", "n": 1},
    "messages": {"messages": [{"role": "user", "content": "x"}]},
    "prompt": {"prompt": "x"},
    "other key": {"hemlock": 1},
    "a list": [1],
    "params": {"inputs": [0.5], "params": {"n": 1}},
    "no JSON": "hemlock",
    "no UTF-8": b'{"inputs": ["hemlock\xff"]}',
}
CSVS = {"two columns": "a,b\n0.5,2\n", "one column": "input\nx\n", "nothing": "", "header only": "hemlock"}


def _cases(model: str) -> list[Case]:
    found = cases(model, {f"split, {name}": {"dataframe_split": body} for name, body in SPLITS.items()}) + cases(
        model, OTHERS
    )
    for form in ("inputs", "instances"):
        found += cases(
            model, {f"{form} {value if len(value) < 40 else 'deep'}": f'{{"{form}": {value}}}' for value in VALUES}
        )
    return [*found, *cases(model, CSVS, CSV, prefix="csv, ")]


CASES = [case for model in ("untyped", "unnamed", "text", "hinted", "single") for case in _cases(model)]
