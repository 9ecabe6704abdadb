"""The one place that reads the environment; `mlflow_env.sh` lists every setting with its default and meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from slipway import hints
from slipway.errors import USAGE, SlipwayError
from slipway.settings import forms
from slipway.settings.kinds import Cluster, Images, Limits, Monitoring, Services, Serving, Settings, Tracking, Training
from slipway.settings.places import (
    BUILD,
    IN_CLUSTER,
    LOCAL,
    LOG,
    MLFLOW_INSIDE,
    ROOT,
    SCORING,
    STATE,
    VERSION,
    sqlite_uri,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BUILD",
    "IN_CLUSTER",
    "LOCAL",
    "LOG",
    "MLFLOW_INSIDE",
    "ROOT",
    "SCORING",
    "STATE",
    "VERSION",
    "Cluster",
    "Images",
    "Limits",
    "Monitoring",
    "Services",
    "Serving",
    "Settings",
    "Tracking",
    "Training",
    "load",
    "sqlite_uri",
]


def load(variables: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `variables`, by default the environment.

    What they lack, or leave empty, is as in mlflow_env.sh: that is all that `make` adds.
    Raises SlipwayError (exit code 2) for a value that cannot be used.
    """
    given = os.environ if variables is None else variables
    env = hints.read_defaults() | {name: value.strip() for name, value in given.items() if value.strip()}
    runtime = env["RUNTIME"]
    if runtime not in {"docker", "host"}:
        raise SlipwayError(f"RUNTIME is {runtime!r}: must be docker or host", "RUNTIME=host make …", USAGE)
    if (ca_bundle := env["CA_BUNDLE"]) and not Path(ca_bundle).is_file():
        raise SlipwayError(f"CA_BUNDLE does not name a file: {ca_bundle}", "the path of a PEM file, or unset it", USAGE)
    workers = env["WORKERS"]
    if not workers.isdigit() or workers == "0":
        raise SlipwayError(f"WORKERS is {workers!r}: must be a number of processes", "WORKERS=2", USAGE)
    scoring = {f"{SCORING}WORKERS": workers} | {
        name: value for name, value in env.items() if name.startswith(SCORING) and value
    }
    scoring |= forms.log(env)
    return Settings(
        runtime=runtime,
        model_dir=(ROOT / env["MODEL_DIR"]).resolve(),
        network=env["CONTAINER_NETWORK"],
        tracking=Tracking(
            port=forms.port(env, "MLFLOW_PORT"),
            external_uri=forms.tracking_uri(env["MLFLOW_TRACKING_URI"].rstrip("/")),
            artifact_root=Path(env["MLFLOW_ARTIFACT_ROOT"]).expanduser().resolve(),
            workers=env["MLFLOW_WORKERS"],
            jobs=env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"],
        ),
        services=Services(
            deployer_port=forms.port(env, "DEPLOYER_PORT"),
            registry_port=forms.port(env, "REGISTRY_PORT"),
            project=env["COMPOSE_PROJECT_NAME"],
            backup_dir=(ROOT / env["BACKUP_DIR"]).resolve(),
            timeout=forms.seconds(env, "SERVICES_TIMEOUT"),
            memory=env["SERVICE_MEMORY"],
            cpus=env["SERVICE_CPUS"],
            pids=env["SERVICE_PIDS"],
        ),
        images=Images(
            python=env["PYTHON_IMAGE"],
            postgres=env["POSTGRES_IMAGE"],
            registry=env["REGISTRY_IMAGE"],
            ca_bundle=Path(ca_bundle) if ca_bundle else None,
        ),
        serving=Serving(
            port=forms.port(env, "PORT"),
            url=env["URL"],
            parquet=env["PARQUET"] not in {"", "0"} or bool(scoring.get(LOG)),
            log_dir=forms.log_dir(env),
            max_rejects=env["MAX_REJECTS"],
            predict_timeout=forms.seconds(env, "PREDICT_TIMEOUT"),
            start_timeout=forms.seconds(env, "START_TIMEOUT"),
            test_timeout=forms.seconds(env, "TEST_TIMEOUT"),
            request_timeout=forms.seconds(env, "REQUEST_TIMEOUT"),
            scoring=scoring,
        ),
        limits=Limits(
            memory=forms.limit(env, "MODEL_MEMORY", r"\d+[bkmgBKMG]?"),
            cpus=forms.limit(env, "MODEL_CPUS", r"\d+(\.\d+)?"),
            pids=forms.limit(env, "MODEL_PIDS", r"\d+"),
        ),
        cluster=Cluster(
            context=env["CONTEXT"],
            namespace=env["NAMESPACE"],
            rollout_timeout=forms.seconds(env, "ROLLOUT_TIMEOUT"),
            registry=env["REGISTRY"].rstrip("/"),
            image_load=forms.command(env["IMAGE_LOAD"]),
            components=env["COMPONENTS"].split(),
            gateway=forms.gateway(env["GATEWAY"]),
            tracking_uri=env["TRACKING_IN_CLUSTER"].rstrip("/"),
            tracking_host=env["TRACKING_HOST"],
            is_inside=env["CONTEXT"] == IN_CLUSTER and bool(env.get("KUBERNETES_SERVICE_HOST")),
        ),
        training=Training(
            args=env["TRAIN_ARGS"],
            trial_timeout=forms.seconds(env, "TRIAL_TIMEOUT"),
            cpu=env["TRAIN_CPU"],
            memory=env["TRAIN_MEMORY"],
            gpu=env["TRAIN_GPU"],
            retries=env["TRAIN_RETRIES"],
        ),
        monitoring=Monitoring(
            every=forms.seconds(env, "MONITOR_EVERY") if env["MONITOR_EVERY"] else 0,
            rollback_every=forms.seconds(env, "ROLLBACK_EVERY"),
            prometheus_image=env["PROMETHEUS_IMAGE"],
            prometheus_port=forms.port(env, "PROMETHEUS_PORT"),
            alertmanager_image=env["ALERTMANAGER_IMAGE"],
            alertmanager_port=forms.port(env, "ALERTMANAGER_PORT"),
            grafana_image=env["GRAFANA_IMAGE"],
            grafana_port=forms.port(env, "GRAFANA_PORT"),
            days=forms.days(env, "MONITORING_DAYS"),
        ),
    )
