"""What models of other kinds than numbers in, numbers out give by the Open Inference Protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.protocols.conftest import LENGTH, tensor, texts

if TYPE_CHECKING:
    from tests.protocols.conftest import Client

pytestmark = pytest.mark.fast


def test_classes(served: dict[str, Client]) -> None:
    """Classes that are text come as BYTES; probabilities when the method, or the output of that name, is asked for."""
    client, body = served["classes"], {"inputs": [tensor("rows", "FP64", [[1.0, 2.0], [40.0, 30.0]])]}
    split = {"dataframe_split": {"columns": ["x0", "x1"], "data": body["inputs"][0]["data"]}}
    classes = client.invoke(split)
    shares = client.invoke({**split, "params": {"method": "predict_proba"}})
    outputs = [
        json.loads(client.infer({**body, **more}).body)["outputs"]
        for more in ({}, {"parameters": {"method": "predict_proba"}}, {"outputs": [{"name": "predict_proba"}]})
    ]
    binary = client.infer({**body, "parameters": {"binary_data_output": True}})

    assert outputs[0] == [{"name": "predict", "datatype": "BYTES", "shape": [2], "data": classes}]
    assert (
        outputs[1]
        == outputs[2]
        == [{"name": "predict_proba", "datatype": "FP64", "shape": [2, 2], "data": np.ravel(shares).tolist()}]
    )
    assert binary.body[int(binary.headers[LENGTH.lower()]) :] == texts(*(each.encode() for each in classes))


def test_tensors(served: dict[str, Client]) -> None:
    """Models whose signature is tensors take them: one matrix of any name, or several by name."""
    one = served["matrix"].infer({"inputs": [tensor("any", "FP64", [[1.0, 2, 3, 4]])]})
    two = served["tensors"].infer(
        {"inputs": [tensor("right", "INT64", [[5], [6]]), tensor("left", "FP64", [[1.0, 2], [3, 4]])]}
    )

    assert json.loads(one.body)["outputs"][0]["data"] == pytest.approx(
        served["matrix"].invoke({"inputs": [[1.0, 2, 3, 4]]})
    )
    assert json.loads(two.body)["outputs"][0] == {
        "name": "predict",
        "datatype": "FP64",
        "shape": [2],
        "data": [8.0, 13.0],
    }


OUTPUTS = {  # the kind that the model is asked for: each output as (name, datatype, shape, data)
    "integers": [("predict", "INT64", [2], [2**63 - 1, -(2**63)])],
    "words": [("predict", "BYTES", [4], ["one", "two \U0001f600", "NaN", "-Infinity"])],
    "array not numbers": [("predict", "FP64", [3], [None, None, None])],
    "dict": [("mean", "FP64", [1], [0.5]), ("all", "INT64", [2], [1, 2]), ("array", "INT64", [2], [1, 2])],
    "frame": [
        ("number", "FP64", [2], [1.5, None]),
        ("word", "BYTES", [2], ["é", "null"]),
        ("when", "BYTES", [2], ["2024-01-02T00:00:00.000000", "2024-01-03T00:00:00.000000"]),
    ],
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs(served: dict[str, Client], kind: str) -> None:
    """Whatever a model gives comes as tensors: one a column of a DataFrame or key of a dict."""
    outputs = json.loads(served["outputs"].infer({"inputs": [tensor("kind", "BYTES", [kind])]}).body)["outputs"]

    assert [(each["name"], each["datatype"], each["shape"], each["data"]) for each in outputs] == OUTPUTS[kind]
