"""A model folder of one's own: a copy of an example under another name, with made-up data to replace."""

from __future__ import annotations

import csv
import io
import random
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from slipway import hints, model_folder, shell
from slipway.errors import USAGE, SlipwayError
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = "examples"
CURE = "make new_model NAME=churn KIND=classifier, or FROM=model to copy a folder"
NAME = re.compile(r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*")
NOT_COPIED = shutil.ignore_patterns(".*", "*.egg-info", *(model_folder.NO_CODE - {"README.md"}))
ROWS = 300  # of made-up tables
IMAGES = 30  # of each made-up label
SEED = 42


class Kind(NamedTuple):
    """What a kind of model is made of: an example's folder, words that are others there, its data, what it says."""

    source: str
    metric: str
    direction: str
    about: str
    words: dict[str, str] = {}  # noqa: RUF012 -- in train.py; a NamedTuple's default is never changed
    write_data: Callable[[Path], None] | None = None


def make(name: str, kind: str = "", source: str = "") -> Path:
    """Make a model folder that trains at once, print what to type next, and return it.

    `name` is that of the model, and of a folder of examples/, or the path of another folder. Raises SlipwayError for a
    folder that exists, and for a name, `kind` or `source` that cannot be used.
    """
    try:
        return _make(name, kind, source)
    except OSError as error:
        raise SlipwayError(f"{name} cannot be made: {error.strerror or error}", CURE) from None


def _make(name: str, kind: str, source: str) -> Path:
    target = _find_target(name)
    if bool(kind.strip()) == bool(source.strip()):
        raise SlipwayError(f"which kind of model? KIND is one of {', '.join(KINDS)}", CURE, USAGE)
    if kind and kind not in KINDS:
        raise SlipwayError(f"KIND is {kind!r}: must be one of {', '.join(KINDS)}", CURE, USAGE)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        made = Path(scratch, target.name)
        if kind:
            _copy(ROOT / PLACE / KINDS[kind].source, made, target)
            _fill(made, KINDS[kind])
        else:
            folder = model_folder.load((ROOT / shell.expand(source)).resolve())
            _copy(folder.path, made, target)
        made.rename(target)
    place = _name(target)
    print(f"made {place}: {', '.join(sorted(path.name for path in target.iterdir()))}")
    hints.say_next(f"export MODEL_DIR={place}, then make train_model")
    return target


def _find_target(name: str) -> Path:
    if not name.strip():
        raise SlipwayError("NAME is empty: how shall the model be called?", CURE, USAGE)
    given = shell.expand(name)
    if not NAME.fullmatch(given.name):
        words = "must be letters and digits, with single . _ - between them"
        raise SlipwayError(f"NAME is {name!r}: {words}", CURE, USAGE)
    target = (ROOT / PLACE / given if given.parent == Path() and "/" not in name else ROOT / given).resolve()
    if target.exists():
        raise SlipwayError(f"{_name(target)} exists already", "another NAME, or remove that folder")
    return target


def _copy(source: Path, made: Path, target: Path) -> None:
    """Copy a model folder, and call it by its new name wherever it names itself."""
    old, new, place = model_folder.load(source).name, target.name, _name(target)
    shutil.copytree(source, made, ignore=NOT_COPIED)
    changes = {
        "model.toml": {rf'^name = "{re.escape(old)}"': f'name = "{new}"'},
        "pyproject.toml": {
            '^name = ".*"': f'name = "{model_folder.plain(new)}-model"',
            r"MODEL_DIR=\S+": f"MODEL_DIR={place}",
        },
        "MLproject": {
            "^name: .*": f"name: {new}",
            r"mlflow run \S+ --experiment-name [^\s`]+": f"mlflow run {place} --experiment-name {new}",
        },
        "README.md": {r"MODEL_DIR=\S+": f"MODEL_DIR={place}", rf"models:/{re.escape(old)}\b": f"models:/{new}"},
    }
    for file, words in changes.items():
        if (path := made / file).exists():
            text = path.read_text(encoding="utf-8")
            for pattern, replacement in words.items():
                text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
            path.write_text(text, encoding="utf-8")
    if model_folder.load(made).name != new:
        raise SlipwayError(
            f'{_name(source)}/model.toml has no line name = "{old}", so the copy would bear that name, too',
            "write it so there, then the same command again",
        )


def _fill(made: Path, kind: Kind) -> None:
    """Give a copied example another data set, and pages of its own."""
    script = made / "train.py"
    text = script.read_text(encoding="utf-8")
    for old, new in kind.words.items():
        text = text.replace(old, new)
    script.write_text(text, encoding="utf-8")
    if kind.write_data:
        kind.write_data(made)
    (made / "model.toml").write_text(
        f'name = "{made.name}"  # of the registered model\n'
        f'metric = "{kind.metric}"  # decides between two versions; train.py logs it\n'
        f'direction = "{kind.direction}"\n\n'
        f"# [gate]  # what make promote asks of a version: docs/release.md\n"
        f"# {'at_least' if kind.direction == 'maximize' else 'at_most'} = {{ {kind.metric} = … }}\n",
        encoding="utf-8",
    )
    (made / "README.md").write_text(README.format(name=made.name, about=kind.about), encoding="utf-8")


def _write_table(made: Path, target: str, value: Callable[[float], object]) -> None:
    """Write data.csv: numbers and words, and last the column to predict, a function of them and of chance."""
    chance = random.Random(SEED)  # noqa: S311 -- made-up data
    plans, regions = {"basic": -1.0, "plus": 0.0, "premium": 1.0}, {"north": 0.5, "south": 0.0, "west": -0.5}
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["age", "months", "amount", "plan", "region", target])
    for _ in range(ROWS):
        age, months, amount = chance.randint(18, 80), chance.randint(1, 60), round(chance.uniform(5, 100), 2)
        plan, region = chance.choice(list(plans)), chance.choice(list(regions))
        score = (months - 30) / 15 - (amount - 50) / 25 + plans[plan] + regions[region] + chance.gauss(0, 0.4)
        rows.writerow([age, months, amount, plan, region, value(score)])
    (made / "data.csv").write_text(out.getvalue(), encoding="utf-8")


