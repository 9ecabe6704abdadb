"""The runs of a search: whether an earlier call concluded them."""

from types import SimpleNamespace

import pytest

from slipway.registry.run_log import RunLog
from slipway.settings import Settings
from slipway.training.tuning.record import TRIAL_TAG, Record
from slipway.training.tuning.site import Here


@pytest.mark.parametrize(
    ("status", "is_cut_off"), [("RUNNING", True), ("KILLED", True), ("FAILED", True), ("FINISHED", False)]
)
def test_a_search_is_concluded_by_its_parent_run(
    status: str, *, is_cut_off: bool, host_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trials may all have ended before its picture was drawn."""
    runs = [
        SimpleNamespace(
            info=SimpleNamespace(run_id="child", status="FAILED"), data=SimpleNamespace(tags={TRIAL_TAG: "0"})
        ),
        SimpleNamespace(info=SimpleNamespace(run_id="parent", status=status), data=SimpleNamespace(tags={})),
    ]
    log = SimpleNamespace(find_runs=lambda _: runs)
    monkeypatch.setattr(RunLog, "connect", lambda _: log)

    assert Record(Here(host_settings), "tiny", "key").is_cut_off() == is_cut_off
