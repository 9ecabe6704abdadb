"""What the model server compares before it loads a model: checksum, libraries, types."""

from __future__ import annotations

import importlib
import subprocess
from typing import TYPE_CHECKING

import mlflow.sklearn
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import all_estimators
from skops.io import _trusted_types as types
from skops.io import dump

from scoring import loading
from scoring.errors import ModelError
from scoring.models import skops_file
from scoring.settings import Settings
from slipway.registry import model_files
from slipway.runtimes import left_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of files, some of them in folders, with names that sort in another way than their paths."""
    for name in ("MLmodel", "data/model.pkl", "data-2/x", "data/ä b", ".hidden", "registered_model_meta"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    return tmp_path


def test_both_sides_compute_one_checksum(folder: Path) -> None:
    """slipway, the server and the shell's own tools find the same checksum."""
    command = "find . -type f ! -name registered_model_meta -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True, text=True).stdout

    assert loading.checksum(folder) == model_files.compute_checksum(folder) == f"sha256:{printed.split()[0]}"


@pytest.mark.parametrize("change", ["content", "name", "one more", "one less"])
def test_any_change_changes_it(folder: Path, change: str) -> None:
    """A file with other content or another name, one more or one less, makes another checksum."""
    before = loading.checksum(folder)
    file = folder / "data" / "model.pkl"
    changes: dict[str, Callable[[], object]] = {
        "content": lambda: file.write_text("other"),
        "name": lambda: file.rename(folder / "data" / "other.pkl"),
        "one more": (folder / "data" / "more").touch,
        "one less": file.unlink,
    }
    changes[change]()

    assert loading.checksum(folder) != before


@pytest.mark.parametrize(
    ("line", "is_right"),
    [("scikit-learn==0.1", False), ("# scikit-learn==0.1", True), ("scikit-learn>=0.1", True), ("", True)],
    ids=["another version", "a comment", "not pinned", "nothing"],
)
def test_pinned_libraries_are_compared(tmp_path: Path, line: str, is_right: bool) -> None:
    """A model whose requirements pin another version than the installed one is refused."""
    (tmp_path / "requirements.txt").write_text(line + "\n")
    if is_right:
        assert loading.check_libraries(tmp_path) == []
        return
    with pytest.raises(ModelError, match="was trained with"):
        loading.check_libraries(tmp_path)


def test_a_library_that_is_not_here_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Code beside a model refuses none that loads without it; when the model does not load, the code is named."""
    mlflow.sklearn.save_model(
        LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "model", pip_requirements=["none-such==1"]
    )
    loading.load(Settings(tmp_path / "model"))

    assert "model unregistered: not installed, and not needed to load: none-such 1" in caplog.messages
    (tmp_path / "model" / "model.skops").write_text("broken")
    (tmp_path / "model" / "model.pkl").write_text("broken")
    with pytest.raises(ModelError, match="it was trained with none-such 1, not installed here"):
        loading.load(Settings(tmp_path / "model"))


def test_what_is_known_is_what_skops_trusts() -> None:
    """Every name that passes our quick rule is in skops's own lists; scikit-learn's estimators all pass it.

    Other things never do.
    """
    trusted = {
        *types.SKLEARN_ESTIMATOR_TYPE_NAMES,
        *types.NUMPY_DTYPE_TYPE_NAMES,
        *types.PRIMITIVE_TYPE_NAMES,
        *types.CONTAINER_TYPE_NAMES,
    }
    listed = {f"{kind.__module__}.{kind.__name__}" for _, kind in all_estimators()}
    others = (
        "os.system",
        "sklearn.base.clone",
        "sklearn.base.BaseEstimator",
        "sklearn.no.Such",
        "builtins.eval",
        "numpy.load",
    )

    assert listed & trusted == {name for name in listed if skops_file.is_known(name)} & trusted == listed
    assert {name for name in trusted if skops_file.is_known(name)} >= listed | set(types.PRIMITIVE_TYPE_NAMES)
    assert not any(skops_file.is_known(name) for name in others)


def test_skops_is_whole_for_whoever_comes_later(tmp_path: Path) -> None:
    """After the quick way, skops's own lists are there, and a file of untrusted types is refused by name."""
    dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "good.skops")
    dump(FunctionTransformer(len), tmp_path / "bad.skops")

    assert skops_file.load(tmp_path / "good.skops", []).predict([[2.0]]) == pytest.approx([2.0])
    assert importlib.import_module("skops.io._trusted_types").SKLEARN_ESTIMATOR_TYPE_NAMES
    with pytest.raises(ModelError, match=r"builtins\.len"):
        skops_file.load(tmp_path / "bad.skops", [])


@pytest.mark.parametrize(
    ("module", "cure"),
    [
        ("cryptography.fernet", "make add LIBRARY=cryptography, then train again"),
        ("git", "make add LIBRARY=gitpython, then train again"),
        ("google.auth", "make add LIBRARY=google-auth, then train again"),
        ("pyarrow", "PARQUET=1 serves it with pyarrow"),
        ("google.cloud", "code_paths"),
        ("own_module", "code_paths"),
    ],
)
def test_a_library_that_is_left_out_has_its_own_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, cure: str
) -> None:
    """What a model's code imports and its requirements do not name is served once it is asked for."""

    def fail(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(loading, "_load", fail)
    monkeypatch.setattr(loading, "read_mlmodel", lambda _: {})

    with pytest.raises(ModelError, match=f"No module named '{module}'.*{cure}"):
        loading.load(Settings(tmp_path))


def test_all_that_is_left_out_has_a_cure() -> None:
    """The server knows the modules of every library that models are served without."""
    assert set(loading.LEFT_OUT.values()) == {*left_out.LEFT_OUT, "pyarrow"}
