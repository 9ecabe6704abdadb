"""Three days of requests to a real server, with drift put into one column on the third: that column, and no other."""

from pathlib import Path

import numpy as np
import pytest

from slipway.settings import BUILD
from tests.services import days
from tests.services.kit import Kit

NAME = "threedays"


def test_the_drifted_column_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None on days 1 and 2; on day 3 the column, and the prediction that follows from it, in table, report and run."""
    kit = Kit(tmp_path)
    folder = days.train(kit, NAME)
    found = days.live(kit, folder, tmp_path / "predictions", monkeypatch)
    said = kit.run("monitor", UNTIL=found[-1], MODEL_DIR=str(folder), MODEL=f"models:/{NAME}/1").splitlines()
    experiment = kit.client.get_experiment_by_name(f"{NAME}-monitoring")
    assert experiment
    run = kit.client.search_runs([experiment.experiment_id])[0]
    values = {
        metric: [each.value for each in kit.client.get_metric_history(run.info.run_id, metric)]
        for metric in ("drifted_columns", "rows", "drift.bmi", "drift.age")
    }
    report = (BUILD / "monitoring" / f"{NAME}-1.html").read_text(encoding="utf-8")

    assert [line for line in said if line.startswith("drift 2")] == [
        f"drift {found[0]}: none (1000 rows, 0 failed requests)",
        f"drift {found[1]}: none (1000 rows, 0 failed requests)",
        f"drift {found[2]}: bmi, prediction (1000 rows, 0 failed requests)",
    ]
    assert values["drifted_columns"] == [0, 0, 2]
    assert values["rows"] == [1000, 1000, 1000]
    assert np.argmax(values["drift.bmi"]) == 2
    assert max(values["drift.age"]) < 0.1
    assert "Drift in bmi, prediction" in report
    assert "http" not in report.replace("http-equiv", "")
    assert run.data.tags["slipway.monitor.drifted"] == "bmi,prediction"
