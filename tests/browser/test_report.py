"""The report of monitoring in a real browser: it asks nobody, can be read in both schemes, and by keyboard."""

from __future__ import annotations

import datetime as dt
import functools
import http.server
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from slipway.monitoring import drift, realised, reference, report
from slipway.monitoring.findings import Beside, Monitored, Window
from tests import beside
from tests.browser.test_access import FAINT, FAULTS, OUTLINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a report with a drifted column, names that are markup, and realised metrics."""
    rng = np.random.default_rng(0)
    training = pd.DataFrame({"age": rng.normal(40, 10, 3000), "<b>plan</b>": rng.choice(["a", "<i>b</i>"], 3000)})
    known = reference.make((training, training[:300]), lambda rows: rows["age"].to_numpy(), {})
    window = training[:800].assign(age=training["age"][:800] + 15).add_prefix("in.")
    columns = drift.compare(known, window, drift.Rules())
    measured = realised.Realised(800, 300, {"rmse": 12.5, "r2": 0.4})
    days = [
        Window(dt.datetime(2026, 12, day, tzinfo=dt.UTC), dt.datetime(2026, 12, day + 1, tzinfo=dt.UTC), 800, 3,
               measured, columns if day == 2 else [])
        for day in (1, 2)
    ]  # fmt: skip
    found = Monitored("<wine>", "3", days, known, drift.Rules(), measured, [Beside("2", measured, measured)])
    place = tmp_path_factory.mktemp("report")
    (place / "index.html").write_text(report.write(found), encoding="utf-8")
    (place / "favicon.ico").write_bytes(b"")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(place))
    with beside.serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_the_report_can_be_read(url: str, visit: Callable[..., Page], scheme: str, width: int) -> None:
    """Everything has a name and a contrast of at least 4.5, and nothing is wider than the window."""
    page = visit(url, width, color_scheme=scheme)

    assert [*page.evaluate(FAULTS), *page.evaluate(FAINT)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_report_says_what_drifted(url: str, visit: Callable[..., Page]) -> None:
    """The drifted column stands at the top, in the table and beside its picture; names are text, never markup."""
    page = visit(url)

    assert "Drift in age, 2026-12-02, 800 rows." in page.inner_text("main")
    assert page.locator("tr.bad th").all_inner_texts() == ["age — drift"]
    assert page.locator("figure").count() == 2
    assert page.locator("main b, main i").count() == 0
    assert "the same rows as version 2" in page.inner_text("main")
    assert page.locator("svg[role=img][aria-label*='before']").count() == 2


def test_tables_are_reached_by_keyboard(url: str, visit: Callable[..., Page]) -> None:
    """Each table that may scroll has the focus in turn, and shows it."""
    page = visit(url, 320)
    outlined = []
    for _ in range(page.locator(".scroll").count()):
        page.keyboard.press("Tab")
        outlined.append(page.evaluate(OUTLINED))

    assert outlined == [True, True, True]
