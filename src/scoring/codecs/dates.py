"""Dates and times of every form of input, as the signature's type has them: UTC, without a zone, in nanoseconds."""

from __future__ import annotations

import re
import warnings
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd

KIND = "datetime64[ns]"
DATE = re.compile(r"(?<![.\d])\d{4}|\d{1,2}[-/. ]+\w+[-/. ,]+\d{1,2}")  # a year, or a day, month and year
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def parse(values: Any) -> pd.Series[Any]:  # noqa: ANN401 -- a list, an array or a Series
    """Return values as a Series of KIND: an offset is taken into account, text without one is UTC; raise ValueError or TypeError.

    A number is refused, as text, too: nobody can know whether it counts seconds or nanoseconds, or is a year. So is a time of day.
    """
    given = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
    kind = getattr(given.dtype, "kind", "O")
    if kind not in "OMUT" and not isinstance(given.dtype, pd.StringDtype) and not given.isna().all():
        raise TypeError(kind)
    if kind != "M":
        for value in given:
            if isinstance(value, str) and NUMBER.fullmatch(value):
                raise ValueError(value)
            if isinstance(value, Number | np.bool_) and value == value:  # noqa: PLR0124 -- NaN is no date, and none is wanted
                raise TypeError(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = pd.to_datetime(given, utc=True)
        except ValueError:  # they are not all written as the first is; as ISO 8601 has them, they need not be
            parsed = pd.to_datetime(given, utc=True, format="ISO8601")
    for value, moment in zip(given, parsed, strict=True) if kind != "M" else ():
        if isinstance(value, str) and not DATE.search(value) and moment is not pd.NaT:  # pandas takes "12:30" for today, and "now" for now
            raise ValueError(value)
    return parsed.dt.tz_localize(None).astype(KIND)
