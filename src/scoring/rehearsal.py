"""A model's first predict, of its own input example, and what is learnt from it.

Its outputs, how long it takes, whether rows join.

Only the example may refuse a model. What is asked beyond it is for speed: scikit-learn's own estimators are asked for
many rows; anyone else's code for few, as it may take no more than so many rows, be slow, or cost money. It is asked
again only if it was quick.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

import numpy as np

from scoring.bounds import DEFAULT
from scoring.codecs import metadata
from scoring.codecs import predictions as output
from scoring.codecs.fast_json import decoder_for
from scoring.errors import ModelError, Refusal
from scoring.models import independence
from scoring.models.proof import SLOW_S
from scoring.models.ways import Way

if TYPE_CHECKING:
    from scoring.models.aliases import Predictions
    from scoring.models.base import Model
    from scoring.models.rows import Table
    from scoring.settings import Settings

MANY = 256  # rows, to learn what a row costs
VERY_SLOW_S = 5.0  # a predict of scikit-learn's own that takes longer is asked nothing about joining
logger = logging.getLogger("scoring")


def rehearse(model: Model, settings: Settings) -> None:
    """Have a model answer its own example.

    Raise what it raises, and ModelError for an answer that cannot be written as JSON.
    """
    decoder = decoder_for(model.signature)
    example = read(model)
    if settings.shortcuts == "on":
        model.choose_way(example)
    else:
        model.ways = {method: Way(model.longest, "shortcuts are off") for method in model.methods}
    batching = settings.batching
    model.batchable = batching == "on" and decoder is not None
    if example is None:
        if model.example and not model.signature.columns:
            _answer_parsed(model)
        return
    method, params = model.default
    started = time.perf_counter()
    given = model.predict([example], method, params)
    model.predict_seconds = time.perf_counter() - started
    _keep(model, method, given)
    _try_methods(model, example)
    _time(model, example)
    if batching == "auto" and model.predict_seconds < (VERY_SLOW_S if model.is_steady else SLOW_S):
        proof = independence.prove(model, example)
        model.batchable = proof.holds
        if not model.is_steady and not math.isnan(proof.row_seconds):
            model.row_seconds = proof.row_seconds


def read(model: Model) -> Table | None:
    """Return the example's rows, where the model takes rows and the example can be read as such."""
    if not model.example:
        return None
    if (decoder := decoder_for(model.signature)) and (example := decoder.decode(model.example)):
        return example
    if not model.signature.columns:
        return None
    from scoring.codecs import mlflow_forms  # noqa: PLC0415 -- most examples are plain

    try:
        return mlflow_forms.to_table(mlflow_forms.parse(model.example), model.signature.columns)
    except Refusal as refusal:
        logger.warning(
            "%s %s: its input example cannot be read: %s", model.identity.name, model.identity.version, refusal.message
        )
        return None


def _answer_parsed(model: Model) -> None:
    """Answer the example of a model without plain columns, as a request is answered."""
    started = time.perf_counter()
    try:
        data, given, _ = model.parse(model.example or b"", "application/json", DEFAULT)
        method, params = model.params_of(given)
        predictions = model.predict_data(data, method, params)
    except Refusal as refusal:
        logger.warning(
            "%s %s: its input example is refused: %s", model.identity.name, model.identity.version, refusal.message
        )
        return
    model.predict_seconds = time.perf_counter() - started
    _keep(model, method, predictions)


def _keep(model: Model, method: str, predictions: Predictions) -> None:
    """Keep what the predictions look like; raise ModelError when they cannot be written as JSON."""
    try:
        output.encode(predictions)
        model.outputs = metadata.describe(method, predictions)
    except Exception as error:
        words = f"{type(predictions).__name__}, {type(error).__name__}: {' '.join(str(error).split())}"
        raise ModelError(f"the model's prediction for its own example cannot be written as JSON: {words}") from error
    if isinstance(predictions, np.ndarray):
        model.gives[method] = np.atleast_1d(predictions)[:0]


def _try_methods(model: Model, example: Table) -> None:
    """Try the methods besides the default; those that fail cannot be asked for."""
    default, params = model.default
    for method in [each for each in model.methods if each != default]:
        try:
            given = model.predict([example], method, params)
            output.encode(given)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 -- the example is answered without it
            model.methods = tuple(each for each in model.methods if each != method)
            model.ways.pop(method, None)
        else:
            if isinstance(given, np.ndarray):
                model.gives[method] = np.atleast_1d(given)[:0]


def _time(model: Model, example: Table) -> None:
    """Learn what a predict takes, now that it is warm, and what a row does.

    anyone's code gets the example once more at most.
    """
    try:
        quick = model.predict_seconds < SLOW_S
        if times := model.is_steady + quick:
            model.predict_seconds = min(_seconds(model, [example]) for _ in range(times))
        model.row_seconds = model.predict_seconds / max(1, example.n)
        if model.is_steady and model.predict_seconds < SLOW_S:
            many = [example] * (MANY // example.n + 1)
            model.row_seconds = _seconds(model, many) / (len(many) * example.n)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 -- it did answer its example
        logger.info("%s %s: could not be timed: %s", model.identity.name, model.identity.version, type(error).__name__)


def _seconds(model: Model, tables: list[Table]) -> float:
    started = time.perf_counter()
    model.predict(tables, *model.default)
    return time.perf_counter() - started
