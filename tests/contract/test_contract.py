"""Our scoring server answers every case as `mlflow models serve` does, but for the listed differences."""

from __future__ import annotations

import json
import math
import re
import zlib
from typing import TYPE_CHECKING

import pytest

from tests.contract import files, forms, kinds, protocol, signatures, values
from tests.contract.differences import DIFFERENCES, FAILURES, expected, matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.aliases import Json
    from tests.contract.case import Case
    from tests.contract.conftest import Answer

CASES = [*protocol.CASES, *forms.CASES, *files.CASES, *kinds.CASES, *signatures.CASES, *values.CASES]
MARKERS = re.compile(r"hemlock|31337", re.IGNORECASE)  # stand in the cases' bad values
INSIDE = re.compile(
    r"Traceback|\bFile \"|(?<![\w.])/\w+/|\b[A-Z]\w+(Error|Exception)\b|<class|0x[0-9a-f]{6}"
    r"|\b(pandas|numpy|sklearn|mlflow|scoring|pyarrow|builtins|msgspec|simdjson)\b"
)


SLICE = {"A", "C", "L", "M", "P"}  # models of which make test asks one case in EACH
EACH = 20


def _is_fast(case: Case) -> bool:
    return case.model in SLICE and zlib.crc32(case.id.encode()) % EACH == 0


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id, marks=[pytest.mark.fast] if _is_fast(case) else []) for case in CASES]
)
def test_answers_as_mlflow(case: Case, both: Callable[[Case], tuple[Answer, Answer]]) -> None:
    """Both servers give the same status and the same predictions; our errors have one form and give nothing away."""
    theirs, ours = both(case)
    listed = expected(case.id)
    fault = _find_fault(case, theirs, ours, listed)

    assert not fault, f"{fault}\nMLflow {theirs.status}: {theirs.body[:600]!r}\nours {ours.status}: {ours.body[:600]!r}"


def test_differences_are_of_cases() -> None:
    """Every pattern in the list of differences is that of a case, and no two cases have one name."""
    names = [case.id for case in CASES]
    stale = [
        pattern
        for _, _, patterns in DIFFERENCES.values()
        for pattern in patterns
        if not any(matches(name, pattern) for name in names)
    ]

    assert not stale
    assert len(set(names)) == len(names)


def _find_fault(case: Case, theirs: Answer, ours: Answer, listed: tuple[int, int] | None) -> str:
    if ours.status == 500 and case.id not in FAILURES:
        return "ours failed"
    if ours.status >= 400 and case.method != "HEAD" and (fault := _find_leak(ours)):
        return fault
    difference = _find_difference(case, theirs, ours)
    if listed:
        return (
            ""
            if listed == (theirs.status, ours.status) and difference
            else f"listed as a difference {listed}, and is none"
        )
    return difference


def _find_difference(case: Case, theirs: Answer, ours: Answer) -> str:
    if theirs.status != ours.status:
        return "the statuses differ"
    if ours.status == 405 and "allow" not in ours.headers:
        return "no word on what is allowed"
    if ours.status != 200:
        return ""
    if theirs.headers["content-type"] != ours.headers["content-type"]:
        return "the content types differ"
    if case.method != "POST":
        return "" if theirs.body == ours.body else "the bodies differ"
    return (
        ""
        if _equal(_predictions(theirs, lenient=True), _predictions(ours, lenient=False))
        else "the predictions differ"
    )


def _find_leak(answer: Answer) -> str:
    if answer.headers.get("content-type") != "application/json":
        return f"an error of type {answer.headers.get('content-type')}"
    error = json.loads(answer.body)
    if (
        not isinstance(error, dict)
        or error.keys() != {"error_code", "message"}
        or not all(isinstance(text, str) for text in error.values())
    ):
        return "an error in another form"
    if found := MARKERS.search(answer.body.decode()) or INSIDE.search(error["message"]):
        return f"an error that gives away {found[0]!r}"
    return ""


def _predictions(answer: Answer, *, lenient: bool) -> Json:
    """Read an answer; only MLflow's may have NaN and Infinity, which are null in ours."""
    return json.loads(answer.body, parse_constant=(lambda _: None) if lenient else _refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _equal(one: Json, other: Json) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if type(one) is float and type(other) is float:
        return math.isclose(one, other, rel_tol=1e-9)
    return type(one) is type(other) and bool(one == other)
