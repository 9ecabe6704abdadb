"""The try-it page in a real browser, on really served models."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.conftest import Served

FIRST = {"age": 0.0, "bmi": 1.0, "blood pressure": 2.0, "s1": 3.0}
HEADER = "age,bmi,blood pressure,s1\n"


def predictions(page: Page, column: int = 1) -> list[str]:
    """Return a column of the answer's table; the first holds predictions."""
    return page.locator(f"#result tbody td:nth-child({column + 1})").all_text_contents()


def predict(page: Page, words: str) -> None:
    """Press Predict and wait until the status says what was expected."""
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()


def test_it_says_which_model_it_is(numbers: Served, visit: Callable[..., Page]) -> None:
    """Name, version, run and metrics of the model stand at the top."""
    page = visit(f"{numbers.url}/")

    expect(page.get_by_role("heading", level=1)).to_have_text("numbers")
    expect(page.locator("header")).to_contain_text("version 3")
    expect(page.locator("header")).to_contain_text("8c1f0a7b")
    expect(page.locator("header")).to_contain_text("rmse53.1235")
    assert page.title() == "numbers 3"


def test_it_predicts_what_the_model_does(numbers: Served, visit: Callable[..., Page]) -> None:
    """The form holds the example's first row; its prediction is the model's own, and so is that of a changed row."""
    page = visit(f"{numbers.url}/")
    held = {name: float(page.get_by_label(name, exact=True).input_value()) for name in FIRST}
    predict(page, "Prediction:")
    shown = predictions(page)
    page.get_by_label("blood pressure").fill("60.25")
    expected = numbers.predict([{**FIRST, "blood pressure": 60.25}])
    predict(page, f"Prediction: {expected[0]:.6g}")
    changed = predictions(page)

    assert held == FIRST
    assert [float(value) for value in shown] == pytest.approx(numbers.predict([FIRST]))
    assert [float(value) for value in changed] == pytest.approx(expected)


def test_it_predicts_several_rows(numbers: Served, visit: Callable[..., Page]) -> None:
    """Rows are added, changed and removed; each row's prediction stands beside it, and all can be saved as a file."""
    page = visit(f"{numbers.url}/")
    for _ in range(3):
        page.get_by_role("button", name="Add row").click()
    page.get_by_label("age, row 4").fill("100")
    page.get_by_role("button", name="Remove row 2").click()
    predict(page, "3 predictions")
    given = [
        {name: float(text) for name, text in zip(FIRST, row, strict=True)}
        for row in zip(*(predictions(page, at) for at in range(2, 6)), strict=True)
    ]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    saved = download.value.path().read_text().splitlines()

    assert given[2]["age"] == 100
    assert [float(value) for value in predictions(page)] == pytest.approx(numbers.predict(given))
    assert saved[0] == f"prediction,{HEADER.strip()}"
    assert float(saved[3].split(",")[0]) == pytest.approx(numbers.predict(given)[2])


def test_it_takes_pasted_csv(numbers: Served, visit: Callable[..., Page]) -> None:
    """Pasted CSV is sent as text/csv; its rows stand beside the predictions, quoted values too."""
    page = visit(f"{numbers.url}/")
    page.get_by_text("CSV", exact=True).click()
    page.get_by_label("Rows as CSV").fill(
        'age,bmi,"note, quoted",blood pressure,s1\n1,2,"a ""word"", here",3,4\n5,6,x,7,8\n'
    )
    with page.expect_request("**/invocations") as sent:
        predict(page, "2 predictions")
    rows = [dict(zip(FIRST, row, strict=True)) for row in ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0])]

    assert sent.value.headers["content-type"] == "text/csv"
    assert [float(value) for value in predictions(page)] == pytest.approx(numbers.predict(rows))
    assert predictions(page, 4) == ['a "word", here', "x"]


