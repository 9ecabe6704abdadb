"""Which models an image can serve: those whose libraries are the locked ones."""

import json
from pathlib import Path

import pytest

from slipway import settings
from slipway.errors import SlipwayError
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import containers, images
from slipway.runtimes.base import Prepared
from slipway.settings import ROOT
from tests.conftest import changed

LOCKED = images._pins((ROOT / "requirements" / "serving.txt").read_text())  # noqa: SLF001 -- what is tested


def _check(folder: Path, requirements: str) -> None:
    (folder / "requirements.txt").write_text(requirements)
    images.check_libraries(settings.load(), folder, ModelRef("models:/wine/3", str(folder)))


@pytest.mark.parametrize(
    ("value", "unlimited"),
    [
        ("0", True),
        ("0g", True),
        ("0.0", True),
        ("0.5", False),
        ("0.05", False),
        ("1.50", False),
        ("512m", False),
        ("10", False),
    ],
)
def test_only_nought_is_no_limit(value: str, *, unlimited: bool) -> None:
    """MODEL_CPUS=0.5 is half a processor."""
    assert (
        value in containers.confinement(changed(settings.load(), limits={"memory": "0", "pids": "0", "cpus": value}))
    ) != unlimited


@pytest.mark.parametrize(
    ("text", "pins"),
    [
        ("numpy==2.4.0\n", {"numpy": "2.4.0"}),
        ('scikit-learn==1.9.1 ; python_version >= "3.11" \\\n    --hash=sha256:00\n', {"scikit-learn": "1.9.1"}),
        (
            "mlflow-skinny[db]==3.17.2\nPyYAML==6.0\nruamel.yaml==0.18\n",
            {"mlflow": "3.17.2", "pyyaml": "6.0", "ruamel-yaml": "0.18"},
        ),
        ("typing_extensions==4.0;python_version<'4'\n", {"typing-extensions": "4.0"}),
        ("# numpy==1.0\nnumpy>=2\n-r other.txt\n    --hash=sha256:a==b\n", {}),
    ],
    ids=["one", "hashed with a marker", "extras and spellings", "marker without a space", "nothing pinned"],
)
def test_pins_are_read_as_pip_reads_them(text: str, pins: dict[str, str]) -> None:
    """A pin is a name as package indexes compare names, and its version; mlflow-skinny stands for mlflow."""
    assert images._pins(text) == pins  # noqa: SLF001 -- what is tested


def test_the_locked_libraries_will_do(tmp_path: Path) -> None:
    """A model that asks for what is locked, under any spelling, can be served; so can one that asks for nothing."""
    images.check_libraries(settings.load(), tmp_path, ModelRef("models:/wine/3", str(tmp_path)))
    _check(tmp_path, f"mlflow=={LOCKED['mlflow']}\nScikit_Learn=={LOCKED['scikit-learn']}\nnumpy>=1\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [("numpy==1.0.0", f"numpy 1.0.0 (here {LOCKED['numpy']})"), ("torch==2.9.0", "torch 2.9.0 (here none)")],
    ids=["another version", "not there"],
)
def test_other_libraries_are_named(tmp_path: Path, line: str, words: str) -> None:
    """A model that was trained with other libraries is refused with their names, versions, and what is here instead."""
    with pytest.raises(SlipwayError) as raised:
        _check(tmp_path, f"mlflow=={LOCKED['mlflow']}\n{line}\n")

    assert raised.value.message == f"models:/wine/3 was trained with libraries other than the locked ones: {words}"
    assert "make train_model" in raised.value.cure


def test_what_only_training_has_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What MLflow recorded of the training environment, such as pytest, is named, and refuses no model."""
    _check(tmp_path, f"mlflow=={LOCKED['mlflow']}\npytest==1.0\nrich==2.0\n")

    assert "only training needs it: pytest 1.0, rich 2.0" in capsys.readouterr().err


def test_who_takes_the_risk_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SCORING_CHECK_LIBRARIES=off holds for the command as for the server that it starts."""
    monkeypatch.setenv("SCORING_CHECK_LIBRARIES", "off")

    _check(tmp_path, "numpy==1.0.0\n")


def test_a_validation_leaves_the_image_alone() -> None:
    """What a validation measures is said by the server, and is no part of the image.

    Its tag, and what a cluster has of it, stay.
    """
    before, after = (
        {"name": "wine", "version": "3", "metrics": metrics, "checksum": "sha256:0"} for metrics in ({}, {"rmse": 1.0})
    )
    images = {Prepared(ModelRef("models:/wine/3", ""), Path(), json.dumps(known)).lasting for known in (before, after)}

    assert [json.loads(each) for each in images] == [{"name": "wine", "version": "3", "checksum": "sha256:0"}]
