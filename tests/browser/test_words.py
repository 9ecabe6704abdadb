"""What the page says when something is wrong, and what it does where a key is needed."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import requests
from playwright.sync_api import expect
from sklearn.linear_model import LinearRegression

from slipway import ports
from tests import beside
from tests.browser.conftest import KEY, save, serve
from tests.browser.test_page import predict, predictions, run_snippets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.conftest import Served


def test_a_missing_number_is_told_by_its_field(numbers: Served, visit: Callable[..., Page]) -> None:
    """An empty field of a number is said to be so, and focused, without asking the server.

    The words go once it is filled.
    """
    page = visit(f"{numbers.url}/")
    field = page.get_by_label("bmi")
    field.fill("")
    predict(page, "One field needs a look.")
    expect(page.get_by_text("bmi needs a number.")).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("bmi needs a number.")
    field.fill("3")

    expect(page.get_by_text("bmi needs a number.")).to_have_count(0)
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_the_servers_words_stand_by_the_field(every_type: Served, visit: Callable[..., Page]) -> None:
    """A value that the server refuses is told in its words by the field of the column that they name."""
    page = visit(f"{every_type.url}/", refused=True)
    field = page.get_by_label("integer", exact=True)
    field.fill("3000000000")
    predict(page, "No answer.")

    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(
        "whole number Column integer contains a value that is not a valid integer."
    )


def test_of_several_rows_none_is_blamed(every_type: Served, visit: Callable[..., Page]) -> None:
    """The server names the column and not the row, so with several rows its words stand above the button."""
    page = visit(f"{every_type.url}/", refused=True)
    page.get_by_role("button", name="Add row").click()
    page.get_by_label("integer, row 2", exact=True).fill("3000000000")
    predict(page, "No answer.")

    expect(
        page.get_by_role("alert").filter(has_text="column integer contains a value that is not a valid integer")
    ).to_be_visible()
    expect(page.locator("[aria-invalid=true]")).to_have_count(0)


def test_csv_without_a_column_is_told(numbers: Served, visit: Callable[..., Page]) -> None:
    """What is wrong with CSV is said above the button, as an alert."""
    page = visit(f"{numbers.url}/", refused=True)
    page.get_by_text("CSV", exact=True).click()
    page.get_by_label("Rows as CSV").fill("age,bmi\n1,2\n")
    predict(page, "No answer.")

    expect(page.get_by_role("alert").filter(has_text="missing: blood pressure, s1")).to_be_visible()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (413, "more than the server takes"),
        (503, "Try again in a moment"),
        (504, "took too long"),
        (500, "the server could not"),
        (0, "does not answer"),
    ],
)
def test_other_errors_are_told_in_words(numbers: Served, visit: Callable[..., Page], status: int, words: str) -> None:
    """Limits, overload, a failure and a server that is gone each have their words."""
    page = visit(f"{numbers.url}/", refused=True)
    body = {"error_code": "X", "message": "the server could not handle this request"}
    page.route("**/invocations", lambda route: route.fulfill(status=status, json=body) if status else route.abort())
    predict(page, "No answer.")

    expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()


def test_a_key_is_asked_for(closed: Served, visit: Callable[..., Page]) -> None:
    """Where keys are needed the page asks for one, says when it is wrong, keeps it for the tab, and can forget it."""
    page = visit(f"{closed.url}/", refused=True)
    expect(page.get_by_label("API key")).to_be_focused()
    expect(page.get_by_role("button", name="Predict")).to_be_hidden()
    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    predict(page, "Prediction: setosa")
    kept = page.evaluate("[localStorage.length, document.cookie, Object.values(sessionStorage)]")
    page.reload(wait_until="networkidle")
    expect(page.get_by_role("button", name="Predict")).to_be_visible()
    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_label("API key")).to_be_visible()

    assert kept == [0, "", [KEY]]
    assert page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_document_can_be_had_with_a_key(closed: Served, visit: Callable[..., Page], path: str) -> None:
    """The link to the OpenAPI document is there once a key is, and saves what the key opens."""
    page = visit(f"{closed.url}{path}", refused=True)
    expect(page.locator("#openapi")).to_be_hidden()
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    with page.expect_download() as download:
        page.locator("#openapi").click()

    assert download.value.suggested_filename == "openapi.json"
    assert json.loads(download.value.path().read_text())["info"]["title"] == "iris"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serve a model that adds.

    The function that is given puts another in its place, with other columns, or an offset.
    """
    port = ports.find_free()

    def point(version: str, columns: list[str], offset: float) -> Served:
        rows = pd.DataFrame({name: [1.0, 2.0, 4.0] for name in columns})
        saved = save(tmp_path / version, LinearRegression(), rows, rows.sum(axis=1) + offset)
        known = tmp_path / f"{version}.json"
        known.write_text(json.dumps({"name": "sum", "version": version}))
        return stack.enter_context(serve(saved, tmp_path / "log", known=known, port=port))

    with contextlib.ExitStack() as stack:
        found = [point("1", ["a", "b"], 0)]

        def swap(version: str = "1", columns: list[str] | None = None, offset: float = 0) -> Served:
            if columns:
                beside.end(found[-1].process)
                found.append(point(version, columns, offset))
            return found[-1]

        yield swap