def test_it_takes_a_csv_file(numbers: Served, visit: Callable[..., Page], tmp_path: Path) -> None:
    """A chosen file is sent as it is; of many rows the first hundred are shown, and the file to save has all."""
    rows = [dict(zip(FIRST, [at, 1.0, 2.0, at / 2], strict=True)) for at in range(150)]
    file = tmp_path / "many rows.csv"
    file.write_text(HEADER + "".join(",".join(map(str, row.values())) + "\n" for row in rows))
    page = visit(f"{numbers.url}/")
    page.get_by_text("CSV", exact=True).click()
    page.get_by_label("Or a CSV file").set_input_files(file)
    expect(page.locator("#csv-chosen")).to_contain_text("many rows.csv")
    predict(page, "150 predictions")
    page.get_by_role("button", name="Paste rows instead").click()
    expect(page.get_by_label("Rows as CSV")).to_be_focused()

    assert [float(value) for value in predictions(page)] == pytest.approx(numbers.predict(rows)[:100])


def test_it_draws_the_probabilities_of_classes(classifier: Served, visit: Callable[..., Page]) -> None:
    """A classifier's answer has a bar a class, as long as the class is likely; the class predicted stands out."""
    page = visit(f"{classifier.url}/")
    predict(page, "Prediction: setosa")
    row = requests.get(f"{classifier.url}/model.json", timeout=10).json()["example"]["dataframe_split"]
    expected = classifier.predict([dict(zip(row["columns"], row["data"][0], strict=True))], "predict_proba")[0]
    bars = page.locator(".chart li")
    widths = [
        float(bar.evaluate("bar => bar.querySelector('.bar span').style.width.slice(0, -1)")) for bar in bars.all()
    ]

    assert bars.locator(".label").all_text_contents() == ["setosa", "versicolor", "virginica"]
    assert bars.locator(".share").all_text_contents() == [f"{100 * share:.1f} %" for share in expected]
    assert widths == pytest.approx([100 * share for share in expected], abs=0.01)
    assert page.locator(".chart .chosen .label").all_text_contents() == ["setosa"]


def test_it_draws_what_a_model_gives_as_probabilities(
    shares: Served, visit: Callable[..., Page], tmp_path: Path
) -> None:
    """Where the model's own answer is probabilities, they stand in columns named as the classes.

    The snippets ask for what is chosen.
    """
    page = visit(f"{shares.url}/")
    predict(page, "1 prediction")
    row = requests.get(f"{shares.url}/model.json", timeout=10).json()["example"]["dataframe_split"]
    given = [dict(zip(row["columns"], row["data"][0], strict=True))]
    own = run_snippets(page, tmp_path, PATH="/usr/local/bin:/usr/bin:/bin")
    page.get_by_label("Method").select_option("predict")
    classes = run_snippets(page, tmp_path, PATH="/usr/local/bin:/usr/bin:/bin")

    assert page.locator("#result thead th").all_text_contents()[1:4] == ["0", "1", "2"]
    assert page.locator(".chart .chosen .label").all_text_contents() == ["0"]
    assert own[0][0] == pytest.approx(shares.predict(given, "predict_proba")[0])
    assert classes == [shares.predict(given)] * 2


def test_every_type_has_its_field(every_type: Served, visit: Callable[..., Page]) -> None:
    """Each type has a field of its kind, the model gets values of that type, an optional one may stay empty."""
    page = visit(f"{every_type.url}/")
    page.get_by_label("long", exact=True).fill("9007199254740993")
    page.get_by_label("boolean", exact=True).uncheck()
    page.get_by_label("string", exact=True).fill('a "word", \\ and é')
    page.get_by_label("datetime", exact=True).fill("2024-02-29T23:59:58")
    page.get_by_label("maybe boolean").select_option("yes")
    predict(page, "prediction")
    head = page.locator("#result thead th").all_text_contents()[1:]
    got = dict(zip(head, page.locator("#result tbody td").all_text_contents(), strict=False))

    assert got["got long"] == "9007199254740993"
    assert got["got boolean"] == "False"
    assert got["got string"] == repr('a "word", \\ and é')
    assert got["got datetime"] == "Timestamp('2024-02-29 23:59:58')"
    assert got["got maybe boolean"] == "True"
    assert "got maybe double" not in got
    assert got["types"].split()[:5] == ["float64", "float32", "int64", "int32", "bool"]


