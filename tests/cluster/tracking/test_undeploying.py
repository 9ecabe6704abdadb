"""The end of a tracking server: last of this folder, since nothing is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from slipway.kubernetes import mlflow
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.tracking.conftest import Tracked


@pytest.mark.thorough
def test_a_wrong_word_deletes_nothing(tracked: Tracked) -> None:
    """DATA takes one word; another is a usage error, and nothing is touched."""
    process = tracked.start("undeploy_tracking", DATA="yes")
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "DATA is 'yes'" in said
    assert mlflow.is_deployed(tracked.cluster)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a model by their names, less what MLflow adds as it downloads."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name != "registered_model_meta"
    }


def predict(tracked: Tracked, version: int) -> dict[str, Any]:
    """Deploy a version of the cluster's own registry, and return what it answers to the model's request."""
    with mlflow.reached(tracked.settings, tracked.cluster) as here:
        tracked.make("deploy", MODEL=f"models:/diabetes/{version}", MLFLOW_TRACKING_URI=here.tracking_uri)
    request = json.loads((ROOT / "model" / "request.json").read_text())
    with tracked.cluster.forwarded("deployment/diabetes-model", 8080) as url:
        answer = requests.post(f"{url}/invocations", json=request, timeout=30).json()
    tracked.make("undeploy")
    return dict(answer)


@pytest.mark.thorough
def test_a_backup_brings_everything_back(tracked: Tracked, volumes: Callable[[], None], tmp_path: Path) -> None:
    """All is deleted, deployed anew and restored: the same versions, tags, files and predictions.

    What holds something is refused.
    """
    code, said = tracked.train("--repeats 1")
    assert code == 0, said
    newest = max(tracked.list_versions())
    predicted = predict(tracked, newest)
    before = tracked.list_versions()  # after it was deployed, which tags it with its image
    tracked.download(newest, tmp_path / "before")
    written = tracked.make("backup_tracking")
    archive = str(next(Path(tracked.stack.variables["BACKUP_DIR"]).glob("slipway-*.tar.gz")))
    code, refused = tracked.stack.try_make("restore_tracking", BACKUP=archive)
    tracked.make("undeploy_tracking", DATA="delete")
    volumes()
    tracked.make("deploy_tracking")
    emptied = tracked.list_versions()
    restored = tracked.make("restore_tracking", BACKUP=archive)
    tracked.download(newest, tmp_path / "after")

    assert predicted["predictions"]
    assert predict(tracked, newest) == predicted
    assert f"{len(before)} model version" in written
    assert code != 0
    assert "is not empty" in refused
    assert emptied == {}
    assert f"{len(before)} model version" in restored
    assert tracked.list_versions() == before
    assert read_files(tmp_path / "after") == read_files(tmp_path / "before")


def test_nothing_is_left_when_that_is_wished(tracked: Tracked) -> None:
    """`make undeploy_tracking DATA=delete` leaves no object of it, and no claim to a volume."""
    said = tracked.make("undeploy_tracking", DATA="delete")
    kinds = "all,ingresses,networkpolicies,persistentvolumeclaims,secrets,configmaps,poddisruptionbudgets"
    answer = tracked.cluster.ask("get", kinds, "--selector", mlflow.LABELS, "--output", "name")

    assert "MLflow and Postgres are no longer in" in said
    assert (answer.code, answer.out) == (0, "")
