"""When a release asks for a validation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from slipway import model_folder, settings
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import locks
from slipway.training import gate, measurements, validate

if TYPE_CHECKING:
    from pathlib import Path

TOML = 'name = "scored"\nmetric = "{metric}"\ndirection = "minimize"\n[gate]\nat_least = {{ {floor} = 0.1 }}\n'
VERSION = ModelRef("models:/scored/1", "", "scored", "1", "a-run")


@pytest.mark.parametrize(
    ("names", "tags", "is_asked"),
    [
        (("rmse", "r2"), {}, False),
        (("validation_rmse", "r2"), {}, True),
        (("rmse", "validation_r2"), {}, True),
        (("rmse", "own_score"), {}, True),
        (("rmse", "r2"), {validate.VALIDATED_TAG: "other code"}, True),
        (("validation_rmse", "r2"), {validate.VALIDATED_TAG: "this code"}, False),
    ],
    ids=["on record", "it decides", "a floor", "not on record", "by other code", "by the same code"],
)
def test_a_release_validates_where_the_gate_needs_it(
    names: tuple[str, str], tags: dict[str, str], is_asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script runs for a metric that begins with validation_, that the run lacks, or that other code measured."""
    (tmp_path / "model.toml").write_text(TOML.format(metric=names[0], floor=names[1]))
    (tmp_path / "validate.py").touch()
    asked: list[Any] = []
    monkeypatch.setattr(validate, "_score", lambda *given: asked.append(given))
    monkeypatch.setattr(validate, "_code", lambda _: "this code")
    registry: Any = SimpleNamespace(
        find_version=lambda *_: SimpleNamespace(tags=tags), read_metrics=lambda _: {"rmse": 1.0, "r2": 0.5}
    )
    validate.ensure(settings.load(), registry, model_folder.load(tmp_path), VERSION)

    assert bool(asked) == is_asked


@pytest.mark.parametrize(
    ("metric", "data", "kind"),
    [
        ("rmse", "digest", gate.BETTER),
        ("validation_rmse", "digest", "not comparable"),
    ],
    ids=["the training's own", "a validation's"],
)
def test_one_validated_version_is_comparable_by_the_trainings_metrics(
    metric: str, data: str, kind: str, tmp_path: Path
) -> None:
    """Data of a validation that only one version had matter to the metrics of a validation alone."""
    (tmp_path / "model.toml").write_text(f'name = "scored"\nmetric = "{metric}"\ndirection = "minimize"\n')
    measured = {
        1: measurements.Measured({metric: 2.0}, data=data),
        2: measurements.Measured({metric: 1.0}),
    }

    assert measurements.judge(model_folder.load(tmp_path), measured, 2, 1).kind == kind


def test_a_validation_that_adds_a_lock_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it compares the files with the checksum that they have by now."""
    (tmp_path / "model.toml").write_text(TOML.format(metric="rmse", floor="r2"))
    registry: Any = SimpleNamespace(tag_version=lambda *_: None)
    monkeypatch.setattr("slipway.training.validate.model_files.fetch", lambda *_: tmp_path)
    monkeypatch.setattr("slipway.training.validate.model_files.checksum", lambda _: "sha256:after")
    monkeypatch.setattr("slipway.training.validate.locks.of_version", lambda *_: locks.Lock(tmp_path))
    monkeypatch.setattr("slipway.training.validate.train.run_script", lambda *_: (0, ""))
    version = replace(VERSION, checksum="sha256:before")
    after = validate._score(settings.load(), registry, model_folder.load(tmp_path), version)  # noqa: SLF001 -- its result

    assert after == replace(version, checksum="sha256:after")
