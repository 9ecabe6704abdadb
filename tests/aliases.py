"""Words for what has no type of its own: to mypy each is Any, to a reader it says what to expect."""

from typing import Any

Json = Any  # a JSON document, or a part of one
Data = Any  # rows, columns or predictions: a frame, an array, a pyarrow table, or lists of any depth
Estimator = Any  # scikit-learn's estimators share no type, and the library has none
Option = Any  # what is passed on to another function as it came
