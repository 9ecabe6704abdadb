"""What a model's predictions are worth: read in whatever form it answers, and scored. No Slipway in it."""

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.utils import resample

RESAMPLES, SEED = 200, 42  # of the bootstrap that gives each score its spread
ANSWERS = ("prediction", "predictions", "predicted", "label", "class", "target")  # columns that hold what is scored
QUANTILE = re.compile(r"(?:q|p|quantile|percentile)?[_ -]?(\d*\.?\d+)", re.IGNORECASE)
Scores = dict[str, Callable[[np.ndarray], float]]  # each takes the n positions of the rows to score


class InvalidError(Exception):
    """The model, or what it predicts, cannot be scored."""


@dataclass
class Scored:
    """What the model said to the n held-out rows: arrays [n], or [n, outputs] for several outputs, which have names.

    `classes` is empty for a regressor, `probabilities` (n, classes) may be None, `quantiles` are predictions by level.
    """

    true: np.ndarray
    predicted: np.ndarray
    classes: list[Any] = field(default_factory=list)
    probabilities: np.ndarray | None = None
    outputs: list[str] = field(default_factory=list)
    quantiles: dict[float, np.ndarray] = field(default_factory=dict)

    def split(self) -> dict[str, "Scored"]:
        """Return each of several outputs by itself."""
        return {
            name: read(self.true[:, at], self.predicted[:, at], [name], is_classifier=bool(self.classes))
            for at, name in enumerate(self.outputs)
        }


def read(true: np.ndarray, answer: Any, names: list[str], *, is_classifier: bool | None) -> Scored:  # noqa: ANN401 -- anything
    """Read a model's answer to the rows with these true values, [n] or [n, len(names)].

    `is_classifier` is None where the model does not say. Raises InvalidError for an answer that cannot be scored.
    """
    true = true[:, 0] if true.shape == (len(true), 1) else true
    named = _name_columns(answer)
    if named is None or len(named) == 1:
        predicted = np.asarray(answer if named is None else next(iter(named.values())))
        return _read_array(true, predicted, names, is_classifier=is_classifier)
    if all(name in named for name in names) and true.ndim > 1:
        return _read_array(true, np.column_stack([named[name] for name in names]), names, is_classifier=is_classifier)
    classes = sorted(set(true.tolist()), key=_order) if true.ndim == 1 else []
    if classes and all(str(one) in named for one in classes) and len(named) == len(classes):
        shares = np.column_stack([named[str(one)] for one in classes]).astype(float)
        return Scored(true, np.asarray(classes)[shares.argmax(axis=1)], classes, shares)
    quantiles = {level: value for name, value in named.items() if (level := _find_level(name)) is not None}
    chosen = next((name for name in (*names, *ANSWERS) if name in named), None)
    if chosen is None and quantiles and true.dtype.kind in "iuf":
        middle = min(quantiles, key=lambda level: abs(level - 0.5))
        return Scored(true.astype(float), _check(true, quantiles[middle]).astype(float), quantiles=quantiles)
    if chosen is None:
        raise InvalidError(
            f"the model answers the columns {', '.join(named)}: name the one to score 'prediction', "
            "or columns of quantiles q10, q50, q90"
        )
    return replace(_read_array(true, named[chosen], names, is_classifier=is_classifier), quantiles=quantiles)


def list_scores(scored: Scored) -> Scores:
    """Return the functions that score a choice of rows; of several outputs the mean, and each by its name."""
    if scored.outputs:
        each = {name: list_scores(one) for name, one in scored.split().items()}
        shared = set.intersection(*(set(scores) for scores in each.values()))
        return {
            **{name: _average([scores[name] for scores in each.values()]) for name in sorted(shared)},
            **{f"{name}_{output}": score for output, scores in each.items() for name, score in scores.items()},
        }
    true, predicted, probabilities = scored.true, scored.predicted, scored.probabilities

    def by(
        function: Callable[..., float], given: np.ndarray = predicted, **options: object
    ) -> Callable[[np.ndarray], float]:
        return lambda rows: float(function(true[rows], given[rows], **options))

    if not scored.classes:
        pinball = {
            f"pinball_{level:g}": by(metrics.mean_pinball_loss, value, alpha=level)
            for level, value in scored.quantiles.items()
        }
        return {
            "rmse": by(metrics.root_mean_squared_error),
            "mae": by(metrics.mean_absolute_error),
            "r2": by(metrics.r2_score),
            **({"pinball": _average([*pinball.values()])} if pinball else {}),
            **pinball,
        }
    scores = {
        "accuracy": by(metrics.accuracy_score),
        "f1_macro": by(metrics.f1_score, average="macro", zero_division=0),
    }
    if probabilities is None:
        return scores
    ranks = probabilities[:, 1] if len(scored.classes) == 2 else probabilities  # noqa: PLR2004 -- of the second class
    return scores | {
        "log_loss": by(metrics.log_loss, probabilities, labels=scored.classes),
        "roc_auc": by(metrics.roc_auc_score, ranks, multi_class="ovr", average="macro", labels=scored.classes),
    }


