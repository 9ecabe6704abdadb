"""A model folder of one's own: complete, with nothing of the example's left in it, and made whole or not at all."""

import csv
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from slipway import model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.settings import ROOT
from slipway.training import new_model

TRACES = re.compile(r"diabetes|wine|grape|forest-|digit|boosted|cancer", re.IGNORECASE)
LOCKED = {"poetry.lock", "requirements"}


def read_all(folder: Path) -> dict[str, str]:
    """Return the texts of a folder's own files, by name."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".png"]
    named = {str(path.relative_to(folder)): path for path in files}
    return {name: path.read_text() for name, path in named.items() if name.split("/")[0] not in LOCKED}


@pytest.mark.parametrize("kind", new_model.KINDS)
def test_a_new_folder_has_nothing_of_the_examples(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has its own name, a lock, and no word of the folder that it was made of; what to type next is printed."""
    made = new_model.make(str(tmp_path / "churn"), kind)
    texts = read_all(made)
    folder = model_folder.load(made)

    assert folder.name == "churn"
    assert folder.has_own_libraries
    assert (folder.requirements / "serving.txt").is_file()
    assert tomllib.loads(texts["pyproject.toml"])["project"]["name"] == "churn-model"
    assert {name: found for name, text in texts.items() if (found := TRACES.findall(text))} == {}
    assert f"next  export MODEL_DIR={made}, then" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "target"), [("classifier", "label"), ("regressor", "value")])
def test_a_made_up_table_has_plain_columns(kind: str, target: str, tmp_path: Path) -> None:
    """It has numbers and words, and last the column to predict, of which a classifier's has both labels often."""
    made = new_model.make(str(tmp_path / "churn"), kind)
    with (made / "data.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert list(rows[0]) == ["age", "months", "amount", "plan", "region", target]
    assert len(rows) == 300
    if kind == "classifier":
        assert min(Counter(row["label"] for row in rows).values()) > 100
    else:
        assert len({float(row["value"]) for row in rows}) > 200


def test_made_up_images_have_a_folder_for_each_label(tmp_path: Path) -> None:
    """30 PNG files for each of three labels, no two alike."""
    made = new_model.make(str(tmp_path / "shapes"), "image")
    files = list((made / "images").glob("*/*.png"))

    assert Counter(file.parent.name for file in files) == {"cross": 30, "square": 30, "triangle": 30}
    assert len({file.read_bytes() for file in files}) == 90
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_a_copy_is_called_by_its_new_name(tmp_path: Path) -> None:
    """FROM copies all that a folder has and git would take, and changes its name wherever it names itself."""
    made = new_model.make(str(tmp_path / "Sugar"), source="model")
    texts = read_all(made)

    assert model_folder.load(made).name == "Sugar"
    assert f"mlflow run {made} --experiment-name Sugar` " in texts["MLproject"]
    assert texts["MLproject"].splitlines()[1] == "name: Sugar"
    assert "models:/Sugar/1" in texts["README.md"]
    assert texts["train.py"] == (ROOT / "model" / "train.py").read_text()
    assert not (made / "request.json").exists()


@pytest.mark.parametrize(
    ("name", "kind", "source", "words", "code"),
    [
        ("", "text", "", "NAME is empty", USAGE),
        ("a b", "text", "", "NAME is 'a b': must be letters", USAGE),
        ("..", "text", "", "NAME is '..': must be letters", USAGE),
        ("x", "", "", "KIND is one of classifier, regressor, text, image, custom", USAGE),
        ("x", "forest", "", "KIND is 'forest': must be one of classifier, regressor, text, image, custom", USAGE),
        ("x", "text", "model", "KIND is one of", USAGE),
        ("x", "", "docs", "no model folder at", 1),
        ("x", "", "README.md", "no model folder at", 1),
        ("x", "", "~nobody-here/x", "no model folder at", 1),
        ("x" * 300, "text", "", "cannot be made: File name too long", 1),
        ("model", "text", "", "model exists already", 1),
    ],
    ids=[
        "no name",
        "a space",
        "a parent",
        "no kind",
        "no such kind",
        "kind and folder",
        "no folder",
        "a file",
        "no user",
        "too long",
        "there already",
    ],
)
def test_what_cannot_be_made_leaves_nothing(  # noqa: PLR0913, PLR0917 -- a case
    name: str, kind: str, source: str, words: str, code: int, tmp_path: Path
) -> None:
    """The error names the choices, and no folder is begun."""
    (tmp_path / "model").mkdir()
    given = f"{tmp_path}/{name}" if name else ""

    with pytest.raises(SlipwayError, match=re.escape(words).replace("NAME\\ is\\ '", "NAME is '.*")) as raised:
        new_model.make(given, kind, source)

    assert raised.value.code == code
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
