"""Models of twenty kinds go the whole way in containers; tests/services takes all kinds through processes."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from slipway import settings as slipway_settings
from slipway.registry.client import Registry
from slipway.settings import ROOT
from tests.conftest import changed
from tests.e2e.conftest import Stack
from tests.services.test_kinds import LIBRARIES, write_folder

OTHER_LIBRARIES = ["lightgbm", "xgboost", "catboost", "onnx", "statsmodels"]
KINDS = [
    *OTHER_LIBRARIES,
    "params", "hinted_classes", "named_tensors", "transformed", "autolog", "nested", "from_code", "no_signature",
    "no_example", "integer_names", "images_", "several", "nested_runs", "matrix", "mixed",
]  # fmt: skip


@pytest.fixture(scope="module")
def started(stack: Stack) -> Stack:
    """Start the services."""
    stack.make("start_mlflow_services")
    return stack


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Name a model folder where images are built from, which is gone afterwards."""
    path = ROOT / "examples" / f"{request.param}-in-containers"
    shutil.rmtree(path, ignore_errors=True)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.thorough
@pytest.mark.parametrize(("folder", "kind"), [(kind, kind) for kind in KINDS], indirect=["folder"], ids=KINDS)
def test_every_kind_goes_the_whole_way_in_containers(kind: str, folder: Path, started: Stack) -> None:
    """It is trained, listed, promoted, compared and rolled back; served, it answers as mlflow.pyfunc does."""
    name = write_folder(folder, kind)
    if kind in OTHER_LIBRARIES:  # one lock, and so one image, for all of them
        (folder / "requirements.txt").write_text("\n".join(chain(*(LIBRARIES[each] for each in OTHER_LIBRARIES))))
        with (folder / "model.toml").open("a") as file:
            file.write('system = ["libgomp1"]\n')  # for LightGBM
    started.variables["MODEL_DIR"] = f"examples/{folder.name}"
    started.make("train_model")
    (row,) = [row for row in json.loads(started.make("list_models", FORMAT="json")) if row["name"] == name]
    started.make("promote")
    store = {"external_uri": f"http://127.0.0.1:{started.variables['MLFLOW_PORT']}"}
    registry = Registry.connect(changed(replace(slipway_settings.load(), model_dir=folder), tracking=store))
    registry.create_version(name, str(registry.find_versions(name)[1].source).removeprefix("models:/"))
    compared = started.make("compare")
    started.make("promote", MODEL=f"models:/{name}/2", FORCE="1", WHY="the same model")
    started.make("rollback")
    with started.serve(f"models:/{name}@champion"):
        tested = started.make("test_api")

    assert row["metric"] == {"score": 0.9}
    assert "1 @champion" in compared
    assert f"answers as models:/{name}/1" in tested
    assert "passed, " not in tested or kind in {"no_example", "no_signature", "images_", "autolog"}
