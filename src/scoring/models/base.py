"""A loaded model: what it is, what it takes, and its predictions for the joined rows of several requests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.errors import bad
from scoring.models import kinds, mixed, params, ways
from scoring.models.ranges import Ranges
from scoring.models.rows import find_single, frame, matrix
from scoring.models.signature import SCALARS
from scoring.models.ways import Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scoring.bounds import Bounds
    from scoring.models.aliases import Data, Estimator, Json, Predictions
    from scoring.models.rows import Table
    from scoring.models.signature import Signature

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")  # for `params: {"method": …}`


@dataclass(frozen=True)
class Identity:
    """Which model this is, in the registry's words."""

    name: str = "model"
    version: str = "unregistered"
    run: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    checksum: str = ""
    ranges: dict[str, list[float]] = field(default_factory=dict)  # of the training, by column of numbers


class Model:
    """What the server needs of any model."""

    def __init__(self, identity: Identity, signature: Signature, example: bytes | None) -> None:
        self.identity = identity
        self.signature = signature
        self.ranges = Ranges(identity.ranges, signature)
        self.example = example  # a body for /invocations, as the model was logged with
        self.methods: tuple[str, ...] = ("predict",)
        self.classes: list[Any] | None = None
        self.raw: Estimator = None  # the estimator itself, of a library with scikit-learn's interface
        self.ways: dict[str, Way] = {}  # by method
        self.longest = "mlflow"  # the name of the way that needs no proof
        self.gives: dict[
            str, np.ndarray
        ] = {}  # predictions of each method for no rows, where they are an array: type and shape
        self.outputs: list[dict[str, Any]] = []  # what the default method gives, as v2 tensors
        self.task = ""  # MLflow's name for what an agent or a chat model takes and gives
        self.takes_files = signature.is_binary  # whether a file is a row
        self.streams = False  # whether `predict_stream` can be called
        self.batchable = False  # whether requests may share a predict
        self.load_seconds = 0.0
        self.is_steady = True  # whether a predict takes as long as the one before
        self.predict_seconds = 1.0  # what predicting its example took, or a guess
        self.row_seconds = 0.0  # what a row costs among many

    @property
    def default(self) -> tuple[str, dict[str, Any] | None]:
        """What `params_of` gives for a request without params."""
        return self.params_of(None)

    def example_json(self) -> Json:
        """Return the example as a body for /invocations, or None."""
        try:
            return json.loads(self.example) if self.example else None
        except ValueError:
            return None

    def choose_way(self, example: Table | None) -> None:
        """Choose how to predict, once the example is read."""

    def predict(self, tables: Sequence[Table], method: str, params: dict[str, Any] | None) -> Predictions:
        """Return the predictions for the joined rows of tables of one kind."""
        raise NotImplementedError

    def params_of(self, given: Json) -> tuple[str, dict[str, Any] | None]:
        """Return the method that a request's `params` ask for, and the model's share of them; raise Refusal."""
        if self.signature.params or not isinstance(given, dict) or "method" not in given:
            return "predict", given
        if given["method"] not in self.methods:
            raise bad(f"params.method must be one of {', '.join(self.methods)}")
        return given["method"], None

    def parse(self, body: bytes, mime: str, bounds: Bounds) -> tuple[Any, Any, bool]:
        """Read a body for a model without plain columns: data, params, and whether the answer is to be bare."""
        raise NotImplementedError

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Data:
        """Return v2 tensors by name as data for a model without plain columns."""
        raise NotImplementedError

    def predict_data(self, data: Data, method: str, params: dict[str, Any] | None) -> Predictions:
        """Predict for a model without plain columns."""
        raise NotImplementedError

    def predict_stream(self, data: Data, params: dict[str, Any] | None) -> Iterator[Predictions]:
        """Yield a prediction chunk by chunk, for a model that `streams`."""
        raise NotImplementedError


def list_methods(estimator: Estimator, default: str) -> tuple[str, ...]:
    """Return the methods of scikit-learn's interface that an estimator of any library has, and its default."""
    return tuple(dict.fromkeys(name for name in ("predict", default, *METHODS) if hasattr(estimator, name)))


