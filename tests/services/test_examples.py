"""Each example, and a folder made from one, goes the whole way on this machine: trained, promoted, served, asked.

In the embedded store and without Docker, each with the libraries of its own lock.
"""

import csv
import json
import subprocess
from pathlib import Path

import pytest
import requests

from slipway.settings import ROOT
from tests.aliases import Json
from tests.conftest import find_command
from tests.services import strokes
from tests.services.kit import Kit

KINDS = ("classifier", "regressor", "text", "image", "custom")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """Return the commands with an empty store."""
    return Kit(tmp_path_factory.mktemp("store"))


def ask(url: str, body: Json) -> Json:
    """Return a served model's predictions for a body."""
    answer = requests.post(f"{url}/invocations", json=body, timeout=60)

    assert answer.ok, answer.text
    return answer.json()["predictions"]


def test_digits_reads_what_people_draw(kit: Kit) -> None:
    """As a form's file or as the body, dark on light or light on dark, a PNG or a JPEG file, thick or thin."""
    kit.release("examples/digits")
    run = kit.client.search_runs(["1"])[0]
    losses = [metric.value for metric in kit.client.get_metric_history(run.info.run_id, "loss")]
    files = {file.path for file in kit.client.list_artifacts(run.info.run_id)}

    assert len(losses) == 20
    assert losses[-1] < losses[0] / 5
    assert {"roc.png", "confusion.png"} <= files
    with kit.serve("examples/digits") as url:
        drawn = [strokes.draw(digit) for digit in range(10)]
        by_form = [requests.post(f"{url}/predict", files={"input": file}, timeout=30).json() for file in drawn]
        light = [strokes.draw(digit, pen=28, paper="black", ink="white", form="JPEG") for digit in range(10)]
        kind = {"Content-Type": "image/jpeg"}
        by_body = [requests.post(f"{url}/predict", data=file, headers=kind, timeout=30).json() for file in light]
        blank = requests.post(f"{url}/predict", files={"input": strokes.draw(1, ink="white")}, timeout=30)

    for answers in (by_form, by_body):
        assert sum(answer["predictions"] == [digit] for digit, answer in enumerate(answers)) >= 9, answers
    assert (blank.status_code, blank.json()["message"]) == (400, "the model cannot predict these rows")


def width(row: dict[str, float]) -> float:
    """Return the width of a forecast's interval."""
    return row["high"] - row["low"]


def test_custom_forecasts_by_its_params(kit: Kit, tmp_path: Path) -> None:
    """Three numbers a row: the interval widens with its level, and the horizon adds months; a file has the same."""
    kit.release("examples/custom")
    file, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    file.write_text('shop,month,note\nnorth,2026-01-01,"a, b"\nstation,2026-02-01,\n')
    printed = kit.run("predict", MODEL="models:/custom/1", FILE=str(file), OUT=str(out), PARAMS='{"level": 0.99}')
    with out.open() as lines:
        found = list(csv.DictReader(lines))
    out.unlink()
    file.write_text("shop,month\nnowhere,2026-01-01\n")
    given = kit.environment(MODEL="models:/custom/1", FILE=str(file), OUT=str(out))
    refused = subprocess.run(find_command("predict"), cwd=ROOT, env=given, check=False, capture_output=True, text=True)
    rows = [{"shop": "north", "month": "2026-01-01"}, {"shop": "station", "month": "2026-02-01"}]
    with kit.serve("examples/custom") as url:
        short = ask(url, {"dataframe_records": rows})
        wide = ask(url, {"dataframe_records": rows, "params": {"level": 0.99}})
        long = ask(url, {"dataframe_records": rows, "params": {"horizon": 2}})
        later = ask(url, {"dataframe_records": [{**rows[0], "month": "2026-02-01"}]})

    assert [list(row) for row in short] == [["expected", "low", "high"]] * 2
    assert all(row["low"] < row["expected"] < row["high"] for row in short)
    assert [row["expected"] for row in wide] == [row["expected"] for row in short]
    assert wide[0]["high"] - wide[0]["low"] > 1.5 * (short[0]["high"] - short[0]["low"])
    assert long[0]["expected"] == pytest.approx(short[0]["expected"] + later[0]["expected"])
    assert f"wrote {out}: 2 rows of rows.csv" in printed
    assert [row["note"] for row in found] == ["a, b", ""]
    assert refused.returncode == 1
    assert "does not predict rows.csv: see the error above" in refused.stderr
    assert " (rows 1 to 1): no such shop: nowhere; known: harbour, north, station" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    assert [float(row["prediction_high"]) for row in found] == [row["high"] for row in wide]


