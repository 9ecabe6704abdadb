"""The run that a batch logs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slipway.serving import batch


class FakeLog:
    """Stands for the registry, with the runs that it was given, and notes what is asked of it."""

    uri = ""

    def __init__(self, *runs: Any) -> None:  # noqa: ANN401 -- MLflow's
        self.runs, self.asked = runs, list[tuple[Any, ...]]()

    def find_runs(self, _: str) -> tuple[Any, ...]:
        """Return all."""
        return self.runs

    def find_run(self, _: str) -> Any:  # noqa: ANN401 -- MLflow's
        """Return the run that made the model."""
        return SimpleNamespace(info=SimpleNamespace(experiment_id="1"))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- a method
        """Return a method that notes how it is called."""
        return lambda *given: self.asked.append((name, *given))


@pytest.mark.parametrize(("status", "asked"), [("RUNNING", True), ("FINISHED", False)])
def test_a_run_that_was_cut_off_is_logged_anew(monkeypatch: pytest.MonkeyPatch, status: str, *, asked: bool) -> None:
    """And deleted; one that is finished stays the only one."""
    log = FakeLog(SimpleNamespace(info=SimpleNamespace(run_id="old", status=status)))
    monkeypatch.setattr(batch, "RunLog", lambda _: log)
    model = SimpleNamespace(run_id="r", name="m", uri="models:/m/1", model_id="")
    prepared: Any = SimpleNamespace(registry=log, model=model)

    batch.log_run(prepared, {}, {"id": "b", **dict.fromkeys(batch.METRICS, 1)})

    assert (("delete_run", "old") in log.asked) == asked
    assert ("begin_run" in [each[0] for each in log.asked]) == asked
