"""A loaded model: what it is, what it takes, and its predictions for the joined rows of several requests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn

from scoring.errors import bad
from scoring.models import kinds, params, proof, sklearn_fast
from scoring.models.rows import Table, frame, matrix
from scoring.models.signature import NUMBERS, SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scoring.bounds import Bounds
    from scoring.models.aliases import Data, Estimator, Json, Predictions
    from scoring.models.signature import Signature

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")  # for `params: {"method": …}`


@dataclass(frozen=True)
class Way:
    """How a method's predictions are come by: `name` is one of the four, `why` says why it is not a shorter one.

    shortcut: the arithmetic alone; matrix: scikit-learn's method with a matrix; frame: the same with a DataFrame;
    mlflow: mlflow.pyfunc.
    """

    name: str
    why: str = ""


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
        self.ways: dict[str, Way] = {}  # by method
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
        self._estimator = estimator
        self._make_generic = generic
        self._default = method  # what `pyfunc_predict_fn` named when the model was logged
        self.methods, self.classes = list_methods(estimator, method), list_classes(estimator)
        types = (
            [signature.tensor[0]] if signature.tensor else [SCALARS[column.type] for column in signature.columns or ()]
        )
        self._dtype = np.result_type(*types) if signature.tensor or signature.is_numeric else np.dtype(object)
        self._calls: dict[
            str, Callable[[np.ndarray], Any]
        ] = {}  # by method, what takes a matrix of small, finite numbers
        self._check_params = params.checker(signature)
        self._foreign = kinds.find_foreign(estimator)
        self.is_steady = not self._foreign  # the time of scikit-learn's own depends on the number of rows only

    def choose_way(self, example: Table | None) -> None:
        """Take each method's shortest way that equals the longer ones, to the bit, on the rows of `proof`."""
        for method in self.methods:
            if method not in {self._default, *METHODS[:2]}:
                self.ways[method] = Way(self._longest, "it is rarely asked for")
                continue
            try:
                self.ways[method] = self._choose(method, example)
            except Exception as error:  # noqa: BLE001 -- a short way that cannot be built is none
                self._calls.pop(method, None)
                self.ways[method] = Way(self._longest, f"a shorter path failed: {type(error).__name__}")

    @property
    def _longest(self) -> str:
        return "matrix" if self.signature.tensor else "frame"

    def _choose(self, method: str, example: Table | None) -> Way:
        columns = self.signature.columns or ()
        if self._dtype.kind == "O":
            odd = next(column for column in columns if column.type not in NUMBERS or not column.required)
            return Way("frame", f"column {odd.name} is {'optional' if odd.type in NUMBERS else odd.type}")
        if self._foreign:  # others' code may do anything with a DataFrame that it does not do with a matrix
            return Way(self._longest, f"{self._foreign} is not scikit-learn's own")
        return self._prove(method, example)

    def _prove(self, method: str, example: Table | None) -> Way:
        columns, call = self.signature.columns or (), getattr(self._estimator, method)
        width = self.signature.tensor[1] if self.signature.tensor else len(columns)
        given = proof.finite(proof.make_up(width) if example is None else matrix([example], self._dtype))
        short, unknown = (
            sklearn_fast.find(self._estimator, method),
            f"no shortcut is known for {kinds.describe(self._estimator)}",
        )
        if short is None and proof.is_slow(call, self._frame(self._typed(given.copy()))):
            return Way(self._longest, f"{unknown}, which is slow by itself")
        groups = [self._typed(rows) for rows in proof.groups(given)]
        if columns and not self._is_nameless(call, groups, self._typed(proof.with_nan(given))):
            return Way("frame", "it predicts differently from a matrix")
        bare = _without_checks(call)
        if not proof.agree(call, bare, groups):
            self._calls[method] = call
            return Way("matrix", "it predicts differently without its own checks")
        self._calls[method] = bare
        if short is None:
            return Way("matrix", unknown)
        more = [self._typed(rows) for rows in proof.more_groups(self._estimator, given)]
        if not (proof.agree(call, short, groups) and all(proof.agree(call, short, [rows]) for rows in more)):
            return Way("matrix", "the shortcut predicts differently")
        self._calls[method] = short
        return Way("shortcut")

    def _is_nameless(self, call: Callable[[Any], Any], groups: list[np.ndarray], missing: np.ndarray) -> bool:
        """Whether a matrix gives what a DataFrame gives: to the bit where it lies in memory as that does.

        BLAS may add in its order.
        """

        def by_frame(rows: np.ndarray) -> Predictions:
            return call(self._frame(rows))

        def alike(rows: np.ndarray) -> Predictions:
            return call(np.asarray(self._frame(rows), self._dtype))

        agree = proof.agree(by_frame, alike, groups) and proof.agree(by_frame, alike, [missing])
        return agree and proof.close(by_frame(groups[0]), call(groups[0]))

    def _frame(self, rows: np.ndarray) -> Data:
        return frame([Table(len(rows), block=rows)], self.signature.columns) if self.signature.columns else rows

    def _typed(self, rows: np.ndarray) -> np.ndarray:
        """Return rows of the proof as the signature's types have them: integers whole, and none too large."""
        if self.signature.tensor is None:
            for at, column in enumerate(self.signature.columns or ()):
                if column.type in {"long", "integer"}:
                    limit = 2.0**31 - 1 if column.type == "integer" else proof.LARGEST
                    rows[:, at] = np.clip(np.nan_to_num(rows[:, at]), -limit, limit).round()
                elif column.type == "float":
                    rows[:, at] = rows[:, at].astype(np.float32)
        elif self._dtype.kind == "i":
            limit = float(min(np.iinfo(self._dtype.name).max, proof.LARGEST))
            rows = np.clip(np.nan_to_num(rows), -limit, limit)
        return np.ascontiguousarray(rows, dtype=self._dtype)

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
        if (call := self._calls.get(method)) is None:
            takes_matrix = self.signature.tensor is not None
            rows = matrix(tables, self._dtype) if takes_matrix else frame(tables, self.signature.columns or ())
            return getattr(self._estimator, method)(rows)
        rows = matrix(tables, self._dtype)
        if not np.abs(rows).max(initial=0) < proof.LARGEST or not len(rows):  # NaN is not less either
            return getattr(self._estimator, method)(rows)
        return call(rows)

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


def _without_checks(call: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """Return a method of scikit-learn's without its search for NaN and infinity, which is done already."""

    def predict(rows: np.ndarray) -> Predictions:
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return call(rows)

    return predict
