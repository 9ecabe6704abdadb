"""The runs of a search: whether an earlier call concluded them."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from slipway.training.tuning.record import TRIAL_TAG, Record

if TYPE_CHECKING:
    from slipway.registry.run_log import RunLog


@pytest.mark.parametrize(
    ("status", "is_cut_off"), [("RUNNING", True), ("KILLED", True), ("FAILED", True), ("FINISHED", False)]
)
def test_a_search_is_concluded_by_its_parent_run(status: str, *, is_cut_off: bool) -> None:
    """Its trials may all have ended before its picture was drawn."""
    runs = [
        SimpleNamespace(
            info=SimpleNamespace(run_id="child", status="FAILED"), data=SimpleNamespace(tags={TRIAL_TAG: "0"})
        ),
        SimpleNamespace(info=SimpleNamespace(run_id="parent", status=status), data=SimpleNamespace(tags={})),
    ]
    log = SimpleNamespace(ensure_experiment=lambda _: "1", find_runs=lambda _: runs)

    assert Record(cast("RunLog", log), "tiny", "key").is_cut_off() == is_cut_off
