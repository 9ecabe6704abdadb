"""What a training says of its version beside the champion, and what it tells to type next."""

from pathlib import Path

import pytest

from slipway import ports, settings
from slipway.model_folder import ModelFolder, Rules
from slipway.training import gate, measurements, summary
from slipway.training.measurements import Measured
from tests.conftest import changed

MODEL = ModelFolder(Path("model"), "m", "rmse", "minimize", Rules("validation_rmse", "minimize"))
OLD = Measured({"rmse": 1.0, "validation_rmse": 5.0}, data="rows")


@pytest.mark.parametrize(
    ("new", "kind", "passed"),
    [
        (Measured({"rmse": 2.0, "validation_rmse": 4.0}, data="rows"), "better", True),
        (Measured({"rmse": 0.5, "validation_rmse": 6.0}, data="rows"), "worse", False),
        (Measured({"rmse": 0.5, "validation_rmse": float("nan")}, data="rows"), "not a number", False),
        (Measured({"rmse": 0.5, "validation_rmse": 4.0}, data="others"), "not comparable", False),
    ],
    ids=["better by the gate's metric alone", "worse by it", "NaN", "other rows"],
)
def test_one_verdict_is_shown_everywhere(
    new: Measured, kind: str, passed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gate's metric decides, whatever another says, and the line has both values and the outcome of a promotion."""
    verdict = measurements.judge(MODEL, {2: new, 1: OLD}, 2, 1)
    summary.say_verdict(verdict)
    printed = capsys.readouterr().out

    assert (verdict.kind, verdict.passed) == (kind, passed)
    assert ("would go on to the smoke test" if passed else "would refuse it") in printed
    if verdict.ranks:
        assert "the champion's (version 1) 5" in printed
        assert f"validation_rmse {new.metrics['validation_rmse']:g}" in printed


@pytest.mark.parametrize(
    ("kind", "passed", "command"),
    [("better", True, "promote"), ("first model", True, "serve_model"), ("worse", False, "serve_model")],
    ids=["better", "the first", "worse"],
)
def test_what_makes_sense_comes_next(monkeypatch: pytest.MonkeyPatch, kind: str, passed: bool, command: str) -> None:
    """What is better is promoted; a first model is tried, and so is one that would be refused."""
    monkeypatch.setenv("RUNTIME", "host")
    here = changed(settings.load(), services={"deployer_port": ports.find_free()})  # where no deployer is

    assert summary.choose_next(here, MODEL, gate.Verdict(kind, "", passed=passed)) == command
