"""Any MLflow model: other flavours and custom Python models, through MLflow's own loader, parser and schema."""

from __future__ import annotations

import io
import logging
import os
import traceback
import warnings
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import Model as ModelMetadata
from mlflow.models.utils import _enforce_schema
from mlflow.pyfunc import PyFuncModel, scoring_server
from mlflow.pyfunc.model import ChatAgent, ChatModel, ResponsesAgent

from scoring.bounds import measure
from scoring.codecs import csv_body, media, mlflow_forms
from scoring.codecs.tensors import as_text
from scoring.errors import Refusal, bad, not_predicted
from scoring.models import params, rows
from scoring.models.base import Identity, Model, list_classes, list_methods
from scoring.models.shortcuts import boosters
from scoring.models.signature import SCALARS
from scoring.models.ways import Call, Chooser, Way

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scoring.bounds import Bounds
    from scoring.models.aliases import Data, Json, Predictions
    from scoring.models.rows import Table
    from scoring.models.signature import Signature

AGENTS = (ChatAgent, ChatModel, ResponsesAgent)  # classes of MLflow's whose own predict_stream only raises
WITH_METHODS = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost")  # loaders
CHECKING = ("mlflow", "pandas")  # packages that call one another to enforce a schema
NOT_TAKEN = "the body does not match the model's signature"


class GenericModel(Model):
    """A model behind mlflow.pyfunc."""

    def __init__(
        self, identity: Identity, signature: Signature, example: bytes | None, folder: Path, why: str = ""
    ) -> None:
        super().__init__(identity, signature, example)
        self.ways = {"predict": Way("mlflow", why)}
        logging.getLogger("mlflow").setLevel(logging.ERROR)  # its advice at every request is for those who log models
        warnings.simplefilter("ignore")
        if not mlflow.tracking.is_tracking_uri_set():  # type: ignore[no-untyped-call]
            mlflow.tracing.disable()  # an agent's traces would go to a database that MLflow makes in this folder
        self._model = load(str(folder))
        self.streams = _can_stream(self._model)
        if self._model.metadata._is_signature_from_type_hint() or self._model.metadata._is_type_hint_from_example():  # noqa: SLF001 -- no public way
            self.signature = type(signature)(None, None, signature.params, outputs=signature.outputs)
        self.is_steady = False  # it may be anyone's code, and wait for anything
        self._schema = self._model.metadata.get_input_schema()
        self._default = "predict"  # the one that mlflow.pyfunc calls
        self._calls: dict[str, Call] = {}  # by method, what takes a matrix
        self._find_methods(why)

    def _find_methods(self, why: str) -> None:
        """Find the methods of a classifier of a library that has scikit-learn's interface."""
        flavor = self._model.metadata.flavors["python_function"]
        if flavor.get("loader_module") not in WITH_METHODS:
            return
        self._default = flavor.get("predict_fn") or "predict"
        self.raw = self._model.get_raw_model()
        self.methods, self.classes = list_methods(self.raw, self._default), list_classes(self.raw)
        self.ways = {method: Way("mlflow", why) for method in self.methods}

    def choose_way(self, example: Table | None) -> None:
        """Call LightGBM's and XGBoost's own models with a matrix, if that predicts what MLflow does of a DataFrame."""
        if self.raw is None or example is None or not self.signature.is_numeric or self.signature.params:
            return
        self._dtype = np.result_type(*(SCALARS[column.type] for column in self.signature.columns or ()))
        self._single = rows.find_single(self.signature.columns or (), self._dtype)
        chooser = Chooser(self.raw, self.signature, self._dtype, "")
        for method in self.methods[:2]:
            if short := boosters.find(self.raw, method):
                long = partial(self.predict_data, method=method, params=None)
                self.ways[method], call = chooser.shorten(long, short, example)
                self._calls |= {method: call} if call else {}
        self.is_steady = self._default in self._calls

    def predict(self, tables: Sequence[Table], method: str, params: dict[str, Any] | None) -> Predictions:
        """Predict the joined rows: a matrix for a signature that is one, else a DataFrame."""
        if (call := self._calls.get(method)) and tables[0].has_all(self.signature.columns or ()):
            matrix = rows.matrix(tables, self._dtype, self._single)
            if call.takes(matrix):
                return call.predict(matrix)
        if self.signature.tensor:
            return self.predict_data(rows.matrix(tables, np.dtype(self.signature.tensor[0])), method, params)
        return self.predict_data(rows.frame(tables, self.signature.columns or ()), method, params)

    def params_of(self, given: Json) -> tuple[str, dict[str, Any] | None]:
        """Return the method, and the params checked by the model's schema, in MLflow's way; raise Refusal."""
        if len(self.methods) > 1 and isinstance(given, dict) and "method" in given and not self.signature.params:
            return super().params_of(given)
        return self._default, params.enforce(given, self._model.metadata.get_params_schema())

    def parse(self, body: bytes, mime: str, bounds: Bounds) -> tuple[Any, Any, bool]:
        """Return data and params of a body without plain columns, and whether to unwrap the answer; raise Refusal."""
        value = _measured(body, mime, bounds)
        if value.get("stream") is True and mlflow_forms.is_message(value) and not self.streams:
            raise bad("this model cannot stream its answer, as it has no predict_stream: leave `stream` out")
        try:
            if mime == scoring_server.CONTENT_TYPE_CSV:
                return scoring_server.parse_csv_input(io.BytesIO(body), self._schema), None, False
            if mime == scoring_server.CONTENT_TYPE_PARQUET:
                return scoring_server.parse_parquet_input(io.BytesIO(body)), None, False  # type: ignore[no-untyped-call]
            return tuple(scoring_server._parse_json_data(value, self._model.metadata, self._schema))  # type: ignore[no-untyped-call] # noqa: SLF001
        except Exception:  # noqa: BLE001 -- its words hold the caller's values
            raise bad(NOT_TAKEN) from None

    def predict_data(self, data: Data, method: str, params: dict[str, Any] | None) -> Predictions:
        """Predict what `parse` gave, or a DataFrame, by a method; raise Refusal for what MLflow's schema excludes."""
        try:
            if method == self._default:
                return self._model.predict(data, params=params)
            return getattr(self.raw, method)(_enforce_schema(data, self._schema) if self._schema else data)
        except MlflowException as error:
            raise _refuse(error) from error

    def predict_stream(self, data: Data, params: dict[str, Any] | None) -> Iterator[Predictions]:
        """Yield a prediction chunk by chunk; raise Refusal as `predict_data` does."""
        try:
            yield from self._model.predict_stream(data, params=params)
        except MlflowException as error:
            raise _refuse(error) from error

    def from_arrays(self, arrays: dict[str, Any]) -> Data:
        """Return v2 tensors as the signature has them: by name, or the only one."""
        arrays = {name: as_text(array) for name, array in arrays.items()}
        named = self._schema is not None and self._schema.has_input_names()
        return arrays if named or len(arrays) != 1 else next(iter(arrays.values()))


