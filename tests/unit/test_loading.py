"""What the model server compares before it loads a model: checksum, libraries, types."""

import subprocess
from pathlib import Path

import pytest
from sklearn.utils import all_estimators

from scoring import loading, skops_file
from scoring.errors import ModelError
from slipway import models


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of files, some of them in folders, with names that sort in another way than their paths."""
    for name in ("MLmodel", "data/model.pkl", "data-2/x", "data/ä b", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    return tmp_path


def test_both_sides_compute_one_checksum(folder: Path) -> None:
    """slipway, the server and the shell's own tools find the same checksum."""
    command = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True, text=True).stdout

    assert loading.checksum(folder) == models.compute_checksum(folder) == f"sha256:{printed.split()[0]}"


@pytest.mark.parametrize("change", ["content", "name", "one more", "one less"])
def test_any_change_changes_it(folder: Path, change: str) -> None:
    """A file with other content or another name, one more or one less, makes another checksum."""
    before = loading.checksum(folder)
    file = folder / "data" / "model.pkl"
    {
        "content": lambda: file.write_text("other"),
        "name": lambda: file.rename(folder / "data" / "other.pkl"),
        "one more": (folder / "data" / "more").touch,
        "one less": file.unlink,
    }[change]()

    assert loading.checksum(folder) != before


@pytest.mark.parametrize(
    ("line", "is_right"),
    [("scikit-learn==0.1", False), ("no-such-library==1", False), ("# scikit-learn==0.1", True), ("scikit-learn>=0.1", True), ("", True)],
    ids=["another version", "not installed", "a comment", "not pinned", "nothing"],
)
def test_pinned_libraries_are_compared(tmp_path: Path, line: str, is_right: bool) -> None:  # noqa: FBT001 -- a parameter
    """A model whose requirements pin another version than the installed one is refused."""
    (tmp_path / "requirements.txt").write_text(line + "\n")
    if is_right:
        loading.check_libraries(tmp_path)
        return
    with pytest.raises(ModelError, match="was trained with"):
        loading.check_libraries(tmp_path)


def test_estimators_are_those_of_scikit_learn() -> None:
    """Every estimator that scikit-learn lists is one by our rule; other classes and functions are none."""
    listed = [f"{kind.__module__}.{kind.__name__}" for _, kind in all_estimators()]

    assert [name for name in listed if not skops_file.is_estimator(name)] == []
    assert not any(
        map(skops_file.is_estimator, ("os.system", "sklearn.base.clone", "sklearn.no.Such", "builtins.eval", "sklearn.tree._tree.Tree"))
    )
