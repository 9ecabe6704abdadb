"""A served answer beside the model's own."""

import pytest

from slipway.serving import answers
from tests.aliases import Json

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("served", "direct", "why"),
    [
        ({"predictions": [1.0 + 1e-12]}, {"predictions": [1.0]}, ""),
        ([{"a": [1.0, "x"]}], [{"a": [1.0, "x"]}], ""),
        ([{"a": [1.1]}], [{"a": [1.0]}], "it predicts 1.1, the model loaded directly 1.0"),
        ([None, None], [NAN, INFINITY], ""),
        ([1.0], [NAN], "it predicts 1.0, the model loaded directly None"),
        ([None], [1.0], "a prediction is None, which is not a number"),
        ([True], [1.0], "a prediction is True, which is not a number"),
        ([1], [True], "it predicts 1, the model loaded directly True"),
        (["high"], ["low"], "it predicts high, the model loaded directly low"),
        ([1.0], [1.0, 2.0], "1 values, the model loaded directly gives 2"),
        ({"a": 1}, {"b": 1}, "it answers ['a'], the model loaded directly ['b']"),
        ([1.0], {"a": 1.0}, "it predicts [1.0], the model loaded directly {'a': 1.0}"),
        ("x" * 500, "y", f"it predicts {'x' * 100} …, the model loaded directly y"),
    ],
)
def test_answers_are_compared_at_any_depth(served: Json, direct: Json, why: str) -> None:
    """Floats to 1e-9, null for what is not finite, all else exactly; the first difference is said."""
    assert answers.differ(served, direct) == why


def test_what_varies_is_not_compared() -> None:
    """Where a model answers one request twice with different values, any served value is right."""
    settled = answers.settle([{"id": "a1", "values": [1.0, 2.0]}, {"id": "b2", "values": [1.0, 3.0]}])

    assert settled == {"id": answers.VARIES, "values": [1.0, answers.VARIES]}
    assert answers.differ({"id": "c3", "values": [1.0, 9.0]}, settled) == ""
    assert answers.differ({"id": "c3", "values": [2.0, 9.0]}, settled) != ""
    assert answers.settle([[NAN]]) == [pytest.approx(NAN, nan_ok=True)]
    assert answers.settle([[NAN], [NAN]]) == [pytest.approx(NAN, nan_ok=True)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[NAN, NAN], [NAN, NAN]], "a prediction is None"),
        ([[1.0, 2.0], [3.0, 4.0]], "other values each time"),
        ([[1.0, NAN], [1.0, NAN]], ""),
        ([[1.0, 2.0], [1.0, 4.0]], ""),
        ([[], []], ""),
    ],
)
def test_an_answer_without_a_prediction_is_a_fault(given: list[answers.Json], said: str) -> None:
    """NaN alone, or nothing that stays the same, is no prediction; one such value among others may be."""
    found = answers.find_fault(answers.settle(given))

    assert said in found
    assert bool(found) == bool(said)
