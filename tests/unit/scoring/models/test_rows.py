"""Rows of several forms, joined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scoring.models.rows import Table, matrix

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
TABLES = {
    "JSON": Table(2, rows=ROWS),
    "a file": Table(2, frame=pd.DataFrame(ROWS, columns=["a", "b", "c"])),
    "tensors": Table(2, block=np.asfortranarray(ROWS)),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_matrix_lies_row_by_row(table: Table) -> None:
    """The same rows get the same last digits in any form: some processors add in the order of the memory."""
    found = matrix([table], np.dtype(float))

    assert found.tolist() == ROWS
    assert found.flags.c_contiguous
