"""Make an existing artefact a registered MLflow model, in a run of its own, without training it again.

No Slipway in it.

FILE is an estimator (.joblib .pkl .pickle .skops), or a .py file with a class that is made without arguments and has
`predict`: rows as a DataFrame in, a value a row out. MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME
under which experiment.
"""

import argparse
import hashlib
import importlib
import importlib.util
import json
import logging
import shutil
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pandas as pd
import skops.io
from mlflow.exceptions import MlflowException
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

HERE = Path(__file__).resolve().parent
NAME = tomllib.loads((HERE / "model.toml").read_text(encoding="utf-8"))["name"]
LIBRARIES = {"mlflow-skinny", "numpy", "pandas", "scikit-learn", "skops"}  # what any model here needs to predict
ROWS = 5  # of the example
ITSELF = "import importlib\n\nimport mlflow\n\nmlflow.models.set_model({made})\n"  # a class that is MLflow's own kind
WRAPPED = """import importlib

import mlflow
import pandas


class Wrapped(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = {made}

    def predict(self, context, model_input: pandas.DataFrame, params=None):
        predictions = self.model.predict(model_input)
        return predictions.to_numpy() if isinstance(predictions, pandas.Series) else predictions


mlflow.models.set_model(Wrapped())
"""


class RefusedError(Exception):
    """The artefact cannot be made a model that serves."""


@dataclass
class Artefact:
    """What was read: a fitted estimator or model, and the script that makes it again where mlflow.sklearn does not."""

    model: Any
    script: str
    code: list[str] = field(default_factory=list)  # modules of our own that it needs


def read(file: Path, name: str, trust: list[str]) -> Artefact:
    """Read an artefact; what was fitted with another scikit-learn is refused, as its predictions may be wrong."""
    before = set(sys.modules)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            readers = {".py": partial(read_class, name=name), ".skops": partial(read_skops, trust=trust)}
            artefact = readers.get(file.suffix, read_pickle)(file)
    except RefusedError:
        raise
    except InconsistentVersionWarning as warning:
        there, here = warning.original_sklearn_version, warning.current_sklearn_version
        raise RefusedError(
            f"{file.name} was fitted with scikit-learn {there}, but {here} is installed: fit it again with this version"
        ) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- reading runs anyone's code
        raise RefusedError(f"{file.name} cannot be read: {_words(error)}") from None
    if not callable(getattr(artefact.model, "predict", None)):
        raise RefusedError(f"{file.name} holds an object of {type(artefact.model).__name__}, which has no predict")
    artefact.code = list(dict.fromkeys([*artefact.code, *_find_own_code(before)]))
    return artefact


def read_pickle(file: Path) -> Artefact:
    """Read what joblib or pickle wrote."""
    if file.suffix not in {".joblib", ".pkl", ".pickle"}:
        raise RefusedError(f"{file.name} is none of .joblib, .pkl, .pickle, .skops, .py")
    print(
        f"note: {file.name} is a pickle, and loading one runs whatever code it holds: wrap only what you trust",
        file=sys.stderr,
    )
    return Artefact(
        joblib.load(file), WRAPPED.format(made='importlib.import_module("joblib").load(context.artifacts["file"])')
    )


def read_skops(file: Path, trust: list[str]) -> Artefact:
    """Read a skops file whose types are all known or named in `trust`."""
    needed = sorted(skops.io.get_untrusted_types(file=file))
    if unknown := sorted(set(needed) - set(trust)):
        raise RefusedError(
            f"{file.name} holds types that skops does not know; "
            f'to accept them: --trust "{" ".join(unknown)}" (make: TRUST)'
        )
    load = f'importlib.import_module("skops.io").load(context.artifacts["file"], trusted={needed!r})'
    return Artefact(skops.io.load(file, trusted=needed), WRAPPED.format(made=load))


def read_class(file: Path, name: str) -> Artefact:
    """Import a file's one class that predicts, or the one called `name`, and make one.

    The class itself is never pickled.
    """
    paths = list(sys.path)
    sys.path[:] = [
        path for path in paths if Path(path).resolve() != HERE
    ]  # this folder's modules are not where the model is served
    taken = file.stem == "scoring" or importlib.util.find_spec(file.stem) is not None
    sys.path[:] = [str(file.parent), *paths]
    if taken or not file.stem.isidentifier():
        raise RefusedError(f"a module cannot be called {file.stem}, or another one is: rename the file")
    module = importlib.import_module(file.stem)
    own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == file.stem]
    classes = {kind.__name__: kind for kind in own if callable(getattr(kind, "predict", None))}
    there = ", ".join(classes) or "none"
    if name and name not in classes:
        raise RefusedError(f"{file.name} has no class {name} with predict; available: {there}")
    if not name and len(classes) != 1:
        raise RefusedError(
            f"one class with predict is asked, {file.name} has: {there}; to choose one: --class NAME (make: CLASS)"
        )
    name = name or next(iter(classes))
    model = classes[name]()
    script = ITSELF if isinstance(model, mlflow.pyfunc.PythonModel) else WRAPPED
    return Artefact(model, script.format(made=f'importlib.import_module("{file.stem}").{name}()'), [str(file)])


