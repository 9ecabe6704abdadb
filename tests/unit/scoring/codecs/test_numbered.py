"""Columns named 0, 1, 2, as those of a table that pandas makes of a matrix, in every form of input."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
import pytest

from scoring.bounds import DEFAULT
from scoring.codecs import csv_body, mlflow_forms, open_inference, parquet_body, tensors
from scoring.errors import Refusal
from scoring.models import rows as table
from scoring.models.signature import Column

COLUMNS = [Column(at, "double") for at in range(3)]  # type: ignore[arg-type] # MLflow allows it
ROWS: list[list[float]] = [[0.5, 1.5, 2.5], [3, 4, 5]]
BY_COLUMN = {str(at): [row[at] for row in ROWS] for at in range(3)}
RIGHT: dict[str, dict[str, Any]] = {
    "split": {"dataframe_split": {"columns": [0, 1, 2], "data": ROWS}},
    "split, texts": {"dataframe_split": {"columns": ["2", "1", "0"], "data": [row[::-1] for row in ROWS]}},
    "records": {"dataframe_records": [dict(zip("012", row, strict=True)) for row in ROWS]},
    "instances": {"instances": ROWS},
    "instances, objects": {"instances": [dict(zip("012", row, strict=True)) for row in ROWS]},
    "inputs": {"inputs": ROWS},
    "inputs, more columns": {"inputs": [[*row, 9] for row in ROWS]},
    "inputs by column": {"inputs": BY_COLUMN},
}
WRONG: dict[str, dict[str, Any]] = {
    "one missing": {"inputs": [row[:2] for row in ROWS]},
    "ragged": {"inputs": [ROWS[0], ROWS[1][:2]]},
    "text": {"inputs": [[0.5, 1.5, "x"]]},
    "lists": {"inputs": [[[0.5], [1.5], [2.5]]]},
    "scalars": {"inputs": [0.5, 1.5, 2.5]},
    "no rows": {"inputs": []},
    "empty rows": {"inputs": [[]]},
    "other names": {"dataframe_records": [dict(zip("abc", ROWS[0], strict=True))]},
}


def _is_read(rows: table.Table) -> bool:
    frame = table.frame([rows], COLUMNS)
    return list(frame) == [0, 1, 2] and frame.to_numpy().tolist() == ROWS


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
def test_json(body: dict[str, Any]) -> None:
    """Each form of JSON names the columns, by number or by its text, or has them in their order."""
    assert _is_read(mlflow_forms.to_table(json.loads(json.dumps(body)), COLUMNS))


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_wrong_json(body: dict[str, Any]) -> None:
    """Rows that are not such a table are refused."""
    with pytest.raises(Refusal) as refused:
        mlflow_forms.to_table(body, COLUMNS)

    assert refused.value.status == 400


def test_files() -> None:
    """CSV has text in its header, Parquet too, unless pandas says what it was; other names are missing."""
    csv = ("0,1,2\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS)).encode()

    assert _is_read(csv_body.read(csv, COLUMNS, DEFAULT))
    for names in ([0, 1, 2], ["0", "1", "2"]):
        assert _is_read(parquet_body.read(_parquet(names), COLUMNS, DEFAULT))
    for read, body in ((csv_body.read, b"a,b,c\n1,2,3\n"), (parquet_body.read, _parquet(["a", "b", "c"]))):
        with pytest.raises(Refusal, match="missing: 0, 1, 2"):
            read(body, COLUMNS, DEFAULT)


def _parquet(names: list[Any]) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(ROWS, columns=names).to_parquet(buffer)
    return buffer.getvalue()


def test_tensors() -> None:
    """A tensor a column is named by the number's text; one that is not there is named."""
    inputs = [{"name": name, "datatype": "FP64", "shape": [2], "data": values} for name, values in BY_COLUMN.items()]
    tensors.check_names(list(BY_COLUMN), COLUMNS)

    assert _is_read(
        tensors.to_table(open_inference.parse(json.dumps({"inputs": inputs}).encode(), None).arrays(), COLUMNS)
    )
    with pytest.raises(Refusal, match="missing: 2"):
        tensors.check_names(["0", "1"], COLUMNS)
