"""The page for everybody: by keyboard, by ear, on a phone, in the dark; and the security headers of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.conftest import Served

FAULTS = """() => {
  const seen = (element) => element.checkVisibility({ opacityProperty: false, visibilityProperty: true });
  const told = (ids) => (ids || "").split(" ").map((id) => document.getElementById(id)?.innerText || "").join("");
  const labels = (element) => [...(element.labels || [])].map((label) => label.innerText).join("");
  const name = (element) =>
    element.getAttribute("aria-label") || labels(element) || told(element.getAttribute("aria-labelledby"))
    || element.innerText;
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const tell = (words, elements) => elements.map((element) => `${words}: ${element.outerHTML.slice(0, 120)}`);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.tagName[1]));
  const naming = ["aria-describedby", "aria-labelledby", "for"];
  const split = (ids) => (ids || "").split(" ").filter(Boolean);
  const named = (element) => naming.flatMap((attribute) => split(element.getAttribute(attribute)));
  const isBroken = (element) => named(element).some((id) => !document.getElementById(id));
  const broken = [...document.querySelectorAll("*")].filter(isBroken);
  const fields = all("input, select, textarea, button, a, [role=region]");
  const isNested = levels[0] === 1 && levels.slice(1).every((level, at) => level > 1 && level <= levels[at] + 1);
  const isFramed = document.documentElement.lang && document.title && all("main").length === 1;
  return [
    ...tell("has no name", fields.filter((element) => !name(element).trim())),
    ...tell("names what is not there", broken),
    ...tell("has no scope", all("table th").filter((cell) => !cell.scope)),
    ...tell("has no caption", all("table").filter((table) => !table.caption?.innerText.trim())),
    ...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `id twice: ${id}`),
    ...(isNested ? [] : [`headings: ${levels}`]),
    ...(isFramed ? [] : ["no language, title or main"]),
  ];
}"""

FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colour, ground) => {
    canvas.fillStyle = `rgb(${ground})`;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const ground = (element) => {
    const page = getComputedStyle(document.body).backgroundColor;
    const above = element.parentElement ? ground(element.parentElement) : over(page, [255, 255, 255]);
    return over(getComputedStyle(element).backgroundColor, above);
  };
  const light = (colour) => colour
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const contrast = (element) => ratio(over(getComputedStyle(element).color, ground(element)), ground(element));
  const isText = (node) => node.nodeType === 3 && node.data.trim();
  const holdsText = (element) => element.matches("input, textarea, select") || [...element.childNodes].some(isText);
  return [...document.body.querySelectorAll("*:not(noscript)")]
    .filter((element) => element.checkVisibility() && holdsText(element))
    .map((element) => ({ element, found: contrast(element) }))
    .filter(({ found }) => found < 4.5)
    .map(({ element, found }) => `${found.toFixed(2)}: ${element.outerHTML.slice(0, 100)}`);
}"""

