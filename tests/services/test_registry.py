"""The registry, against a real tracking server on sqlite and on Postgres."""

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from slipway.errors import SlipwayError
from slipway.registry import listing, model_files, model_uri
from slipway.registry.client import Registry
from slipway.registry.model_uri import ModelRef
from slipway.serving import server
from slipway.settings import BUILD, Settings
from slipway.training import measurements

Script = Callable[..., Popen[str]]
NAMES = [
    "My Model",
    "modèle 模型",
    "it's",
    'so "called"',
    "a@b",
    "a%20b",
    "a?b#c",
    "a[b]{c}",
    "-x",
    "straight.2",
    "&;$",
]
ON_EACH_DATABASE = pytest.mark.parametrize("tracking", ["sqlite", "postgres"], indirect=True, scope="session")


@pytest.fixture
def logged(client: MlflowClient) -> Iterator[dict[str, str]]:
    """Log and register one real model with an alias; return its run, its id and its version's number."""
    features = np.array([[1.0], [2.0]])
    with mlflow.start_run() as run:
        mlflow.log_metric("validation_rmse", 0.5)  # what decides between versions of the model in model/
        info = mlflow.sklearn.log_model(
            LinearRegression().fit(features, [2.0, 4.0]), name="model", signature=infer_signature(features),
            pip_requirements=["mlflow==3.17.2"], registered_model_name="straight",
        )  # fmt: skip
    client.set_registered_model_alias("straight", "champion", info.registered_model_version)
    yield {"run": run.info.run_id, "id": info.model_id, "version": str(info.registered_model_version)}
    client.delete_registered_model("straight")


@ON_EACH_DATABASE
@pytest.mark.parametrize(
    "form",
    [
        "models:/straight/{version}",
        "models:/straight@champion",
        "models:/straight/latest",
        "models:/{id}",
        "runs:/{run}/model",
    ],
    ids=["version", "alias", "latest", "model id", "run"],
)
def test_every_address_names_the_same_version(registry: Registry, logged: dict[str, str], form: str) -> None:
    """Every form of address finds the one model, its version and its run."""
    model = model_uri.resolve(registry, form.format(**logged))

    assert (model.name, model.version, model.run_id, model.model_id) == (
        "straight",
        logged["version"],
        logged["run"],
        logged["id"],
    )


@ON_EACH_DATABASE
def test_every_registered_name_has_an_address(registry: Registry, client: MlflowClient, logged: dict[str, str]) -> None:
    """Whatever MLflow lets a model be called, its versions and aliases are found, and it is listed."""
    found: dict[str, set[tuple[str | None, str | None]]] = {}
    for name in NAMES:
        mlflow.register_model(f"models:/{logged['id']}", name)
        client.set_registered_model_alias(name, "best", "1")
        resolved = [model_uri.resolve(registry, f"models:/{name}{rest}") for rest in ("/1", "/latest", "@best")]
        found[name] = {(model.name, model.version) for model in resolved}
    listed = {row.name for row in listing.list_rows(registry, "validation_rmse")}
    for name in NAMES:
        client.delete_registered_model(name)

    assert found == {name: {(name, "1")} for name in NAMES}
    assert listed >= {*NAMES}


@ON_EACH_DATABASE
@pytest.mark.parametrize("prefix", ["", "file://"], ids=["path", "file URI"])
def test_a_path_names_the_files_themselves(
    served_settings: Settings, registry: Registry, logged: dict[str, str], prefix: str
) -> None:
    """A folder of this machine is served as it is, and predicts as the model does."""
    files = model_files.fetch(registry, model_uri.resolve(registry, f"models:/{logged['id']}"))
    model = model_uri.resolve(None, f"{prefix}{files}")

    assert (Path(model.location), model.run_id) == (files, logged["run"])
    request = {"dataframe_split": {"columns": ["0"], "data": [[3.0]]}}
    prepared = server.prepare_ref(served_settings, None, model)
    assert server.predict(served_settings, prepared, request) == {"predictions": [pytest.approx(6.0)]}


