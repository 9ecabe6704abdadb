"""A file's rows are predicted as the server would, chunk after chunk, and all its columns are kept."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from scoring import loading
from scoring import settings as server_settings
from scoring.bounds import Bounds
from scoring.errors import Refusal
from scoring.processes import files
from scoring.processes.columns import to_columns

if TYPE_CHECKING:
    from pathlib import Path

    from scoring.models.base import Model

ROWS = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1, 0, 1, 0]})
LABELS = ["no", "no", "yes", "yes"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier with a column of floats and one of integers."""
    place = tmp_path_factory.mktemp("model") / "m"
    estimator = LogisticRegression().fit(ROWS, LABELS)
    mlflow.sklearn.save_model(
        estimator, str(place), signature=infer_signature(ROWS, LABELS), input_example=ROWS, pip_requirements=[]
    )
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    """Return the classifier, loaded as the server loads it."""
    return loading.load(server_settings.load([str(folder)]))


def predict(model: Model, file: Path, form: str = "csv", **given: Any) -> bytes:  # noqa: ANN401 -- options
    """Return what is written for a file."""
    options = argparse.Namespace(**{"file": file, "form": form, "params": "", "limit": 0, **given})
    sink = io.BytesIO()
    files.run(model, options, sink, Bounds())
    return sink.getvalue()


def write(path: Path, text: str) -> Path:
    """Write a text file."""
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_a_csv_keeps_its_words_and_its_other_columns(model: Model, tmp_path: Path) -> None:
    """In their order, with quotes and ends of lines in them; empty lines are no rows."""
    file = write(tmp_path / "rows.csv", 'id,b,a,note\n007,1,0.0,"x, ""y"""\n\n008,0,3.00,"two\nlines"\n')

    assert predict(model, file).decode() == (
        'id,b,a,note,prediction\n007,1,0.0,"x, ""y""",no\n008,0,3.00,"two\nlines",yes\n'
    )


def test_what_json_lacks_is_text(model: Model, tmp_path: Path) -> None:
    """Decimals and durations of other columns."""
    others = {"price": [Decimal("1.10")] * 4, "time": pd.to_timedelta([1] * 4, unit="s")}
    ROWS.assign(**others).to_parquet(tmp_path / "rows.parquet")

    first = json.loads(predict(model, tmp_path / "rows.parquet", "json"))[0]

    assert (first["price"], first["time"]) == ("1.10", "0 days 00:00:01")


def test_more_values_than_names_are_refused(model: Model, tmp_path: Path) -> None:
    """Else each value would be taken for the column before its own."""
    file = write(tmp_path / "rows.csv", "a,b\n1.0,1,5\n2.0,1,5\n")

    with pytest.raises(Refusal, match="more values than the header has columns"):
        predict(model, file)


