"""Words for what has no type: to mypy each is Any, to a reader it says what to expect."""

from typing import Any

Json = Any  # a JSON document, or a part of one, as Python objects
Data = Any  # what a model takes: a matrix, a frame, arrays by name, or whatever its signature leaves open
Values = Any  # of one column: a list or tuple, an array, or a Series
Predictions = Any  # whatever a model gives
Estimator = Any  # scikit-learn's estimators share no type, and the library has none
