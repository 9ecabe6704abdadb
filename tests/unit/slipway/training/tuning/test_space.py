"""The table tune of model.toml: what it may contain, and what the script is given of it."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.model_folder import ModelFolder
from slipway.training.tuning import space

HEAD = 'name = "tiny"\nmetric = "loss"\ndirection = "minimize"\n'


def _load(folder: Path, table: str) -> ModelFolder:
    (folder / "model.toml").write_text(f"{HEAD}{table}\n")
    return model_folder.load(folder)


@pytest.mark.parametrize(
    ("line", "drawn"),
    [
        ("{ low = 0.001, high = 1.0, log = true }", FloatDistribution(0.001, 1.0, log=True)),
        ("{ low = 0, high = 1.0 }", FloatDistribution(0.0, 1.0)),
        ("{ low = 0.0, high = 1.0, step = 0.25 }", FloatDistribution(0.0, 1.0, step=0.25)),
        ("{ low = 2, high = 12 }", IntDistribution(2, 12)),
        ("{ low = 2, high = 12, step = 5 }", IntDistribution(2, 12, step=5)),
        ("{ low = 1, high = 1000, log = true }", IntDistribution(1, 1000, log=True)),
        ('["huber", 2, 0.5, true]', CategoricalDistribution(["huber", "2", "0.5", "true"])),
    ],
    ids=[
        "by magnitude",
        "one point is enough",
        "steps",
        "whole numbers",
        "every fifth",
        "by magnitude, whole",
        "choices",
    ],
)
def test_a_line_says_what_is_drawn(tmp_path: Path, line: str, drawn: object) -> None:
    """A table is a range, of whole numbers where nothing has a point, and a list is of choices."""
    assert space.read(_load(tmp_path, f"[tune]\nl1-ratio = {line}")) == {"l1-ratio": drawn}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "has no table tune"),
        ("[tune]", "has no table tune"),
        ("tune = 3", "has no table tune"),
        ("[tune]\nalpha = 3", "tune.alpha is 3: must be a list of choices, or a table"),
        ("[tune]\nalpha = { low = 1.0, high = 1.0 }", "low is 1.0, which is not below high, 1.0"),
        ("[tune]\nalpha = { low = 0.0, high = 1.0, log = true }", "log = true takes no step, and a low above 0"),
        ("[tune]\nalpha = { low = 1, high = 9, log = true, step = 2 }", "log = true takes no step"),
        ("[tune]\nalpha = { low = 1 }", "high is missing"),
        ("[tune]\nalpha = { low = 1, high = inf }", "high is inf; must be a number"),
        ("[tune]\nalpha = { low = nan, high = 1 }", "low is nan; must be a number"),
        ("[tune]\nalpha = { low = 1, high = true }", "high is True; must be a number"),
        ("[tune]\nalpha = { low = 1, high = 3, step = 4 }", "step is 4; must be above 0, and fit"),
        ("[tune]\nalpha = { low = 1, high = 3, step = 0 }", "step is 0; must be above 0"),
        ("[tune]\nalpha = { low = 1, high = 3, log = 1 }", "log is 1; must be true or false"),
        ("[tune]\nalpha = { low = 1, hihg = 3 }", "tune.alpha has hihg; it takes low, high, and step or log"),
        ("[tune]\nalpha = []", "has 0 choices"),
        ("[tune]\nalpha = [1, '1']", "has a choice twice"),
        ("[tune]\nalpha = [[1]]", "a choice is a text"),
        ('[tune]\n"--alpha" = [1, 2]', "a name has letters"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, table: str, words: str) -> None:
    """The error names the file, the argument and what is wrong with it."""
    with pytest.raises(SlipwayError) as raised:
        space.read(_load(tmp_path, table))

    assert "model.toml" in raised.value.message
    assert words in raised.value.message
    assert raised.value.code == 1


def test_values_become_arguments() -> None:
    """A value follows its name; a negative one follows an equals sign, since it looks like an option."""
    assert space.write({"alpha": 1e-05, "depth": 3, "shift": -1e-05}) == [
        "--alpha",
        "1e-05",
        "--depth",
        "3",
        "--shift=-1e-05",
    ]


def test_an_argument_that_no_file_mentions_is_found(tmp_path: Path) -> None:
    """An argument may be written with dashes or, as Python names it, with underscores, in any file of the folder."""
    (tmp_path / "options.py").write_text("parser.add_argument('--l1-ratio'); config.max_depth")

    assert space.find_unknown(["l1-ratio", "max-depth", "l1-rato"], _load(tmp_path, "")) == ["l1-rato"]


def test_a_hidden_folder_hides_what_is_in_it_alone(tmp_path: Path) -> None:
    """A folder that lies in a hidden one is searched like any other."""
    (folder := tmp_path / ".checkouts" / "tiny").mkdir(parents=True)
    (folder / "train.py").write_text("--alpha")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "other.py").write_text("--beta")

    assert space.find_unknown(["alpha", "beta"], _load(folder, "")) == ["beta"]


def test_an_argument_that_is_set_cannot_vary() -> None:
    """Each way to write it counts, and an argument that only begins alike does not."""
    words = ["--l1_ratio=0.3", "--depth", "3", "--alpha-max", "1"]

    assert space.find_fixed(["l1-ratio", "depth", "alpha"], words) == ["l1-ratio", "depth"]
