"""Answers of a served model beside those of the model itself, as JSON of any depth. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from slipway import shell

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = Any  # a JSON document, or a part of one, as Python objects
VARIES = ...  # in the place of what a model answers differently each time: an id, a time, a random number
CLOSE = 1e-9  # relative
QUOTED = 100  # characters of a value


def settle(answers: list[Json]) -> Json:
    """Return what a model's answers to one request have in common, with `VARIES` where they differ."""
    first, *others = answers
    for other in others:
        first = _settle(first, other)
    return first


def _settle(one: Json, other: Json) -> Json:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {name: _settle(value, other[name]) for name, value in one.items()}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_settle(*pair) for pair in zip(one, other, strict=True)]
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return one
    return VARIES if differ(other, one) else one


def find_fault(expected: Json) -> str:
    """Return why a model's settled answer is no prediction: no value in it is a number, or the same twice. Or ""."""
    leaves = list(_list_leaves(expected))
    if leaves and all(leaf is VARIES for leaf in leaves):
        return "the model loaded directly answers one request with other values each time"
    if leaves and all(leaf is None or (isinstance(leaf, float) and math.isnan(leaf)) for leaf in leaves):
        return "a prediction is None, which is not a number"
    return ""


def _list_leaves(value: Json) -> Iterator[Json]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if parts is None:
        yield value
    else:
        for part in parts:
            yield from _list_leaves(part)


def differ(served: Json, direct: Json) -> str:  # noqa: PLR0911 -- one for each kind of value
    """Return how a served answer differs from the model's own, or "".

    Floats may differ by `CLOSE`; NaN and infinity, which JSON does not know, are served as null.
    """
    if direct is VARIES:
        return ""
    if isinstance(direct, dict) and isinstance(served, dict):
        if served.keys() != direct.keys():
            return f"it answers {_quote(list(served))}, the model loaded directly {_quote(list(direct))}"
        return next(filter(None, (differ(served[name], value) for name, value in direct.items())), "")
    if isinstance(direct, list) and isinstance(served, list):
        if len(served) != len(direct):
            return f"{len(served)} values, the model loaded directly gives {len(direct)}"
        return next(filter(None, map(differ, served, direct)), "")
    if isinstance(direct, float) and math.isfinite(direct):
        if not isinstance(served, int | float) or isinstance(served, bool):
            return f"a prediction is {_quote(served)}, which is not a number"
        is_equal = math.isclose(served, direct, rel_tol=CLOSE)
    else:
        direct = None if isinstance(direct, float) else direct
        is_equal = served == direct and isinstance(served, bool) == isinstance(direct, bool)
    return "" if is_equal else f"it predicts {_quote(served)}, the model loaded directly {_quote(direct)}"


def list_predictions(answer: Json) -> list[Json]:
    """Return the predictions in an answer, one for each row where they are a list; else the whole answer as one."""
    found = answer.get("predictions", answer) if isinstance(answer, dict) else answer
    return found if isinstance(found, list) else [found]


def _quote(value: Json) -> str:
    return shell.cut(str(value), QUOTED)
