"""The one place that reads the environment; `mlflow_env.sh` lists every setting with its default and meaning."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from slipway import hints, ports
from slipway.errors import USAGE, SlipwayError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".slipway"  # what the embedded mode keeps, and this machine's secrets
BUILD = ROOT / "build"  # everything generated
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
SCORING = "SCORING_"  # begins the names of the model server's own settings, which it reads itself
MLFLOW_INSIDE = "http://mlflow:5000"  # as the containers of our network call it
LOCAL = ("localhost", "127.0.0.1")
IN_CLUSTER = "in-cluster"  # as CONTEXT, in a pod: the cluster that it is in, through its service account


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

    @property
    def in_docker(self) -> bool:
        """Whether training, serving and the tracking server run in containers."""
        return self.runtime == "docker"

    @property
    def tracking_uri(self) -> str:
        """The tracking server (or embedded store) as this machine reaches it."""
        own = f"http://127.0.0.1:{self.tracking.port}" if self.in_docker else sqlite_uri(STATE / "mlflow.db")
        return self.tracking.external_uri or own


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
    return Settings(
        runtime=runtime,
        model_dir=(ROOT / env["MODEL_DIR"]).resolve(),
        network=env["CONTAINER_NETWORK"],
        tracking=Tracking(
            port=_port(env, "MLFLOW_PORT"),
            external_uri=_tracking_uri(env["MLFLOW_TRACKING_URI"].rstrip("/")),
            artifact_root=Path(env["MLFLOW_ARTIFACT_ROOT"]).expanduser().resolve(),
            workers=env["MLFLOW_WORKERS"],
            jobs=env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"],
        ),
        services=Services(
            deployer_port=_port(env, "DEPLOYER_PORT"),
            registry_port=_port(env, "REGISTRY_PORT"),
            project=env["COMPOSE_PROJECT_NAME"],
            backup_dir=(ROOT / env["BACKUP_DIR"]).resolve(),
            timeout=_seconds(env, "SERVICES_TIMEOUT"),
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
            port=_port(env, "PORT"),
            url=env["URL"],
            parquet=env["PARQUET"] not in {"", "0"},
            max_rejects=env["MAX_REJECTS"],
            predict_timeout=_seconds(env, "PREDICT_TIMEOUT"),
            start_timeout=_seconds(env, "START_TIMEOUT"),
            test_timeout=_seconds(env, "TEST_TIMEOUT"),
            request_timeout=_seconds(env, "REQUEST_TIMEOUT"),
            scoring={f"{SCORING}WORKERS": workers}
            | {name: value for name, value in env.items() if name.startswith(SCORING) and value},
        ),
        limits=Limits(
            memory=_limit(env, "MODEL_MEMORY", r"\d+[bkmgBKMG]?"),
            cpus=_limit(env, "MODEL_CPUS", r"\d+(\.\d+)?"),
            pids=_limit(env, "MODEL_PIDS", r"\d+"),
        ),
        cluster=Cluster(
            context=env["CONTEXT"],
            namespace=env["NAMESPACE"],
            rollout_timeout=_seconds(env, "ROLLOUT_TIMEOUT"),
            registry=env["REGISTRY"].rstrip("/"),
            image_load=_command(env["IMAGE_LOAD"]),
            components=env["COMPONENTS"].split(),
            gateway=_gateway(env["GATEWAY"]),
            tracking_uri=env["TRACKING_IN_CLUSTER"].rstrip("/"),
            tracking_host=env["TRACKING_HOST"],
            is_inside=env["CONTEXT"] == IN_CLUSTER and bool(env.get("KUBERNETES_SERVICE_HOST")),
        ),
        training=Training(
            args=env["TRAIN_ARGS"],
            trial_timeout=_seconds(env, "TRIAL_TIMEOUT"),
            cpu=env["TRAIN_CPU"],
            memory=env["TRAIN_MEMORY"],
            gpu=env["TRAIN_GPU"],
            retries=env["TRAIN_RETRIES"],
        ),
    )


def sqlite_uri(file: PurePath) -> str:
    """Return the address of a sqlite database, as SQLAlchemy reads it: what follows a ? is options, and %41 is an A."""
    return f"sqlite:///{str(file).replace('%', '%25').replace('?', '%3F')}"


def _command(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise SlipwayError(f"IMAGE_LOAD is {value!r}: {error}", "IMAGE_LOAD='kind load docker-image'", USAGE) from None


def _seconds(env: dict[str, str], name: str) -> int:
    value = env[name]
    if not value.isdigit() or value == "0":
        raise SlipwayError(f"{name} is {value!r}: must be a number of seconds", _default(name), USAGE)
    return int(value)


def _default(name: str) -> str:
    return f"{name}={hints.read_defaults()[name]}"


def _tracking_uri(value: str) -> str:
    """Return the tracking server's address; that of a sqlite file is from the checkout on, wherever a script runs."""
    if not value.startswith("sqlite:"):
        return value
    found = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", value)
    if not found or found[1].startswith((":", "file:")):
        cure = "MLFLOW_TRACKING_URI=sqlite:////a/folder/mlflow.db, or unset it"
        raise SlipwayError(f"MLFLOW_TRACKING_URI is {value!r}: it must name a file", cure, USAGE)
    return value if found[1].startswith("/") else f"{sqlite_uri(ROOT)}/{found[1]}{found[2] or ''}"


def _limit(env: dict[str, str], name: str, form: str) -> str:
    value = env[name]
    if not re.fullmatch(form, value):
        words = f"{name} is {value!r}: must be a container limit such as {name}=2"
        raise SlipwayError(words, f"{name}=0 for none", USAGE)
    return value


def _gateway(value: str) -> str:
    name = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?"
    if value and not re.fullmatch(f"({name}/)?{name}", value):
        raise SlipwayError(
            f"GATEWAY is {value!r}: must be the name of a Gateway, or namespace/name", "GATEWAY=infra/public", USAGE
        )
    return value


def _port(env: dict[str, str], name: str) -> int:
    value = env[name]
    if not value.isdigit() or not 0 < int(value) <= ports.LAST:
        raise SlipwayError(f"{name} is {value!r}: must be a port number", _default(name), USAGE)
    return int(value)
