"""From a model folder to a model that has answered: nothing is loaded from anywhere else.

A model is code, whatever its file format: load only what comes from your own registry.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
import time
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from scoring import rehearsal
from scoring.errors import ModelError
from scoring.models import bytecode, signature
from scoring.models.base import EstimatorModel, Identity, Model

if TYPE_CHECKING:
    from scoring.models.aliases import Estimator
    from scoring.models.signature import Signature
    from scoring.settings import Settings

META = "registered_model_meta"
LEFT_OUT = {  # libraries by module, as slipway/runtimes/left_out.py has them; pyarrow is installed for Parquet alone
    "_cffi_backend": "cffi", "cffi": "cffi", "cryptography": "cryptography", "databricks": "databricks-sdk",
    "git": "gitpython", "gitdb": "gitdb", "google": "google-auth", "google.auth": "google-auth",
    "google.oauth2": "google-auth", "prettytable": "prettytable", "pyarrow": "pyarrow", "pyasn1": "pyasn1",
    "pyasn1_modules": "pyasn1-modules", "pycparser": "pycparser", "smmap": "smmap", "wcwidth": "wcwidth",
}  # fmt: skip
MLFLOW = {"mlflow", "mlflow-skinny"}
logger = logging.getLogger("scoring")


def load(settings: Settings) -> Model:
    """Verify a model folder, load it, and have it answer its own input example.

    Raises ModelError, in one line, for a folder that is none, a wrong checksum, other libraries, and whatever loading
    raises.
    """
    started, missing = time.perf_counter(), list[str]()
    try:
        folder = settings.model.resolve()
        identity = read_identity(settings.identity)
        mlmodel = read_mlmodel(folder)
        if identity.checksum and checksum(folder) != identity.checksum:
            raise ModelError(  # noqa: TRY301 -- all that a load may raise is dealt with here
                f"the files in {settings.model} are not those of {identity.name} {identity.version}: "
                "their checksum differs"
            )
        bytecode.keep_out(folder)
        missing = check_libraries(folder) if settings.check_libraries == "on" else []
        model = _load(folder, identity, mlmodel, settings)
    except (ModelError, KeyboardInterrupt):
        raise
    except BaseException as error:
        words = " ".join(str(error).split())  # a library's are several lines
        lacking = f"; it was trained with {', '.join(missing)}, not installed here" if missing else ""
        if isinstance(error, ModuleNotFoundError) and (library := _find_left_out(error.name or "")):
            adding = f"make add LIBRARY={library}, then train again, serves it with {library}"
            lacking = "; PARQUET=1 serves it with pyarrow" if library == "pyarrow" else f"; {adding}"
        elif isinstance(error, ModuleNotFoundError) and not lacking:  # log_model takes along no file that it imports
            lacking = "; a file beside the script goes into a model by code_paths=[…], a library by pip_requirements"
        if isinstance(error, AttributeError) and "__main__'" in words:  # skops and pickle hold its name only
            lacking = '; code of the training script goes into a model by serialization_format="cloudpickle"'
        raise ModelError(
            f"the model at {settings.model} did not load: {type(error).__name__}: {words}{lacking}"
        ) from error
    if missing:
        logger.warning(
            "%s %s: not installed, and not needed to load: %s", identity.name, identity.version, ", ".join(missing)
        )
    model.load_seconds = time.perf_counter() - started
    ways = "; ".join(f"{method} by {way.name}{way.why and f' ({way.why})'}" for method, way in model.ways.items())
    logger.info("%s %s: %s", identity.name, identity.version, ways)
    return model


def read_identity(given: str) -> Identity:
    """Read which model it is from JSON or from a JSON file."""
    if not given:
        return Identity()
    try:
        values = json.loads(given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8"))
        known = {each.name for each in fields(Identity)}
        return Identity(**{name: value for name, value in values.items() if name in known and value is not None})
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"--identity is neither JSON nor the path of a JSON file: {error}") from None


def read_mlmodel(folder: Path) -> dict[str, Any]:
    """Return the parsed MLmodel file."""
    try:
        text = (folder / "MLmodel").read_text(encoding="utf-8")
        value = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 -- both are safe
    except FileNotFoundError:
        raise ModelError(f"no MLflow model at {folder}: it has no MLmodel file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError):
        raise ModelError(f"the MLmodel file in {folder} cannot be read") from None
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("flavors"), dict)
        or "python_function" not in value["flavors"]
    ):
        raise ModelError(f"the MLmodel file in {folder} names no python_function flavor, so it cannot predict")
    return value


def checksum(folder: Path) -> str:
    """Return the checksum of a folder's files, less the one that MLflow adds when it loads a registered version.

    In words of the shell: `find . -type f ! -name registered_model_meta | LC_ALL=C sort | xargs sha256sum | sha256sum`.
    """
    total = hashlib.sha256()
    for name in sorted(
        f"./{path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file() and path.name != META
    ):
        with (folder / name).open("rb") as file:
            total.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _find_left_out(module: str) -> str:
    """Return the library with this module if it is one that models are served without; else nothing."""
    package = module.partition(".")[0]
    return LEFT_OUT.get(module) or (LEFT_OUT.get(package, "") if package != "google" else "")  # others' is google, too


def check_libraries(folder: Path) -> list[str]:
    """Raise ModelError when a library that the model pins is here in another version; return those that are not here.

    MLflow may have noted what merely stood beside the model, such as pytest: whether it is needed, loading and the
    example show.
    """
    missing = []
    file = folder / "requirements.txt"
    for name, wanted in re.findall(
        r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)",
        file.read_text(encoding="utf-8") if file.exists() else "",
        re.MULTILINE,
    ):
        if name in MLFLOW:
            continue  # it loads what other versions of it logged
        here = _installed(name)
        if here is None:
            missing.append(f"{name} {wanted}")
        elif here != wanted.split("+")[0]:
            raise ModelError(
                f"the model was trained with {name} {wanted}, but {here} is installed: "
                "train it again, or --check-libraries off"
            )
    return missing


def _installed(name: str) -> str | None:
    try:
        return version(name).split("+")[0]
    except PackageNotFoundError:
        return None


def _load(folder: Path, identity: Identity, mlmodel: dict[str, Any], settings: Settings) -> Model:
    given = signature.parse(mlmodel)
    body = _read_example(folder, mlmodel.get("saved_input_example_info") or {})

    def generic(why: str = "") -> Model:
        from scoring.pyfunc import GenericModel  # brings all of mlflow

        return GenericModel(identity, given, body, folder, why)

    why = _why_generic(mlmodel, given)
    if why:
        return _rehearsed(generic(why), settings, mlmodel)
    flavor = mlmodel["flavors"]["sklearn"]
    try:
        method = mlmodel["flavors"]["python_function"].get("predict_fn") or "predict"
        estimator = EstimatorModel(identity, given, body, _unpickle(folder, flavor), method, generic)
        return _rehearsed(estimator, settings, mlmodel)
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 -- a way of ours, not the model, may be what fails
        try:
            return _rehearsed(generic(f"the shortcut failed: {type(error).__name__}"), settings, mlmodel)
        except Exception:  # noqa: BLE001 -- it is the model, and the first words say it best
            raise error from None


def _read_example(folder: Path, info: dict[str, Any]) -> bytes | None:
    """Return the input example as a body for /invocations; MLflow before 2.15 wrote a table's without its key."""
    example = folder / (info.get("serving_input_path") or info.get("artifact_path") or "none")
    if not example.is_file():
        return None
    body = example.read_bytes()
    return (
        body if "serving_input_path" in info or info.get("type") != "dataframe" else b'{"dataframe_split": %s}' % body
    )


