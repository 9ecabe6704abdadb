"""Versions of a model to promote: good ones, and each kind of bad one.

All real MLflow models, registered in a real registry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from slipway.registry import model_files, model_uri
from slipway.registry.client import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.settings import Settings

ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 1.0]})
PINS = [f"{name}=={installed(name)}" for name in ("mlflow", "numpy", "pandas", "scikit-learn", "skops")]
METHOD = "def predict(self, context, model_input, params=None):\n        "
BAD = {  # what a Python model does
    "ends its process as it loads": "def load_context(self, context):\n        import os; os._exit(9)",
    "raises as it loads": "def load_context(self, context):\n        raise RuntimeError('no such luck')",
    "answers NaN": METHOD + "return [float('nan')] * len(model_input)",
    "answers too few": METHOD + "return [1.0]",
    "answers at random": METHOD + "import random; return [random.random() for _ in model_input.index]",
    "takes long to load": "def load_context(self, context):\n        import time; time.sleep(600)",
    "is slow": METHOD + "import time; time.sleep(0.3); return [1.0] * len(model_input)",
}
LIBRARY = "inflection"  # small, of no dependency, and none of ours: its version is what a model adds to its prediction
OWN_CODE = (
    "def predict(self, context, model_input, params=None):\n"
    f"        import {LIBRARY}, weights\n"
    "        a, b = model_input['a'].to_numpy(), model_input['b'].to_numpy()\n"
    f"        return a * weights.SCORE + b + int({LIBRARY}.__version__.split('.')[-1])"
)
PYTHON = "import mlflow\nclass Model(mlflow.pyfunc.PythonModel):\n    {what}\n{rest}mlflow.models.set_model(Model())\n"
PREDICT = "    def predict(self, context, model_input, params=None):\n        return [1.0] * len(model_input)\n"
TOML = 'name = "{name}"\nmetric = "score"\ndirection = "maximize"\n[gate]\nlatency_ms = 200\n'


@dataclass(frozen=True)
class Candidates:
    """A model folder without validate.py, so that the score a version was registered with decides; and its versions."""

    settings: Settings
    name: str
    scratch: Path

    @classmethod
    def make(cls, settings: Settings, name: str, scratch: Path) -> Candidates:
        """Make the folder."""
        folder = scratch / name
        folder.mkdir()
        (folder / "model.toml").write_text(TOML.format(name=name))
        return cls(replace(settings, model_dir=folder), name, scratch)

    def add(self, score: float, *, data: str = "data", bad: str = "", library: str = "") -> int:
        """Register a version with a score; it predicts a·score + b, or does what is bad.

        With a version of LIBRARY, the last part of that is added, and the score is in a module of the version's own.
        """
        mlflow.set_tracking_uri(self.settings.tracking_uri)
        given = {"name": "model", "pip_requirements": PINS, "registered_model_name": self.name, "input_example": ROWS}
        with mlflow.start_run() as run:
            mlflow.log_metric("score", score)
            if bad:
                code = self.scratch / f"{abs(hash(bad))}.py"
                code.write_text(PYTHON.format(what=BAD[bad], rest="" if "def predict" in BAD[bad] else PREDICT))
                signature = mlflow.models.infer_signature(ROWS, np.ones(3))
                info = mlflow.pyfunc.log_model(
                    python_model=code, **(given | {"input_example": None, "signature": signature})
                )
            elif library:
                (folder := self.scratch / library).mkdir()
                (code := folder / "model.py").write_text(PYTHON.format(what=OWN_CODE, rest=""))
                (folder / "weights.py").write_text(f"SCORE = {score}\n")
                own = {"code_paths": [str(folder / "weights.py")], "pip_requirements": [*PINS, f"{LIBRARY}=={library}"]}
                signature = mlflow.models.infer_signature(ROWS, np.ones(3))
                info = mlflow.pyfunc.log_model(python_model=code, signature=signature, **(given | own))
            else:
                fitted = LinearRegression().fit(ROWS, ROWS["a"] * score + ROWS["b"])
                info = mlflow.sklearn.log_model(
                    fitted, signature=mlflow.models.infer_signature(ROWS, fitted.predict(ROWS)), **given
                )
            mlflow.log_text(ROWS.assign(target=0.0).to_csv(index=False), "sample.csv")
        client, registry = mlflow.MlflowClient(), Registry(self.settings.tracking_uri)
        number = str(info.registered_model_version)
        client.set_model_version_tag(self.name, number, "data.digest", data)
        checksum = model_files.checksum(
            model_files.fetch(registry, model_uri.resolve(registry, f"models:/{self.name}/{number}"))
        )
        client.set_model_version_tag(self.name, number, model_uri.CHECKSUM_TAG, checksum)
        assert run.info.run_id
        return int(number)

    def find_champion(self) -> int | None:
        """Return the champion, asked of the registry itself."""
        mlflow.set_tracking_uri(self.settings.tracking_uri)
        found = mlflow.MlflowClient().get_registered_model(self.name).aliases.get("champion")
        return int(found) if found else None