def test_many_chunks_give_what_one_gives(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the form that is read and written."""
    rows = pd.DataFrame({"a": np.linspace(-3, 6, 101), "b": np.arange(101) % 2, "word": [f"w{n}" for n in range(101)]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.to_parquet(tmp_path / "rows.parquet")
    whole = {form: predict(model, tmp_path / "rows.csv", form) for form in files.FORMS}
    monkeypatch.setattr(files, "ROWS", 7)

    for source in ("rows.csv", "rows.parquet"):
        chunked = {form: predict(model, tmp_path / source, form) for form in files.FORMS}
        assert read(chunked["parquet"], tmp_path).equals(read(whole["parquet"], tmp_path))
        assert json.loads(chunked["json"]) == json.loads(whole["json"])
    found = json.loads(whole["json"])
    estimator = LogisticRegression().fit(ROWS, LABELS)
    assert [row["prediction"] for row in found] == estimator.predict(rows[["a", "b"]]).tolist()
    assert [row["word"] for row in found] == rows["word"].tolist()
    assert predict(model, tmp_path / "rows.csv").count(b"prediction") == 1


def test_a_parquet_column_has_one_type(tmp_path: Path) -> None:
    """One that is empty in the first rows may have words later; one that has numbers may not."""
    sink = io.BytesIO()
    writer = files.Writer("parquet", sink)
    writer.write(pd.DataFrame({"word": [None], "number": [1]}))
    writer.write(pd.DataFrame({"word": ["late"], "number": [2]}))
    with pytest.raises(Refusal, match="a column has no one type"):
        writer.write(pd.DataFrame({"word": ["x"], "number": ["y"]}))
    writer.close()

    assert read(sink.getvalue(), tmp_path)["word"].tolist()[1] == "late"


def read(data: bytes, scratch: Path) -> pd.DataFrame:
    """Return the rows of a Parquet file."""
    (scratch / "read.parquet").write_bytes(data)
    return pd.read_parquet(scratch / "read.parquet")


def test_a_request_is_read_as_the_server_reads_it(model: Model, tmp_path: Path) -> None:
    """With its params: the columns of probabilities bear the labels."""
    body = {"dataframe_records": [{"a": 0.0, "b": 1}], "params": {"method": "predict_proba"}}
    (row,) = json.loads(predict(model, write(tmp_path / "rows.json", json.dumps(body)), "json"))

    assert list(row) == ["a", "b", "prediction_no", "prediction_yes"]
    assert row["prediction_no"] + row["prediction_yes"] == pytest.approx(1)
    assert row["prediction_no"] > 0.5


def test_only_the_first_rows_are_read_when_no_more_are_asked(model: Model, tmp_path: Path) -> None:
    """A later row that is wrong is not met."""
    file = write(tmp_path / "rows.csv", "a,b\n0,1\n1,0\nwrong,0\n")

    assert len(json.loads(predict(model, file, "json", limit=2))) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\n1\n", "columns that the model needs are missing: b"),
        ("a,b\n,\n \n\nwrong,0\n", "column b contains '' in row 1: not a valid long"),
        ("b,a,c\n1,,\n \n\n0,wrong,1\n", "column a contains 'wrong' in row 2: not a valid double"),
        ("a,b\nNA,1\n1e5,2.5\n", "column b contains '2.5' in row 2: not a valid long"),
        ("a,b\n0,1\n1,2,3,4\n", "the CSV cannot be read as a table with the model's columns and types (rows 1 to 2)"),
        ("a,b\n", "the file has no rows"),
        ("", "the file has no rows"),
        ("a,b,prediction\n1,1,yes\n", "the file has a column prediction already: rename it"),
    ],
    ids=[
        "a column missing",
        "no integer",
        "a word, blank lines before it",
        "a fraction for an integer",
        "a long line",
        "no rows",
        "empty",
        "a prediction",
    ],
)
def test_rows_that_do_not_fit_are_named(model: Model, tmp_path: Path, text: str, words: str) -> None:
    """The error says which, and what is wrong with them."""
    with pytest.raises(Refusal) as raised:
        predict(model, write(tmp_path / "rows.csv", text))

    assert raised.value.message == words


@pytest.mark.parametrize("name", ["rows.parquet", "rows.json"])
def test_what_is_no_such_file_is_refused(model: Model, tmp_path: Path, name: str) -> None:
    """Whatever its name says."""
    with pytest.raises(Refusal):
        predict(model, write(tmp_path / name, "a,b\n1,2\n"))


def test_the_program_prints_predictions_alone(folder: Path, tmp_path: Path) -> None:
    """To stdout; how many rows, and errors, to stderr, with an exit code."""
    file = write(tmp_path / "rows.csv", "a,b\n0,1\n")
    command = [sys.executable, "-W", "ignore", "-m", "scoring.processes.files", str(folder), "--file"]
    done = subprocess.run([*command, str(file)], check=False, capture_output=True, text=True)
    refused = subprocess.run([*command, str(tmp_path / "no.csv")], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "a,b,prediction\n0,1,no\n", "rows: 1\n")
    assert refused.returncode == 1
    assert refused.stderr == "error: the file cannot be read: FileNotFoundError\n"


@pytest.mark.parametrize(
    ("predictions", "columns"),
    [
        (np.array([1, 2]), {"prediction": [1, 2]}),
        (np.array([[1], [2]]), {"prediction": [1, 2]}),
        (np.array([[1, 2], [3, 4]]), {"prediction_0": [1, 3], "prediction_1": [2, 4]}),
        (np.zeros((2, 1, 2)), {"prediction": [[[0.0, 0.0]], [[0.0, 0.0]]]}),
        (pd.Series([1, 2], index=[5, 6]), {"prediction": [1, 2]}),
        (pd.DataFrame({"x": [1, 2]}, index=[5, 6]), {"prediction": [1, 2]}),
        (pd.DataFrame({"x": [1], "y": [2]}), {"prediction_x": [1], "prediction_y": [2]}),
        ([{"x": 1, "y": 2}], {"prediction_x": [1], "prediction_y": [2]}),
        ({"x": np.array([1, 2]), "y": [3, 4]}, {"prediction_x": [1, 2], "prediction_y": [3, 4]}),
        (["one", "two"], {"prediction": ["one", "two"]}),
    ],
    ids=["array", "column", "matrix", "tensor", "series", "frame of one", "frame", "objects", "arrays", "texts"],
)
def test_predictions_become_columns(predictions: object, columns: dict[str, list[object]]) -> None:
    """One value a row is `prediction`, several are called by their names or places."""
    assert to_columns(predictions).to_dict(orient="list") == columns


@pytest.mark.parametrize("answer", ["a text", {"answer": "a text"}, 3, None])
def test_an_answer_without_rows_has_no_columns(answer: object) -> None:
    """It is refused."""
    with pytest.raises(Refusal, match=r"write a \.json file"):
        to_columns(answer)
