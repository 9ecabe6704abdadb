"""Three days of requests to a real server, with drift put into one column on the third: that column, and no other."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import requests
from sklearn.datasets import load_diabetes

from slipway.settings import BUILD, ROOT
from tests.services.kit import Kit

NAME, DAY_S = "threedays", 86400


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """Return the commands, with a store in which a folder's model is trained."""
    kit = Kit(tmp_path_factory.mktemp("store"))
    folder = kit.store / NAME
    shutil.copytree(ROOT / "model", folder, ignore=shutil.ignore_patterns("__pycache__", "request.json", "kubernetes"))
    text = (folder / "model.toml").read_text(encoding="utf-8")
    (folder / "model.toml").write_text(text.replace('name = "diabetes"', f'name = "{NAME}"'), encoding="utf-8")
    trained = kit.run("train_model", MODEL_DIR=str(folder), TRAIN_ARGS="--repeats 1")

    assert "reference of 353 rows for make monitor" in trained
    return kit


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


def test_the_drifted_column_and_no_other(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None on days 1 and 2; on day 3 the column, and the prediction that follows from it, in table, report and run."""
    predictions = tmp_path / "predictions"
    monkeypatch.setenv("PREDICTION_LOG", "1")
    monkeypatch.setenv("PREDICTION_LOG_DIR", str(predictions))
    for day in range(3):
        monkeypatch.setenv("SCORING_CLOCK_OFFSET_S", str(day * DAY_S))
        with kit.serve(str(kit.store / NAME), f"models:/{NAME}/1") as url:
            ask(url, day, 0.06 if day == 2 else 0.0)
    monkeypatch.delenv("SCORING_CLOCK_OFFSET_S")
    days = sorted(path.name.removeprefix("day=") for path in predictions.glob(f"model={NAME}/version=1/day=*"))
    folder = {"MODEL_DIR": str(kit.store / NAME), "MODEL": f"models:/{NAME}/1"}
    said = kit.run("monitor", UNTIL=days[-1], **folder).splitlines()
    experiment = kit.client.get_experiment_by_name(f"{NAME}-monitoring")
    assert experiment
    run = kit.client.search_runs([experiment.experiment_id])[0]
    values = {
        metric: [each.value for each in kit.client.get_metric_history(run.info.run_id, metric)]
        for metric in ("drifted_columns", "rows", "drift.bmi", "drift.age")
    }
    report = (BUILD / "monitoring" / f"{NAME}-1.html").read_text(encoding="utf-8")

    assert [line for line in said if line.startswith("drift 2")] == [
        f"drift {days[0]}: none (1000 rows, 0 failed requests)",
        f"drift {days[1]}: none (1000 rows, 0 failed requests)",
        f"drift {days[2]}: bmi, prediction (1000 rows, 0 failed requests)",
    ]
    assert values["drifted_columns"] == [0, 0, 2]
    assert values["rows"] == [1000, 1000, 1000]
    assert np.argmax(values["drift.bmi"]) == 2
    assert max(values["drift.age"]) < 0.1
    assert "Drift in bmi, prediction" in report
    assert "http" not in report.replace("http-equiv", "")
    assert run.data.tags["slipway.monitor.drifted"] == "bmi,prediction"
