"""Predictions as JSON: what MLflow's encoder gives, but NaN and Infinity are null, as JSON knows neither."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from scoring.bounds import DEFAULT
from scoring.errors import Refusal

if TYPE_CHECKING:
    from scoring.models.aliases import Json, Predictions

PLAIN = "biuf"  # kinds of numpy arrays whose items msgspec writes as MLflow does
_encode = msgspec.json.Encoder().encode


def encode(predictions: Predictions) -> bytes:
    """Return the body of an answer; TypeError for what no JSON can hold."""
    if isinstance(predictions, np.ndarray) and predictions.dtype.kind in PLAIN:
        return b'{"predictions": ' + _encode(predictions.tolist()) + b"}"
    return b'{"predictions": ' + encode_bare(predictions) + b"}"


def encode_bare(predictions: Predictions) -> bytes:
    """Return predictions alone as JSON."""
    text = _dump(to_json(predictions))
    if "NaN" in text or "Infinity" in text:  # perhaps only within a string, which stays as it is
        text = _dump(json.loads(text, parse_constant=lambda _: None))
    return text.encode()


def to_json(predictions: Predictions) -> Json:
    """Return predictions as lists and dicts where they are numpy's, pandas's or a sparse matrix; all else as it is."""
    predictions = to_dense(predictions)
    if isinstance(predictions, np.ndarray):
        return predictions.tolist()
    if hasattr(predictions, "to_dict") and hasattr(
        predictions, "iloc"
    ):  # a DataFrame, or a Series, which MLflow makes one of
        return (predictions if hasattr(predictions, "columns") else predictions.to_frame()).to_dict(orient="records")
    return predictions


def to_dense(predictions: Predictions) -> Predictions:
    """Return a sparse matrix of scipy's as an array, all else as it is.

    Raises Refusal for one with more cells than a body may have.
    """
    if not hasattr(predictions, "toarray"):
        return predictions
    if math.prod(predictions.shape) > DEFAULT.max_cells:
        raise Refusal(413, f"the answer has more than {DEFAULT.max_cells} cells, rows times columns: send fewer rows")
    return predictions.toarray()


def _dump(value: Json) -> str:
    return json.dumps(value, default=_default)


def _default(value: object) -> Json:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes | bytearray):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, dt.date | dt.time):  # datetimes and pandas's timestamps are dates too
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    raise TypeError(type(value).__name__)
