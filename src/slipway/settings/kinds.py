"""The settings as values: a group for each part of the system."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import USAGE, SlipwayError
from slipway.settings import places
from slipway.settings.places import LOCAL, MLFLOW_INSIDE, sqlite_uri

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Tracking:
    """Which tracking server, and how the one that Slipway starts runs."""

    external_uri: str  # of your own; "": the one that Slipway starts
    port: int
    artifact_root: Path
    workers: str
    jobs: str  # whether it has job runners: true or false

    @property
    def is_ours(self) -> bool:
        """Whether the tracking server is the one Slipway starts."""
        return self.external_uri in {"", MLFLOW_INSIDE, *(f"http://{host}:{self.port}" for host in LOCAL)}


@dataclass(frozen=True)
class Services:
    """What runs beside MLflow on this machine, and under which name."""

    project: str  # of compose: it names containers, network and volume
    deployer_port: int
    registry_port: int
    backup_dir: Path
    timeout: int  # s
    memory: str  # limits of each service; 0: none
    cpus: str
    pids: str


@dataclass(frozen=True)
class Images:
    """The images that ours are built on, or run beside."""

    python: str
    postgres: str
    registry: str
    ca_bundle: Path | None

    @property
    def postgres_major(self) -> str:
        """The major version of `POSTGRES_IMAGE`, from its tag."""
        found = re.search(r":(\d+)", self.postgres.split("@")[0].rsplit("/", 1)[-1])  # host:port/name:tag@digest
        if not found:
            words = f"POSTGRES_IMAGE is {self.postgres!r}: its tag must start with the major version"
            raise SlipwayError(words, "POSTGRES_IMAGE=postgres:17", USAGE)
        return found[1]


@dataclass(frozen=True)
class Serving:
    """The model server, and how long it may take."""

    port: int
    url: str  # of an API elsewhere, or ""
    parquet: bool  # whether a version is served with what reads Parquet
    log_dir: str  # of the prediction log: a folder or s3://…
    scoring: dict[str, str]  # the model server's own settings, by the names of their variables
    predict_timeout: int  # s
    start_timeout: int  # s
    test_timeout: int  # s
    max_rejects: str  # rows that a batch may set aside
    request_timeout: int  # s; the tracking server's, too, when it is looked for

    @property
    def api_url(self) -> str:
        """The served model's API: `URL`, or what `serve_model` starts on `PORT`."""
        return (self.url or f"http://127.0.0.1:{self.port}").rstrip("/")


@dataclass(frozen=True)
class Limits:
    """The limits of each container that trains or serves a model; 0: none."""

    memory: str
    cpus: str
    pids: str


@dataclass(frozen=True)
class Cluster:
    """The Kubernetes cluster, and what a deployment there has."""

    context: str  # of kubectl; "": no cluster
    namespace: str
    rollout_timeout: int  # s
    registry: str  # that the cluster pulls from, or ""
    image_load: list[str]  # the command that brings an image into a cluster without a registry, or []
    components: list[str]  # of deploy/kubernetes/components
    gateway: str  # the Gateway of the component gateway's route: name, or namespace/name; "": the last one, or gateway
    tracking_uri: str  # the tracking server as the cluster calls it, or ""
    tracking_host: str  # of the ingress to it, or ""
    is_inside: bool  # whether this process is in a pod, and CONTEXT means that cluster


@dataclass(frozen=True)
class Monitoring:
    """What the deployer does of itself, and Prometheus, Alertmanager and Grafana on this machine."""

    every: int  # s between two monitorings of the champion; 0: none
    rollback_every: int  # s between two looks at the rollback rule
    prometheus_image: str
    prometheus_port: int
    alertmanager_image: str
    alertmanager_port: int
    grafana_image: str  # or none
    grafana_port: int
    days: int  # that Prometheus keeps


@dataclass(frozen=True)
class Training:
    """What train.py is given, how long a trial of it may take, and what a training Job asks the cluster for."""

    args: str
    trial_timeout: int  # s
    cpu: str
    memory: str
    gpu: str
    retries: str


@dataclass(frozen=True)
class Settings:
    """The settings of one command, as `mlflow_env.sh` and the caller gave them."""

    runtime: str
    model_dir: Path
    network: str  # the docker network that this very process is in, or "" outside a container
    tracking: Tracking
    services: Services
    images: Images
    serving: Serving
    limits: Limits
    cluster: Cluster
    training: Training
    monitoring: Monitoring

    @property
    def in_docker(self) -> bool:
        """Whether training, serving and the tracking server run in containers."""
        return self.runtime == "docker"

    @property
    def tracking_uri(self) -> str:
        """The tracking server (or embedded store) as this machine reaches it."""
        own = f"http://127.0.0.1:{self.tracking.port}" if self.in_docker else sqlite_uri(places.STATE / "mlflow.db")
        return self.tracking.external_uri or own