def _write_classes(made: Path) -> None:
    _write_table(made, "label", lambda score: "yes" if score > 0 else "no")


def _write_values(made: Path) -> None:
    _write_table(made, "value", lambda score: round(100 + 20 * score, 1))


def _write_images(made: Path) -> None:
    """Write images/<label>/*.png, and the module that reads them in the place of the example's."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 -- for this kind alone

    chance = random.Random(SEED)  # noqa: S311 -- made-up data
    corners = {"cross": None, "square": 4, "triangle": 3}
    for label, sides in corners.items():
        (made / "images" / label).mkdir(parents=True)
        for number in range(IMAGES):
            image = Image.new("L", (64, 64), 255)
            brush, size = ImageDraw.Draw(image), chance.randint(12, 22)
            x, y = chance.randint(26, 38), chance.randint(26, 38)
            if sides:
                brush.regular_polygon((x, y, size), sides, chance.randint(-15, 15), outline=0, width=3)
            else:
                brush.line((x - size, y - size, x + size, y + size), 0, 4)
                brush.line((x - size, y + size, x + size, y - size), 0, 4)
            image.save(made / "images" / label / f"{number:02}.png")
    (made / "images.py").write_text(IMAGES_MODULE, encoding="utf-8")


README = """# {name}

{about}

```
make train_model
make promote MODEL=models:/{name}/1
make serve_model MODEL=models:/{name}@champion
```
"""
IMAGES_MODULE = '''"""The images to learn from: a folder images/<label> for each label, with PNG or JPEG files."""

from pathlib import Path

ENDINGS = {".png", ".jpg", ".jpeg"}


def load_images() -> tuple[list[bytes], list[str]]:
    """Return the files, and the label of each."""
    found = sorted(Path(__file__).parent.glob("images/*/*"))
    files = [file for file in found if file.suffix.lower() in ENDINGS]
    return [file.read_bytes() for file in files], [file.parent.name for file in files]
'''
TABLE = """`data.csv` is made up: replace it by your rows. The last column is what `train.py` learns to
predict from the others, numbers or words."""
KINDS = {
    "classifier": Kind(
        "wine-forest", "validation_accuracy", "maximize", f"A random forest that tells labels apart. {TABLE}",
        write_data=_write_classes,
    ),
    "regressor": Kind(
        "wine-forest", "validation_r2", "maximize", f"A random forest that predicts a number. {TABLE}",
        {"RandomForestClassifier": "RandomForestRegressor"}, _write_values,
    ),
    "text": Kind(
        "text", "validation_accuracy", "maximize",
        "Sorts lines by their words. Replace `data.csv` by yours: `message` is the line, `label` what it is.",
    ),
    "image": Kind(
        "digits", "validation_accuracy", "maximize",
        """A small network that tells drawings apart. Replace the files of `images/`, a folder for each label, by
yours. `classifier.py` says what it sees of them, `vary` in `train.py` how they may differ.""",
        write_data=_write_images,
    ),
    "custom": Kind(
        "custom", "held_out_mae", "minimize",
        """A model of your own code, `forecast.py`: with params, and several values a row. `data.csv` is made up:
replace both.""",
    ),
}  # fmt: skip


def _name(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)
