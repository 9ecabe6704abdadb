"""Which logged model becomes a version, and what the user hears of it."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from slipway.errors import SlipwayError
from slipway.model_folder import ModelFolder, Rules
from slipway.training import versions

if TYPE_CHECKING:
    from slipway.registry.client import Registry

MODEL = ModelFolder(Path("model"), "wine", "rmse", "minimize", Rules("rmse", "minimize"))


@dataclass
class FakeRegistry:
    """A registry in memory: the logged models of one run, by id with (name, time), and the versions of that run."""

    logged: dict[str, tuple[str, int]] = field(default_factory=dict)
    registered: list[tuple[str, str, str]] = field(default_factory=list)  # name, version, model id

    def find_versions_of_run(self, _: str) -> list[Any]:
        """Return versions as MLflow does."""
        return [self._version(*each) for each in reversed(self.registered)]

    def find_logged_model(self, model_id: str) -> Any:  # noqa: ANN401 -- a stand-in
        """Return a logged model as MLflow does."""
        name, time = self.logged[model_id]
        return SimpleNamespace(
            model_id=model_id, name=name, creation_timestamp=time, status="READY" if name != "broken" else "FAILED"
        )

    def create_model(self, name: str) -> bool:
        """Say whether the name is new."""
        return name not in {each[0] for each in self.registered}

    def create_version(self, name: str, model_id: str) -> Any:  # noqa: ANN401 -- a stand-in
        """Register a model."""
        self.registered.append((name, str(sum(each[0] == name for each in self.registered) + 1), model_id))
        return self._version(*self.registered[-1])

    def _version(self, name: str, version: str, model_id: str) -> Any:  # noqa: ANN401 -- a stand-in
        return SimpleNamespace(name=name, version=version, model_id=model_id, source=f"models:/{model_id}")

    def run(self, **metrics: float) -> Any:  # noqa: ANN401 -- a stand-in
        """Return the run."""
        outputs = SimpleNamespace(model_outputs=[SimpleNamespace(model_id=each) for each in self.logged])
        info = SimpleNamespace(run_id="r1")
        return SimpleNamespace(outputs=outputs, info=info, data=SimpleNamespace(metrics=metrics))


def _ensure(registry: FakeRegistry) -> tuple[str, str]:
    version = versions.ensure(cast("Registry", registry), registry.run(), "wine", "train.py")
    return version.name, str(version.model_id)


@pytest.mark.parametrize(
    ("logged", "registered", "expected"),
    [
        ({"m-1": ("model", 1)}, [], "m-1"),
        ({"m-2": ("model", 2), "m-1": ("model", 1)}, [], "m-2"),
        ({"m-1": ("best_estimator", 1), "m-2": ("model", 2)}, [], "m-1"),
        ({"m-1": ("model", 1), "m-2": ("other", 2)}, [("wine", "4", "m-1")], "m-1"),
        ({"m-1": ("model", 1), "m-2": ("other", 2)}, [("Wine Model", "1", "m-1")], "m-1"),
    ],
    ids=["one", "the newest", "a search's best", "the one registered", "the one registered under another name"],
)
def test_the_model_that_counts_becomes_the_version(
    logged: dict[str, tuple[str, int]], registered: list[tuple[str, str, str]], expected: str
) -> None:
    """Whatever a script logs and registers, one version under model.toml's name comes of it."""
    assert _ensure(FakeRegistry(logged, registered)) == ("wine", expected)


def test_a_run_without_a_model_is_an_error() -> None:
    """The error says what is missing."""
    with pytest.raises(SlipwayError, match="logged no model"):
        _ensure(FakeRegistry())


def test_a_model_without_its_files_does_not_count() -> None:
    """What MLflow could not log is no model, though the run names it."""
    whole = _ensure(FakeRegistry({"m-1": ("model", 1), "m-2": ("broken", 2)}))
    with pytest.raises(SlipwayError, match="MLflow could not log its model"):
        _ensure(FakeRegistry({"m-2": ("broken", 2)}))

    assert whole == ("wine", "m-1")


def test_the_user_hears_what_will_be_missing(tmp_path: Path) -> None:
    """Signature, example, metric, another name, several models: each has a line with its cure."""
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {}}\n")
    registry = FakeRegistry({"m-1": ("a", 1), "m-2": ("b", 2)}, [("Wine Model", "1", "m-2")])
    version = versions.ensure(cast("Registry", registry), run := registry.run(mae=1.0), "wine", "train.py")
    lines = versions.list_remarks(cast("Registry", registry), MODEL, run, version, tmp_path)

    assert [line.split()[0] for line in lines] == ["warning:", "warning:", "note:", "note:", "warning:"]
    assert "no signature" in lines[0]
    assert "no input example" in lines[1]
    assert "registered Wine Model; by model.toml it is wine 1, too" in lines[2]
    assert "2 models (a, b); b counts" in lines[3]
    assert "'rmse', which train.py did not log; it logged: mae" in lines[4]


def test_a_metric_that_is_not_a_number_is_heard_of_at_once(tmp_path: Path) -> None:
    """NaN passes no gate, and the training says so."""
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    registry = FakeRegistry({"m-1": ("model", 1)})
    version = versions.ensure(cast("Registry", registry), run := registry.run(rmse=float("nan")), "wine", "train.py")
    lines = versions.list_remarks(cast("Registry", registry), MODEL, run, version, tmp_path)

    assert lines[-1] == "warning: rmse is nan, which the gate refuses: look for NaN in what train.py measures"
