"""Where a checkout keeps things, and the few names that are the same everywhere."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[3]
STATE = ROOT / ".slipway"  # what the embedded mode keeps, and this machine's secrets
BUILD = ROOT / "build"  # everything generated
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
SCORING = "SCORING_"  # begins the names of the model server's own settings, which it reads itself
LOG = f"{SCORING}PREDICTION_LOG"  # begins those of its log; as PREDICTION_LOG they are settings of ours
MLFLOW_INSIDE = "http://mlflow:5000"  # as the containers of our network call it
LOCAL = ("localhost", "127.0.0.1")
IN_CLUSTER = "in-cluster"  # as CONTEXT, in a pod: the cluster that it is in, through its service account


def sqlite_uri(file: PurePath) -> str:
    """Return the address of a sqlite database, as SQLAlchemy reads it: what follows a ? is options, and %41 is an A."""
    return f"sqlite:///{str(file).replace('%', '%25').replace('?', '%3F')}"
