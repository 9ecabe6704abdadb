"""A LitServe server around one estimator.

with_litserve.py MODEL PORT BATCH, where BATCH is the most requests that share a predict.
"""

import sys
from typing import Any

import joblib
import litserve
import numpy as np
import pandas as pd


class Estimator(litserve.LitAPI):
    """An estimator behind /predict."""

    def __init__(self, path: str, size: int) -> None:
        super().__init__(max_batch_size=size, batch_timeout=0.002 if size > 1 else 0)
        self.path = path

    def setup(self, _device: str) -> None:
        """Load the estimator."""
        self.estimator = joblib.load(self.path)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Return the rows, as a DataFrame when they have names."""
        rows = request["rows"]
        return pd.DataFrame(rows) if isinstance(rows[0], dict) else np.array(rows)

    def batch(self, inputs: list[Any]) -> tuple[Any, list[int]]:
        """Join the rows of several requests and remember where each ends."""
        joined = pd.concat(inputs) if isinstance(inputs[0], pd.DataFrame) else np.concatenate(inputs)
        return joined, [len(rows) for rows in inputs]

    def predict(self, given: Any) -> Any:
        """Predict the rows of one request, or of a batch."""
        if isinstance(given, tuple):
            return self.estimator.predict(given[0]), given[1]
        return self.estimator.predict(given)

    def unbatch(self, output: tuple[Any, list[int]]) -> Any:
        """Part the predictions again."""
        return np.split(output[0], np.cumsum(output[1])[:-1])

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    model, port, batch = sys.argv[1:]
    server = litserve.LitServer(Estimator(model, int(batch)), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(port), num_api_servers=1, generate_client_file=False, log_level="warning")