def read_example(file: Path) -> pd.DataFrame:
    """Read a few rows: a CSV file with a header, or a JSON request with dataframe_split or dataframe_records."""
    try:
        if file.suffix == ".csv":
            rows = pd.read_csv(file)
        else:
            request = json.loads(file.read_text(encoding="utf-8"))
            split = request.get("dataframe_split")
            rows = (
                pd.DataFrame(split["data"], columns=split["columns"])
                if split
                else pd.DataFrame(request["dataframe_records"])
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(
            f"no example rows in {file.name}, a CSV with a header or a JSON request: {_words(error)}"
        ) from None
    if rows.empty:
        raise RefusedError(f"no example rows in {file.name}")
    if not isinstance(rows.index, pd.RangeIndex):  # pandas took each row's first value for its name
        raise RefusedError(f"rows in {file.name} have more values than its header has columns")
    return rows.head(ROWS)


def save(artefact: Artefact, file: Path, trust: list[str], scratch: Path) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Save the model in `scratch`/model, as it will be logged; return the function that logs it, and its options."""
    options: dict[str, Any] = {"code_paths": artefact.code or None, "pip_requirements": _pin(LIBRARIES)}
    if not isinstance(artefact.model, BaseEstimator) or file.suffix == ".py":
        script = scratch / "wrapped.py"
        script.write_text(artefact.script, encoding="utf-8")
        options |= {"python_model": str(script), "artifacts": None if file.suffix == ".py" else {"file": str(file)}}
        mlflow.pyfunc.save_model(path=scratch / "model", **options)
        return mlflow.pyfunc.log_model, options
    options |= {"sk_model": artefact.model, "serialization_format": "skops", "skops_trusted_types": trust or None}
    try:
        mlflow.sklearn.save_model(path=scratch / "model", **options)
    except MlflowException:
        here = ".".join(map(str, sys.version_info[:2]))
        print(
            f"note: skops does not take all of it, so it is logged with cloudpickle, for Python {here} only",
            file=sys.stderr,
        )
        options |= {"serialization_format": "cloudpickle", "skops_trusted_types": None}
        shutil.rmtree(scratch / "model", ignore_errors=True)
        mlflow.sklearn.save_model(path=scratch / "model", **options)
    return mlflow.sklearn.log_model, options


def predict(path: Path, example: pd.DataFrame) -> np.ndarray:
    """Load the saved model and predict the example, as a server will: a value (or a row of them) for each row."""
    try:
        predictions = np.asarray(mlflow.pyfunc.load_model(str(path)).predict(example))
    except Exception as error:  # noqa: BLE001 -- predicting runs anyone's code
        raise RefusedError(f"the model does not predict its own example: {_words(error)}") from None
    if not predictions.ndim or len(predictions) != len(example):
        raise RefusedError(
            f"the model predicts an array of shape {predictions.shape} for the {len(example)} rows of its own example"
        )
    if pd.isna(predictions).any() or (predictions.dtype.kind == "f" and not np.isfinite(predictions).all()):
        raise RefusedError("the model predicts values for its own example that are no finite numbers")
    return predictions


def wrap(file: Path, example: pd.DataFrame, name: str, trust: list[str]) -> str:
    """Log and register the model once it has proved that it predicts; return its URI."""
    if not file.is_file():
        raise RefusedError(f"no file {file}")
    before = set(sys.modules)
    artefact = read(file, name, trust)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            log, options = save(artefact, file, trust, Path(scratch))
        except MlflowException as error:
            raise RefusedError(f"MLflow does not take {file.name}: {error.message.splitlines()[0]}") from None
        predictions = predict(Path(scratch, "model"), example)
        options["pip_requirements"] = _pin(LIBRARIES | _find_libraries(before))
        with mlflow.start_run():
            mlflow.log_params({"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()})
            signature = mlflow.models.infer_signature(example, predictions)
            info = log(name="model", signature=signature, input_example=example, registered_model_name=NAME, **options)
    return f"models:/{NAME}/{info.registered_model_version}"


def main() -> None:
    """Wrap one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the artefact")
    parser.add_argument(
        "--example", type=Path, default=HERE / "request.json", help="rows to try: CSV with a header, or a JSON request"
    )
    parser.add_argument("--class", dest="name", default="", help="the class of a .py file with several")
    parser.add_argument(
        "--trust", default="", help="names of types in a skops file that you know, with spaces between them"
    )
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)  # advice for those who train
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        print(
            f"wrapped {args.file.name} as "
            f"{wrap(args.file.resolve(), read_example(args.example), args.name, args.trust.split())}"
        )
    except RefusedError as error:
        sys.exit(f"error: {error}")
    except MlflowException as error:
        sys.exit(f"error: MLflow did not accept the model: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)


def _find_own_code(before: set[str]) -> list[str]:
    """Return the modules (files, or folders of packages) of this folder that reading the artefact imported."""
    found = [
        getattr(sys.modules[name], "__file__", None) for name in sorted(set(sys.modules) - before) if "." not in name
    ]
    paths = [Path(file).resolve() for file in found if file and Path(file).resolve().is_relative_to(HERE)]
    return [str(path.parent if path.name == "__init__.py" else path) for path in paths]


def _find_libraries(before: set[str]) -> set[str]:
    """Return the distributions of what reading the artefact, and predicting with it, imported."""
    known = packages_distributions()
    return {known[name][0] for name in set(sys.modules) - before if name in known}


def _pin(libraries: set[str]) -> list[str]:
    return sorted(f"{library}=={version(library)}" for library in libraries)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    main()
