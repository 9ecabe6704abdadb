"""The files of a batch: which they are, their parts, and that they stay as they were."""

from __future__ import annotations

import argparse
import functools
import itertools
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from scoring.errors import Refusal
from scoring.processes.batch import __main__ as program
from scoring.processes.batch import plan, records, rows, storage
from scoring.processes.batch.plan import Done, Part
from scoring.processes.batch.progress import Told

if TYPE_CHECKING:
    from pathlib import Path


def test_a_large_file_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into parts that together are the file, of CSV and of Parquet."""
    given = pd.DataFrame(np.random.default_rng(1).normal(size=(3000, 3)), columns=["a", "b", "c"])
    given["note"] = 'a "word",\nand another'
    given.to_csv(tmp_path / "rows.csv", index=False)
    given.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    monkeypatch.setattr(rows, "GROUPS", 20_000)
    monkeypatch.setattr(records, "read_blocks", functools.partial(records.read_blocks, size=4096))
    for name in ("rows.csv", "rows.parquet"):
        with (tmp_path / name).open("rb") as file:
            size = (tmp_path / name).stat().st_size
            cuts = rows.cut(file, name, size)

            assert len(cuts) > 2
            assert all(one[1] == other[0] for one, other in itertools.pairwise(cuts))
            assert cuts[-1][1] == (size if name == "rows.csv" else pq.ParquetFile(file).num_row_groups)


def test_a_folder_is_listed_whole_or_not_at_all(tmp_path: Path) -> None:
    """Links to files are files; one that leads to none is an error, unless its name begins with a dot."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/b.csv", "in/deep/a.csv", "c.csv"):
        (tmp_path / name).write_text("a\n1\n")
    (tmp_path / "in" / "c.csv").symlink_to(tmp_path / "c.csv")
    (tmp_path / "in" / ".#b.csv").symlink_to("nobody")
    data = storage.Folder(tmp_path / "in")

    assert [each.name for each in data.list()] == ["b.csv", "c.csv", "deep/a.csv"]
    assert [each.name for each in data.list("b.csv")] == ["b.csv"]
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "in" / "deep")
    with pytest.raises(OSError, match="a link that leads to no file"):
        data.list()


def test_a_file_that_changed_meanwhile_is_no_success(tmp_path: Path) -> None:
    """The batch is what it began with, or it does not end well."""
    data, out = storage.Folder(tmp_path / "in"), storage.Folder(tmp_path / "out")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows.csv").write_text("a\n")
    about = {"format": ""}
    batch = plan.prepare(out, about, data.list(), lambda _: [])
    (tmp_path / "in" / "rows.csv").write_text("a\n1\n")

    with pytest.raises(Refusal) as raised:
        plan.conclude(out, batch, {}, data.list())

    assert "rows.csv has changed; take another OUT" in raised.value.message
    assert not (tmp_path / "out" / plan.SUCCESS).exists()


@pytest.mark.parametrize("count", [1, 3, 9])
def test_each_part_is_in_one_share(count: int) -> None:
    """However many there are; without a step all parts are."""
    parts = [Part(number, "a.csv", f"{number}.csv", 0, 1, 1, 1) for number in range(7)]
    shares = [program.take(f"{at}/{count}", parts) for at in range(1, count + 1)]

    assert sorted(part.number for share in shares for part in share) == list(range(7))
    assert program.take("", parts) == parts
    for wrong in ("0/3", "4/3", "1", "x/2", "plans"):
        with pytest.raises(argparse.ArgumentTypeError):
            program.read_step(wrong)


def test_a_share_tells_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """With what an earlier process did of it, and without other shares; a part that is done counts once."""
    done = [Done(number, "", "", 10, 10, 0, 1, "", 0.1) for number in (0, 1)]
    told = Told([0, 2], done)
    told.count(4, 100)
    told.count(3, 100)
    told.finish(Done(2, "", "", 8, 7, 1, 1, "", 0.1))
    told.end()
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert said == [{"parts": 1, "of": 2, "rows": 14}, {"parts": 2, "of": 2, "rows": 18}]
