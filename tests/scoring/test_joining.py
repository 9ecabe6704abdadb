"""Requests that share a predict."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scoring.conftest import Answer, Server
    from tests.scoring.test_start import Serve

CLIENTS = 64


def _together(server: Server, rows: list[tuple[float, ...]]) -> list[Answer]:
    """Ask for each row at the same time, while a first one keeps the model busy."""
    with ThreadPoolExecutor(len(rows)) as pool:
        return list(pool.map(lambda row: server.predict(*row), rows))


@pytest.mark.parametrize(
    ("model", "flags", "batchable"),
    [
        ("slow", [], True),
        ("slow", ["--batching", "on"], True),
        ("slow", ["--batching", "off"], False),
        ("slow", ["--max-batch", "1"], False),
        ("mean", [], False),
        ("mean", ["--batching", "on"], True),
    ],
    ids=["slow", "slow on", "slow off", "batch of 1", "mean", "mean on"],
)
def test_joined(model: str, flags: list[str], batchable: bool, serve: Serve, folders: dict[str, Path]) -> None:
    """Each of 64 clients gets its own prediction.

    Predicts are shared where rows are independent, or where it is asked for.
    """
    with serve(folders[model], *flags) as server:
        before = server.metrics()["scoring_batch_rows_bucket[1.0]"]
        answers = _together(server, [(0.02, float(at)) for at in range(CLIENTS)])
        after = server.metrics()
    alone = after["scoring_batch_rows_bucket[1.0]"] - before

    assert {answer.status for answer in answers} == {200}
    assert (alone < CLIENTS) is batchable
    if model == "slow":
        assert [answer.json()["predictions"] for answer in answers] == [
            [pytest.approx(0.02 + at)] for at in range(CLIENTS)
        ]
    elif not batchable:
        assert [answer.json()["predictions"] for answer in answers] == [[0.0]] * CLIENTS


@pytest.mark.parametrize(
    ("bad", "status"),
    [("NaN", 400), ("1e200", 400), ("-1", 400), ("-2", 500)],
    ids=["refused", "huge", "leaves", "not JSON"],
)
def test_bad_neighbour(bad: str, status: int, serve: Serve, folders: dict[str, Path]) -> None:
    """A row that the model fails for gets 400, one whose answer cannot be written 500, and its neighbours neither."""
    with serve(folders["moody"], "--batching", "on") as server:
        text = json.dumps({"dataframe_split": {"columns": ["a", "b", "c"], "data": [["BAD", 0, 0]]}}).replace(
            '"BAD"', bad
        )
        with ThreadPoolExecutor(CLIENTS) as pool:
            asked = [
                pool.submit(server.ask, "POST", "/invocations", text.encode())
                if at % 8 == 0
                else pool.submit(server.predict, float(at))
                for at in range(CLIENTS)
            ]
            answers = [each.result() for each in asked]

        assert [answer.status for answer in answers] == [status if at % 8 == 0 else 200 for at in range(CLIENTS)]
        assert all(answer.json() == {"predictions": [float(at)]} for at, answer in enumerate(answers) if at % 8)
        assert server.predict(1.0).status == 200
