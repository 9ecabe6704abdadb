"""The prediction log of real servers: every way of asking, its share, its privacy, kills, and disks that are full."""

from __future__ import annotations

import http.client
import itertools
import json
import signal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from tests import beside
from tests.scoring.conftest import Server, body, fail_to_start, until

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from tests.scoring.test_start import Serve

IDENTITY = {"name": "sum", "version": "7", "ranges": {"a": [-10.0, 10.0], "c": [-10.0, 10.0]}}
V2 = {"inputs": [{"name": name, "shape": [1], "datatype": "FP64", "data": [1.0]} for name in "abc"]}


def settings(root: Path, share: float = 1, seconds: float = 1, **more: str) -> dict[str, str]:
    """Return the variables of a server that logs below a folder."""
    return {
        "SCORING_PREDICTION_LOG": str(share), "SCORING_PREDICTION_LOG_DIR": str(root),
        "SCORING_PREDICTION_LOG_SECONDS": str(seconds), "SCORING_IDENTITY": json.dumps(IDENTITY), **more,
    }  # fmt: skip


def read(root: Path) -> pd.DataFrame:
    """Return all rows below a folder; fail for a file that cannot be read."""
    files = sorted(root.glob("model=sum/version=7/day=*/*.parquet"))
    parts = [pd.read_parquet(file) for file in files]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"_id": []})


def written(server: Server, rows: int) -> bool:
    """Whether so many rows are in files."""
    return server.metrics()["scoring_prediction_log_rows_total"] >= rows


def count_dropped(server: Server, rows: float) -> None:
    """Wait until so many rows could not be written."""
    until(lambda: server.metrics()["scoring_prediction_log_dropped_total[unwritten]"] >= rows, "they are counted")


