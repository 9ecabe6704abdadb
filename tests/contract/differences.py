"""Where our server answers otherwise than MLflow's, on purpose.

Why, MLflow's status, ours, and the cases (`*` stands for anything).
"""

from __future__ import annotations

from fnmatch import fnmatchcase

LONGS, INTEGERS = ("C long", "C opt_long", "A b", "I l"), ("C integer", "I i")
BEYOND_LONG = ("1e40", "1e300", "int64 max as double", "over int64")
BEYOND_INTEGER = ("int32 max as double", "over int32", "under int32", "int64 max", "int64 min", "over exact double")
BEYOND = [f"{column} = {value}" for column in (*LONGS, *INTEGERS) for value in BEYOND_LONG]
BEYOND += [f"{column} = {value}" for column in INTEGERS for value in BEYOND_INTEGER]
NO_JSON = ("set", "complex", "pairs as keys", "decimal", "duration", "NA", "frame in a dict")

DIFFERENCES: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "a fraction for a long or an integer is an error; MLflow cuts it": (
        200, 400,
        tuple(f"{column} = {value}: *" for column in (*LONGS, *INTEGERS) for value in ("fraction", "long decimal")),
    ),
    "a number beyond the type is an error in every form; MLflow wraps it in some": (
        200, 400, tuple(f"{each}: *{form}" for each in BEYOND for form in ("split", "split, second row", "records")),
    ),
    "without a content type nobody knows what the body is; MLflow fails": (500, 415, ("A type none", "A type none, *")),
    "deep nesting is a wrong request; MLflow fails":
        (500, 400, ("? deep*", "Pi deep", "* inputs deep", "* instances deep")),
    "a number of thousands of digits is a wrong request; MLflow fails":
        (500, 400, ("* = 5000 digits: *", "B a number of 5000 digits, *")),
    "the same where nobody reads it does no harm; MLflow fails": (500, 200, ("A a number of 5000 digits, ignored",)),
    "a column's name that is no text is a wrong request; MLflow fails": (500, 400, ("A split, a name that is *",)),
    "a trailing slash is another path; MLflow sends the caller to the one without": (307, 404, ("A trailing slash*",)),
    "a row of another length is an error; MLflow fills it up": (
        200, 400, ("? split, second row too short", "A inputs of scalars, extra list"),
    ),
    "a number is no date, however it is written": (
        200, 400, (
            "C datetime = true: inputs",
            "C datetime = true: instances",
            "C datetime = true: inputs, second row",
            "C datetime = true: inputs of a scalar",
            "C datetime = true: inputs of rows",
            "C datetime = zero: split",
            "C datetime = zero: inputs",
            "C datetime = minus zero: split",
            "C datetime = seven: split",
            "C datetime = seven: inputs",
            "C datetime = seven: instances",
            "C datetime = seven: inputs, second row",
            "C datetime = seven: inputs of a scalar",
            "C datetime = seven: inputs of rows",
            "C datetime = whole fraction: split",
            "C datetime = fraction: split",
            "C datetime = exponent: split",
            "C datetime = small: split",
            "C datetime = long decimal: split",
            "C datetime = int32 max: split",
            "C datetime = int32 max: inputs",
            "C datetime = over int32: split",
            "C datetime = over int32: inputs",
            "C datetime = over int32: instances",
            "C datetime = over int32: inputs, second row",
            "C datetime = over int32: inputs of a scalar",
            "C datetime = over int32: inputs of rows",
            "C datetime = int32 min: split",
            "C datetime = int32 min: inputs",
            "C datetime = under int32: split",
            "C datetime = under int32: inputs",
            "C datetime = over exact double: split",
            "C datetime = over exact double: inputs",
            "C datetime = int64 max: split",
            "C datetime = int64 max: inputs",
            "C datetime = int64 min: split",
            "C datetime = int64 min: split, second row",
            "C datetime = int64 min: inputs",
            "C datetime = int64 min: records",
            "C datetime = int64 max as double: split",
            "C datetime = int32 max as double: split",
            "C datetime = 1e40: split",
            "C datetime = 1e300: split",
            "C datetime = 1e400: split",
            "C datetime = -1e400: split",
            "C datetime = Infinity: split",
            "C datetime = -Infinity: split",
            "C datetime = number in string: inputs",
            "C datetime = number in string: instances",
            "C datetime = number in string: inputs, second row",
            "C datetime = number in string: inputs of a scalar",
            "C datetime = number in string: inputs of rows",
            "C datetime = list: inputs of a scalar",
            "C datetime = false: inputs",
            "C datetime = one: split",
            "C datetime = one: inputs",
            "C datetime = negative: split",
            "C datetime = negative: inputs",
            "C datetime = late date: inputs",
            "C datetime = early date: inputs",
            "C datetime = now: split",
            "C datetime = now: inputs",
        ),
    ),
    "dates with a zone, and dates in CSV and Parquet as text, are taken": (
        400, 200, (
            "C parquet, text for date",
            "C parquet, zone for date",
            "C csv",
            "C csv, bool as number",
            "C csv, no optionals",
            "C csv, no optional double",
            "C csv, 1e300 for float",
            "C datetime = NaN: inputs",
            "C datetime = NaN: instances",
            "C datetime = NaN: inputs, second row",
            "C datetime = NaN: inputs of a scalar",
            "C datetime = NaN: inputs of rows",
            "C datetime = nan in string: inputs",
            "C datetime = zone: split",
            "C datetime = offset: split",
            "C datetime = us date: inputs",
            "C datetime = date: split, second row",
            "C datetime = date: records",
            "C datetime = time: split, second row",
            "C datetime = time: records",
            "C datetime = zone: split, second row",
            "C datetime = zone: records",
            "C datetime = offset: split, second row",
            "C datetime = offset: records",
        ),
    ),
    "a body in gzip is taken": (400, 200, ("A gzip, said",)),
    "a body that is said to be gzip is gzip": (200, 400, ("A says gzip, is none",)),
    "the depth of JSON is bounded where nobody reads it, too": (200, 400, ("? ignored value 100 deep",)),
    "a column's name that is a number may be written as text, as it must be in most forms": (
        400, 200, ("M split, texts", "M records", "M inputs by column", "M csv"),
    ),
    "a request to another's name is refused": (200, 403, ("A absolute",)),
    "who asks for health by HEAD gets it": (405, 200, ("A HEAD ping",)),
    "the page at / is ours": (404, 405, ("A POST root",)),
}  # fmt: skip

FAILURES = {f"J output, {kind}" for kind in NO_JSON}  # what no JSON can hold: the model's fault, 500 from both


def matches(name: str, pattern: str) -> bool:
    """Whether a case is meant by a pattern."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def expected(name: str) -> tuple[int, int] | None:
    """Return both statuses of a case that differs on purpose."""
    for theirs, ours, patterns in DIFFERENCES.values():
        if any(matches(name, pattern) for pattern in patterns):
            return theirs, ours
    return None
