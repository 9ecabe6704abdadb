"""What a model asks for, read from its files, and whether a lock has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from slipway.runtimes import requirements
from slipway.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LOCKED = requirements.pins((ROOT / "requirements" / "serving.txt").read_text())
PANDAS = next(iter(LOCKED["pandas"]))


def _write(folder: Path, lines: str | None, function: dict[str, object], **flavors: object) -> Path:
    written = {"flavors": {"python_function": {"loader_module": "mlflow.sklearn", **function}, **flavors}}
    (folder / "MLmodel").write_text(yaml.safe_dump(written))
    if lines is not None:
        (folder / "requirements.txt").write_text(lines)
    return folder


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("numpy==2.4.0\n", {"numpy": {"2.4.0"}}),
        ('scikit-learn==1.9.1 ; python_version >= "3.11" \\\n    --hash=sha256:00\n', {"scikit-learn": {"1.9.1"}}),
        ("PyYAML==6.0\nruamel.yaml==0.18\n", {"pyyaml": {"6.0"}, "ruamel-yaml": {"0.18"}}),
        ("uvloop[dev]==0.2;sys_platform!='win32'\nuvloop==0.1;sys_platform=='win32'\n", {"uvloop": {"0.1", "0.2"}}),
        ("# numpy==1.0\nnumpy>=2\n-r other.txt\n    --hash=sha256:a==b\n", {}),
    ],
    ids=["one", "hashed with a marker", "spellings", "one for each platform", "nothing pinned"],
)
def test_pins_are_read_as_pip_reads_them(text: str, pins: dict[str, set[str]]) -> None:
    """A pin is a name as package indexes compare names, and its version, or versions, where markers choose."""
    assert requirements.pins(text) == pins


def test_what_applies_here_is_what_the_markers_say() -> None:
    """Of a hashed file, the lines whose markers hold for this Python and platform."""
    text = """a==1 ; python_version >= "3.11" \\
    --hash=sha256:00
B_c==2 ; python_version < "3"
d[extra]==3
"""

    assert requirements.applying(text) == {("a", "1"), ("d", "3")}


@pytest.mark.parametrize(
    ("line", "lines", "remark"),
    [
        ("mlflow==3.16.0", ["mlflow-skinny==3.16.0"], ""),
        ("mlflow-skinny==3.16.0", ["mlflow-skinny==3.16.0"], ""),
        ("mlflow<4,>=3", ["mlflow-skinny<4,>=3"], ""),
        ("mlflow==2.14.1", [], "it asks for MLflow 2.14.1, and gets mlflow-skinny <4,>=3.1"),
        ("mlflow<3,>=2.1", [], "it asks for MLflow <3,>=2.1, and gets mlflow-skinny <4,>=3.1"),
        ("mlflow~=3.5", ["mlflow-skinny~=3.5"], ""),
        ("mlflow[genai]==3.16.0", ["mlflow[genai]==3.16.0"], ""),
        ("matplotlib==3.10", [], "not a requirement, because only training has it: matplotlib==3.10"),
        ("pytest==9.1", [], "not a requirement, because only training has it: pytest==9.1"),
        ("torch==2.9.0+cpu", ["torch==2.9.0"], ""),
        ("--extra-index-url https://index.example", ["--extra-index-url https://index.example"], ""),
        ("# numpy==1.0", [], ""),
    ],
    ids=[
        "MLflow",
        "client",
        "range",
        "MLflow 2",
        "a range of it",
        "a range within",
        "extras",
        "training's",
        "noted",
        "local",
        "option",
        "comment",
    ],
)
def test_a_line_becomes_what_serving_needs(tmp_path: Path, line: str, lines: list[str], remark: str) -> None:
    """MLflow is its client in a version that our server takes; what only training has is no requirement."""
    asked = requirements.read("models:/m/1", _write(tmp_path, f"{line}\nscikit-learn==1.9.1\n", {}), {"matplotlib"})

    assert asked
    assert asked.lines == [*lines, "scikit-learn==1.9.1"]
    assert asked.remarks == ([remark] if remark else [])


def test_conda_says_it_where_no_requirements_do(tmp_path: Path) -> None:
    """The pip part of conda.yaml counts where there is no requirements.txt; a model without either says nothing."""
    _write(tmp_path, None, {"python_version": "3.9.18"})
    assert requirements.read("m", tmp_path) is None

    (tmp_path / "conda.yaml").write_text(yaml.safe_dump({"dependencies": ["python=3.9", {"pip": ["numpy==2.0.2"]}]}))
    asked = requirements.read("m", tmp_path)
    assert asked
    assert (asked.lines, asked.python) == (["numpy==2.0.2"], "3.9")


@pytest.mark.parametrize(
    ("line", "has_it"),
    [
        (f"Pandas=={PANDAS}", True),
        ("pandas>=2", True),
        ("pandas==1.0.0", False),
        ("torch==2.9.0", False),
        ("torch==2.9.0 ; sys_platform == 'plan9'", True),
        ("git+https://host.example/own.git", False),
        ("pandas @ https://host.example/pandas.whl", False),
        ("--extra-index-url https://index.example", False),
    ],
    ids=["pin", "range", "another version", "not there", "not here", "repository", "address", "option"],
)
def test_a_lock_has_what_is_asked_for_or_not(tmp_path: Path, line: str, *, has_it: bool) -> None:
    """A lock will do if it has every library in the version that the model pins."""
    assert requirements.fits(requirements.Asked("m", tmp_path, "3.13", [line]), LOCKED) == has_it


def test_the_locked_libraries_serve_until_one_is_out_of_range() -> None:
    """The checkout's lock has all that the server needs; with an older uvicorn, or none, a lock has not."""
    assert requirements.serves(LOCKED)
    assert not requirements.serves(LOCKED | {"uvicorn": {"0.30.0"}})
    assert not requirements.serves({name: found for name, found in LOCKED.items() if name != "uvicorn"})


@pytest.mark.parametrize(
    ("function", "flavors", "file", "portable"),
    [
        ({}, {"sklearn": {"serialization_format": "skops"}}, "model.skops", True),
        ({}, {"sklearn": {"serialization_format": "cloudpickle"}}, "model.bin", False),
        ({"loader_module": "mlflow.onnx"}, {}, "model.onnx", True),
        ({"loader_module": "mlflow.lightgbm"}, {}, "model.lgb", True),
        ({"loader_module": "mlflow.lightgbm"}, {}, "model.pkl", False),
        ({"loader_module": "mlflow.pyfunc.model"}, {}, "python_model.pkl", False),
        ({"loader_module": "mlflow.pyfunc.model", "model_code_path": "own.py"}, {}, "own.py", True),
        ({"loader_module": "mlflow.pytorch"}, {}, "data/model.pth", False),
    ],
    ids=["skops", "cloudpickle", "ONNX", "booster", "pickled booster", "PythonModel", "model from code", "torch"],
)
def test_data_is_portable_and_pickles_are_not(
    tmp_path: Path, function: dict[str, object], flavors: dict[str, object], file: str, *, portable: bool
) -> None:
    """Another Python version may load a model whose files are data or source, and never one with pickles."""
    _write(tmp_path, None, function, **flavors)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()

    assert requirements.is_portable(tmp_path) == portable