def test_every_type_but_binary_comes_as_csv(every_type: Served, visit: Callable[..., Page]) -> None:
    """The example stands there as CSV, with its date, and is taken as it is."""
    page = visit(f"{every_type.url}/")
    page.get_by_text("CSV", exact=True).click()
    predict(page, "prediction")
    head = page.locator("#result thead th").all_text_contents()
    got = dict(zip(head, page.locator("#result tbody tr").first.locator("th, td").all_text_contents(), strict=True))

    assert got["got datetime"] == "Timestamp('2024-01-31 12:30:00')"
    assert got["got string"] == repr("it's")
    assert got["types"].split()[:5] == ["float64", "float32", "int64", "int32", "bool"]


def test_a_model_without_columns_takes_json(tensor: Served, visit: Callable[..., Page]) -> None:
    """A model that takes a matrix is given a JSON body, filled with the example."""
    page = visit(f"{tensor.url}/")
    body = page.get_by_label("Request body, as JSON")
    held = json.loads(body.input_value())
    body.fill('{"inputs": [[1.0, 2.0], [10.0, 20.0], [3.0, 4.0]]}')
    body.press("Control+Enter")
    expect(page.get_by_role("status").filter(has_text="3 predictions")).to_be_visible()

    assert held == {"inputs": [[0.0, 1.0], [2.0, 3.0]]}
    assert [float(value) for value in predictions(page)] == pytest.approx([3.0, 30.0, 7.0])


def run_snippets(page: Page, folder: Path, **variables: str) -> list[Any]:
    """Run the curl command and the Python program that the page shows; return the predictions of both."""
    curl = subprocess.run(
        ["sh", "-c", page.locator("#curl").inner_text()], env=variables, cwd=folder, check=True, capture_output=True
    )
    program = page.locator("#python").inner_text().replace("print(", "import json; print(json.dumps(") + ")"
    python = subprocess.run([sys.executable, "-c", program], env=variables, cwd=folder, check=True, capture_output=True)
    return [json.loads(curl.stdout)["predictions"], json.loads(python.stdout)]


def test_the_snippets_work(every_type: Served, visit: Callable[..., Page], tmp_path: Path) -> None:
    """The curl command and the Python program send what the form holds, quotes and all."""
    page = visit(f"{every_type.url}/")
    page.get_by_label("string", exact=True).fill("""it's "true", null & $HOME \\n é""")
    page.get_by_label("maybe string").fill("yes")
    by_curl, by_python = run_snippets(page, tmp_path, PATH="/usr/local/bin:/usr/bin:/bin")

    assert by_curl[0]["got string"] == repr("""it's "true", null & $HOME \\n é""")
    assert by_curl == by_python


@pytest.mark.parametrize("source", ["text", "file"])
def test_the_snippets_work_for_csv(numbers: Served, visit: Callable[..., Page], tmp_path: Path, source: str) -> None:
    """The snippets send pasted CSV, or the chosen file."""
    text, file = HEADER + "1,2,3,4\n5,6,7,8", tmp_path / "it's.csv"
    file.write_text(text)
    page = visit(f"{numbers.url}/")
    page.get_by_text("CSV", exact=True).click()
    if source == "file":
        page.get_by_label("Or a CSV file").set_input_files(file)
    else:
        page.get_by_label("Rows as CSV").fill(text)
    by_curl, by_python = run_snippets(page, tmp_path, PATH="/usr/local/bin:/usr/bin:/bin")

    assert by_curl == pytest.approx(
        numbers.predict([dict(zip(FIRST, row, strict=True)) for row in ([1.0, 2, 3, 4], [5.0, 6, 7, 8])])
    )
    assert by_curl == by_python


def test_the_snippets_ask_for_a_method(classifier: Served, visit: Callable[..., Page], tmp_path: Path) -> None:
    """A method chosen beside the snippets stands in them; a button copies them."""
    page = visit(f"{classifier.url}/", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("Method").select_option("predict_proba")
    by_curl, by_python = run_snippets(page, tmp_path, PATH="/usr/local/bin:/usr/bin:/bin")
    page.get_by_role("button", name="Copy the curl command").click()
    expect(page.locator("#copied")).to_have_text("Copied: curl")

    assert len(by_curl[0]) == 3
    assert by_curl == by_python
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#curl").inner_text()