def test_agent_answers_whole_or_in_pieces(kit: Kit) -> None:
    """The pieces of a stream are the whole answer."""
    kit.release("examples/agent")
    asked = {"input": [{"role": "user", "content": "What does a lost card cost?"}]}
    with kit.serve("examples/agent") as url:
        whole = requests.post(f"{url}/invocations", json=asked, timeout=60).json()
        stream = requests.post(f"{url}/invocations", json={**asked, "stream": True}, timeout=60)

    text = whole["output"][0]["content"][0]["text"]
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
    pieces = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert text == "A lost card is blocked at the desk at once; a new one costs 5 euros."
    assert len(pieces) > 5
    assert "".join(pieces) == text


def test_wine_forest_takes_words(kit: Kit) -> None:
    """It tells the grapes of its own rows apart, and a word that it does not know is no error."""
    kit.release("examples/wine-forest", TRAIN_ARGS="--trees 30")
    with (ROOT / "examples" / "wine-forest" / "data.csv").open() as file:
        rows = [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]
    with kit.serve("examples/wine-forest") as url:
        found = ask(url, {"dataframe_records": rows})
        shares = ask(url, {"dataframe_records": [{**rows[0], "colour": "blue"}], "params": {"method": "predict_proba"}})

    assert sum(one == row["grape"] for one, row in zip(found, rows, strict=True)) / len(rows) > 0.97
    assert sum(shares[0]) == pytest.approx(1)
    assert shares[0][1] > 0.5  # Barbera, Barolo, Grignolino


def test_boosted_stops_early(kit: Kit) -> None:
    """Autolog logs a loss for each round until there was none better for twenty, and the model serves."""
    kit.release("examples/boosted")
    (experiment,) = kit.client.search_experiments(filter_string="name = 'boosted'")
    run = kit.client.search_runs([experiment.experiment_id])[0]
    rounds = kit.client.get_metric_history(run.info.run_id, "valid_0-binary_logloss")
    example = kit.run("list_models", MODEL_DIR="examples/boosted", FORMAT="json")
    request = json.loads((ROOT / "examples" / "boosted" / "request.json").read_text())
    with kit.serve("examples/boosted") as url:
        found = ask(url, request)

    assert run.data.metrics["best_iteration"] == run.data.metrics["stopped_iteration"] - 20
    assert len(rounds) < 300
    assert '"boosted"' in example
    assert set(found) <= {0, 1}


def test_text_gives_a_probability_for_each_label(kit: Kit) -> None:
    """Of a line that it never saw."""
    kit.release("examples/text")
    rows = [{"message": text} for text in ("my parcel never came", "you charged my card twice", "the app crashes")]
    with kit.serve("examples/text") as url:
        found = ask(url, {"dataframe_records": rows})
        shares = ask(url, {"dataframe_records": rows, "params": {"method": "predict_proba"}})

    assert found == ["delivery", "payment", "technical"]
    assert [row.index(max(row)) for row in shares] == [0, 1, 2]
    assert [sum(row) for row in shares] == pytest.approx([1] * 3)


@pytest.mark.parametrize(
    "kind",
    [
        "classifier",
        *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("regressor", "text", "image", "custom")),
    ],
)
def test_a_new_model_is_served_by_four_commands(kit: Kit, tmp_path: Path, kind: str) -> None:
    """Make new_model, train_model, promote, serve_model: without an edit, in a folder of the user's own."""
    folder = tmp_path / f"my-{kind}"
    kit.run("new_model", NAME=str(folder), KIND=kind)
    kit.release(str(folder))
    with kit.serve(str(folder)) as url:
        found = ask(url, json.loads((folder / "request.json").read_text()))

    assert len(found) >= 3


def _number(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value
