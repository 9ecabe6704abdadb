"""Predict as MLflow's own loader does, without the server: python -m scoring.reference FOLDER < rows.json.

What `make test_api` compares the server's answers with; a process of its own, since a model is code and may end or hang it.
"""

import json
import logging
import sys
import warnings

MARK = "predictions: "  # begins the line: a model may print what it likes


def main() -> None:
    """Read a dataframe_split (columns, data) of n rows, print a JSON list of n predictions on the last line, behind the mark."""
    import mlflow.pyfunc  # noqa: PLC0415 -- the messages of a wrong call need it not
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # a container's Python may be another: its answers are compared, that says more
    warnings.simplefilter("ignore")
    predictions = mlflow.pyfunc.load_model(sys.argv[1]).predict(pd.DataFrame(**json.load(sys.stdin)))
    values = predictions.to_numpy() if hasattr(predictions, "to_numpy") else np.asarray(predictions)
    print(f"\n{MARK}{json.dumps(values.tolist(), default=str)}")


if __name__ == "__main__":
    main()
