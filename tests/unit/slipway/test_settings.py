"""Settings: what the caller's environment becomes, and what cannot be used."""

import os
from pathlib import Path

import pytest

from slipway import settings
from slipway.bootstrap import proxies
from slipway.errors import USAGE, SlipwayError
from slipway.settings import ROOT, STATE
from tests.conftest import changed

CALLER = {
    "MAX_REJECTS": "7",
    "RUNTIME": "host",
    "MODEL_DIR": "examples/wine",
    "TRAIN_ARGS": "--alpha 1",
    "TRIAL_TIMEOUT": "90",
    "PORT": "9001",
    "URL": "http://cluster:80/",
    "MLFLOW_PORT": "5050",
    "DEPLOYER_PORT": "9002",
    "REGISTRY_PORT": "9003",
    "MLFLOW_TRACKING_URI": "https://mlflow.example/ ",
    "MLFLOW_ARTIFACT_ROOT": "~/artifacts",
    "COMPOSE_PROJECT_NAME": "mine",
    "BACKUP_DIR": "/backups",
    "SERVICES_TIMEOUT": "900",
    "SERVICE_MEMORY": "1g",
    "SERVICE_CPUS": "2",
    "SERVICE_PIDS": "200",
    "MLFLOW_WORKERS": "4",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true",
    "MODEL_MEMORY": "2g",
    "MODEL_CPUS": "1.5",
    "MODEL_PIDS": "100",
    "PYTHON_IMAGE": "registry.example/python:3.12",
    "POSTGRES_IMAGE": "registry.example:5000/postgres:16-alpine",
    "REGISTRY_IMAGE": "registry.example/registry:2",
    "CA_BUNDLE": str(ROOT / "Makefile"),
    "WORKERS": "3",
    "PARQUET": "1",
    "CONTEXT": "prod",
    "NAMESPACE": "ml",
    "ROLLOUT_TIMEOUT": "60",
    "PREDICT_TIMEOUT": "61",
    "START_TIMEOUT": "62",
    "TEST_TIMEOUT": "63",
    "REQUEST_TIMEOUT": "64",
    "REGISTRY": "registry.example/team/",
    "IMAGE_LOAD": "kind load 'docker-image'",
    "COMPONENTS": "ingress autoscaling",
    "GATEWAY": "infra/public",
    "TRACKING_IN_CLUSTER": "http://mlflow.ml:5000/",
    "TRACKING_HOST": "mlflow.example",
    "TRAIN_CPU": "4",
    "TRAIN_MEMORY": "8Gi",
    "TRAIN_GPU": "1",
    "TRAIN_RETRIES": "0",
    "CONTAINER_NETWORK": "slipway_net",
    "SCORING_MAX_ROWS": "10",
    "PREDICTION_LOG": "0.5",
    "MONITOR_EVERY": "86400",
    "ROLLBACK_EVERY": "61",
    "PROMETHEUS_IMAGE": "registry.example/prometheus:3",
    "PROMETHEUS_PORT": "9004",
    "ALERTMANAGER_IMAGE": "registry.example/alertmanager:1",
    "ALERTMANAGER_PORT": "9005",
    "GRAFANA_IMAGE": "none",
    "GRAFANA_PORT": "9006",
    "MONITORING_DAYS": "3",
    "PREDICTION_LOG_DIR": "s3://logs/slipway/",
    "PREDICTION_LOG_DAYS": "7",
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every setting and every build variable from the environment."""
    for name in (*CALLER, *proxies.PROXIES, *proxies.PACKAGE_INDEXES):
        monkeypatch.delenv(name, raising=False)


def test_everything_has_a_default() -> None:
    """With nothing set, training and serving run in Docker on the usual ports, tracked by our own server."""
    found = settings.load()

    assert found.in_docker
    assert found.model_dir == ROOT / "model"
    assert found.tracking_uri == "http://127.0.0.1:5000"
    assert found.serving.api_url == "http://127.0.0.1:8001"
    assert found.tracking.artifact_root == Path.home() / ".local/share/slipway/artifacts"
    assert found.images.ca_bundle is None


def test_the_caller_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting takes the caller's value: relative paths from the checkout, addresses without a last slash."""
    for name, value in CALLER.items():
        monkeypatch.setenv(name, value)

    assert settings.load() == settings.Settings(
        runtime="host",
        model_dir=ROOT / "examples" / "wine",
        network="slipway_net",
        tracking=settings.Tracking(
            port=5050,
            external_uri="https://mlflow.example",
            artifact_root=Path.home() / "artifacts",
            workers="4",
            jobs="true",
        ),
        services=settings.Services(
            deployer_port=9002,
            registry_port=9003,
            project="mine",
            backup_dir=Path("/backups"),
            timeout=900,
            memory="1g",
            cpus="2",
            pids="200",
        ),
        images=settings.Images(
            python="registry.example/python:3.12",
            postgres="registry.example:5000/postgres:16-alpine",
            registry="registry.example/registry:2",
            ca_bundle=ROOT / "Makefile",
        ),
        serving=settings.Serving(
            parquet=True,
            port=9001,
            url="http://cluster:80/",
            max_rejects="7",
            log_dir="s3://logs/slipway",
            predict_timeout=61,
            start_timeout=62,
            test_timeout=63,
            request_timeout=64,
            scoring={
                "SCORING_WORKERS": "3",
                "SCORING_MAX_ROWS": "10",
                "SCORING_PREDICTION_LOG": "0.5",
                "SCORING_PREDICTION_LOG_DIR": "s3://logs/slipway",
                "SCORING_PREDICTION_LOG_DAYS": "7",
            },
        ),
        limits=settings.Limits(memory="2g", cpus="1.5", pids="100"),
        cluster=settings.Cluster(
            context="prod",
            namespace="ml",
            rollout_timeout=60,
            registry="registry.example/team",
            image_load=["kind", "load", "docker-image"],
            components=["ingress", "autoscaling"],
            gateway="infra/public",
            tracking_uri="http://mlflow.ml:5000",
            tracking_host="mlflow.example",
            is_inside=False,
        ),
        training=settings.Training(args="--alpha 1", trial_timeout=90, cpu="4", memory="8Gi", gpu="1", retries="0"),
        monitoring=settings.Monitoring(
            every=86400,
            rollback_every=61,
            prometheus_image="registry.example/prometheus:3",
            prometheus_port=9004,
            alertmanager_image="registry.example/alertmanager:1",
            alertmanager_port=9005,
            grafana_image="none",
            grafana_port=9006,
            days=3,
        ),
    )
    assert settings.load().serving.api_url == "http://cluster:80"


def test_two_environments_are_two_settings() -> None:
    """Settings are what they were loaded from: nothing of one is in another, or stays in the process."""
    before = dict(os.environ)
    one, other = settings.load({"PORT": "9001", "NO_PROXY": "a"}), settings.load({"RUNTIME": "host", "PORT": " "})

    assert (one.runtime, one.serving.port, other.runtime, other.serving.port) == ("docker", 9001, "host", 8001)
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RUNTIME", "podman", "RUNTIME is 'podman'"),
        ("PORT", "http", "PORT is 'http'"),
        ("WORKERS", "two", "WORKERS is 'two'"),
        ("WORKERS", "0", "WORKERS is '0'"),
        ("PORT", "0", "PORT is '0'"),
        ("MLFLOW_PORT", "65536", "MLFLOW_PORT is '65536'"),
        ("MLFLOW_PORT", "-1", "MLFLOW_PORT is '-1'"),
        ("CA_BUNDLE", "/no/such.pem", "CA_BUNDLE does not name a file: /no/such.pem"),
        ("GATEWAY", "infra/public/http", "GATEWAY is 'infra/public/http'"),
        ("IMAGE_LOAD", "kind load 'docker", 'IMAGE_LOAD is "kind load \'docker"'),
    ],
    ids=[
        "runtime",
        "word as a port",
        "word as a number",
        "no workers",
        "port 0",
        "port too high",
        "negative port",
        "no bundle",
        "no Gateway",
        "no command",
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    """A value that cannot be used is a usage error, which names setting and value and says what to set."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SlipwayError) as raised:
        settings.load()

    assert words in raised.value.message
    assert raised.value.cure
    assert raised.value.code == USAGE


@pytest.mark.parametrize(
    ("uri", "owns"),
    [
        ("", True),
        ("http://127.0.0.1:5000", True),
        ("http://localhost:5000", True),
        ("http://mlflow.example:8080", False),
        ("https://mlflow.example", False),
        ("sqlite:////tmp/mlflow.db", False),
    ],
    ids=["none given", "our address", "our other name", "another port", "no port", "a file"],
)
def test_whose_tracking_server_it_is(uri: str, owns: bool) -> None:
    """The tracking server is ours when no other is given, or the one given is on our port."""
    assert changed(settings.load(), tracking={"external_uri": uri}).tracking.is_ours is owns


def test_the_host_runtime_needs_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """RUNTIME=host keeps its store in a file of the checkout."""
    monkeypatch.setenv("RUNTIME", "host")

    assert settings.load().tracking_uri == f"sqlite:///{STATE}/mlflow.db"


@pytest.mark.parametrize(
    ("image", "major"),
    [
        ("postgres:17", "17"),
        ("postgres:16.4-alpine", "16"),
        ("registry.example/postgres:17@sha256:0123", "17"),
        ("registry.example:5000/postgres:17", "17"),
    ],
    ids=["major", "minor", "digest", "registry with a port"],
)
def test_the_tag_says_the_major_version(image: str, major: str) -> None:
    """PostgreSQL's major version is read from the tag of POSTGRES_IMAGE."""
    assert changed(settings.load(), images={"postgres": image}).images.postgres_major == major


@pytest.mark.parametrize(
    "image",
    ["postgres", "postgres:latest", "registry.example:5000/postgres", "postgres@sha256:17"],
    ids=["none", "latest", "only a port", "only a digest"],
)
def test_a_tag_without_a_major_version_is_refused(image: str) -> None:
    """Data belongs to a major version, so an image that does not say its own is a usage error."""
    with pytest.raises(SlipwayError) as raised:
        print(changed(settings.load(), images={"postgres": image}).images.postgres_major)

    assert raised.value.code == USAGE
    assert repr(image) in raised.value.message
