"""A batch of what is unusual: nothing predicted in a part, columns and names that are odd, notes that are damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import mlflow.sklearn
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from scoring import loading
from scoring import settings as server_settings
from scoring.errors import Refusal
from scoring.processes.batch import plan, rows, storage
from scoring.processes.batch.part import Scorer
from scoring.processes.batch.plan import Done, Part
from scoring.processes.batch.storage import Entry

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from scoring.models.base import Model

ROWS = pd.DataFrame({"a": [0.1, 1.0, 2.0, 3.5]})
PAIRS = pd.DataFrame({"low": [0.3, 0.1, 1.7, 4.0], "high": [1.3, 1.1, 2.7, 5.0]})


def load(place: Path, given: pd.DataFrame | np.ndarray) -> Model:
    """Return a model with two values a row, loaded as the server loads it."""
    estimator = LinearRegression().fit(given, PAIRS)
    signature = infer_signature(given, PAIRS)
    mlflow.sklearn.save_model(estimator, str(place), signature=signature, input_example=given, pip_requirements=[])
    return loading.load(server_settings.load([str(place), "--identity", '{"name": "m", "version": "3"}']))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a model with a column of doubles."""
    return load(tmp_path_factory.mktemp("model") / "m", ROWS)


def score(model: Model, file: Path, out: Path) -> Done:
    """Score a file as one part."""
    with file.open("rb") as opened:
        ((begin, end, place, weight),) = rows.cut(opened, file.name, file.stat().st_size)
    part = Part(0, file.name, file.name, begin, end, place, weight)
    *_, done = Scorer(model, storage.Folder(file.parent), storage.Folder(out), None, None, 10).score(part)
    assert isinstance(done, Done)
    return done


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_part_without_predictions_has_its_columns(model: Model, tmp_path: Path, suffix: str) -> None:
    """Those that its neighbours have, so that a folder is read as one table."""
    for name, values in (("none", ["x", "y"]), ("some", [1.5, 2.0])):
        given, file = pd.DataFrame({"id": ["1", "2"], "a": values}), tmp_path / f"{name}.{suffix}"
        given.to_csv(file, index=False) if suffix == "csv" else given.to_parquet(file, index=False)

    done = score(model, tmp_path / f"none.{suffix}", tmp_path / "out")
    score(model, tmp_path / f"some.{suffix}", tmp_path / "out")

    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    none, some = (read(tmp_path / "out" / f"{name}.{suffix}") for name in ("none", "some"))
    assert (done.rows_out, done.rejects, len(none), len(some)) == (0, 2, 0, 2)
    assert [*none] == [*some] == ["id", "prediction_0", "prediction_1", "model_version"]
    if suffix == "parquet":
        assert pq.read_schema(tmp_path / "out/none.parquet") == pq.read_schema(tmp_path / "out/some.parquet")


def test_a_nested_column_is_a_key_or_no_input(model: Model, tmp_path: Path) -> None:
    """One that the model does not take is kept as it is; one that it takes is refused."""
    pq.write_table(pa.table({"a": [0.5, 1.5], "tags": [["x", "y"], []]}), tmp_path / "kept.parquet")
    pq.write_table(pa.table({"a": [[0.5], [1.5]]}), tmp_path / "taken.parquet")

    score(model, tmp_path / "kept.parquet", tmp_path / "out")

    assert pq.read_table(tmp_path / "out/kept.parquet")["tags"].to_pylist() == [["x", "y"], []]
    with pytest.raises(Refusal, match="column a holds lists or objects"):
        score(model, tmp_path / "taken.parquet", tmp_path / "out")


def test_a_name_may_be_no_utf8(model: Model, tmp_path: Path) -> None:
    """Its output has the same name, and its rejects a readable one."""
    file = tmp_path / os.fsdecode(b"r\xff.csv")
    try:
        file.write_text("id,a\n1,x\n2,1.5\n")
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")

    score(model, file, tmp_path / "out")

    assert pd.read_csv(tmp_path / "out" / file.name)["id"].tolist() == [2]
    lines = (tmp_path / "out" / "_rejects" / f"{file.name}.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1] == r"r\udcff.csv,2,column a contains 'x': not a valid double"


def test_a_model_of_tensors_is_refused(tmp_path: Path) -> None:
    """With what takes them."""
    with pytest.raises(Refusal, match="takes tensors, not named columns: make predict"):
        Scorer(load(tmp_path / "m", ROWS.to_numpy()), storage.Folder(tmp_path), storage.Folder(tmp_path), None, None, 1)


@pytest.mark.parametrize("text", ['{"number": 0', "[]", '{"number": 0}', ""], ids=["cut off", "list", "half", "empty"])
def test_a_part_with_a_damaged_note_is_done_again(tmp_path: Path, text: str) -> None:
    """It counts as not done."""
    part = Part(0, "rows.csv", "rows.csv", 2, 4, 2, 2)
    (tmp_path / "_parts").mkdir()
    (tmp_path / part.record).write_text(text)
    (tmp_path / part.output).touch()

    assert plan.find_done(storage.Folder(tmp_path), plan.Plan("1", {}, [], [part])) == {}


def test_no_more_workers_than_parts() -> None:
    """A file has a part, and one more for each 32 MB."""
    sizes = (0, 10, plan.GROUPS - 1, plan.GROUPS, 3 * plan.GROUPS + 1)

    assert [plan.count_most([Entry("rows.csv", size, 0)]) for size in sizes] == [1, 1, 1, 2, 4]


@pytest.mark.parametrize("moment", [0.2, 0.5, 1.0])
def test_an_early_interrupt_is_no_traceback(tmp_path: Path, moment: float) -> None:
    """Ctrl-C goes to all processes of a terminal, the workers', too, which load libraries then."""
    (tmp_path / "rows.csv").write_text("a\n1\n")
    command = [sys.executable, "-m", "scoring.processes.batch", str(tmp_path / "no model")]
    command += ["--data", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "out")]
    said = "Fatal Python error"
    while "Fatal Python error" in said:  # on a busy machine, Python itself was not ready: later, then
        batch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        time.sleep(moment)
        os.killpg(batch.pid, signal.SIGINT)
        _, said = batch.communicate(timeout=60)
        moment *= 2

    assert "Traceback" not in said
    assert batch.returncode in {-signal.SIGINT, 130, 3}  # 3: it was quicker to find that there is no model
