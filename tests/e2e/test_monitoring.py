"""A real Prometheus and Alertmanager beside a served model: every panel has data, and drift is an alert on its day."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from slipway import ports
from slipway.services import monitoring
from slipway.settings import ROOT, STATE
from tests import beside
from tests.conftest import find_command
from tests.polling import wait_until
from tests.services import days
from tests.services.kit import Kit

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

NAME, WITHIN = "watched", 300
DASHBOARDS = sorted((ROOT / "deploy" / "monitoring" / "dashboards").glob("*.json"))


class Watched:
    """A deployer that serves the model, and what watches both."""

    def __init__(self, kit: Kit, folder: str, found: list[str]) -> None:
        self.kit, self.days = kit, found
        self.port, self.deployer, self.prometheus, self.alertmanager = (ports.find_free() for _ in range(4))
        self.given = kit.environment(
            MODEL_DIR=folder, PORT=str(self.port), DEPLOYER_PORT=str(self.deployer), BACKUP_DIR=str(kit.store),
            PROMETHEUS_PORT=str(self.prometheus), ALERTMANAGER_PORT=str(self.alertmanager), GRAFANA_IMAGE="none",
            COMPOSE_PROJECT_NAME=f"slipway-watched-{os.getpid()}", ROLLBACK_EVERY="3600",
        )  # fmt: skip
        (kit.store / "slipway-2026-01-01.tar.gz").write_bytes(b"")

    def run(self, target: str, **more: str) -> str:
        """Run a command to its end."""
        done = subprocess.run(
            find_command(target), cwd=ROOT, env=self.given | more, check=False, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

        assert done.returncode == 0, done.stdout
        return done.stdout

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what Prometheus has for an expression now."""
        answer = requests.get(
            f"http://127.0.0.1:{self.prometheus}/api/v1/query", params={"query": expression}, timeout=30
        )
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        return list(answer.json()["data"]["result"])

    def alerts(self) -> set[str]:
        """Return the names of the alerts that Alertmanager has."""
        answer = requests.get(f"http://127.0.0.1:{self.alertmanager}/api/v2/alerts", timeout=30).json()
        return {each["labels"]["alertname"] for each in answer}

    def monitor(self, day: str) -> float:
        """Monitor until a day; return the drifted columns, once Prometheus has that run's."""
        before = self.query("slipway_monitor_timestamp_seconds")
        said = self.run("monitor", UNTIL=day, MODEL=f"models:/{NAME}/1")
        wait_until(
            lambda: (now := self.query("slipway_monitor_timestamp_seconds")) and _value(now) > _value(before),
            WITHIN, f"Prometheus has it: {said[-800:]}",
        )  # fmt: skip
        return _value(self.query("slipway_monitor_drifted_columns"))


def _value(found: list[dict[str, Any]]) -> float:
    return max((float(each["value"][1]) for each in found), default=0.0)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Have three days logged, the version served by a deployer and asked, and all of it watched."""
    kit = Kit(tmp_path_factory.mktemp("watched"))
    with pytest.MonkeyPatch.context() as patch:
        folder = days.train(kit, NAME)
        found = days.live(kit, folder, kit.store / "predictions", patch)
        watched = Watched(kit, str(folder), found)
        truth = kit.store / "truth.csv"
        truth.write_text("id,row,truth\n" + "".join(f"day0-0,{row},150\n" for row in range(100)))
        watched.run("add_truth", FILE=str(truth))
        log = kit.store / "deployer.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                find_command("start_deployer"), cwd=ROOT, env=watched.given, stdout=output, stderr=output
            )
        try:
            watched.run("start_monitoring")
            url = f"http://127.0.0.1:{watched.port}"
            wait_until(
                lambda: requests.get(f"http://127.0.0.1:{watched.deployer}/livez", timeout=5).ok, WITHIN,
                log.read_text, process=process, ignored=(requests.RequestException,),
            )  # fmt: skip
            watched.run("promote", MODEL=f"models:/{NAME}/1")

            def ask(ended: threading.Event) -> None:
                while not ended.wait(1):
                    days.ask(url, 0, 1.0)  # out of the training's range

            with beside.threads(ask):
                yield watched
        finally:
            beside.end(process)
            subprocess.run(find_command("stop_deployer"), cwd=ROOT, env=watched.given, check=False, capture_output=True)
            watched.run("stop_monitoring")
            for place in (STATE / "deployer" / str(watched.deployer), STATE / "live" / str(watched.port)):
                shutil.rmtree(place, ignore_errors=True)


def test_drift_is_an_alert_on_its_day(watched: Watched) -> None:
    """Days 1 and 2 raise nothing; day 3 raises an alert that reaches Alertmanager."""
    for day in watched.days[:2]:
        assert watched.monitor(day) == 0
        assert "Drift" not in watched.alerts()

    assert watched.monitor(watched.days[2]) == 2
    wait_until(lambda: "Drift" in watched.alerts(), WITHIN, lambda: f"the alert is there: {watched.alerts()}")


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_panel_has_data(watched: Watched, file: Path) -> None:
    """Each query of each panel gives values, as it stands in the dashboard."""
    board = json.loads(file.read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in expressions:
        asked = partial(watched.query, expression.replace("$model", ".*"))
        wait_until(asked, WITHIN, f"{file}: {expression} has data")

    assert len(expressions) >= 2


def test_every_alert_has_a_test_and_a_page() -> None:
    """Each rule fires on what it is for, and on nothing that is well, by promtool; its runbook is there."""
    folder = ROOT / "deploy" / "monitoring"
    image = os.environ.get("PROMETHEUS_IMAGE", "prom/prometheus:v3.5.0")
    done = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "promtool", "--volume", f"{folder}:/rules:ro", image, "test", "rules",
         "/rules/rules_test.yml"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    rules = yaml.safe_load((folder / "rules.yml").read_text())["groups"]
    alerts = {rule["alert"]: rule["annotations"]["runbook"] for group in rules for rule in group["rules"]}
    tests = yaml.safe_load((folder / "rules_test.yml").read_text())["tests"]
    tested = [{each["alertname"] for each in test["alert_rule_test"]} for test in tests]
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)

    assert done.returncode == 0, done.stdout + done.stderr
    assert tested == [set(alerts), set(alerts)]
    assert sorted(sections) == sorted(alerts)
    assert {f"docs/runbook.md#{alert.lower()}" for alert in alerts} == set(alerts.values())


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_asks_one_source(file: Path) -> None:
    """Each panel names the one data source by its uid, and a dashboard links to nothing outside."""
    text = file.read_text()
    board = json.loads(text)
    sources = {target["datasource"]["uid"] for panel in board["panels"] for target in panel["targets"]}

    assert sources == {monitoring.SOURCE}
    assert "http" not in text
    assert board["uid"].startswith("slipway-")
