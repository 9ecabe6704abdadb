"""Why a script of a model folder failed, or will: from its text, its exit code and what it printed last."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from slipway import shell
from slipway.errors import USAGE, SlipwayError
from slipway.runtimes import declared

if TYPE_CHECKING:
    from slipway.model_folder import ModelFolder
    from slipway.settings import Settings

MISSING = re.compile(r"^ModuleNotFoundError: No module named '(\w+)", re.MULTILINE)
LAST = re.compile(r"^(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Warning)\b.*", re.MULTILINE)  # of a traceback
LIBRARIES = {  # by the module that they bring, where that is called otherwise
    "PIL": "pillow", "bs4": "beautifulsoup4", "cv2": "opencv-python-headless", "dateutil": "python-dateutil",
    "dotenv": "python-dotenv", "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}  # fmt: skip
REFUSED = re.compile(r"^(?:[\w./-]+\.py: error|Error): (.*)", re.MULTILINE)  # as argparse and click say it
ARGUMENTS = "TRAIN_ARGS='--name value' with the same command, or lines name=value in the folder's params.env"
ELSEWHERE = re.compile(r"^[^#\n]*?([\w.]*\bset_tracking_uri\((?!.*environ).*)", re.MULTILINE)
SHARED = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
PACKAGES = {"libgomp.so.1": "libgomp1", "libGL.so.1": "libgl1"}  # of Debian, for LightGBM and OpenCV
UNTRUSTED = re.compile(r"Untrusted types found in the file: \[(.*?)\]", re.DOTALL)  # by skops
UNTYPED = "could not be serialized in the skops"  # a function or class in a function, of which skops knows no name
CLOUDPICKLE = 'mlflow.sklearn.log_model(…, serialization_format="cloudpickle")'
FLAVORS = ("catboost", "lightgbm", "xgboost")  # of estimators that look like scikit-learn's
MOST = 5  # types
KILLED = 128 + signal.SIGKILL  # as a shell and an engine say it
LONGEST = 300  # characters of what it said


def foresee(model: ModelFolder) -> list[str]:
    """Return warnings about a script, before the time that its training takes: that it logs elsewhere."""
    file = model.path / model.script
    found = ELSEWHERE.search(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else None
    words = "another store's runs cannot be registered here; without the call it logs where MLFLOW_TRACKING_URI says"
    return [f"warning: {model.script} calls {found[1].strip()}: {words}"] if found else []


def explain(settings: Settings, model: ModelFolder, code: int, said: str) -> SlipwayError:
    """Return the error for a script that ended with an exit code, or (negative) by a signal (pure)."""
    script, code = model.script, 128 - code if code < 0 else code
    if missing := MISSING.search(said):
        library = LIBRARIES.get(missing[1], missing[1].replace("_", "-"))
        cure = f"{f'add it to {asked.name}; or ' if (asked := declared.find(model)) else ''}make add LIBRARY={library}"
        return SlipwayError(f"{script} needs the library {library}, which is not locked", cure)
    if absent := SHARED.search(said):
        cure = f'system = ["{PACKAGES.get(absent[1], "…")}"] in model.toml; with RUNTIME=host, install it here'
        return SlipwayError(f"{script} needs the system library {absent[1]}", cure)
    if code == KILLED:
        limit = settings.limits.memory
        words = f"more memory than MODEL_MEMORY={limit}" if limit != "0" else "more memory than there is"
        cure = "MODEL_MEMORY=8g make train_model, or less data" if limit != "0" else "less data, or a larger machine"
        return SlipwayError(f"{script} was killed: it may have needed {words}", cure)
    if code == USAGE and (refused := REFUSED.findall(said)):
        return SlipwayError(f"{script} was run with other arguments than it takes: {refused[-1]}", ARGUMENTS)
    if UNTYPED in said or UNTRUSTED.search(said):
        return _name_types(script, re.findall(r"'([^']+)'", "".join(UNTRUSTED.findall(said)[-1:])))
    last = LAST.findall(said)
    words = f": {shell.cut(last[-1], LONGEST)}" if last else "; see its output above"
    return SlipwayError(f"{script} ended with exit code {code}{words}")


def _name_types(script: str, types: list[str]) -> SlipwayError:
    """Return the error for a model that skops does not save, or not load."""
    more = f" and {len(types) - MOST} more" if len(types) > MOST else ""
    words = f"skops does not trust {', '.join(types[:MOST])}{more}" if types else "skops cannot name a part of it"
    own = [f"mlflow.{name}.log_model(…), or " for name in FLAVORS if any(each.startswith(f"{name}.") for each in types)]
    cure = f"{''.join(own)}{CLOUDPICKLE}; see docs/add-a-model.md#file-formats"
    return SlipwayError(f"{script} cannot log its scikit-learn model: {words}", cure)
