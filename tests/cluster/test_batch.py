"""A batch as Jobs of a real cluster: a pod that is lost costs no row, and none is there twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from slipway.kubernetes import batch_jobs
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.conftest import Served

TIMES, ROWS, CLAIM = 12, 60_000, "rows"  # the same rows follow each other in one file, of 4 parts


@pytest.fixture
def volume(served: Served, tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a volume that pods can claim, with a file of rows."""
    cluster, name = served.cluster, f"{served.cluster.namespace}-{CLAIM}"
    tmp_path.chmod(0o777)
    columns = json.loads((ROOT / "model" / "request.json").read_text())["dataframe_split"]["columns"]
    rows = pd.DataFrame(np.random.default_rng(1).normal(0, 0.05, (ROWS, len(columns))), columns=columns)
    rows.insert(0, "id", rows.index)
    text = rows.to_csv(index=False)
    head, _, body = text.partition("\n")
    (tmp_path / "rows.csv").write_text(f"{head}\n{body * TIMES}")
    size: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    held: dict[str, Any] = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(tmp_path)}}
    held |= {"persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": cluster.namespace, "name": CLAIM}}
    claimed: dict[str, Any] = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": name}
    made = [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": size | held},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": size | claimed},
    ]
    cluster.make_namespace()
    for each in made:
        cluster.run("create", "--filename", "-", words=json.dumps(each))
    yield tmp_path
    cluster.ask("delete", "jobs", "--selector", "app.kubernetes.io/component=batch", "--cascade=foreground")
    for kind, called in (("persistentvolumeclaim", CLAIM), ("persistentvolume", name)):
        cluster.ask("delete", kind, called, "--wait=false")


def test_a_lost_pod_costs_no_row(served: Served, volume: Path) -> None:
    """Each row is predicted once, by the version's own image, and a run of it stands in MLflow."""
    cluster, out = served.cluster, volume / "out"
    share = batch_jobs.name_group(batch_jobs.find_place("OUT", f"pvc://{CLAIM}/out", "")) + "-1"
    given = {"MODEL": "models:/diabetes/1", "DATA": f"pvc://{CLAIM}/rows.csv", "OUT": f"pvc://{CLAIM}/out"}
    process = served.stack.start("score_batch", **given, WORKERS="2", TRAIN_CPU="100m", TRAIN_MEMORY="512Mi")
    served.wait(lambda: (out / "_parts" / "00000.json").exists() or process.poll() is not None, "a part is done")
    lost = cluster.list("pods", f"job-name={share}")[0]["metadata"]["name"]
    cluster.run("delete", "pod", lost, "--grace-period=0", "--force")
    whole = len(list((out / "_parts").iterdir()))
    said, _ = process.communicate(timeout=200)
    manifest = json.loads((out / "_manifest.json").read_text())

    assert process.returncode == 0, said
    assert whole < len(manifest["files"][0]["outputs"]) == 4
    assert f"scored {TIMES * ROWS:,} rows into pvc://{CLAIM}/out, by models:/diabetes/1" in said
    assert "logged as run " in said
    assert (manifest["rows_in"], manifest["rows_out"], manifest["rejects"]) == (TIMES * ROWS, TIMES * ROWS, 0)
    assert (out / "_SUCCESS").exists()
    found = pd.concat([pd.read_csv(path) for path in sorted(out.glob("*.csv"))])
    assert found["id"].tolist() == [*range(ROWS)] * TIMES
    predicted = found["prediction"].to_numpy().reshape(TIMES, ROWS)
    assert np.allclose(predicted, predicted[0], rtol=1e-12)  # of blocks of other sizes, the last digit may differ
    assert lost not in {pod["metadata"]["name"] for pod in cluster.list("pods", f"job-name={share}")}
