"""The reference of a version: what the columns of its training, and its predictions, looked like. A few KB.

Runs as a script in the model's own environment, too, with nothing of Slipway: from the rows that the training script's
`load_data` returns and the model's predictions for those that it holds out, it writes reference.json.
"""

from __future__ import annotations

import json
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = "reference.json"
FORM = 1  # of the file
POINTS = 51  # quantiles of a column of numbers, in full: a value that is frequent must be found again
CATEGORIES = 50  # of a column, the most frequent
COLUMNS = 500
DISTINCT = 20  # numbers that are categories
LONGEST = 100  # signs of a category
ROWS = 200_000  # that are looked at: an even sample of more
PREDICTED = 20_000  # the same of rows to predict
NUMBER, CATEGORY, TEXT, OTHER = "number", "category", "text", "other"


def describe(columns: Iterable[tuple[str, pd.Series]]) -> dict[str, dict[str, Any]]:
    """Return what a reference keeps of columns: kind, missing share, and quantiles and range, or categories."""
    return {name: _describe(values) for name, values in columns}


def _describe(values: pd.Series) -> dict[str, Any]:
    present = values.dropna()
    found: dict[str, Any] = {"missing": round(1 - len(present) / max(len(values), 1), 6)}
    kind = kind_of(present)
    if not len(present) or kind == OTHER:
        return {"kind": OTHER, **found}
    if kind == NUMBER:
        numbers = as_numbers(present)
        found["missing"] = round(1 - len(numbers) / len(values), 6)
        if not len(numbers):
            return {"kind": OTHER, **found}
        points = np.quantile(
            numbers, np.linspace(0, 1, POINTS), method="inverted_cdf"
        ).tolist()  # values that are there
        found |= {"min": points[0], "max": points[-1]}
        is_time = pd.api.types.is_datetime64_any_dtype(present)
        if is_time or len(np.unique(numbers)) > min(DISTINCT, len(numbers) // 2):  # few rows are no categories
            return {"kind": NUMBER, **found, "quantiles": points}
        return {"kind": CATEGORY, **found, "categories": _categories([_write(number) for number in numbers.tolist()])}
    texts = [str(value)[:LONGEST] for value in present]
    if len(set(texts)) > len(texts) // 2:  # such as names: nothing of them is kept
        return {"kind": TEXT, **found}
    return {"kind": CATEGORY, **found, "categories": _categories(texts)}


def _categories(texts: list[str]) -> dict[str, float]:
    counts = pd.Series(texts).value_counts()[:CATEGORIES]
    return {str(name): round(count / len(texts), 6) for name, count in counts.items()}


def kind_of(present: pd.Series) -> str:
    """Return what the values of a column, none of them missing, are."""
    if pd.api.types.is_bool_dtype(present):
        return CATEGORY
    if pd.api.types.is_numeric_dtype(present) or pd.api.types.is_datetime64_any_dtype(present):
        return NUMBER
    if len(present) and all(isinstance(value, bool | np.bool_) for value in present):
        return CATEGORY
    if all(isinstance(value, int | float | np.number) for value in present):
        return NUMBER
    return CATEGORY if all(isinstance(value, str) for value in present) else OTHER


def as_numbers(values: pd.Series) -> np.ndarray:
    """Return finite numbers; those of points in time are seconds since 1970."""
    if pd.api.types.is_datetime64_any_dtype(values):
        numbers = pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
    else:
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(numbers[np.isfinite(numbers)])


def as_categories(values: pd.Series) -> list[str]:
    """Return the values as a reference names them."""
    return [
        _write(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
        for value in values.tolist()
    ]


def _write(number: float) -> str:
    """Return a number as the name of a category: whole ones in full, others in the six digits that any float has."""
    return f"{number:.0f}" if float(number).is_integer() else f"{number:g}"


def columns_of(data: Any, name: str) -> list[tuple[str, pd.Series]]:  # noqa: ANN401 -- features or predictions of any model
    """Return the columns of rows as the prediction log names them; none of what has no columns, such as images."""
    if isinstance(data, pd.Series):
        return [(name, data)]
    if isinstance(data, pd.DataFrame):
        return [(str(column), data[column]) for column in data.columns[:COLUMNS]]
    data = np.asarray(data.todense() if hasattr(data, "todense") else data)
    if data.ndim == 1:
        return [(name, pd.Series(data))]
    if data.ndim != 2 or data.shape[1] > COLUMNS:  # noqa: PLR2004 -- a matrix
        return []
    prefix = f"{name}." if name else ""
    return [(f"{prefix}{at}", pd.Series(data[:, at])) for at in range(data.shape[1])]


def sample(data: Any, most: int) -> Any:  # noqa: ANN401 -- as above
    """Return an even sample of at most so many rows."""
    step = -(-len(data) // most) or 1
    return data if step == 1 else data.iloc[::step] if hasattr(data, "iloc") else data[::step]


def split(data: Any) -> tuple[Any, Any]:  # noqa: ANN401 -- what load_data returns
    """Return the features of the training rows, and of the rows held out, in any form that validate.py takes."""
    if len(data) == 4:  # noqa: PLR2004 -- as train_test_split returns them
        return data[0], data[1]
    return _features(data[0]), _features(data[-1])


def _features(part: Any) -> Any:  # noqa: ANN401 -- as above
    if isinstance(part, tuple | list):
        return part[0]
    if hasattr(part, "columns"):
        return part.drop(columns=[name for name in part if str(name) == "target" or str(name).startswith("target_")])
    return part


def make(data: Any, predict: Any, folder: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 -- as above
    """Return the reference of a training; columns that the log must not have are left out.

    `folder` is model.toml.
    """
    training, held_out = split(data)
    private = folder.get("log", {})
    only, hidden = private.get("only"), {*private.get("drop", ()), *private.get("hash", ())}
    features = sample(training, ROWS)
    rows = sample(held_out, PREDICTED)
    inputs = [
        (name, values) for name, values in columns_of(features, "") if name not in hidden and (not only or name in only)
    ]
    return {
        "form": FORM, "rows": len(features), "predicted": len(rows), "from": "the rows of load_data",
        "columns": describe(inputs), "predictions": describe(columns_of(predict(rows), "prediction")),
    }  # fmt: skip


def main() -> None:
    """Write the reference of a model: script of the folder, URI of the model, seconds that it may take, and where."""
    import importlib  # noqa: PLC0415 -- as a script only

    import mlflow  # noqa: PLC0415 -- as above

    script, uri, seconds, place = sys.argv[1:]
    signal.alarm(int(seconds))
    sys.path.insert(0, str(Path.cwd()))
    folder = tomllib.loads(Path("model.toml").read_text(encoding="utf-8"))
    data = importlib.import_module(Path(script).stem).load_data()
    model = mlflow.pyfunc.load_model(uri)
    found = make(data, model.predict, folder)
    Path(place, FILE).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