def test_a_swapped_model_is_told(place: Callable[..., Served], visit: Callable[..., Page]) -> None:
    """When another version answers, the page says so at the top and by the answer, and keeps the input."""
    page = visit(f"{place().url}/")
    page.get_by_label("a", exact=True).fill("5")
    predict(page, "Prediction: 6")
    place("2", ["a", "b"], 1000)
    predict(page, "Prediction: 1006")

    expect(page.locator("#version")).to_have_text("version 2")
    expect(page.locator("#status")).to_contain_text("by version 2, which is new here")
    expect(page.get_by_label("a", exact=True)).to_have_value("5")


def test_a_swapped_model_with_other_columns_is_told(place: Callable[..., Served], visit: Callable[..., Page]) -> None:
    """When the version that answers takes other columns, the page shows its form, and no prediction of the old one."""
    page = visit(f"{place().url}/", refused=True)
    predict(page, "Prediction: 2")
    place("2", ["b", "a", "c"], 0)
    predict(page, "No answer.")
    expect(page.locator("#result table")).to_have_count(0)
    expect(page.get_by_role("alert").filter(has_text="sum 2 is served here now")).to_be_visible()
    page.get_by_label("c", exact=True).fill("7")
    predict(page, "Prediction: 9")

    expect(page.locator("#version")).to_have_text("version 2")


def test_the_snippets_take_the_key_from_the_environment(
    closed: Served, visit: Callable[..., Page], tmp_path: Path
) -> None:
    """The snippets never show the key, and work with API_KEY set."""
    page = visit(f"{closed.url}/", refused=True)
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    predict(page, "Prediction: setosa")
    answers = run_snippets(page, tmp_path, PATH="/usr/local/bin:/usr/bin:/bin", API_KEY=KEY)

    assert answers == [["setosa"], ["setosa"]]
    assert predictions(page)[0] == "setosa"
    assert KEY not in page.content()


def test_the_docs_ask_for_a_key_too(closed: Served, visit: Callable[..., Page]) -> None:
    """Swagger UI's page asks for a key before it reads the document, and sends it with requests."""
    page = visit(f"{closed.url}/docs", refused=True)
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".opblock").first).to_be_visible()
    try_out(page)

    expect(page.locator(".live-responses-table")).to_contain_text('"setosa"')


def try_out(page: Page) -> None:
    """Send the example to /invocations by Swagger UI's own means."""
    page.locator(".opblock-summary").filter(has_text="/invocations").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_docs_render_every_operation(numbers: Served, visit: Callable[..., Page], scheme: str) -> None:
    """Swagger UI shows each operation of the document, and can call the model with its example."""
    page = visit(f"{numbers.url}/docs", color_scheme=scheme)
    expect(page.locator(".opblock").first).to_be_visible()
    paths = requests.get(f"{numbers.url}/openapi.json", timeout=10).json()["paths"]
    wanted = {(method, path) for path, item in paths.items() for method in ("get", "post") if method in item}
    shown = {
        (
            each.locator(".opblock-summary-method").inner_text().lower(),
            each.locator(".opblock-summary-path").get_attribute("data-path"),
        )
        for each in page.locator(".opblock").all()
    }
    try_out(page)
    expect(page.locator(".live-responses-table")).to_contain_text('"predictions"')

    assert shown == wanted