def _why_generic(mlmodel: dict[str, Any], given: Signature) -> str:
    """Return why a model needs mlflow.pyfunc, or "" for one that does not."""
    python = mlmodel["flavors"]["python_function"]
    if "sklearn" not in mlmodel["flavors"] or python.get("loader_module") != "mlflow.sklearn":
        return f"its loader is {python.get('loader_module')}"
    if python.get("code"):
        return "it has code files of its own"
    return "" if given.columns or given.tensor else "its signature has neither plain columns nor one matrix"


def _rehearsed(model: Model, settings: Settings, mlmodel: dict[str, Any]) -> Model:
    model.task = str((mlmodel.get("metadata") or {}).get("task") or "")
    rehearsal.rehearse(model, settings)
    return model


def _unpickle(folder: Path, flavor: dict[str, Any]) -> Estimator:
    """Load the estimator in the format that the MLmodel file names."""
    file = folder / flavor["pickled_model"]
    if not file.is_file() or not file.resolve().is_relative_to(folder):
        raise ModelError(f"the model's file {flavor['pickled_model']} is missing")
    if flavor.get("serialization_format") == "skops":
        from scoring.models import skops_file  # for those who need it

        return skops_file.load(file, flavor.get("skops_trusted_types") or [])
    with file.open("rb") as opened:
        return pickle.load(opened)  # noqa: S301 -- the folder is the operator's own, and its checksum was compared
