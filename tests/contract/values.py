"""Cases about values.

Every type of column times every kind of JSON value, in each form of input, in small bodies and in large ones.
"""

from __future__ import annotations

from tests.contract.case import Case, cases, split
from tests.contract.models import OPTIONAL, TYPES

NUMBERS = {  # JSON literals
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus zero": "-0.0",
    "seven": "7",
    "whole fraction": "2.0",
    "fraction": "2.5",
    "exponent": "1e3",
    "small": "1e-400",
    "long decimal": "0.1000000000000000055511151231257827021181583404541015625",
    "int32 max": "2147483647",
    "over int32": "2147483648",
    "int32 min": "-2147483648",
    "under int32": "-2147483649",
    "over exact double": "9007199254740993",
    "int64 max": "9223372036854775807",
    "over int64": "9223372036854775808",
    "int64 min": "-9223372036854775808",
    "under int64": "-9223372036854775809",
    "over uint64": "18446744073709551616",
    "int64 max as double": "9223372036854775807.0",
    "int32 max as double": "2147483648.0",
    "1e40": "1e40",
    "1e300": "1e300",
    "1e400": "1e400",
    "-1e400": "-1e400",
    "hundred digits": "1" + "0" * 100,
    "400 digits": "1" + "0" * 400,
    "5000 digits": "1" + "0" * 5000,
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "number in string": '"7"',
    "fraction in string": '"2.5"',
    "list": "[31337]",
}
OTHERS = {
    "false": "false",
    "one": "1",
    "negative": "-7",
    "exponent in string": '"1e3"',
    "spaces in string": '" 7 "',
    "underscore in string": '"1_0"',
    "hex in string": '"0x10"',
    "nan in string": '"nan"',
    "inf in string": '"inf"',
    "arabic digit": '"\u0663"',
    "true in string": '"true"',
    "False in string": '"False"',
    "empty string": '""',
    "word": '"hemlock"',
    "umlaut": '"ü"',
    "surrogate pair": r'"\ud83d\ude00"',
    "lone surrogate": r'"\ud800"',
    "nul": r'"a\u0000b"',
    "date": '"2024-01-02"',
    "time": '"2024-01-02T03:04:05.123456789"',
    "zone": '"2024-01-02T03:04:05Z"',
    "offset": '"2024-01-02 03:04:05+02:00"',
    "us date": '"01/02/2024"',
    "late date": '"2262-04-12"',
    "early date": '"1000-01-01"',
    "no date": '"2024-02-31"',
    "now": '"2024"',
    "base64": '"aGVtbG9jaw=="',
    "base64 cut": '"aGVtbG9jaw"',
    "base64 of a stranger": '"@@@@"',
    "empty list": "[]",
    "list in list": "[[31337]]",
    "object": '{"hemlock": 31337}',
    "empty object": "{}",
}
GOOD = {
    "double": "1.5", "float": "2.5", "long": "3", "integer": "4", "boolean": "true", "string": '"s"',
    "datetime": '"2024-01-02T03:04:05"', "binary": '"aGVtbG9jaw=="', "opt_double": "1.25", "opt_long": "7",
    "opt_string": '"o"',
}  # fmt: skip
COLUMNS = [*TYPES, *(f"opt_{kind}" for kind in OPTIONAL)]
NUMERIC = {  # model: its columns; the values go to the last
    "A": {"s": '"x"', "b": "2", "a": "0.5"},
    "A b": {"a": "0.5", "s": '"x"', "b": "2"},
    "A s": {"a": "0.5", "b": "2", "s": '"x"'},
    "B": {"s": '"x"', "b": "2", "a": "0.5"},
    "B b": {"a": "0.5", "s": '"x"', "b": "2"},
    "D": {f"x{at}": f"{at}.5" for at in range(10)},
    "E": {"x0": "1.5", "x1": "2.5", "x2": "3.5"},
    "I i": {"l": "3", "i": "4"},
    "I l": {"i": "4", "l": "3"},
    "K f": {"flag": "true", "o": "1.5", "f": "2.5"},
    "K flag": {"o": "1.5", "f": "2.5", "flag": "true"},
    "K o": {"f": "2.5", "flag": "true", "o": "1.5"},
    "L": {"x0": "1.5"},
}
MANY = 250  # rows: a body of more than the 4 KB from which our server reads numbers in another way


def _records(rows: list[dict[str, str]], key: str) -> str:
    records = ("{" + ", ".join(f'"{name}": {value}' for name, value in row.items()) + "}" for row in rows)
    return f'{{"{key}": [{", ".join(records)}]}}'


def _lists(rows: list[dict[str, str]]) -> str:
    columns = ", ".join(f'"{name}": [{", ".join(row[name] for row in rows)}]' for name in rows[0])
    return f'{{"inputs": {{{columns}}}}}'


def _scalars(row: dict[str, str]) -> str:
    return '{"inputs": {' + ", ".join(f'"{name}": {value}' for name, value in row.items()) + "}}"


def _split(rows: list[dict[str, str]]) -> str:
    data = ", ".join("[" + ", ".join(row.values()) + "]" for row in rows)
    return split(rows[0], 0)[:-3] + data + "]}}"


def _forms(good: dict[str, str], odd: dict[str, str], *, few: bool) -> dict[str, str]:
    forms = {
        "split": _split([odd]),
        "split, second row": _split([good, odd]),
        "inputs": _lists([odd]),
        "records": _records([good, odd], "dataframe_records"),
    }
    if few:
        return forms
    return forms | {
        "instances": _records([odd], "instances"),
        "inputs, second row": _lists([good, odd]),
        "inputs of a scalar": _scalars(odd),
        "inputs of rows": _records([good, odd], "inputs"),
    }


def _every_value() -> list[Case]:
    found = []
    for column in COLUMNS:
        for value, literal in {**NUMBERS, **OTHERS}.items():
            odd = {**GOOD, column: literal}
            found += cases("C", _forms(GOOD, odd, few=value not in CHOSEN), prefix=f"{column} = {value}: ")
        rest = {name: literal for name, literal in GOOD.items() if name != column}
        found += cases("C", _forms(rest, rest, few=False), prefix=f"{column} is missing: ")
    return found


CHOSEN = {
    "null",
    "true",
    "seven",
    "fraction",
    "over int32",
    "over int64",
    "NaN",
    "number in string",
    "word",
    "list",
    "empty list",
    "object",
}


def _numeric() -> list[Case]:
    found = []
    for name, good in NUMERIC.items():
        model, last = name.split()[0], list(good)[-1]
        for value, literal in {
            **NUMBERS,
            **{key: OTHERS[key] for key in ("word", "empty string", "object", "empty list")},
        }.items():
            odd, prefix = {**good, last: literal}, f"{last} = {value}: "
            found += cases(model, _forms(good, odd, few=value not in CHOSEN), prefix=prefix)
            rows = [good] * MANY + [odd]
            found += cases(model, {"large split": _split(rows)}, prefix=prefix)
            if value in CHOSEN:
                found += cases(
                    model,
                    {"large records": _records(rows, "dataframe_records"), "large inputs": _lists(rows)},
                    prefix=prefix,
                )
    return found


CASES = [*_every_value(), *_numeric()]
