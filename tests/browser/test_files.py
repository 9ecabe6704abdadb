"""The try-it page of a model that takes files, and of one that streams, in a real browser on really served models."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from PIL import Image
from playwright.sync_api import TimeoutError as PageTimeoutError
from playwright.sync_api import expect

from tests.browser.conftest import serve
from tests.browser.test_page import predict, predictions, run_snippets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import FileChooser, Page

    from tests.browser.conftest import Served

HERE = Path(__file__).parent


def picture(width: int) -> bytes:
    """Return a PNG with a black bar of a width, 20 pixels high."""
    grey = np.full((28, 28), 255, dtype=np.uint8)
    grey[4:24, 4 : 4 + width] = 0
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


ONE, ZERO = picture(3), picture(18)


@pytest.fixture(scope="module")
def digits(folder: Path) -> Iterator[Served]:
    """Serve a model of one binary column, whose example is a one."""
    mlflow.pyfunc.save_model(
        str(folder / "digits"), python_model=str(HERE / "stroke.py"), input_example=pd.DataFrame({"input": [ONE]}),
        signature=ModelSignature(Schema([ColSpec("binary", "input")]), Schema([ColSpec("long")])), pip_requirements=[],
    )  # fmt: skip
    with serve(folder / "digits", folder / "digits.log") as served:
        yield served


@pytest.fixture(scope="module")
def talker(folder: Path) -> Iterator[Served]:
    """Serve the agent that streams what it was sent."""
    mlflow.pyfunc.save_model(
        str(folder / "talker"), python_model=str(HERE.parent / "scoring" / "talker.py"), pip_requirements=[]
    )
    with serve(folder / "talker", folder / "talker.log") as served:
        yield served


def draw(page: Page, *points: tuple[float, float]) -> None:
    """Draw a line through points of the sheet (0 to 1 from its left and top)."""
    box = page.get_by_label("Sheet to draw on").bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def press_for_files(page: Page) -> FileChooser:
    """Press Enter until the browser's dialog is there: a busy browser was seen to lose the key once."""
    for timeout_ms in (5000, 20_000):
        with contextlib.suppress(PageTimeoutError), page.expect_file_chooser(timeout=timeout_ms) as chooser:
            page.keyboard.press("Enter")
            return chooser.value
    pytest.fail("Enter opened no dialog")


def test_a_form_takes_files(digits: Served, visit: Callable[..., Page], tmp_path: Path) -> None:
    """The example is there from the start; chosen files are shown and sent, each a row; the snippets send the same."""
    page = visit(f"{digits.url}/")
    predict(page, "Prediction: 1")
    expect(page.get_by_label("File", exact=True)).to_be_checked()
    expect(page.get_by_label("Preview of example.png")).to_be_visible()
    for name, content in {"zero.png": ZERO, "it's a one.png": ONE}.items():
        (tmp_path / name).write_bytes(content)
    page.get_by_label("Files, each of them a row").set_input_files([tmp_path / "zero.png", tmp_path / "it's a one.png"])
    expect(page.get_by_label("Preview of zero.png")).to_be_visible()
    predict(page, "2 predictions")
    by_curl, by_python = run_snippets(page, tmp_path, PATH="/usr/local/bin:/usr/bin:/bin")

    assert predictions(page) == ["0", "1"]
    assert predictions(page, 2) == ["zero.png", "it's a one.png"]
    assert by_curl == by_python == [0, 1]


def test_a_file_can_be_chosen_by_keyboard(digits: Served, visit: Callable[..., Page], tmp_path: Path) -> None:
    """Tab reaches the file field from the ways to give the input, and Enter opens the browser's dialog."""
    (tmp_path / "zero.png").write_bytes(ZERO)
    page = visit(f"{digits.url}/")
    page.on("filechooser", lambda _: None)  # told late, a busy browser opens a dialog of its own, which none can close
    page.locator("#mode-file").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Files, each of them a row")).to_be_focused()
    press_for_files(page).set_files(tmp_path / "zero.png")
    predict(page, "Prediction: 0")


def test_a_digit_is_drawn(digits: Served, visit: Callable[..., Page]) -> None:
    """A line is a one, a circle a zero, in either colours; the sheet is empty again when it was cleared."""
    page = visit(f"{digits.url}/")
    page.get_by_text("Draw", exact=True).click()
    predict(page, "No answer.")
    expect(page.get_by_role("alert").filter(has_text="Draw something first.")).to_be_visible()
    draw(page, (0.5, 0.1), (0.5, 0.9))
    predict(page, "Prediction: 1")
    page.get_by_role("button", name="Clear").click()
    circle = [(0.5 + 0.3 * math.cos(at), 0.5 + 0.3 * math.sin(at)) for at in np.linspace(0, 2 * math.pi, 16)]
    draw(page, *circle)
    predict(page, "Prediction: 0")
    page.get_by_label("Colours").select_option("White on black")
    predict(page, "No answer.")
    draw(page, *circle)
    predict(page, "Prediction: 10")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save a copy").click()

    assert saved.value.suggested_filename == "drawing.png"
    assert Image.open(saved.value.path()).size == (280, 280)


def test_a_finger_draws(digits: Served, visit: Callable[..., Page]) -> None:
    """A touch leaves ink, on a narrow screen, too."""
    page = visit(f"{digits.url}/", width=360, has_touch=True)
    page.get_by_text("Draw", exact=True).tap()
    sheet = page.get_by_label("Sheet to draw on")
    sheet.tap(position={"x": 100, "y": 100})
    predict(page, "Prediction: 0")  # a dot is as wide as it is high

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_browsers_own_form_is_taken(digits: Served, visit: Callable[..., Page], tmp_path: Path) -> None:
    """A plain form of somebody's page that submits a file gets the digit."""
    (tmp_path / "zero.png").write_bytes(ZERO)
    page = visit(f"{digits.url}/readyz", refused=True)  # there is no favicon.ico
    page.set_content(
        f'<form method="post" enctype="multipart/form-data" action="{digits.url}/predict">'
        '<label>File <input type="file" name="input"></label><button>Send</button></form>'
    )
    page.get_by_label("File").set_input_files(tmp_path / "zero.png")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/predict")

    assert json.loads(page.locator("body").inner_text()) == {"predictions": [0]}


def test_an_agents_answer_is_shown_as_it_comes(talker: Served, visit: Callable[..., Page]) -> None:
    """The text of the events stands there before the last one came; without the tick the answer comes whole."""
    page = visit(f"{talker.url}/")
    body = page.get_by_label("Request body, as JSON")
    given = json.loads(body.input_value())
    given["input"][-1]["content"] = "one sleep=3 last"
    body.fill(json.dumps(given))
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".told")).to_have_text("one")  # and not yet what comes after the sleep
    expect(page.get_by_role("status").filter(has_text="4 events")).to_be_visible()
    expect(page.locator(".told")).to_have_text("onesleep=3last")
    page.get_by_label("Show the answer as it comes").uncheck()
    predict(page, "Answered")
    shown = json.loads(page.get_by_label("Answer as JSON").inner_text())

    assert shown == requests.post(f"{talker.url}/invocations", json=given, timeout=30).json()
