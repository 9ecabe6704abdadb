"""Cases about kinds of models.

Params, errors of the model itself, classes, tensors, nested types, every kind of output.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd

from tests.contract.case import CSV, PARQUET, Case, cases, split
from tests.contract.pyfuncs import OUTPUTS
from tests.contract.values import GOOD, NUMERIC

ROW = split(GOOD)[:-1]
PARAMS = {
    "none": "{}",
    "null": "null",
    "a list": "[31337]",
    "a text": '"hemlock"',
    "a number": "31337",
    "unknown": '{"hemlock": 31337}',
    "all": (
        '{"sleep": 0.0, "fail": false, "word": "é", "count": 2, "small": 2, "many": [1.5, 2.5], "when": "2024-05-06"}'
    ),
    "raises": '{"fail": true}',
    "text for double": '{"sleep": "hemlock"}',
    "integer for double": '{"sleep": 0}',
    "bool for double": '{"sleep": true}',
    "null for double": '{"sleep": null}',
    "NaN for double": '{"sleep": NaN}',
    "double for long": '{"count": 2.0}',
    "fraction for long": '{"count": 2.5}',
    "over int64 for long": '{"count": 9223372036854775808}',
    "text for long": '{"count": "7"}',
    "over int32 for integer": '{"small": 2147483648}',
    "number for text": '{"word": 31337}',
    "number for bool": '{"fail": 1}',
    "text for bool": '{"fail": "true"}',
    "scalar for list": '{"many": 1.5}',
    "integers for list": '{"many": [1, 2]}',
    "list of lists": '{"many": [[1.5]]}',
    "list of text": '{"many": ["hemlock"]}',
    "empty list": '{"many": []}',
    "list for scalar": '{"count": [1]}',
    "object for scalar": '{"count": {"hemlock": 1}}',
    "object for list": '{"many": {"hemlock": 1}}',
    "time": '{"when": "2024-05-06T07:08:09"}',
    "zone": '{"when": "2024-05-06T07:08:09Z"}',
    "bad date": '{"when": "hemlock"}',
    "number for date": '{"when": 31337}',
    "key twice": '{"count": 5, "count": 6}',
}
EVERY_TYPE_CSV = ",".join(GOOD) + "\n" + ",".join(str(json.loads(value)) for value in GOOD.values()) + "\n"


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


FRAME = pd.DataFrame({
    "double": [1.5], "float": pd.array([2.5], dtype="float32"), "long": [3], "integer": pd.array([4], dtype="int32"),
    "boolean": [True], "string": ["s"], "datetime": pd.to_datetime(["2024-01-02"]), "binary": [b"hemlock"],
    "opt_double": [1.25], "opt_long": [7],
})  # fmt: skip
PARQUETS = {
    "parquet": FRAME,
    "parquet, double for float": FRAME.astype({"float": "float64"}),
    "parquet, int64 for integer": FRAME.astype({"integer": "int64"}),
    "parquet, int16 for integer": FRAME.astype({"integer": "int16"}),
    "parquet, int for float": FRAME.astype({"float": "int32"}),
    "parquet, one for float": FRAME.assign(float=[1]),
    "parquet, null for bool": FRAME.assign(boolean=pd.Series([None], dtype=object)),
    "parquet, int for bool": FRAME.assign(boolean=[1]),
    "parquet, text for date": FRAME.assign(datetime=["2024-01-02"]),
    "parquet, zone for date": FRAME.assign(datetime=pd.to_datetime(["2024-01-02T00:00Z"])),
    "parquet, day for date": FRAME.assign(datetime=[pd.Timestamp("2024-01-02").date()]),
    "parquet, microseconds": FRAME.astype({"datetime": "datetime64[us]"}),
    "parquet, text for binary": FRAME.assign(binary=["hemlock"]),
    "parquet, null for binary": FRAME.assign(binary=pd.Series([None], dtype=object)),
    "parquet, no optional": FRAME.drop(columns=["opt_double", "opt_long"]),
    "parquet, null for optional": FRAME.assign(opt_double=[None], opt_long=pd.array([None], dtype="Int64")),
    "parquet, double for optional long": FRAME.assign(opt_long=[7.0]),
    "parquet, index": FRAME.set_index(pd.Index(["hemlock"], name="key")),
    "parquet, column in index": FRAME.set_index("double"),
}
CSVS = {
    "csv": EVERY_TYPE_CSV,
    "csv, no date": EVERY_TYPE_CSV.replace("2024-01-02T03:04:05", ""),
    "csv, no bool": EVERY_TYPE_CSV.replace("True", ""),
    "csv, bool as number": EVERY_TYPE_CSV.replace("True", "1"),
    "csv, no optionals": "\n".join(line.rsplit(",", 3)[0] for line in EVERY_TYPE_CSV.splitlines()),
    "csv, no optional double": EVERY_TYPE_CSV.replace("1.25", ""),
    "csv, no optional long": EVERY_TYPE_CSV.replace(",7,", ",,"),
    "csv, over int32": EVERY_TYPE_CSV.replace(",4,", ",2147483648,"),
    "csv, 1e300 for float": EVERY_TYPE_CSV.replace(",2.5,", ",1e300,"),
}
TENSORS: dict[str, Any] = {
    "inputs": {"inputs": [[1, 2, 3, 4], [5.5, 6, 7, 8]]},
    "inputs, one flat row": {"inputs": [1, 2, 3, 4]},
    "inputs, three dimensions": {"inputs": [[[1, 2, 3, 4]]]},
    "inputs, too narrow": {"inputs": [[1, 2, 31337]]},
    "inputs, ragged": {"inputs": [[1, 2, 3, 4], [1, 31337]]},
    "inputs, empty": {"inputs": []},
    "inputs, text": {"inputs": [[1, 2, 3, "hemlock"]]},
    "inputs, number in text": {"inputs": [[1, 2, 3, "4"]]},
    "inputs, null": {"inputs": [[1, 2, 3, None]]},
    "inputs, bool": {"inputs": [[1, 2, 3, True]]},
    "inputs, infinity": '{"inputs": [[1, 2, 3, 1e400]]}',
    "inputs, an object": {"inputs": {"hemlock": [[1, 2, 3, 4]]}},
    "inputs, a number": {"inputs": 31337},
    "inputs, objects": {"inputs": [{"a": 1, "b": 2, "c": 3, "d": 4}]},
    "instances": {"instances": [[1, 2, 3, 4]]},
    "instances, objects": {"instances": [{"x": [1, 2, 3, 4]}]},
    "split": {"dataframe_split": {"columns": ["a", "b", "c", "d"], "data": [[1, 2, 3, 4]]}},
    "split, no columns": {"dataframe_split": {"data": [[1, 2, 3, 4.5]]}},
    "split, three columns": {"dataframe_split": {"data": [[1, 2, 31337]]}},
    "split, a column of lists": {"dataframe_split": {"columns": ["x"], "data": [[[1, 2, 3, 4]]]}},
    "records": {"dataframe_records": [{"a": 1, "b": 2, "c": 3, "d": 4}]},
    "records, empty": {"dataframe_records": []},
    "no key": {},
    "messages": {"messages": ["hemlock"]},
    "deep": '{"inputs": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "large": {"inputs": [[1.5, 2.5, 3.5, 4.5]] * 500},
}
TWO_TENSORS: dict[str, Any] = {
    "inputs": {"inputs": {"left": [[1.5, 2], [3, 4]], "right": [[1], [2]]}},
    "inputs, one missing": {"inputs": {"left": [[1.5, 2]]}},
    "inputs, extra": {"inputs": {"left": [[1.5, 2]], "right": [[1]], "hemlock": [[1]]}},
    "inputs, wrong shape": {"inputs": {"left": [[1.5, 2]], "right": [31337]}},
    "inputs, fraction": {"inputs": {"left": [[1.5, 2]], "right": [[1.5]]}},
    "inputs, whole fraction": {"inputs": {"left": [[1.5, 2]], "right": [[1.0]]}},
    "inputs, text": {"inputs": {"left": [["hemlock", 2]], "right": [[1]]}},
    "inputs, ragged": {"inputs": {"left": [[1.5, 2], [3]], "right": [[1], [2]]}},
    "inputs, other lengths": {"inputs": {"left": [[1.5, 2], [3, 4]], "right": [[1]]}},
    "inputs, bare list": {"inputs": [[1.5, 2]]},
    "instances": {"instances": [{"left": [1.5, 2], "right": [1]}, {"left": [3, 4], "right": [2]}]},
    "instances, uneven": {"instances": [{"left": [1.5, 2], "right": [1]}, {"left": [3, 4]}]},
    "split": {"dataframe_split": {"columns": ["left", "right"], "data": [[[1.5, 2], [1]]]}},
    "records": {"dataframe_records": [{"left": [1.5, 2], "right": [1]}]},
    "over int64": '{"inputs": {"left": [[1.5, 2]], "right": [[9223372036854775808]]}}',
}
PERSON = {"list": [1.5, 2], "object": {"name": "é", "age": 3}, "map": {"k": 1}, "people": [{"name": "a"}]}
VALUES: dict[str, list[Any]] = {
    "list": [[], [1, 2], ["hemlock"], [None], "hemlock", None, [[1.5]], [True], 31337],
    "object": [
        {"name": "a"}, {}, {"name": 31337}, {"name": "a", "age": None}, {"name": "a", "age": 2.5},
        {"name": "a", "hemlock": 1}, None, "hemlock", [],
    ],
    "map": [{}, {"k": "hemlock"}, {"k": None}, {"k": 2.5}, None, [31337], "hemlock"],
    "people": [[], None, [{}], [{"name": "a", "age": 1}, {"name": "b"}], [31337]],
}  # fmt: skip
NESTED: dict[str, Any] = {
    "records": {"dataframe_records": [PERSON, PERSON]},
    "split": {"dataframe_split": {"columns": list(PERSON), "data": [list(PERSON.values())]}},
    "inputs": {"inputs": [PERSON]},
    "inputs, one row": {"inputs": PERSON},
    "instances": {"instances": [PERSON]},
    **{
        f"{name} = {value!r} by {form}": {form: [{**PERSON, name: value}]}
        for form in ("dataframe_records", "inputs", "instances")
        for name, values in VALUES.items()
        for value in values
    },
    **{
        f"{name} is missing": {"dataframe_records": [{key: value for key, value in PERSON.items() if key != name}]}
        for name in PERSON
    },
    "records, empty": {"dataframe_records": []},
}  # fmt: skip
FEW: dict[str, Any] = {
    "inputs, bare list": {"inputs": [1.5, 2.5]},
    "inputs, list of lists": {"inputs": [[1.5], [2.5]]},
    "instances, bare list": {"instances": [1.5, 2.5]},
    "instances, list of lists": {"instances": [[1.5], [2.5]]},
    "inputs, a number": {"inputs": 1.5},
    "inputs, text": {"inputs": ["hemlock"]},
    "inputs, empty": {"inputs": []},
    "inputs, null": {"inputs": [None]},
    "inputs, mixed": {"inputs": [1.5, {"x0": 31337}]},
    "inputs by column": {"inputs": {"x0": [1.5]}},
    "records": {"dataframe_records": [{"x0": 1.5}]},
    "records, a bare list": {"dataframe_records": [1.5]},
    "split, bare list": {"dataframe_split": {"columns": ["x0"], "data": [1.5, 2.5]}},
}
ROWS3: list[list[float]] = [[0.5, 1.5, 2.5], [3, 4, 5]]
NUMBERED: dict[str, Any] = {  # columns named 0, 1, 2
    "split": {"dataframe_split": {"columns": [0, 1, 2], "data": ROWS3}},
    "split, other order": {"dataframe_split": {"columns": [2, 0, 1], "data": ROWS3}},
    "split, more": {"dataframe_split": {"columns": [0, 1, 2, 3], "data": [[*row, 9] for row in ROWS3]}},
    "split, texts": {"dataframe_split": {"columns": ["0", "1", "2"], "data": ROWS3}},
    "split, no columns": {"dataframe_split": {"data": ROWS3}},
    "split, one missing": {"dataframe_split": {"columns": [0, 1], "data": [[0.5, 1.5]]}},
    "split, text": {"dataframe_split": {"columns": [0, 1, 2], "data": [[0.5, 1, "hemlock"]]}},
    "split, many": {"dataframe_split": {"columns": [0, 1, 2], "data": ROWS3 * 200}},
    "records": {"dataframe_records": [{"0": 0.5, "1": 1.5, "2": 2.5}]},
    "inputs by column": {"inputs": {"0": [0.5], "1": [1.5], "2": [2.5]}},
    "inputs": {"inputs": ROWS3},
    "instances": {"instances": ROWS3},
}
ODD = ["\x00", 'a\n"b\\', "__class__", "é é"]
ODD_NAMES: dict[str, Any] = {
    "split": {"dataframe_split": {"columns": ODD, "data": [[0.5, 1, 2, 3]]}},
    "split, other order": {"dataframe_split": {"columns": ODD[::-1], "data": [[0.5, 1, 2, 3]]}},
    "split, many": {"dataframe_split": {"columns": ODD, "data": [[0.5, 1, 2, 3]] * 200}},
    "records": {"dataframe_records": [dict(zip(ODD, [0.5, 1, 2, 3], strict=True))]},
    "inputs": {"inputs": {name: [1.5] for name in ODD}},
    "one missing": {"inputs": {name: [1.5] for name in ODD[1:]}},
}
CASES = [
    *cases("C", {f"params, {name}": f'{ROW}, "params": {params}}}' for name, params in PARAMS.items()}),
    *cases(
        "C", {f"{key}, param beside": f'{{"{key}": "hemlock", "count": 2}}' for key in ("messages", "prompt", "input")}
    ),
    *cases("C", {name: _parquet(frame) for name, frame in PARQUETS.items()}, PARQUET),
    *cases("C", CSVS, CSV),
    *cases("slow", {"too slow": f'{ROW}, "params": {{"sleep": 3.0}}}}', "quick": f"{ROW}}}"}),
    *cases("F", {f"{rows} rows": split({"x0": "40.5", "x1": "2"}, rows) for rows in (0, 1, 2, 500)}),
    *cases("F", {"method": split({"x0": "1.5", "x1": "2"})[:-1] + ', "params": {"method": "predict"}}'}),
    *(
        case for name in ("D", "E", "I i", "K f", "L")
        for case in cases(name.split()[0], {f"{rows} rows": split(NUMERIC[name], rows) for rows in (0, 1, 2, 500)})
    ),
    *cases("G", TENSORS),
    Case("G", "csv", b"a,b,c,d\n1,2,3,4\n", CSV),
    *(case for model in ("P", "Pi") for case in cases(model, TENSORS)),
    *cases("M", NUMBERED),
    *cases("M", {"csv": "0,1,2\n0.5,1.5,2.5\n", "csv, no such names": "a,b,c\n0.5,1.5,2.5\n"}, CSV),
    *cases("N", ODD_NAMES),
    *cases("G2", TWO_TENSORS),
    *cases("H", NESTED),
    *cases("L", FEW),
    *cases("J", {f"output, {name}": split({"kind": json.dumps(name)}) for name in OUTPUTS}),
    *cases("J", {"no such output": split({"kind": '"hemlock"'})}),
    *cases("J", {"bare list": {"inputs": ["words"]}, "bare text": {"inputs": "words"}}),
]  # fmt: skip
