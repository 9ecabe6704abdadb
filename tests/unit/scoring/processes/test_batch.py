"""A batch predicts what the model predicts, row by row, whatever it is killed by, and sets aside what is wrong."""

from __future__ import annotations

import csv
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from scoring import loading
from scoring import settings as server_settings
from scoring.bounds import Bounds
from scoring.codecs import csv_body
from scoring.errors import Refusal
from scoring.processes.batch import plan, rows, storage, writers
from scoring.processes.batch.part import Scorer, TooManyError
from scoring.processes.batch.plan import Done, Part
from tests.polling import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from scoring.models.base import Model

ROWS = pd.DataFrame({"a": [0.1, 1.0, 2.0, 3.5], "b": [1, 0, 1, 7]})
MOMENTS = 4  # at which a batch is killed


@pytest.fixture(scope="module")
def estimator() -> LinearRegression:
    """Return what the model was made of."""
    return LinearRegression().fit(ROWS, [0.3, 0.1, 1.7, 4.0])


@pytest.fixture(scope="module")
def folder(estimator: LinearRegression, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model with a column of doubles and one of integers."""
    place = tmp_path_factory.mktemp("model") / "m"
    signature = infer_signature(ROWS, estimator.predict(ROWS))
    mlflow.sklearn.save_model(estimator, str(place), signature=signature, input_example=ROWS, pip_requirements=[])
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    """Return the model, loaded as the server loads it."""
    return loading.load(server_settings.load([str(folder), "--identity", '{"name": "m", "version": "3"}']))


def score(model: Model, file: Path, out: Path, keys: list[str] | None = None, most: int = 10) -> Done:
    """Score a file as one part."""
    data, size = storage.Folder(file.parent), file.stat().st_size
    with file.open("rb") as opened:
        ((begin, end, place, weight),) = rows.cut(opened, file.name, size)
    part = Part(0, file.name, file.name, begin, end, place, weight)
    *_, done = Scorer(model, data, storage.Folder(out), keys, None, most).score(part)
    assert isinstance(done, Done)
    return done


def make_rows(count: int) -> pd.DataFrame:
    """Return rows with keys that need quotes in CSV."""
    random_ = np.random.default_rng(1)
    frame = pd.DataFrame({"id": [f"{n:07}" for n in range(count)], "a": random_.normal(size=count)})
    return frame.assign(b=random_.integers(-5, 5, count), note='a "word",\nand another')


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_each_row_gets_what_the_model_predicts(
    model: Model, estimator: LinearRegression, tmp_path: Path, suffix: str
) -> None:
    """Beside its keys as they were, in their order, with the version; to the bit, in CSV too."""
    given, file = make_rows(5000), tmp_path / f"rows.{suffix}"
    given.to_csv(file, index=False) if suffix == "csv" else given.to_parquet(file, index=False, row_group_size=900)

    done = score(model, file, tmp_path / "out")

    out = tmp_path / "out" / file.name
    kinds = {"id": str, "model_version": str}
    found = pd.read_csv(out, dtype=kinds) if suffix == "csv" else pd.read_parquet(out)
    assert (done.rows_in, done.rows_out, done.rejects) == (5000, 5000, 0)
    assert list(found) == ["id", "note", "prediction", "model_version"]
    assert found["id"].tolist() == given["id"].tolist()
    assert set(found["note"]) == {'a "word",\nand another'}
    assert found["prediction"].tolist() == estimator.predict(given[["a", "b"]]).tolist()
    assert set(found["model_version"]) == {"3"}


def test_wrong_rows_lie_beside(model: Model, tmp_path: Path) -> None:
    """Each with the line that an editor shows, and why; all others are predicted."""
    file = tmp_path / "rows.csv"
    file.write_text('id,a,b\n1,0.5,1\n\n2,wrong,1\n"3\n",0.5,2.5\n4,,1\n5,1,1\n6,1,\n')

    done = score(model, file, tmp_path / "out")

    with (tmp_path / "out" / "_rejects" / "rows.csv.csv").open() as opened:
        rejects = list(csv.reader(opened))
    assert (done.rows_in, done.rows_out, done.rejects) == (6, 2, 4)
    assert [row.split(",")[0] for row in (tmp_path / "out" / "rows.csv").read_text().splitlines()] == ["id", "1", "5"]
    assert rejects[0] == ["file", "line", "reason"]
    assert [row[1] for row in rejects[1:]] == ["4", "5", "7", "9"]
    assert rejects[1][2] == "column a contains 'wrong': not a valid double"
    assert rejects[2][2] == "column b contains '2.5': not a valid long"
    assert "NaN" in rejects[3][2]
    with pytest.raises(TooManyError, match="column a contains 'wrong'"):
        score(model, file, tmp_path / "out", most=3)


def test_wrong_rows_of_parquet_are_numbered(model: Model, tmp_path: Path) -> None:
    """From 1, over row groups."""
    given = make_rows(50)
    given.loc[41, "a"] = np.inf
    given.to_parquet(tmp_path / "rows.parquet", row_group_size=20)

    done = score(model, tmp_path / "rows.parquet", tmp_path / "out")

    assert (done.rows_out, done.rejects) == (49, 1)
    assert "\nrows.parquet,42,the model cannot predict it" in (tmp_path / "out/_rejects/rows.parquet.csv").read_text()


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("id,a\n1,2\n", None, "columns that the model needs are missing: b"),
        ("id,a,b\n1,2,3\n", ["name"], "columns that KEYS names are missing: name"),
        ("id,a,b,b\n1,2,3,4\n", None, "column 'b' appears twice"),
        ("prediction,a,b\n1,2,3\n", None, "the file has a column prediction already: rename it, or leave it out"),
    ],
    ids=["a column missing", "a key missing", "a name twice", "a name of ours"],
)
def test_a_file_that_does_not_fit_is_refused(
    model: Model, tmp_path: Path, text: str, keys: list[str] | None, words: str
) -> None:
    """As a whole, and leaves nothing."""
    (tmp_path / "rows.csv").write_text(text)

    with pytest.raises(Refusal) as raised:
        score(model, tmp_path / "rows.csv", tmp_path / "out", keys)

    assert raised.value.message.startswith(words)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_keys_may_be_inputs(model: Model, tmp_path: Path) -> None:
    """Their very words are kept; * is all."""
    (tmp_path / "rows.csv").write_text("id,a,b\nx,1.50,2\n")

    score(model, tmp_path / "rows.csv", tmp_path / "out", ["*"])

    assert (tmp_path / "out" / "rows.csv").read_text().startswith("id,a,b,prediction,model_version\nx,1.50,2,")


@pytest.mark.parametrize("has_pyarrow", [True, False], ids=["pyarrow", "pandas"])
def test_a_stray_quote_loses_no_row(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_pyarrow: bool
) -> None:
    """Nor does a column without a name, as pandas writes its index."""
    if not has_pyarrow:
        monkeypatch.setattr(rows, "pa", None)
        monkeypatch.setattr(writers, "pa", None)
    (tmp_path / "rows.csv").write_text(',note,a,b\n1,x,1.0,1\n2,5" pipe,2.0,1\n3,b,bad,1\n4,c,3.0,1\n')

    done = score(model, tmp_path / "rows.csv", tmp_path / "out")

    assert (done.rows_in, done.rows_out, done.rejects) == (4, 3, 1)
    assert pd.read_csv(tmp_path / "out/rows.csv").iloc[:, 0].tolist() == [1, 2, 4]
    assert "\nrows.csv,4,column a" in (tmp_path / "out/_rejects/rows.csv.csv").read_text()


@pytest.mark.parametrize("row", ["1,0x10", "+1.5,+2", " 2 , 3 ", "1e5,1e1", "inf,1", "nan,1", "1,9999999999999999999"])
def test_numbers_are_read_as_the_server_reads_them(model: Model, tmp_path: Path, row: str) -> None:
    """What pyarrow alone would take for a number, and what pandas alone does."""
    (tmp_path / "rows.csv").write_text(f"a,b\n{row}\n")
    try:
        table = csv_body.read(f"a,b\n{row}\n".encode(), model.signature.columns or (), Bounds())
        expected = [f"{each!r},3" for each in model.predict([table], *model.default).tolist()]
    except (Refusal, ValueError):
        expected = []

    score(model, tmp_path / "rows.csv", tmp_path / "out")

    assert (tmp_path / "out" / "rows.csv").read_text().splitlines()[1:] == expected


def run(folder: Path, data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """Start a batch."""
    command = [sys.executable, "-W", "ignore", "-m", "scoring.processes.batch", str(folder)]
    command += ["--data", str(data), "--out", str(out), *options]
    identity = {"SCORING_IDENTITY": json.dumps({"name": "m", "version": "3"}), "SCORING_WORKERS": "2"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env={**os.environ, **identity}, stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """Return the totals of a batch, and what it said."""
    out, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return json.loads(out), said


def write_inputs(place: Path, count: int, files: int) -> pd.DataFrame:
    """Write CSV files with some wrong rows, and return all rows."""
    (place / "deep").mkdir(parents=True)
    given = make_rows(count)
    for at, part in enumerate(np.array_split(given.index, files)):
        text = given.loc[part].to_csv(index=False)
        (place / ("deep" if at % 2 else "") / f"rows{at}.csv").write_text(text + "wrong,x,1,\n")
    return given


@pytest.mark.thorough
def test_a_killed_batch_goes_on(folder: Path, estimator: LinearRegression, tmp_path: Path) -> None:
    """At whatever moment it is killed: no row is twice, none is missing, and what was done is not done again."""
    given, out = write_inputs(tmp_path / "in", 40_000, 8), tmp_path / "out"
    for moment in range(MOMENTS):
        process = run(folder, tmp_path / "in", out)
        parts = functools.partial(lambda most: len(list(out.glob("_parts/?????.json"))) >= most, moment)
        wait_until(parts, 60, lambda: "no part is done", process=process)
        time.sleep(random.uniform(0, 0.3))  # noqa: S311 -- no secret
        process.send_signal(signal.SIGKILL)
        process.communicate()
    records_ = [json.loads(path.read_text()) for path in out.glob("_parts/?????.json")]
    before = {each["output"]: (out / each["output"]).stat().st_mtime_ns for each in records_}
    total, said = finish(run(folder, tmp_path / "in", out))

    outputs = sorted((tmp_path / "out").rglob("rows?.csv"))
    found = pd.concat([pd.read_csv(path, dtype={"id": str}) for path in outputs])
    assert (total["rows_in"], total["rows_out"], total["rejects"]) == (40_008, 40_000, 8)
    assert sorted(found["id"]) == given["id"].tolist()
    assert np.allclose(found.sort_values("id")["prediction"], estimator.predict(given[["a", "b"]]), rtol=1e-12, atol=0)
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before
    assert (f"{len(before)} of 8 parts are done already" in said) == bool(before)
    names = ["_SUCCESS", "_manifest.json", "_parts", "_plan.json", "_rejects", "deep"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *names,
        *(f"rows{n}.csv" for n in (0, 2, 4, 6)),
    ]
    assert not list((tmp_path / "out").rglob(f"*{storage.UNFINISHED}"))
    assert (tmp_path / "out/_rejects/rows0.csv.csv").read_text().count("column a contains 'x'") == 1
    manifest = json.loads((tmp_path / "out" / plan.MANIFEST).read_text())
    assert {each["name"]: each["rows_in"] for each in manifest["files"]}["deep/rows1.csv"] == 5001


def test_what_is_done_is_not_done_again(folder: Path, tmp_path: Path) -> None:
    """A lost output is; another input, or other settings, are refused; Ctrl-C ends it."""
    write_inputs(tmp_path / "in", 200, 2)
    data, out = tmp_path / "in", tmp_path / "out"
    interrupted = run(folder, data, out)
    wait_until((out / plan.PLAN).exists, 60, lambda: "no plan", process=interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=30)
    assert (interrupted.returncode, "Traceback" in said) == (130, False)
    first, _ = finish(run(folder, data, out))
    (out / "rows0.csv").unlink()
    second, said = finish(run(folder, data, out))
    assert (first["parts_now"], second["parts_now"]) == (2, 1)
    assert {**first, "parts_now": 0, "seconds": 0} == {**second, "parts_now": 0, "seconds": 0}
    assert "1 of 2 parts are done already" in said
    for options, words in (
        (["--keys", '["id"]'], 'OUT holds a batch with another keys: null, not ["id"]'),
        (["--identity", '{"name": "m", "version": "4"}'], "OUT holds a batch with another model: m 3"),
    ):
        other = run(folder, data, out, *options)
        _, said = other.communicate(timeout=60)
        assert (other.returncode, words in said) == (1, True), said
    (data / "rows0.csv").write_text("id,a,b\n1,1,1\n")
    other = run(folder, data, out)
    _, said = other.communicate(timeout=60)
    assert (other.returncode, "OUT holds a batch with another input: rows0.csv has changed" in said) == (1, True), said
    (data / "rows0.csv").unlink()
    shutil.rmtree(out)
    finish(run(folder, data, out))
    fewer = run(folder, data, out, "--max-rejects", "0")
    _, said = fewer.communicate(timeout=60)
    assert (fewer.returncode, "1 rows are not predicted already, more than 0 (MAX_REJECTS)" in said) == (1, True), said
    shutil.rmtree(out)
    none = run(folder, data, out, "--max-rejects", "0")
    _, said = none.communicate(timeout=60)
    assert none.returncode == 1
    assert "more than 0 rows are not predicted (MAX_REJECTS); one of them: column a contains 'x'" in said
    assert not (out / plan.SUCCESS).exists()
