"""What `GET /v2/models/{name}` says: the tensors that a model takes and gives, -1 for any number.

Source: kserve/open-inference-protocol specification/protocol/inference_rest.md, "Model Metadata".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.codecs import open_inference

if TYPE_CHECKING:
    from scoring.models.aliases import Predictions
    from scoring.models.base import Model

    Tensor = dict[str, Any]

OF_COLUMNS = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
}  # all others: BYTES


def build(model: Model) -> dict[str, Any]:
    """Return a model's metadata: its outputs are those that one request gets together, without naming any."""
    identity, signature = model.identity, model.signature
    inputs = [
        {"name": str(column.name), "datatype": OF_COLUMNS.get(column.type, "BYTES"), "shape": [-1]}
        for column in signature.columns or ()
    ]
    return {
        "name": identity.name,
        "versions": [identity.version],
        "platform": "mlflow",
        "inputs": inputs or _specs(signature.inputs, "input"),
        "outputs": model.outputs or _specs(signature.outputs, model.default[0]),
    }


def describe(method: str, predictions: Predictions) -> list[Tensor]:
    """Return the tensors that predictions become."""
    return [
        _tensor(name, array.dtype, [-1, *array.shape[1:]])
        for name, array in open_inference.to_arrays(method, predictions).items()
    ]


def _specs(specs: tuple[dict[str, Any], ...], nameless: str) -> list[Tensor]:
    """Return the tensors, or the columns of single values, that a signature declares.

    A single nameless one gets a name.
    """
    found = []
    for spec in specs:
        name = str(spec.get("name", nameless)) if len(specs) > 1 or "tensor-spec" in spec else nameless
        if "tensor-spec" in spec:
            found.append(_tensor(name, np.dtype(spec["tensor-spec"]["dtype"]), spec["tensor-spec"]["shape"]))
        elif "name" in spec or len(specs) == 1:
            found.append({"name": name, "datatype": OF_COLUMNS.get(spec.get("type", ""), "BYTES"), "shape": [-1]})
    return found


def _tensor(name: str, kind: np.dtype[Any], shape: list[int]) -> Tensor:
    return {"name": name, "datatype": open_inference.datatype(kind), "shape": list(shape)}
