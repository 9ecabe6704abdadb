"""The figures on the deployer's page, in a real browser: a real deployer, a model that it serves, a real registry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import requests
from playwright.sync_api import expect
from prometheus_client.parser import text_string_to_metric_families

from slipway.deployer import store
from slipway.deployer.figures import changes
from slipway.registry.run_log import RunLog
from tests.browser import deployers
from tests.browser.deployers import BETTER, DEADLINE, GOOD
from tests.browser.test_access import FAINT, FAULTS, OUTLINED
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from tests.browser.deployers import Running

pytestmark = pytest.mark.timeout(900)  # s: three trainings and two deployments come before the first test
MARKUP = '<img src="/x" onerror="document.title = 1">'


@pytest.fixture(scope="module")
def deployer(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:  # noqa: ARG001 -- without one, no deployer
    """Run a deployer whose two versions were monitored, and that has seen requests to one of them."""
    with deployers.run(tmp_path_factory.mktemp("figures")) as running:
        for version in (GOOD, BETTER):
            monitored(running, version, f"{MARKUP},bmi" if version == BETTER else "")
            assert running.wait(running.deploy(version))["state"] == store.DONE
        url = f"{running.settings.serving.api_url}/invocations"
        example = requests.get(f"{running.settings.serving.api_url}/v2/models/diabetes", timeout=30)
        assert example.ok

        def look() -> bool:
            for _ in range(20):
                requests.post(url, json={"no": "rows"}, timeout=30)
            points = running.get("/figures")["targets"]["local"]["hour"]["points"]
            return any(point["requests"] for point in points[-3:]) and len(running.get("/figures")["monitored"]) > 1

        wait_until(look, DEADLINE, lambda: running.log.read_text()[-3000:], process=running.process)
        yield running


def monitored(running: Running, version: int, drifted: str) -> None:
    """Log a monitoring, as make monitor does."""
    registry = RunLog.connect(running.settings)
    tags = {"version": str(version), "drifted": drifted, "since": "2026-11-01T00:00", "until": "2026-11-02T00:00"}
    run = registry.begin_run(
        registry.ensure_experiment("diabetes-monitoring"),
        "a run",
        {f"slipway.monitor.{name}": value for name, value in tags.items()},
    )
    values = {"drift.bmi": 0.25 * version, "drifted_columns": 2.0, "rows": 500.0, "realised.rmse": 50.5 + version}
    registry.log_metrics(run, [(name, value, int(time.time() * 1000), 0) for name, value in values.items()])
    registry.end_run(run, "FINISHED")


def test_eight_figures_are_drawn(deployer: Running, visit: Callable[..., Page]) -> None:
    """Each has its newest value, a picture with the same in words, and a row of the table; a reload finds them."""
    page = visit(f"{deployer.url}/")
    for _ in range(2):
        figures = page.locator("#figures-list .figure")
        expect(figures).to_have_count(len(changes.FIGURES))
        names = figures.evaluate_all("all => all.map((each) => each.dataset.figure)")
        words = page.locator("#figures-list svg").evaluate_all("all => all.map((each) => each.ariaLabel)")

        assert names == [*changes.FIGURES]
        assert all("last hour: " in each for each in words)
        assert "MiB" in page.locator("[data-figure=memory] b").inner_text()
        assert page.locator("[data-figure=requests] polyline, [data-figure=requests] circle").count() > 0
        page.reload(wait_until="networkidle")


def test_drift_and_truth_are_shown_by_version(deployer: Running, visit: Callable[..., Page]) -> None:
    """A chart each of the highest PSI and each realised metric, and a table; a column's name is text."""
    page = visit(f"{deployer.url}/")
    section = page.locator("#monitored")
    rows = section.locator("tbody tr")

    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(MARKUP)
    expect(rows.first).to_contain_text("52.50")
    expect(section.locator("svg").first).to_have_attribute(
        "aria-label", f"Highest PSI by version: version {GOOD} 0.2500, version {BETTER} 0.5000"
    )
    assert section.locator("svg").count() == 2


def test_the_figures_work_by_keyboard(deployer: Running, visit: Callable[..., Page]) -> None:
    """Enter shows the day, and tells it; the table opens by keyboard; the focus stays where it is, and in sight."""
    page = visit(f"{deployer.url}/")
    expect(page.locator("#figures-list .figure")).to_have_count(len(changes.FIGURES))
    day = page.get_by_role("button", name="Last day")
    page.get_by_role("button", name="Last hour").focus()
    page.keyboard.press("Tab")
    outlined = page.evaluate(OUTLINED)
    page.keyboard.press("Enter")
    expect(day).to_have_attribute("aria-pressed", "true")
    expect(day).to_be_focused()
    page.get_by_role("button", name="Last hour").press("Enter")
    page.locator("#figures-list summary").press("Enter")

    assert outlined
    expect(page.locator("#figures-list table")).to_be_visible()
    assert page.locator("#figures-list thead th").count() == len(changes.FIGURES) + 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_figures_can_be_read(deployer: Running, visit: Callable[..., Page], scheme: str, width: int) -> None:
    """Everything has a name and a contrast of at least 4.5, lines one of 3; and nothing is wider than the window."""
    page = visit(f"{deployer.url}/", width, color_scheme=scheme, reduced_motion="reduce")
    expect(page.locator("#figures-list .figure")).to_have_count(len(changes.FIGURES))
    page.locator("#figures-list summary").click()

    assert [*page.evaluate(FAULTS), *page.evaluate(FAINT)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_prometheus_can_read_the_deployer(deployer: Running) -> None:
    """Its metrics have the deployments by outcome, the monitorings and the disk; a number is a host, a name is none."""
    answer = requests.get(f"{deployer.url}/metrics", headers={"Host": "10.0.0.7:8002"}, timeout=30)
    found = {
        each.name: {tuple(sample.labels.values()): sample.value for sample in each.samples}
        for each in text_string_to_metric_families(answer.text)
    }
    refused = requests.get(f"{deployer.url}/metrics", headers={"Host": "evil.example"}, timeout=30)

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["slipway_deployer_deployments"]["diabetes", "done"] == 2
    assert found["slipway_monitor_drift"]["diabetes", str(BETTER), "bmi"] == 0.5
    assert found["slipway_monitor_realised"]["diabetes", str(BETTER), "rmse"] == 52.5
    assert found["slipway_training_runs"]
    assert found["slipway_disk_free_bytes"][()] > 0
    assert refused.status_code == 400
