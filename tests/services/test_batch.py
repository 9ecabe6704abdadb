"""make score_batch, on this machine: a registered version scores files, and a run of it stands in MLflow."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from slipway.settings import ROOT
from tests.conftest import find_command
from tests.services.kit import Kit


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """Return the commands with a store that has a version."""
    kit = Kit(tmp_path_factory.mktemp("store"))
    kit.run("train_model")
    return kit


@pytest.mark.thorough
def test_a_batch_is_scored_and_logged(kit: Kit, tmp_path: Path) -> None:
    """Once: the same command again does nothing, and one with wrong words says what to do."""
    (run,) = kit.client.search_runs(["1"])
    file = Path(kit.client.download_artifacts(run.info.run_id, "sample.csv", str(tmp_path)))
    rows = pd.concat([pd.read_csv(file).iloc[:, :-1]] * 50, ignore_index=True)
    rows.insert(0, "id", rows.index)
    (tmp_path / "in").mkdir()
    rows.to_csv(tmp_path / "in" / "rows.csv", index=False)
    rows.to_parquet(tmp_path / "in" / "more.parquet")
    given = {"MODEL": "models:/diabetes/1", "DATA": str(tmp_path / "in"), "OUT": str(tmp_path / "out"), "WORKERS": "2"}

    said = kit.run("score_batch", **given)
    again = kit.run("score_batch", **given)

    assert f"scored {2 * len(rows):,} rows into {tmp_path}/out, by models:/diabetes/1" in said
    assert f"scored {2 * len(rows):,} rows before" in again
    found = pd.read_csv(tmp_path / "out" / "rows.csv")
    assert list(found) == ["id", "prediction", "model_version"]
    assert found["id"].tolist() == list(rows.index)
    assert found["prediction"].tolist() == pd.read_parquet(tmp_path / "out" / "more.parquet")["prediction"].tolist()
    logged = [each for each in kit.client.search_runs(["1"]) if "slipway.batch" in each.data.tags]
    assert len(logged) == 1
    assert logged[0].info.status == "FINISHED"
    assert logged[0].data.metrics["rows_out"] == 2 * len(rows)
    assert logged[0].data.params["model"] == "models:/diabetes/1"
    inputs, outputs = kit.client.get_run(logged[0].info.run_id).inputs, run.outputs
    assert inputs
    assert outputs
    assert inputs.model_inputs[0].model_id == outputs.model_outputs[0].model_id
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["id"] == logged[0].data.tags["slipway.batch"]
    for wrong, words in (
        ({"KEYS": "id"}, "OUT holds a batch with another keys"),
        ({"OUT": str(tmp_path / "in" / "out")}, "DATA and OUT lie in each other"),
        ({"DATA": str(tmp_path / "none")}, "DATA names neither a file nor a folder"),
        ({"MAX_REJECTS": "x"}, "MAX_REJECTS is 'x'"),
        ({"CONTEXT": "minikube"}, "the pods of a cluster reach s3://… and pvc://claim/path only"),
    ):
        done = subprocess.run(
            find_command("score_batch"), cwd=ROOT, env=kit.environment(**{**given, **wrong}), check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert words in done.stderr
        assert done.returncode in {1, 2}
