"""A model that is trained on real data, and days of requests like its training, or not."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import requests
from sklearn.datasets import load_diabetes

from slipway.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.services.kit import Kit

DAY_S = 86400
DRIFT = 0.06  # of the column bmi, whose standard deviation is 0.048


def train(kit: Kit, name: str) -> Path:
    """Train a copy of the stock model under a name; return its folder."""
    folder = kit.store / name
    shutil.copytree(ROOT / "model", folder, ignore=shutil.ignore_patterns("__pycache__", "request.json", "kubernetes"))
    text = (folder / "model.toml").read_text(encoding="utf-8")
    (folder / "model.toml").write_text(text.replace('name = "diabetes"', f'name = "{name}"'), encoding="utf-8")
    trained = kit.run("train_model", MODEL_DIR=str(folder), TRAIN_ARGS="--repeats 1")

    assert "reference of 353 rows for make monitor" in trained
    return folder


def live(kit: Kit, folder: Path, predictions: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """Ask a served version for three days, on the third with drift; return the days, as the log has them."""
    patch.setenv("PREDICTION_LOG", "1")
    patch.setenv("PREDICTION_LOG_DIR", str(predictions))
    for day in range(3):
        patch.setenv("SCORING_CLOCK_OFFSET_S", str(day * DAY_S))
        with kit.serve(str(folder), f"models:/{folder.name}/1") as url:
            ask(url, day, DRIFT if day == 2 else 0.0)
    patch.delenv("SCORING_CLOCK_OFFSET_S")
    found = predictions.glob(f"model={folder.name}/version=1/day=*")
    return sorted(path.name.removeprefix("day=") for path in found)


def ask(url: str, seed: int, shift: float) -> None:
    """Ask for predictions of a thousand rows like those of the training; one column is shifted."""
    rows = load_diabetes(as_frame=True).frame.drop(columns="target").sample(1000, replace=True, random_state=seed)
    rows["bmi"] += shift
    for at in range(0, 1000, 100):
        part = rows[at : at + 100]
        body = {"dataframe_split": {"columns": list(part), "data": part.to_numpy().tolist()}}
        answer = requests.post(
            f"{url}/invocations", data=json.dumps(body),
            headers={"Content-Type": "application/json", "X-Request-Id": f"day{seed}-{at}"}, timeout=60,
        )  # fmt: skip
        assert answer.status_code == 200
