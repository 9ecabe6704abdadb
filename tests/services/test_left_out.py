"""Models of each kind load and predict without what is left out, and Parquet is read where it is asked for."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import requests

from slipway import ports, runtimes, shell
from slipway import settings as slipway_settings
from slipway.registry import mlmodel
from slipway.runtimes import left_out
from slipway.serving import api_test, predict, server
from slipway.settings import ROOT
from slipway.training import train
from tests.conftest import changed

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.runtimes.base import Prepared
    from slipway.settings import Settings

PARQUET = {"Content-Type": "application/vnd.apache.parquet"}
NAMES = "from importlib.metadata import distributions as d; print(*{each.name.lower() for each in d()})"


def _list_libraries(settings: Settings, prepared: Prepared) -> set[str]:
    python = runtimes.of(settings).serve_command(prepared)[0][0]
    return set(subprocess.run([python, "-c", NAMES], check=True, capture_output=True, text=True).stdout.split())


def _serve(settings: Settings, prepared: Prepared, log: Path) -> tuple[int, requests.Response]:
    """Serve a version; return the status of its own example, and the answer to its rows as Parquet."""
    alone = changed(settings, serving={"port": ports.find_free()})
    with shell.running(server.start(alone, prepared, log), log):
        api_test.wait_until_ready(alone.serving, url := alone.serving.api_url)
        example = mlmodel.read_example(prepared.files)
        assert isinstance(example, dict)
        pd.DataFrame(**example["dataframe_split"]).to_parquet(body := io.BytesIO())
        status = requests.post(f"{url}/invocations", json=example, timeout=60).status_code
        return status, requests.post(f"{url}/invocations", body.getvalue(), headers=PARQUET, timeout=60)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["model", "examples/custom", "examples/boosted"], ids=["sklearn", "pyfunc", "lightgbm"]
)
def test_a_model_predicts_without_what_is_left_out(name: str, tmp_path: Path) -> None:
    """It is served without what MLflow asks for in vain, and pyarrow; with PARQUET=1 it takes Parquet, too."""
    shutil.copytree(ROOT / name, folder := ROOT / "build" / f"left-out-{name.rpartition('/')[2]}", dirs_exist_ok=True)
    loaded = changed(
        slipway_settings.load(),
        runtime="host", model_dir=folder, tracking={"external_uri": f"sqlite:///{tmp_path}/mlflow.db"},
        training={"args": ""}, serving={"url": ""},
    )  # fmt: skip
    trained = train.train(loaded)
    uri = f"models:/{trained.name}/{trained.version}"
    prepared = server.prepare(loaded, uri)
    there = _list_libraries(loaded, prepared)
    status, refused = _serve(loaded, prepared, tmp_path / "plain.log")
    more = changed(loaded, serving={"parquet": True})
    parquet = server.prepare(more, uri)
    _, taken = _serve(more, parquet, tmp_path / "parquet.log")
    example = mlmodel.read_example(prepared.files)
    assert isinstance(example, dict)
    pd.DataFrame(**example["dataframe_split"]).to_csv(rows := tmp_path / "rows.csv", index=False)
    predict.predict(loaded, uri, str(rows), str(out := tmp_path / "out.parquet"))

    assert not there & {*left_out.LEFT_OUT, "pyarrow"}
    assert status == 200
    assert (refused.status_code, taken.status_code) == (415, 200)
    assert "PARQUET=1" in refused.text
    assert len(pd.read_parquet(out)) == len(taken.json()["predictions"])
