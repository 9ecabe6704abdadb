"""KServe's scikit-learn server, which is not on PyPI, on its Python package.

with_kserve.py MODEL --http_port=PORT --enable_grpc=False.
"""

import sys
from typing import Any

import joblib
from kserve import InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response


class SklearnModel(Model):
    """An estimator behind KServe's protocols, v1 and v2."""

    def __init__(self, path: str) -> None:
        super().__init__("bench")
        self.estimator = joblib.load(path)
        self.ready = True

    def predict(self, payload: dict[str, Any] | InferRequest, *_: Any, **__: Any) -> dict[str, Any] | InferResponse:
        """Predict the rows of one request; KServe has no batching of its own."""
        return get_predict_response(payload, self.estimator.predict(get_predict_input(payload)), self.name)


if __name__ == "__main__":
    ModelServer().start([SklearnModel(sys.argv[1])])
