"""The run that a batch logs, and what DATA and OUT may be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from slipway.errors import SlipwayError
from slipway.registry.run_log import RunLog
from slipway.serving import batch
from slipway.settings import load

if TYPE_CHECKING:
    from pathlib import Path

TOTAL = {"id": "b", **dict.fromkeys(batch.METRICS, 1)}
OPTIONS = {"KEYS": "", "FORMAT": "", "PARAMS": ""}


@pytest.mark.parametrize("status", ["RUNNING", "FINISHED"])
def test_a_run_that_was_cut_off_is_logged_anew(tmp_path: Path, status: str) -> None:
    """And deleted; one that is finished stays the only one."""
    log = RunLog(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = log.ensure_experiment("m")
    trained, old = log.begin_run(experiment, "train", {}), log.begin_run(experiment, "batch-b", {batch.TAG: "b"})
    if status == "FINISHED":
        log.end_run(old, status)
    model = SimpleNamespace(run_id=trained, name="m", uri="models:/m/1", model_id="")
    prepared: Any = SimpleNamespace(registry=log, model=model)
    batch.log_run(prepared, {}, TOTAL)
    (run,) = log.find_runs(f"tags.`{batch.TAG}` = 'b'")

    assert run.info.status == "FINISHED"
    assert (run.info.run_id == old) == (status == "FINISHED")
    assert bool(run.data.metrics) == (status == "RUNNING")


@pytest.mark.parametrize("data", [f"s3://key:{'secret'}@bucket/rows", "s3://bucket/rows?access_key=a&secret_key=b"])
def test_credentials_stand_in_no_address(data: str) -> None:
    """The address is logged with the batch's run."""
    with pytest.raises(SlipwayError, match="may not hold credentials"):
        batch.score(load(), "models:/m/1", data, "scored/", OPTIONS)
