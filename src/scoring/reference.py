"""Predict as MLflow's own loader does, without the server: python -m scoring.reference FOLDER < rows.json.

What `make test_api` compares the server's answers with; a process of its own, since a model is code and may end or hang
it.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.types import Schema

    from scoring.models.aliases import Data

MARK = "predictions: "  # begins the line: a model may print what it likes


def main() -> None:
    """Read n rows (columns and data, or "inputs"); print a JSON list of n predictions last, after the mark."""
    import mlflow.pyfunc  # the messages of a wrong call need it not
    import numpy as np

    logging.getLogger("mlflow").setLevel(
        logging.ERROR
    )  # a container's Python may be another: its answers are compared, that says more
    warnings.simplefilter("ignore")
    model = mlflow.pyfunc.load_model(sys.argv[1])
    rows = json.load(sys.stdin)
    params = {"params": rows["params"]} if rows.get("params") else {}
    predictions = model.predict(_read(rows, model.metadata.get_input_schema()), **params)
    values = predictions.to_numpy() if hasattr(predictions, "to_numpy") else np.asarray(predictions)
    print(f"\n{MARK}{json.dumps(values.tolist(), default=str)}")


def _read(rows: dict[str, Any], schema: Schema | None) -> Data:
    """Return the rows as MLflow reads them: a table, tensors of the signature's types, or as they are."""
    import numpy as np
    import pandas as pd

    if "data" in rows:
        return pd.DataFrame(rows["data"], columns=rows["columns"])
    inputs = rows["inputs"] if "inputs" in rows else rows["instances"]
    if schema is None or not schema.is_tensor_spec():
        return (
            {name: np.array(value) for name, value in inputs.items()} if isinstance(inputs, dict) else np.array(inputs)
        )
    types: dict[Any, Any] = {spec.name: spec.type for spec in schema.inputs}
    if isinstance(inputs, dict):
        return {name: np.array(value, dtype=types.get(name)) for name, value in inputs.items()}
    return np.array(inputs, dtype=next(iter(types.values())))


if __name__ == "__main__":
    main()