OUTLINED = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at.type === "radio" ? at.labels[0] : at);
  return style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
}"""


def states(page: Page) -> list[Callable[[], Any]]:
    """Return what brings the page into one state after another: answered, several rows, a problem, CSV."""

    def press(name: str) -> None:
        page.get_by_role("button", name=name, exact=True).click()

    def answered() -> None:
        press("Predict")
        expect(page.locator("#result table")).to_be_visible()

    def rows() -> None:
        press("Add row")
        answered()

    def problem() -> None:
        page.locator("#field-0-0").fill("")
        press("Predict")
        expect(page.get_by_text("needs a number")).to_be_visible()

    return [lambda: None, answered, rows, problem, page.get_by_text("CSV", exact=True).click]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_can_be_read_and_named(classifier: Served, visit: Callable[..., Page], scheme: str) -> None:
    """In each state all fields, buttons, tables and regions have names, headings nest, and contrast is at least 4.5."""
    page = visit(f"{classifier.url}/", color_scheme=scheme, reduced_motion="reduce")
    faults = []
    for reach in states(page):
        reach()
        faults += [*page.evaluate(FAULTS), *page.evaluate(FAINT)]

    assert faults == []


def test_fields_of_every_type_are_named(every_type: Served, visit: Callable[..., Page]) -> None:
    """Every field has a label and every problem a place, alone and in a table."""
    page = visit(f"{every_type.url}/")
    alone = page.evaluate(FAULTS)
    page.get_by_role("button", name="Add row").click()

    assert alone == []
    assert page.evaluate(FAULTS) == []


def test_it_works_by_keyboard_alone(numbers: Served, visit: Callable[..., Page]) -> None:
    """Tab goes through the page in its order with the focus in sight, a link skips to the input, Enter predicts."""
    page = visit(f"{numbers.url}/")
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_role("link", name="Skip to the input")).to_be_focused()
    press("Enter")
    order, unseen = [], []
    for _ in range(9):
        press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
        if not page.evaluate(OUTLINED):
            unseen.append(order[-1])
    page.locator("#field-0-0").focus()
    press("Control+A")
    page.keyboard.type("61.5")
    press("Enter")
    expect(page.get_by_role("status").filter(has_text="Prediction:")).to_be_visible()
    page.locator("#mode-form").focus()
    press("ArrowRight")
    expect(page.get_by_label("Rows as CSV")).to_be_visible()
    press("ArrowLeft")
    page.get_by_role("button", name="Add row").focus()
    press("Enter")
    expect(page.get_by_label("age, row 2")).to_be_focused()
    page.get_by_role("button", name="Remove row 1").focus()
    press("Space")

    expect(page.get_by_label("age", exact=True)).to_be_focused()
    assert order == ["mode-form", "field-0-0", "field-0-1", "field-0-2", "field-0-3", "predict", "add-row", "reset", ""]
    assert unseen == []


def test_the_answer_is_told_to_screen_readers(numbers: Served, visit: Callable[..., Page]) -> None:
    """A polite live region says the prediction; the table has headings for its columns and rows."""
    page = visit(f"{numbers.url}/")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#status[role=status]")).to_contain_text("Prediction: ")
    table = page.get_by_role("table", name="Predictions beside the rows")

    assert table.get_by_role("columnheader").all_text_contents() == [
        "Row",
        "prediction",
        "age",
        "bmi",
        "blood pressure",
        "s1",
    ]
    assert table.get_by_role("rowheader").all_text_contents() == ["1"]


@pytest.mark.parametrize("width", [320, 375, 768])
def test_it_fits_a_phone(classifier: Served, visit: Callable[..., Page], width: int) -> None:
    """On a narrow screen nothing makes the page wider than it, in any state."""
    page = visit(f"{classifier.url}/", width)
    widths = []
    for reach in states(page):
        reach()
        widths.append(page.evaluate("document.documentElement.scrollWidth"))

    assert widths == [width] * len(widths)


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/page/page.js", "/page/base.css", "/docs/swagger-ui-bundle.js", "/model.json", "/openapi.json"],
)
def test_answers_tell_browsers_what_to_forbid(numbers: Served, path: str) -> None:
    """No page may be framed, guessed at or told of elsewhere, and pages run only this server's scripts."""
    headers = requests.get(f"{numbers.url}{path}", timeout=10).headers
    policy = headers.get("Content-Security-Policy", "default-src 'none'")

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'unsafe" not in policy
    assert "http" not in policy


def test_a_copy_that_is_new_is_not_sent_again(numbers: Served) -> None:
    """The page's files are asked about each time and sent only when they changed; what needs a key is kept nowhere."""
    first = requests.get(f"{numbers.url}/page/page.js", timeout=10)
    again = requests.get(f"{numbers.url}/page/page.js", headers={"If-None-Match": first.headers["ETag"]}, timeout=10)

    assert first.headers["Cache-Control"] == "no-cache"
    assert again.status_code == requests.codes.not_modified
