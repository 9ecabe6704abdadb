"""A loaded model: what it is, what it takes, and its predictions for the joined rows of several requests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn

from scoring import independence, shortcuts, table
from scoring.errors import bad
from scoring.signature import SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scoring.signature import Signature
    from scoring.table import Table

METHODS = ("predict", "predict_proba")  # what `params: {"method": …}` may name
LARGEST = 1e15  # below this no float overflows on its way through an estimator, and a double holds every whole number


@dataclass(frozen=True)
class Identity:
    """Which model this is, in the registry's words."""

    name: str = "model"
    version: str = "unregistered"
    run: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    checksum: str = ""


class Model:
    """What the server needs of any model."""

    def __init__(self, identity: Identity, signature: Signature, example: bytes | None) -> None:
        self.identity = identity
        self.signature = signature
        self.example = example  # a body for /invocations, as the model was logged with
        self.methods: tuple[str, ...] = ("predict",)
        self.classes: list[Any] | None = None
        self.gives: dict[str, np.ndarray] = {}  # predictions of each method for no rows, where they are an array: type and shape
        self.joins = False  # whether requests may share a predict
        self.load_seconds = 0.0
        self.is_steady = True  # whether a predict takes as long as the one before
        self.predict_seconds = 1.0  # what predicting its example took, or a guess
        self.row_seconds = 0.0  # what a row costs among many

    @property
    def default(self) -> tuple[str, dict[str, Any] | None]:
        """What `params_of` gives for a request without params."""
        return self.params_of(None)

    def example_json(self) -> Any:  # noqa: ANN401 -- any JSON
        """Return the example as a body for /invocations, or None."""
        try:
            return json.loads(self.example) if self.example else None
        except ValueError:
            return None

    def predict(self, tables: Sequence[Table], method: str, params: dict[str, Any] | None) -> Any:  # noqa: ANN401 -- whatever it gives
        """Return the predictions for the joined rows of tables of one kind."""
        raise NotImplementedError

    def params_of(self, given: Any) -> tuple[str, dict[str, Any] | None]:  # noqa: ANN401 -- any JSON
        """Return the method that a request's `params` ask for, and what the model itself gets of them; raise Refusal."""
        if self.signature.params or not isinstance(given, dict) or "method" not in given:
            return "predict", given
        if given["method"] not in self.methods:
            raise bad(f"params.method is one of {', '.join(self.methods)}")
        return given["method"], None

    def parse(self, body: bytes, mime: str) -> tuple[Any, Any, bool]:
        """Read a body for a model without plain columns: data, params, and whether the answer is to be bare."""
        raise NotImplementedError

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Any:  # noqa: ANN401 -- what the model takes
        """Return v2 tensors by name as data for a model without plain columns."""
        raise NotImplementedError

    def predict_data(self, data: Any, method: str, params: dict[str, Any] | None) -> Any:  # noqa: ANN401 -- what `parse` or `from_arrays` gives
        """Predict for a model without plain columns."""
        raise NotImplementedError

    def prove_rows_independent(self, example: Table, mode: str) -> None:
        """Set `joins`: whether each row of the example gets the same prediction alone, among others, and in another order."""
        self.joins = mode == "on" or (mode == "auto" and independence.prove(self, example))


class EstimatorModel(Model):
    """A scikit-learn estimator, called without MLflow and, where it predicts the same, without a DataFrame."""

    def __init__(  # noqa: PLR0913, PLR0917 -- each a fact of the model
        self,
        identity: Identity,
        signature: Signature,
        example: bytes | None,
        estimator: Any,  # noqa: ANN401 -- scikit-learn's estimators share no type
        method: str,
        generic: Callable[[], Model],
    ) -> None:
        super().__init__(identity, signature, example)
        self._estimator = estimator
        self._make_generic = generic
        self._default = method  # what `pyfunc_predict_fn` named when the model was logged
        self.methods = tuple(dict.fromkeys(name for name in ("predict", method, *METHODS) if hasattr(estimator, name)))
        classes = getattr(estimator, "classes_", None)
        self.classes = classes.tolist() if isinstance(classes, np.ndarray) and hasattr(estimator, "predict_proba") else None
        kinds = [signature.tensor[0]] if signature.tensor else [SCALARS[column.type] for column in signature.columns or ()]
        self._as_matrix = signature.tensor is not None or signature.is_numeric
        self._dtype = np.result_type(*kinds) if self._as_matrix else np.dtype(object)
        self._short: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        self.is_steady = _is_sklearn(estimator)

    def choose_way(self, example: Table) -> None:
        """Take the short ways that give what the long one gives on the example, bit for bit."""
        columns = self.signature.columns or ()
        for method in self.methods if self._as_matrix else ():
            given = table.matrix([example], self._dtype)
            call = getattr(self._estimator, method)
            expected = call(table.frame([example], columns) if columns else given)
            try:
                self._as_matrix = self._as_matrix and _same(expected, call(given))
            except Exception:  # noqa: BLE001 -- an estimator that wants names may raise anything
                self._as_matrix = False
            short = shortcuts.find(self._estimator, method) if self._as_matrix else None
            if short and shortcuts.is_right(short, call, given):
                self._short[method] = short

    def params_of(self, given: Any) -> tuple[str, dict[str, Any] | None]:  # noqa: ANN401 -- any JSON
        """As for any model; MLflow's own choice of a method is the default."""
        asked = isinstance(given, dict) and "method" in given
        return (super().params_of(given)[0] if asked else self._default), None

    def predict(self, tables: Sequence[Table], method: str, params: dict[str, Any] | None) -> Any:  # noqa: ANN401, ARG002 -- it has none
        """Predict; values that scikit-learn might refuse go through its own checks, all others have been checked already."""
        if not self._as_matrix:
            return getattr(self._estimator, method)(table.frame(tables, self.signature.columns or ()))
        rows = table.matrix(tables, self._dtype)
        if not np.abs(rows).max(initial=0) < LARGEST or not len(rows):  # NaN is not less either
            return getattr(self._estimator, method)(rows)
        if short := self._short.get(method):
            return short(rows)
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return getattr(self._estimator, method)(rows)

    @cached_property
    def _generic(self) -> Model:
        """The same model behind mlflow.pyfunc, for the bodies of a matrix model that are not plain. The first one waits for it."""
        return self._make_generic()

    def parse(self, body: bytes, mime: str) -> tuple[Any, Any, bool]:
        """Read a body by MLflow's own parser."""
        return self._generic.parse(body, mime)

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> Any:  # noqa: ANN401 -- what the model takes
        """Return the matrix."""
        return self._generic.from_arrays(arrays)

    def predict_data(self, data: Any, method: str, params: dict[str, Any] | None) -> Any:  # noqa: ANN401 -- as any model
        """Predict by way of MLflow, which checks what `parse` gave; another method than its own takes the matrix as it is."""
        if method == self._default:
            return self._generic.predict_data(data, method, params)
        return getattr(self._estimator, method)(data)


def _is_sklearn(estimator: Any) -> bool:  # noqa: ANN401 -- scikit-learn's estimators share no type
    """Whether all that an estimator is made of is scikit-learn's own, whose time depends on the number of rows only."""
    parts = [estimator, *(part for part in estimator.get_params().values() if hasattr(part, "fit") or isinstance(part, FunctionType))]
    return all((part if isinstance(part, FunctionType) else type(part)).__module__.startswith("sklearn.") for part in parts)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 -- predictions
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