def list_classes(estimator: Estimator) -> list[Any] | None:
    """Return the classes that the columns of `predict_proba` stand for; None for what has no such method."""
    classes = getattr(estimator, "classes_", None)
    return classes.tolist() if isinstance(classes, np.ndarray) and hasattr(estimator, "predict_proba") else None


class EstimatorModel(Model):
    """A scikit-learn estimator, called without MLflow and, where it predicts the same, without a DataFrame."""

    def __init__(  # noqa: PLR0913, PLR0917 -- each a fact of the model
        self,
        identity: Identity,
        signature: Signature,
        example: bytes | None,
        estimator: Estimator,
        method: str,
        generic: Callable[[], Model],
    ) -> None:
        super().__init__(identity, signature, example)
        self.longest = "matrix" if signature.tensor else "frame"
        self._estimator = self.raw = estimator
        self._make_generic = generic
        self._default = method  # what `pyfunc_predict_fn` named when the model was logged
        self.methods, self.classes = list_methods(estimator, method), list_classes(estimator)
        types = (
            [signature.tensor[0]] if signature.tensor else [SCALARS[column.type] for column in signature.columns or ()]
        )
        self._dtype = np.result_type(*types) if signature.tensor or signature.is_numeric else np.dtype(object)
        self._single = find_single(signature.columns or (), self._dtype)
        self._calls: dict[str, ways.Call | mixed.Call | None] = {}  # by method, what takes rows whose numbers are small
        self._check_params = params.checker(signature)
        self._foreign = kinds.find_foreign(estimator)
        self.is_steady = not self._foreign  # the time of scikit-learn's own depends on the number of rows only

    def choose_way(self, example: Table | None) -> None:
        """Take each method's shortest way that equals the longer ones, to the bit, on the rows of `proof`."""
        chooser = ways.Chooser(self._estimator, self.signature, self._dtype, self._foreign)
        for method in self.methods:
            if method in {self._default, *METHODS[:2]}:
                self.ways[method], self._calls[method] = chooser.choose(method, example)
            else:
                self.ways[method] = Way(chooser.longest, "it is rarely asked for")

    def params_of(self, given: Json) -> tuple[str, dict[str, Any] | None]:
        """As for any model.

        MLflow's own choice of a method is the default, and params of the signature are checked, then not used.
        """
        if self._check_params and given is not None:
            self._check_params(given)
            return self._default, None
        asked = isinstance(given, dict) and "method" in given
        return (super().params_of(given)[0] if asked else self._default), None

    def predict(self, tables: Sequence[Table], method: str, params: dict[str, Any] | None) -> Predictions:  # noqa: ARG002 -- it has none
        """Predict; values that scikit-learn might refuse pass its own checks, all others were checked before."""
        call = self._calls.get(method)
        if isinstance(call, mixed.Call):
            found, call = call.predict(tables), None
            if found is not None:
                return found
        if call is None or not tables[0].has_all(self.signature.columns or ()):
            takes_matrix = self.signature.tensor is not None
            rows = matrix(tables, self._dtype) if takes_matrix else frame(tables, self.signature.columns or ())
            return getattr(self._estimator, method)(rows)
        rows = matrix(tables, self._dtype, self._single)
        return call.predict(rows) if call.takes(rows) else getattr(self._estimator, method)(rows)

    @cached_property
    def _generic(self) -> Model:
        """The same model behind mlflow.pyfunc, for the bodies of a matrix model that are not plain.

        The first one waits for it.
        """
        return self._make_generic()

    def parse(self, body: bytes, mime: str, bounds: Bounds) -> tuple[Any, Any, bool]:
        """Read a body by MLflow's own parser."""
        return self._generic.parse(body, mime, bounds)

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Data:
        """Return the matrix."""
        return self._generic.from_arrays(arrays)

    def predict_data(self, data: Data, method: str, params: dict[str, Any] | None) -> Predictions:
        """Predict by way of MLflow, which checks what `parse` gave.

        Another method than its own takes the matrix as it is.
        """
        if method == self._default:
            return self._generic.predict_data(data, method, params)
        return getattr(self._estimator, method)(data)