def load(folder: str) -> Any:  # noqa: ANN401 -- a PyFuncModel, whose methods MLflow gives no types
    """Load a model as mlflow.pyfunc does, and what it saves and does not load.

    That is a model of scikit-learn with a `pyfunc_predict_fn` such as transform, and one of Keras that was trained with
    a backend other than Keras's default.
    """
    meta = ModelMetadata.load(folder)
    if backend := meta.flavors.get("keras", {}).get("keras_backend"):
        os.environ.setdefault("KERAS_BACKEND", backend)
    try:
        return mlflow.pyfunc.load_model(folder)
    except MlflowException:
        function = meta.flavors["python_function"]
        method = function.get("predict_fn", "predict")
        if function["loader_module"] != "mlflow.sklearn" or method == "predict":
            raise
        raw = mlflow.sklearn.load_model(folder)
        known = SimpleNamespace(**{method: getattr(raw, method), "get_raw_model": lambda: raw})
        return PyFuncModel(meta, known, method)


def _refuse(error: MlflowException) -> Refusal:
    """Return the refusal of a body that MLflow's checks of the schema exclude, or that the model's own code does."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)][1:]
    is_own = any(name.partition(".")[0] not in CHECKING for name in frames)
    return not_predicted(error) if is_own else bad(NOT_TAKEN)


def _can_stream(model: PyFuncModel) -> bool:
    """Whether a model has a `predict_stream` of its own."""
    if model._predict_stream_fn is None:  # noqa: SLF001 -- no public way
        return False
    impl = model._model_impl  # noqa: SLF001 -- as above
    raw = impl.get_raw_model() if hasattr(impl, "get_raw_model") else impl
    return next((kind for kind in type(raw).__mro__ if "predict_stream" in vars(kind)), None) not in AGENTS


def _measured(body: bytes, mime: str, bounds: Bounds) -> dict[str, Any]:
    """Return a body's parsed JSON, in whatever form the body is.

    Raise Refusal for a body that is none, or too large a table.
    """
    if mime == scoring_server.CONTENT_TYPE_CSV:
        csv_body.check(body, 0, bounds)
        return {}
    if mime == scoring_server.CONTENT_TYPE_PARQUET:
        media.parquet().check(body, bounds)
        return {}
    value = mlflow_forms.parse(body, bounds)
    if mlflow_forms.is_message(value):
        bounds.check(*measure(value))
    elif len(given := [form for form in mlflow_forms.FORMS if form in value]) != 1:
        raise bad(mlflow_forms.WANTED)
    else:
        mlflow_forms.check(given[0], value[given[0]], bounds)
    return value
