"""What the registry, the disk and the backups say, as the deployer's metrics; with a real embedded store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from slipway import settings as slipway_settings
from slipway.deployer.figures import records, routes
from slipway.deployer.figures.records import Records
from slipway.errors import SlipwayError
from slipway.registry.run_log import RunLog
from slipway.settings import Settings, sqlite_uri
from tests.conftest import changed

if TYPE_CHECKING:
    from pathlib import Path

NOW = 2e9  # s since 1970


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings with a store that has two monitored versions, trainings, and an archive."""
    folder = tmp_path_factory.mktemp("store")
    found = changed(
        slipway_settings.load(),
        runtime="host",
        tracking={"external_uri": sqlite_uri(folder / "mlflow.db"), "artifact_root": folder},
        services={"backup_dir": folder / "backups"},
    )
    registry = RunLog.connect(found)
    monitorings = registry.ensure_experiment("m-monitoring")
    for version, psi, status in (
        ("9", 0.01, "FINISHED"),
        ("10", 0.1, "FINISHED"),
        ("10", 0.4, "FINISHED"),
        ("10", 0.9, "FAILED"),
    ):
        tags = {"slipway.monitor.version": version, "slipway.monitor.drifted": "bmi,age" if psi > 0.2 else ""}
        run = registry.begin_run(monitorings, version, tags)
        values = {
            "drift.bmi": psi,
            "prediction_drift.prediction": psi,
            "drifted_columns": 2.0,
            "rows": 50.0,
            "realised.rmse": 7.5,
        }
        registry.log_metrics(run, [(name, value, 1, 0) for name, value in values.items()])
        registry.end_run(run, status)
    trainings = registry.ensure_experiment("m")
    for status in ("FINISHED", "FAILED", "FINISHED"):
        registry.end_run(registry.begin_run(trainings, "a run", {}), status)
    (folder / "backups").mkdir()
    for name, age in (("slipway-1.tar.gz", 500), ("slipway-2.tar.gz", 100), ("other.txt", 1)):
        (folder / "backups" / name).touch()
        os.utime(folder / "backups" / name, (NOW - age, NOW - age))
    return found


def test_each_version_has_its_last_monitoring(settings: Settings) -> None:
    """The newest finished one of each version, in the versions' order by number."""
    ours = Records(settings, "m")
    ours.look()

    assert [(each.version, each.metrics["drift.bmi"], each.drifted) for each in ours.found.monitored] == [
        ("9", 0.01, []), ("10", 0.4, ["bmi", "age"]),
    ]  # fmt: skip


def test_prometheus_gets_all_of_it(settings: Settings) -> None:
    """Deployments by outcome, monitorings, trainings, the newest backup's age and the disk are metrics."""
    ours = Records(settings, "m")
    ours.look()
    families = routes.describe("m", {("m", "done"): 3}, ours.found, NOW)
    found = {family.name: dict(family.values) for family in families}

    assert found["slipway_deployer_deployments_total"] == {("m", "done"): 3}
    assert found["slipway_monitor_drifted_columns"] == {("m", "9"): 2, ("m", "10"): 2}
    assert found["slipway_monitor_drift"]["m", "10", "bmi"] == 0.4
    assert found["slipway_monitor_drift"]["m", "10", "prediction"] == 0.4
    assert found["slipway_monitor_realised"]["m", "9", "rmse"] == 7.5
    assert found["slipway_monitor_rows"]["m", "9"] == 50
    assert found["slipway_training_runs"] == {("m", "FAILED"): 1, ("m", "FINISHED"): 2}
    assert found["slipway_training_last_duration_seconds"].keys() == {("m",)}
    assert found["slipway_backup_age_seconds"] == {(): 100}
    assert 0 < found["slipway_disk_free_bytes"][()] <= found["slipway_disk_size_bytes"][()]


def test_an_outage_keeps_what_was_found(settings: Settings, tmp_path: Path) -> None:
    """Without the registry the last records stay, and the disk is looked at all the same."""
    ours = Records(settings, "m")
    ours.look()
    before = ours.found.monitored
    gone = changed(settings, tracking={"external_uri": "http://127.0.0.1:9"}, services={"backup_dir": tmp_path})
    ours._settings = gone  # noqa: SLF001 -- the server that went
    with pytest.raises(SlipwayError):
        ours.look()

    assert (ours.found.monitored, ours.found.backup_at) == (before, None)
    assert ours.found.disk


def test_a_disk_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    """The next folder's disk is the one; without any there is none."""
    assert records.find_disk([tmp_path / "none", tmp_path])
    assert records.find_disk([tmp_path / "none"]) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [("10.0.0.7:8002", True), ("10.0.0.7", True), ("[fd00::7]:8002", True), ("evil.example:8002", False), ("", False)],
    ids=["a pod", "without a port", "IPv6", "a name", "none"],
)
def test_only_a_number_is_a_pods_address(host: str, expected: bool) -> None:
    """Prometheus calls a pod by its number, and the page of somebody else comes by a name."""
    assert routes.is_number(host) is expected