def test_every_way_of_asking_is_logged(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """Rows in any form, of either protocol, stand in the log with their inputs, predictions, ids and errors."""
    records = json.dumps({"dataframe_records": [{"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 5, "c": 6}]}).encode()
    with serve(folders["one"], **settings(tmp_path)) as server:
        server.predict(1.0, 2.0, x_request_id="split")
        server.ask("POST", "/invocations", records, x_request_id="records")
        server.ask("POST", "/invocations", b"a,b,c\n1,1,1\n", Content_Type="text/csv", x_request_id="csv")
        server.ask("POST", "/v2/models/sum/infer", json.dumps(V2).encode(), x_request_id="v2")
        server.ask("POST", "/invocations", b"{", x_request_id="wrong")
        server.predict(1.0, 2.0, x_request_id="slipway-test-1")
        until(lambda: written(server, 6), "six rows are written")
    found = read(tmp_path).set_index(["_id", "_row"]).sort_index()

    assert list(found.loc["split"].iloc[0][["in.a", "in.b", "in.c", "out.prediction"]]) == [1.0, 2.0, 0.0, 3.0]
    assert list(found.loc["records"]["out.prediction"]) == [6.0, 15.0]
    assert list(found.loc[["csv", "v2"]]["out.prediction"]) == [3.0, 3.0]
    assert found.loc["wrong"].iloc[0]["_error"].startswith("400: ")
    assert set(found.index.get_level_values(0)) == {"split", "records", "csv", "v2", "wrong"}
    assert set(found["_version"]) == {"7"}
    assert found["_time"].dt.tz is not None


def test_what_is_out_of_range_is_told_and_always_logged(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """Out of the training's range: a header for who asks, a counter, and a row even of a tiny share."""
    block = json.dumps({"dataframe_split": {"columns": ["a", "b", "c"], "data": [[99, 0, 0]] * 9}}).encode()
    with serve(folders["one"], **settings(tmp_path, share=1e-15)) as server:
        inside = server.predict(1.0, 99.0, 1.0, x_slipway_check="range")
        outside = server.predict(11.0, 0.0, -11.0, x_slipway_check="range", x_request_id="far")
        unasked = server.predict(11.0)
        server.ask("POST", "/invocations", block)
        until(lambda: written(server, 11), "they are written")
        metrics = server.metrics()
    found = read(tmp_path)

    assert "x-slipway-out-of-range" not in inside.headers
    assert outside.headers["x-slipway-out-of-range"] == "a,c"
    assert "x-slipway-out-of-range" not in unasked.headers
    assert metrics["scoring_out_of_range_rows_total[a]"] == 11
    assert metrics["scoring_out_of_range_rows_total[c]"] == 1
    assert len(found) == 11
    assert set(found["_outlier"]) == {True}
    assert set(found["_sampled"]) == {False}


def test_the_share_is_of_the_ids(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """Two servers, each with two workers, log the same ids of the same requests, about the share of them."""
    names = [f"request-{at}" for at in range(400)]
    logged = []
    for root in (tmp_path / "first", tmp_path / "second"):
        with serve(folders["one"], "--workers", "2", **settings(root, share=0.25)) as server:
            for name in names:
                server.predict(1.0, x_request_id=name)
            assert server.stop() == 0
        logged.append(set(read(root)["_id"]))

    assert logged[0] == logged[1]
    assert 60 <= len(logged[0]) <= 140


def test_a_kill_leaves_whole_files(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """After SIGKILL under load every file is whole, and what was said to be written is there."""
    with serve(folders["one"], **settings(tmp_path)) as server:

        def ask(ended: threading.Event) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            while not ended.is_set():
                try:
                    connection.request("POST", "/invocations", body(1.0), {"Content-Type": "application/json"})
                    connection.getresponse().read()
                except (OSError, http.client.HTTPException):
                    return

        with beside.threads(ask, 4):
            until(lambda: written(server, 500), "rows are written under load")
            said = server.metrics()["scoring_prediction_log_rows_total"]
            server.stop(signal.SIGKILL)
    found = read(tmp_path)

    assert len(found) >= said
    assert not found["_error"].notna().any()
    assert set(found["out.prediction"]) == {1.0}


def test_a_log_that_cannot_be_written_stops_no_request(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """Where a file stands in the folder's place, requests are answered, rows are counted, and it is said once."""
    place = tmp_path / "file"
    place.write_text("")
    with serve(folders["one"], **settings(place)) as server:
        for _ in range(3):
            assert server.predict(1.0).status == 200
            count_dropped(server, server.metrics()["scoring_prediction_log_dropped_total[unwritten]"] + 1)
        said = server.err.read_text()

    assert said.count("cannot be written to") == 1


@pytest.mark.parametrize(
    ("rules", "columns"),
    [
        ({"only": ["a"]}, {"in.a"}),
        ({"drop": ["a"]}, {"in.b", "in.c"}),
        ({"hash": ["b"], "key": "secret"}, {"in.a", "in.b", "in.c"}),
    ],
)
def test_the_rules_keep_columns_out(
    serve: Serve, folders: dict[str, Path], tmp_path: Path, rules: dict[str, Any], columns: set[str]
) -> None:
    """A column that is dropped is not there; of one that is hashed, equal values have equal hashes."""
    with serve(folders["one"], **settings(tmp_path, SCORING_PREDICTION_LOG_RULES=json.dumps(rules))) as server:
        for b in (2.0, 2.0, 3.0):
            server.predict(1.0, b)
        assert server.stop() == 0
    found = read(tmp_path)

    assert {name for name in found if name.startswith("in.")} == columns
    if "hash" in rules:
        first, second, third = found.sort_values("out.prediction")["in.b"]
        assert first == second != third
        assert len(first) == 32


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"SCORING_PREDICTION_LOG_RULES": '{"drop": ["nmae"]}'}, "the log's rules name nmae; the model's columns are"),
        ({"SCORING_PREDICTION_LOG_RULES": '{"hash": ["a"]}'}, "hashes columns, and has no key"),
        ({"SCORING_PREDICTION_LOG_RULES": "{"}, "SCORING_PREDICTION_LOG_RULES cannot be read"),
        ({"SCORING_PREDICTION_LOG_DIR": ""}, "the prediction log has no place"),
    ],
    ids=["misspelt column", "no key", "no JSON", "no place"],
)
def test_a_log_that_cannot_be_kept_as_asked_does_not_begin(
    folders: dict[str, Path], tmp_path: Path, given: dict[str, str], words: str
) -> None:
    """A rule that would not be followed ends the start: a misspelt column would be logged."""
    code, said = fail_to_start(folders["one"], tmp_path, **(settings(tmp_path) | given))

    assert code == 3
    assert words in said


def test_days_have_folders_of_their_own(serve: Serve, folders: dict[str, Path], tmp_path: Path) -> None:
    """Days lie apart, and those before the retention go when a new one begins."""
    for offset in (0, 86400, 3 * 86400):
        given = settings(tmp_path) | {"SCORING_CLOCK_OFFSET_S": str(offset), "SCORING_PREDICTION_LOG_DAYS": "2"}
        with serve(folders["one"], **given) as server:
            server.predict(1.0)
            assert server.stop() == 0
    days = sorted(path.name for path in tmp_path.glob("model=sum/version=7/day=*"))

    assert len(days) == 2
    assert len(list(itertools.chain(tmp_path.glob("model=sum/version=7/day=*/.*")))) == 0
