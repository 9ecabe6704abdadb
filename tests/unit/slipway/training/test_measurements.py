"""What is on record of a version: its run's metrics, and its own."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from slipway.registry.model_uri import ModelRef
from slipway.training import measurements

if TYPE_CHECKING:
    from slipway.registry.client import Registry

ROUNDS = [SimpleNamespace(key="loss", value=1.0, step=0, timestamp=1, dataset_digest=None)]


class FakeRegistry:
    """A registry with one logged model, whose first round it keeps, and a run that has the last."""

    def __init__(self, models: int) -> None:
        self.models = models

    def find_logged_model(self, _: str) -> Any:  # noqa: ANN401 -- a stand-in
        """Return the model with its metrics."""
        return SimpleNamespace(metrics=ROUNDS, params={})

    def find_run(self, _: str) -> Any:  # noqa: ANN401 -- a stand-in
        """Return the run with its metrics, and as many models as it logged."""
        data = SimpleNamespace(metrics={"loss": 0.25, "fold_loss": 9.0}, params={"alpha": "1"}, tags={})
        outputs = SimpleNamespace(model_outputs=[None] * self.models)
        return SimpleNamespace(data=data, outputs=outputs, inputs=None, info=SimpleNamespace(lifecycle_stage="active"))


@pytest.mark.parametrize(("models", "loss"), [(1, 0.25), (2, 1.0)], ids=["one model", "several"])
def test_the_last_round_counts_unless_a_run_has_several_models(models: int, loss: float) -> None:
    """A booster logs a metric for each round; only in a run with several models does a model's own value come first."""
    ref = ModelRef("models:/m-1", "/nowhere", run_id="r1", model_id="m-1")
    found = measurements.measure(cast("Registry", FakeRegistry(models)), ref)

    assert found.metrics == {"loss": loss}
    assert found.params == {"alpha": "1"}
