"""What a folder asks for in the files that `mlflow run` reads."""

from pathlib import Path

import pytest

from slipway.errors import SlipwayError
from slipway.model_folder import ModelFolder, Rules
from slipway.runtimes import declared
from slipway.settings import ROOT

NEEDED = ("mlflow-skinny", "pandas", "scikit-learn", "skops")
OF_CONDA = ["numpy==1.26.*", "pandas==2.2.3", "scikit-learn>=1.4", "mlflow[extras]>=3", "lightgbm", *NEEDED[::3]]
PYTHON_ENV = """\
python: "3.8"
build_dependencies:
  - pip
dependencies:
  - scikit-learn==1.2.0
  - mlflow>=1.0
  - pandas
"""
CONDA = """\
name: tutorial
channels:
  - defaults
dependencies:
  - numpy=1.26
  - conda-forge::pandas=2.2.3=py311_0
  - python=3.11
  - scikit-learn>=1.4
  - pip
  - pip:
    - mlflow[extras]>=3
    - lightgbm
"""


def _model(path: Path) -> ModelFolder:
    return ModelFolder(path, "wine", "rmse", "minimize", Rules("rmse", "minimize"))


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({"python_env.yaml": PYTHON_ENV}, ["scikit-learn==1.2.0", "mlflow-skinny>=1.0", "pandas", "skops"]),
        ({"conda.yaml": CONDA}, OF_CONDA),
        (
            {"requirements.txt": "# mine\nxgboost # trees\n\nmlflow\n"},
            ["xgboost # trees", *NEEDED],
        ),
        (
            {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["mlflow", "xgboost>=2"]\n'},
            ["mlflow-skinny", "xgboost>=2", *NEEDED[1:]],
        ),
        (
            {"python_env.yaml": "dependencies: [-r more.txt]", "more.txt": "shap\n"},
            ["shap", *NEEDED],
        ),
        (
            {"python_env.yaml": PYTHON_ENV, "conda.yaml": CONDA, "MLproject": "name: x\nconda_env: conda.yaml\n"},
            OF_CONDA,
        ),
    ],
    ids=[
        "python_env.yaml",
        "conda.yaml",
        "requirements.txt",
        "pyproject.toml of uv",
        "a file that names another",
        "the one that MLproject names",
    ],
)
def test_a_folders_files_are_read_as_mlflow_run_reads_them(
    tmp_path: Path, files: dict[str, str], lines: list[str]
) -> None:
    """Each form gives pip's requirements; MLflow is its client, and what any script needs is added."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    asked = declared.read(_model(tmp_path))

    assert asked is not None
    assert asked.lines == lines


def test_a_folder_of_an_older_mlflow_gets_ours(tmp_path: Path) -> None:
    """A pin of MLflow 1 or 2 excludes every client that our server takes: it is left out, and said."""
    (tmp_path / "requirements.txt").write_text("mlflow==1.8.0\n")
    asked = declared.read(_model(tmp_path))

    assert asked
    assert asked.lines == list(NEEDED)
    assert asked.remarks == ["it asks for MLflow 1.8.0, and gets mlflow-skinny <4,>=3.1"]


def test_a_folder_that_asks_for_nothing_has_the_checkouts_lock(tmp_path: Path) -> None:
    """No such file, a lock of its own beside it, and model/ itself: nothing is to be resolved."""
    nothing = declared.read(_model(tmp_path))
    (tmp_path / "requirements.txt").write_text("xgboost\n")
    (tmp_path / "pyproject.toml").write_text("[dependency-groups]\nmodel = []\n")

    assert nothing is None
    assert declared.read(_model(tmp_path)) is None
    assert declared.read(_model(ROOT / "model")) is None


def test_a_linters_file_asks_for_nothing(tmp_path: Path) -> None:
    """A pyproject.toml without dependencies is no reason to need a lock."""
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")

    assert declared.read(_model(tmp_path)) is None
    assert _model(tmp_path).requirements == ROOT / "requirements"


def test_a_copy_of_model_is_content_with_the_checkouts_lock(tmp_path: Path) -> None:
    """python_env.yaml has the lock's versions, so a copy of model/ trains with the checkout's libraries."""
    (tmp_path / "python_env.yaml").write_text((ROOT / "model" / "python_env.yaml").read_text())
    model = _model(tmp_path)
    asked = declared.read(model)

    assert asked
    assert declared.is_had(asked, model)
    assert declared.list_libraries(model) == []


@pytest.mark.parametrize("text", ["a: [", "- a list", "dependencies: 3"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    (tmp_path / "conda.yaml").write_text(text)
    with pytest.raises(SlipwayError, match=r"conda\.yaml cannot be read"):
        declared.read(_model(tmp_path))
