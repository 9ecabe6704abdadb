"""What model/scores.py reads in an answer of any form, and how it scores it."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from slipway.settings import ROOT

if TYPE_CHECKING:
    from tests.aliases import Data, Json

pytestmark = pytest.mark.fast
spec = importlib.util.spec_from_file_location("scores", ROOT / "model" / "scores.py")
assert spec
assert spec.loader
scores: Json = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scores)
scores.RESAMPLES = 5  # enough to have a spread

random = np.random.default_rng(0)
TRUE = random.normal(size=60)
NEAR = TRUE + random.normal(size=60) / 4
BITS, WORDS = (TRUE > 0).astype(int), np.where(TRUE > 0, "high", "low")
CHANCE = 1 / (1 + np.exp(-3 * NEAR))
BOTH = np.column_stack([1 - CHANCE, CHANCE])
TWO, NEAR_TWO = np.column_stack([TRUE, 2 * TRUE]), np.column_stack([NEAR, 2 * NEAR])
RMSE = float(np.sqrt(np.mean((TRUE - NEAR) ** 2)))
LOSS = float(metrics.log_loss(BITS, BOTH))
RIGHT = float(np.mean((NEAR > 0) == (TRUE > 0)))
PINBALL = float(metrics.mean_pinball_loss(TRUE, NEAR - 1, alpha=0.1))


@pytest.mark.parametrize(
    ("true", "answer", "names", "expected"),
    [
        (TRUE, NEAR, ["target"], {"rmse": RMSE}),
        (TRUE, NEAR.reshape(-1, 1), ["target"], {"rmse": RMSE}),
        (TRUE, pd.Series(NEAR), ["target"], {"rmse": RMSE}),
        (TRUE, pd.DataFrame({"prediction": NEAR, "note": WORDS}), ["target"], {"rmse": RMSE}),
        (TRUE, [{"target": each, "note": "x"} for each in NEAR.tolist()], ["target"], {"rmse": RMSE}),
        (TRUE, {"prediction": NEAR, "note": WORDS}, ["target"], {"rmse": RMSE}),
        (
            TRUE,
            pd.DataFrame({"q10": NEAR - 1, "q50": NEAR, "q90": NEAR + 1}),
            ["target"],
            {"rmse": RMSE, "pinball_0.1": PINBALL},
        ),
        (TWO, NEAR_TWO, ["left", "right"], {"rmse_left": RMSE, "rmse_right": 2 * RMSE, "rmse": 1.5 * RMSE}),
        (
            TWO,
            pd.DataFrame(NEAR_TWO[:, ::-1], columns=["right", "left"]),
            ["left", "right"],
            {"rmse_left": RMSE, "rmse_right": 2 * RMSE},
        ),
        (BITS, CHANCE, ["target"], {"accuracy": RIGHT, "log_loss": LOSS}),
        (BITS, BOTH, ["target"], {"accuracy": RIGHT, "log_loss": LOSS}),
        (TRUE > 0, CHANCE, ["target"], {"accuracy": RIGHT, "log_loss": LOSS}),
        (BITS, np.log(BOTH) * 2, ["target"], {"accuracy": RIGHT}),
        (WORDS, pd.DataFrame(BOTH, columns=["low", "high"]), ["target"], {"accuracy": RIGHT, "log_loss": LOSS}),
        (WORDS, np.where(NEAR > 0, "high", "low"), ["target"], {"accuracy": RIGHT}),
        (BITS.reshape(-1, 1), (NEAR > 0).astype(int), ["target"], {"accuracy": RIGHT}),
    ],
    ids=[
        "numbers", "a column", "a series", "a column named prediction", "dictionaries", "a dictionary", "quantiles",
        "several outputs", "several outputs by name", "chances", "probabilities", "truth values", "logits",
        "probabilities by class", "words", "a column of true values",
    ],
)  # fmt: skip
def test_answers_of_any_form_are_scored(true: Data, answer: Data, names: list[str], expected: dict[str, float]) -> None:
    """The scores are those of the numbers, however the model writes them, each with a spread."""
    measured = scores.measure(scores.read(true, answer, names, is_classifier=None))

    assert {name: measured[f"validation_{name}"] for name in expected} == pytest.approx(expected)
    assert all(measured[f"validation_{name}_std"] > 0 for name in expected)
    if "rmse" not in expected and "log_loss" not in expected:
        assert "validation_log_loss" not in measured


@pytest.mark.parametrize(
    ("true", "answer", "words"),
    [
        (TRUE, NEAR[:5], "an array of shape (5,) for 60 rows, one value a row is asked"),
        (TWO, NEAR, "an array of shape (60,) for 60 rows, 2 values a row are asked"),
        (TRUE, np.full(60, np.nan), "values that are no finite numbers"),
        (TRUE, pd.DataFrame({"a": NEAR, "b": NEAR}), "the columns a, b: name the one to score 'prediction'"),
        (WORDS, BITS, "numbers where load_data has words"),
        (TRUE, WORDS, "not all are numbers: "),
    ],
    ids=["too few", "one output of two", "NaN", "nameless columns", "codes for words", "words for numbers"],
)
def test_what_cannot_be_scored_is_said(true: Data, answer: Data, words: str) -> None:
    """The error says what the model answers, and what is asked."""
    with pytest.raises(scores.InvalidError, match=re.escape(words)):
        scores.read(true, answer, ["target"], is_classifier=None)