def measure(scored: Scored) -> dict[str, float]:
    """Return each score and its standard deviation over resampled rows (Efron's bootstrap, stratified by class)."""
    everything = np.arange(len(scored.true))
    strata = scored.true if scored.classes and not scored.outputs else None
    samples = [resample(everything, random_state=SEED + index, stratify=strata) for index in range(RESAMPLES)]
    measured = {}
    with warnings.catch_warnings(action="ignore"):  # of scores that one class, or one row, does not have
        for name, score in list_scores(scored).items():
            try:
                value, spread = score(everything), float(np.std([score(sample) for sample in samples], ddof=1))
            except (TypeError, ValueError) as error:
                raise InvalidError(f"what the model predicts has no {name}: {words(error)}") from None
            measured |= {
                f"validation_{name}{end}": found
                for end, found in (("", value), ("_std", spread))
                if math.isfinite(found)
            }
    return measured


def words(error: Exception) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _read_array(true: np.ndarray, given: np.ndarray, names: list[str], *, is_classifier: bool | None) -> Scored:
    predicted = given[:, 0] if given.shape == (len(true), 1) else given
    of_classes = true.dtype.kind in "biu" and is_classifier is not False
    if predicted.ndim == 2 and true.ndim == 1 and of_classes and true.min() >= 0 and true.max() < predicted.shape[1]:  # noqa: PLR2004
        shares = predicted.astype(float)  # a column for each class: probabilities, or a network's logits
        is_share = np.allclose(shares.sum(axis=1), 1, atol=1e-3) and (shares >= 0).all()
        classes = list(range(predicted.shape[1]))
        return Scored(true.astype(int), _check(true, shares.argmax(axis=1)), classes, shares if is_share else None)
    predicted = _check(true, predicted)
    if true.ndim > 1:
        kind = _are_classes(true, predicted) if is_classifier is None else is_classifier
        return Scored(true, predicted, ["several"] if kind else [], outputs=names)
    is_binary = of_classes and set(true.tolist()) <= {0, 1} and predicted.dtype.kind == "f"
    if is_binary and not set(predicted.tolist()) <= {0.0, 1.0} and predicted.min() >= 0 and predicted.max() <= 1:
        shares = np.column_stack([1 - predicted, predicted]).astype(float)  # of the second class
        return Scored(true.astype(int), (predicted > 0.5).astype(int), [0, 1], shares)  # noqa: PLR2004
    if not (_are_classes(true, predicted) if is_classifier is None else is_classifier):
        try:
            return Scored(true.astype(float), predicted.astype(float))
        except (TypeError, ValueError) as error:
            raise InvalidError(f"the model is not a classifier, and not all are numbers: {words(error)}") from None
    if true.dtype.kind in "OUS" and predicted.dtype.kind in "iuf":
        raise InvalidError("the model predicts numbers where load_data has words: let it answer, or load, the same")
    return Scored(true, predicted, sorted({*true.tolist(), *predicted.tolist()}, key=_order))


def _name_columns(answer: Any) -> dict[str, np.ndarray] | None:  # noqa: ANN401 -- anything
    """Return the columns of a DataFrame, of a dictionary of lists or of a list of dictionaries; None for all else."""
    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        answer = pd.DataFrame(answer)
    if isinstance(answer, dict) or (hasattr(answer, "columns") and hasattr(answer, "iloc")):
        return {str(name): np.asarray(answer[name]) for name in answer}
    return None


def _check(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Raise InvalidError for predictions of another shape than the true values', or that are not finite."""
    if predicted.shape != true.shape:
        wanted = "one value a row is" if true.ndim == 1 else f"{true.shape[1]} values a row are"
        raise InvalidError(
            f"the model predicts an array of shape {predicted.shape} for {len(true)} rows, {wanted} asked"
        )
    if pd.isna(predicted).any() or (predicted.dtype.kind == "f" and not np.isfinite(predicted).all()):
        raise InvalidError("the model predicts values that are no finite numbers")
    return predicted


def _are_classes(true: np.ndarray, predicted: np.ndarray) -> bool:
    """Whether a model that does not say what it is predicts classes: words, or only integers that the data has."""
    known = set(np.ravel(true).tolist())
    return true.dtype.kind not in "fiu" or (true.dtype.kind in "iu" and set(np.ravel(predicted).tolist()) <= known)


def _find_level(name: str) -> float | None:
    """Return the level of a quantile that a column is named after: 0.1 for 0.1, q10, p10 or quantile_0.1."""
    found = QUANTILE.fullmatch(name)
    level = float(found[1]) if found else 0.0
    level = level / 100 if level >= 1 else level
    return level if 0 < level < 1 else None


def _average(scores: list[Callable[[np.ndarray], float]]) -> Callable[[np.ndarray], float]:
    return lambda rows: float(np.mean([score(rows) for score in scores]))


def _order(value: object) -> tuple[str, Any]:
    return (str(type(value)), value)
