"""What a release leaves in a real registry when its version fails, and that registries of two settings do not mix."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import mlflow
import pytest

from slipway import model_folder
from slipway import settings as slipway_settings
from slipway.errors import SlipwayError
from slipway.interruption import Interruption
from slipway.registry.client import Registry
from slipway.release import history, lock
from slipway.release.pipeline import Order, Pipeline, UnexpectedError, move
from slipway.release.promote import Printer
from slipway.release.protocols import Preempted
from tests.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.fast

ME = lock.Holder("me", "here/1")
GONE = Order(1, history.PROMOTED, ME.by)  # a version whose files are gone


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Return a registry of the test's own."""
    return Registry(f"sqlite:///{tmp_path_factory.mktemp('pipeline')}/mlflow.db")


@pytest.fixture
def pipeline(registry: Registry, tmp_path: Path, request: pytest.FixtureRequest) -> Pipeline:
    """Return a pipeline for a model of the test's own, whose one version has no files."""
    name = request.node.name
    (tmp_path / "model.toml").write_text(f'name = "{name}"\nmetric = "score"\ndirection = "maximize"\n')
    settings = changed(
        slipway_settings.load(), runtime="host", model_dir=tmp_path, tracking={"external_uri": registry.uri}
    )
    registry.create_model(name)
    mlflow.MlflowClient(registry.uri).create_model_version(name, str(tmp_path / "gone"))
    return Pipeline(settings, registry, model_folder.load(tmp_path), ME, Printer())


def read(pipeline: Pipeline) -> list[tuple[str, int]]:
    """Return what the history says of the pipeline's model."""
    return [(each.action, each.version) for each in history.read(pipeline.registry, pipeline.model.name)]


def test_a_version_that_fails_is_refused(pipeline: Pipeline) -> None:
    """It is not champion, and the history says so; a rollback's failure is no word against the version."""
    with pytest.raises(SlipwayError, match="no MLflow model at"):
        replace(pipeline, refusals=False).release(GONE, Interruption())
    before = read(pipeline)
    with pytest.raises(SlipwayError, match="no MLflow model at"):
        pipeline.release(GONE, Interruption())

    assert before == []
    assert read(pipeline) == [(history.REFUSED, 1)]
    assert pipeline.registry.find_champion(pipeline.model.name) is None


@dataclass
class Overtaken(Printer):
    """A recorder in whose first step somebody else releases the version."""

    pipeline: Pipeline

    @contextmanager
    def step(self, name: str, work: Interruption | None = None) -> Iterator[Callable[[str], None]]:
        """Release the version, and open the step."""
        release = history.Release(history.PROMOTED, 1, None, "somebody else", "better")
        move(self.pipeline.registry, self.pipeline.model.name, release, lock.Holder("somebody else", "there/1"))
        with super().step(name, work) as told:
            yield told


def test_what_somebody_else_released_is_not_refused(pipeline: Pipeline) -> None:
    """A version that became champion meanwhile stays so, and the one release is all that is recorded."""
    with pytest.raises(Preempted, match="somebody else released it meanwhile"):
        replace(pipeline, recorder=Overtaken(pipeline)).release(GONE, Interruption())

    assert read(pipeline) == [(history.PROMOTED, 1)]
    assert pipeline.registry.find_champion(pipeline.model.name) == 1


def test_a_rollback_that_fails_says_why(pipeline: Pipeline) -> None:
    """A rollback's own error is what its command explains, also when somebody else released the version meanwhile."""
    order = replace(GONE, action=history.ROLLED_BACK)
    with pytest.raises(SlipwayError, match="no MLflow model at"):
        replace(pipeline, recorder=Overtaken(pipeline), refusals=False).release(order, Interruption())

    assert read(pipeline) == [(history.PROMOTED, 1)]


class Full(Printer):
    """A recorder on a disk that is full."""

    def step(self, name: str, work: Interruption | None = None) -> AbstractContextManager[Callable[[str], None]]:
        """Fail as a write there does."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{name} of {work}")


def test_a_fault_of_this_machine_is_no_verdict(pipeline: Pipeline) -> None:
    """A full disk ends a release with an error in words, and leaves nothing on the version's record."""
    with pytest.raises(UnexpectedError, match="No space left on device"):
        replace(pipeline, recorder=Full()).release(GONE, Interruption())

    assert read(pipeline) == []


def test_two_registries_do_not_mix(registry: Registry, tmp_path: Path) -> None:
    """Each has its own store; MLflow's process-wide tracking URI is left alone, and its refusals come in words."""
    before, other = mlflow.get_tracking_uri(), Registry(f"sqlite:///{tmp_path}/mlflow.db")
    made = registry.create_model("mine"), registry.create_model("mine"), other.create_model("mine")
    logged = mlflow.MlflowClient(other.uri).create_logged_model("0", "model").model_id
    version = other.create_version("mine", logged)
    registry.delete_model("mine")
    registry.delete_model("mine")
    with pytest.raises(SlipwayError, match="MLflow: "):
        other.tag_version("mine", 2, "tag", "value")

    assert made == (True, False, True)
    assert (registry.find_model("mine"), other.find_aliases()) == (None, {"mine": {}})
    assert (str(version.version), version.source) == ("1", f"models:/{logged}")
    assert mlflow.get_tracking_uri() == before
