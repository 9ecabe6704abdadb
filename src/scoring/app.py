"""The ASGI app that answers for one model: for now MLflow's own scoring app, and nowhere else is it named."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import mlflow.pyfunc
from mlflow.pyfunc import scoring_server

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI


def load(model: Path) -> FastAPI:
    """Load a model folder and return its app; whatever the model's libraries raise, raises."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # its advice at every request is for those who log models
    app: FastAPI = scoring_server.init(mlflow.pyfunc.load_model(str(model)))
    return app