@ON_EACH_DATABASE
@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("models:/crooked/1", "no registered model 'crooked' at .*; available: .*straight"),
        ("models:/straight/99", r"no version 99; available: \d"),
        ("models:/straight@loser", r"no alias @loser; available: @champion \(version \d+\)"),
        ("models:/m-0123456789abcdef", "no model models:/m-0123456789abcdef"),
        ("runs:/0123/model", "no run '0123'"),
        ("runs:/{run}/other", "logged no model 'other'; available: model"),
        ("s3://bucket/model", "not a model address"),
        ("models:/straight", "not a model address"),
        ("/no/such/folder", "no such folder"),
        ("", "MODEL is empty"),
    ],
    ids=["name", "version", "alias", "model id", "run", "run's model", "scheme", "no version", "path", "nothing"],
)
def test_an_unknown_address_says_what_there_is(
    registry: Registry, logged: dict[str, str], uri: str, words: str
) -> None:
    """An address that names nothing is refused with what exists instead."""
    with pytest.raises(SlipwayError) as error:
        model_uri.resolve(registry, uri.format(**logged))

    assert re.search(words, error.value.message)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """A path that holds no MLmodel is no model."""
    with pytest.raises(SlipwayError, match="no MLflow model at"):
        model_uri.resolve(None, str(tmp_path))


@ON_EACH_DATABASE
def test_deleted_files_are_reported(registry: Registry, logged: dict[str, str]) -> None:
    """A version whose files were deleted is refused, and nothing is left in the cache."""
    model = model_uri.resolve(registry, f"models:/{logged['id']}")
    gone = ModelRef(model.uri, model.location.replace(logged["id"], "m-gone"), model_id="m-gone")
    with pytest.raises(SlipwayError, match=r"gone|cannot be read|MLflow:"):
        model_files.fetch(registry, gone)

    assert not (BUILD / "models" / "m-gone").exists()


@ON_EACH_DATABASE
@pytest.mark.usefixtures("client")
def test_a_metric_that_is_not_a_number_is_no_zero(registry: Registry) -> None:
    """MLflow keeps 0 for NaN with a model, which would be the best of errors; what the run says of it counts."""
    features = np.array([[1.0], [2.0]])
    with mlflow.start_run():
        mlflow.log_metrics({"rmse": math.nan, "mae": 0.0})
        info = mlflow.sklearn.log_model(
            LinearRegression().fit(features, [2.0, 4.0]), name="model", pip_requirements=["mlflow==3.17.2"]
        )
    measured = measurements.measure(registry, model_uri.resolve(registry, f"models:/{info.model_id}"))

    assert math.isnan(measured.metrics["rmse"])
    assert measured.metrics["mae"] == 0


@ON_EACH_DATABASE
def test_500_versions_are_all_listed(client: MlflowClient, logged: dict[str, str], script: Script) -> None:
    """The list pages through the API: 500 versions, newest first, aliases and the deciding metric right."""
    client.create_registered_model("many")
    for _ in range(500):
        client.create_model_version("many", f"models:/{logged['id']}", logged["run"], model_id=logged["id"])
    client.set_registered_model_alias("many", "champion", "137")
    printed, _ = script("list_models", FORMAT="json").communicate()
    client.delete_registered_model("many")
    rows = [row for row in json.loads(printed) if row["name"] == "many"]

    assert [row["version"] for row in rows] == list(range(500, 0, -1))
    assert [row["version"] for row in rows if row["aliases"] == ["champion"]] == [137]
    assert all(row["metric"] == {"validation_rmse": 0.5} for row in rows)


@ON_EACH_DATABASE
def test_the_table_says_what_to_type(logged: dict[str, str], script: Script) -> None:
    """The table shows name, version, alias, metric and what MODEL= to type."""
    printed, _ = script("list_models").communicate()

    assert re.search(
        rf"straight +{logged['version']} +@champion +0\.5 .* MODEL=models:/straight/{logged['version']}", printed
    )
