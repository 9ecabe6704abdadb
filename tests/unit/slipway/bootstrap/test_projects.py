"""pyproject.toml as text: which one a folder uses, and how libraries get into it."""

import tomllib
from pathlib import Path

import pytest

from slipway.bootstrap import lockfile, projects
from slipway.errors import USAGE, SlipwayError
from slipway.settings import ROOT

LONG = """\
[project]
name = "wine"

[dependency-groups]
model = [ # what predicts: "pandas" too
    "mlflow-skinny==3.17.2",
    'Scikit_Learn>=1.4', # ] is no end
]
training = [{ include-group = "model" }]
other = []

[tool.other]
x = 1
"""


def _groups(text: str) -> dict[str, list[object]]:
    groups: dict[str, list[object]] = tomllib.loads(text)["dependency-groups"]
    return groups


@pytest.mark.parametrize(
    ("group", "library", "lines"),
    [
        ("model", "lightgbm", ["lightgbm", "mlflow-skinny==3.17.2", "Scikit_Learn>=1.4"]),
        ("model", "scikit-learn==1.8", ["mlflow-skinny==3.17.2", "scikit-learn==1.8"]),
        ("model", "scikit.learn", ["mlflow-skinny==3.17.2", "Scikit_Learn>=1.4"]),
        ("training", "shap>=0.4,<1", ["shap>=0.4,<1", {"include-group": "model"}]),
        ("other", "torch[opt]==2.*", ["torch[opt]==2.*"]),
    ],
    ids=["a new one", "another version", "there already", "an array in one line", "an empty array"],
)
def test_a_library_is_added_once(group: str, library: str, lines: list[object]) -> None:
    """The group has the library, in the place of the same one under another spelling; all else stays, comments too."""
    text = projects.add(LONG, group, library)

    assert _groups(text) == _groups(LONG) | {group: lines}
    assert all(part in text for part in ("# what predicts", "[tool.other]\nx = 1\n"))


def test_a_group_that_is_not_there_is_named() -> None:
    """Nothing is added to a group that the file does not have."""
    with pytest.raises(SlipwayError, match="no group serving"):
        projects.add(LONG, "serving", "lightgbm")


@pytest.mark.parametrize("library", ["-e.", "./wheel.whl", "==1", "'; reboot'", "a;b", "a b==1"])
def test_what_names_no_library_is_refused(library: str) -> None:
    """Options, paths and shell are no requirement."""
    with pytest.raises(SlipwayError) as raised:
        projects.parse(library)

    assert raised.value.code == USAGE


def test_a_folder_is_locked_with_the_server_and_the_store(tmp_path: Path) -> None:
    """What Poetry gets is the folder's groups, and the checkout's groups that serve and that log."""
    groups, shared = _groups(projects.complete(tmp_path, LONG)), _groups((ROOT / "pyproject.toml").read_text())

    assert groups["model"] == _groups(LONG)["model"]
    assert groups["server"] == shared["server"]
    assert groups["serving"] == [{"include-group": "model"}, {"include-group": "server"}]
    assert groups["training"] == [{"include-group": "store"}, {"include-group": "model"}]
    assert groups["store"] == shared["store"]


def test_the_checkout_is_locked_as_it_is() -> None:
    """Nothing is added to the checkout's own file."""
    assert projects.complete(ROOT, LONG) == LONG


def test_a_file_without_a_group_model_is_refused(tmp_path: Path) -> None:
    """A pyproject.toml that says nothing of a model has a cure, not a lock of nothing."""
    with pytest.raises(SlipwayError, match="no group model"):
        projects.complete(tmp_path, '[project]\nname = "x"\n')


def test_a_new_file_begins_with_the_checkouts_libraries(tmp_path: Path) -> None:
    """A folder that gets libraries of its own starts from those that it used so far."""
    groups, shared = _groups(projects.begin(tmp_path, [])), _groups((ROOT / "pyproject.toml").read_text())

    assert groups["model"] == shared["model"]
    assert groups["training"] == [each for each in shared["training"] if each != {"include-group": "store"}]
    assert groups.keys() == {"model", "training"}


def test_a_new_file_begins_with_what_the_folder_asked_for(tmp_path: Path) -> None:
    """What a folder's file asks for is not lost, and is TOML, whatever its quotes."""
    asked = ["mlflow-skinny>=3", 'xgboost==3.0; python_version < "3.13"']

    assert _groups(projects.begin(tmp_path, asked))["model"] == asked


def test_a_folder_may_be_called_as_a_library_is(tmp_path: Path) -> None:
    """A project that depended on itself could not be locked."""
    assert 'name = "xgboost-model"' in projects.begin(tmp_path / "xgboost", ["xgboost"])


@pytest.mark.parametrize(
    ("libraries", "group", "words"),
    [([], "model", "LIBRARY is empty"), (["lightgbm"], "dev", "GROUP is 'dev'"), (["a;b"], "model", "'a;b'")],
    ids=["none", "another group", "no library"],
)
def test_wrong_usage_of_add_is_named(tmp_path: Path, libraries: list[str], group: str, words: str) -> None:
    """Usage errors come before anything is installed or written."""
    with pytest.raises(SlipwayError) as raised:
        lockfile.add(tmp_path, libraries, group, [])

    assert words in raised.value.message
    assert raised.value.code == USAGE
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "names"),
    [('name = "x"\nsystem = ["libgomp1", "g++"]\n', ["libgomp1", "g++"]), ('name = "x"\n', []), (None, [])],
    ids=["two", "none", "no file"],
)
def test_system_libraries_are_read_before_anything_is_installed(
    tmp_path: Path, text: str | None, names: list[str]
) -> None:
    """Python 3.8 finds the list in model.toml without a TOML parser."""
    if text is not None:
        (tmp_path / "model.toml").write_text(text)

    assert projects.read_system(tmp_path) == names
