"""A request's params are checked by the signature, whichever way a model is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from scoring import loading
from scoring.errors import Refusal
from scoring.models.base import EstimatorModel, Model
from scoring.pyfunc import GenericModel
from scoring.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aliases import Json

WORDS = "params do not match the model's signature"
ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0]})
TAKEN = [
    None, {}, {"word": "x"}, {"count": 2, "part": 0.5}, {"unknown": [1]}, {"method": "predict"}, {"many": [1.0, 2.0]},
    {"part": 1},
    {"count": None},
]  # fmt: skip
REFUSED = [[1], "x", 5, {"count": "2"}, {"count": 2.5}, {"word": 1}, {"part": "x"}, {"many": 1.0}, {"many": [["x"]]}]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model]:
    """Return a model that is called without MLflow, and the same by way of it."""
    folder: Path = tmp_path_factory.mktemp("model") / "model"
    signature = infer_signature(ROWS, params={"word": "w", "count": 1, "part": 0.25, "many": np.array([1.0])})
    mlflow.sklearn.save_model(
        LinearRegression().fit(ROWS, [0, 1, 2]),
        str(folder),
        signature=signature,
        pip_requirements=[],
        serialization_format="cloudpickle",
    )
    model = loading.load(Settings(folder))
    return model, GenericModel(model.identity, model.signature, None, folder)


@pytest.mark.parametrize("given", TAKEN, ids=repr)
def test_taken(models: tuple[Model, Model], given: Json) -> None:
    """Params of the right types are taken, and unknown ones, as by MLflow; scikit-learn's estimators get none."""
    short, generic = models

    assert isinstance(short, EstimatorModel)
    assert generic.params_of(given)[0] == "predict"
    assert short.params_of(given) == ("predict", None)


@pytest.mark.parametrize("given", REFUSED, ids=repr)
def test_refused(models: tuple[Model, Model], given: Json) -> None:
    """Params of a wrong type are refused in the same words."""
    refusals = []
    for model in models:
        with pytest.raises(Refusal) as refused:
            model.params_of(given)
        refusals.append((refused.value.status, refused.value.message))

    assert refusals == [(400, WORDS)] * 2
