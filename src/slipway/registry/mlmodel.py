"""What an MLflow model folder contains: its MLmodel file, its input example, and what is missing."""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING, Any

import yaml

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from pathlib import Path

FORMS = "MODEL=models:/name/3, models:/name@alias, models:/m-<id>, runs:/<run>/model, or a path"
SCRIPT = "__main__"  # the module that a script is while it runs; in every other program it is another
CARRY = 'log_model(…, serialization_format="cloudpickle"), or its code in a module beside the script and code_paths=[…]'


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the MLmodel file of a model folder.

    Raises SlipwayError if it is not one.
    """
    try:
        metadata = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise SlipwayError(
            f"no MLflow model at {path}: it has no readable MLmodel file", f"make list_models, then {FORMS}"
        ) from None
    if not isinstance(metadata, dict) or "flavors" not in metadata:
        raise SlipwayError(f"no MLflow model at {path}: its MLmodel file lists no flavors")
    return metadata


def read_example(path: Path) -> dict[str, Any] | None:
    """Return the model's input example as a request, or None if it was logged without one.

    MLflow before 2.15 wrote the example alone.
    """
    file = path / "serving_input_example.json"
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and found else None
    info = read_metadata(path).get("saved_input_example_info") or {}
    file = path / info.get("artifact_path", "none")
    if not file.is_file() or info.get("type") not in {"dataframe", "ndarray", "json_object"}:
        return None
    given = json.loads(file.read_text(encoding="utf-8"))
    if info["type"] == "dataframe" and "data" in given:
        return {"dataframe_split": given}
    return given if isinstance(given, dict) and ("inputs" in given or "messages" in given) else {"inputs": given}


def read_inputs(path: Path) -> list[dict[str, Any]]:
    """Return the inputs of the model's signature, as MLflow writes them: columns, tensors, nested types."""
    signature = read_metadata(path).get("signature") or {}
    return json.loads(signature.get("inputs") or "[]") or []


def find_gaps(path: Path) -> list[str]:
    """Describe what a model's files lack that its server and its API test could use."""
    gaps = []
    if not read_metadata(path).get("signature"):
        gaps.append("no signature, so only the model itself can reject wrong requests: log it with signature=…")
    if read_example(path) is None:
        gaps.append(
            "no input example, so the server cannot try the model before serving it: log it with input_example=…"
        )
    if names := _find_names_of_script(path):
        gaps.append(f"references to its training script ({', '.join(names)}), without which it will not load: {CARRY}")
    return gaps


def _find_names_of_script(path: Path) -> list[str]:
    """Return what a scikit-learn model's file takes from the script: skops and pickle hold names, cloudpickle code."""
    flavor = (read_metadata(path)["flavors"] or {}).get("sklearn") or {}
    file = path / str(flavor.get("pickled_model"))
    if flavor.get("serialization_format") == "pickle" and file.is_file() and file.stat().st_size:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [SCRIPT] if content.find(SCRIPT.encode()) >= 0 else []
    return [name for name in flavor.get("skops_trusted_types") or [] if str(name).startswith(f"{SCRIPT}.")]
