"""Training as a Job of a cluster: the same image, tags and registration as on this machine."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from slipway import hints, model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import image_delivery, manifests, mlflow, patches
from slipway.kubernetes.cluster import kubectl
from slipway.kubernetes.pods import job_log, jobs
from slipway.registry import connection
from slipway.runtimes import images, locks
from slipway.settings import BUILD, LOCAL
from slipway.training import provenance, sessions
from slipway.training import train as training

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow.entities.model_registry import ModelVersion

    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

SESSION = f"{manifests.PREFIX}session"  # annotates a Job with what its runs are found by
QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTPE]i?)?")
DEVICES = re.compile(r"(?:([\w.-]+/[\w.-]+)=)?(\d+)")
SECRET = "slipway-training"  # noqa: S105 -- its name: each of its keys becomes a variable of a training
LONGEST = 40  # of a model's name in that of its Jobs, whose pods get more appended


def train(settings: Settings, job: str = "", session: str = "") -> ModelVersion:
    """Train in the cluster of CONTEXT, show the Job's log, register what it logged, and return the version.

    With `job`, follow one that goes on; `session` is what whoever begins this again finds its runs by. Ctrl-C deletes
    the Job. Raises SlipwayError, with the script's own exit code, when it fails.
    """
    cluster, model = kubectl.connect(settings), model_folder.load(settings.model_dir)
    inside = find_tracking(settings, cluster)
    with reached(settings, cluster, inside) as here:
        connection.check_reachable(here)
    started = time.monotonic()
    lock = locks.of_folder(settings, model)
    session = _find_session(cluster, job) if job else session or uuid.uuid4().hex
    job = job or _start(settings, cluster, model, lock, inside, session)
    try:
        began_again = _follow(settings, cluster, job)
    except KeyboardInterrupt:
        with suppress(SlipwayError):  # its pods are waited for: only then can nothing log to its run any more
            cluster.run("delete", "job", job, "--ignore-not-found")
            cluster.run(
                "delete",
                "pods",
                "--selector",
                f"job-name={job}",
                "--grace-period=1",
                "--wait",
                "--timeout=60s",
                seconds=70,
            )
            _end_runs(settings, cluster, inside, session)
        raise
    except job_log.ClusterUnreachableError:
        raise
    except SlipwayError:
        # No further pods. Those that ended stay, with their logs, until their time to live is over.
        cluster.ask("patch", "job", job, "--patch", json.dumps({"spec": {"activeDeadlineSeconds": 1}}))
        with suppress(SlipwayError):
            _end_runs(settings, cluster, inside, session)
        raise
    with reached(settings, cluster, inside) as here:
        if began_again:
            sessions.forget_lost(here, session)
        _, version, _ = training.conclude(here, model, session, lock, time.monotonic() - started)
    print(f"tracked by {inside}; the Job is {job}, whose log stays available for a while")
    hints.say_next(suggest(settings, inside, f"models:/{version.name}/{version.version}"))
    return version


def suggest(settings: Settings, inside: str, uri: str) -> str:
    """Return the command that deploys a version of the server that the cluster calls `inside` (pure)."""
    forwarded = f"{mlflow.HERE} " if inside == mlflow.find_address(settings) else ""  # as deploy_tracking says
    there = f"CONTEXT={settings.cluster.context} NAMESPACE={settings.cluster.namespace}"
    return f"{forwarded}make deploy MODEL={shlex.quote(uri)} {there}"


def find_tracking(settings: Settings, cluster: Cluster) -> str:
    """Return the tracking server's address in the cluster.

    Raises SlipwayError when there is none that it could reach.
    """
    address = settings.cluster.tracking_uri
    if not address and urlsplit(settings.tracking.external_uri).hostname not in {None, *LOCAL}:
        address = settings.tracking.external_uri
    if address:
        if urlsplit(address).username or urlsplit(address).password:
            secret = "kubectl create secret generic slipway-training --from-literal MLFLOW_TRACKING_USERNAME=…"  # noqa: S105 -- how to make one
            raise SlipwayError(
                "the tracking server's address contains a password, which must not be in a Job's manifest",
                secret,
                USAGE,
            )
        return address
    if mlflow.is_deployed(cluster):
        return mlflow.find_address(settings)
    here = f"make deploy_tracking CONTEXT={settings.cluster.context} NAMESPACE={settings.cluster.namespace}"
    raise SlipwayError("the cluster has no tracking server to report to", f"{here}; or TRACKING_IN_CLUSTER=http://…")


def read_resources(settings: Settings) -> dict[str, dict[str, str]]:
    """Return a training's resource requests for Kubernetes (pure).

    Raises SlipwayError (exit code 2) for an invalid quantity.
    """
    for name, value, example in (
        ("TRAIN_CPU", settings.training.cpu, "500m"),
        ("TRAIN_MEMORY", settings.training.memory, "2Gi"),
    ):
        if not QUANTITY.fullmatch(value):
            raise SlipwayError(f"{name} is {value!r}: must be a Kubernetes quantity", f"{name}={example}", USAGE)
    requests, limits = (
        {"cpu": settings.training.cpu, "memory": settings.training.memory},
        {"memory": settings.training.memory},
    )
    if settings.training.gpu:
        found = DEVICES.fullmatch(settings.training.gpu)
        if not found:
            raise SlipwayError(
                f"TRAIN_GPU is {settings.training.gpu!r}: must be a number",
                "TRAIN_GPU=1, or TRAIN_GPU=amd.com/gpu=1",
                USAGE,
            )
        limits |= {found[1] or "nvidia.com/gpu": found[2]}
    return {"requests": requests, "limits": limits}


def name_job(model: model_folder.ModelFolder, session: str) -> str:
    """Return the name of the Job of a training (pure)."""
    end = hashlib.sha256(session.encode()).hexdigest()[:8]
    return f"{manifests.make_name(model.name)[:LONGEST].rstrip('-')}-train-{end}"


def read_retries(settings: Settings) -> int:
    """Return how often a pod that ended badly is replaced (pure). Raises SlipwayError (exit code 2) for no number."""
    if not settings.training.retries.isdigit():
        raise SlipwayError(
            f"TRAIN_RETRIES is {settings.training.retries!r}: must be a number", "TRAIN_RETRIES=2", USAGE
        )
    return int(settings.training.retries)


def describe(settings: Settings, job: str, container: dict[str, Any], session: str, place: Path) -> dict[str, Any]:
    """Return the kustomization of a Job: `container` has image, arguments and environment (pure)."""
    made = jobs.Job(
        name=job,
        kind="training",
        group=session,
        container={**container, "resources": read_resources(settings)},
        secret=SECRET,
        retries=read_retries(settings),
        annotations={SESSION: session},
    )
    return jobs.describe(made, settings.cluster.namespace, place)


def _start(  # noqa: PLR0913, PLR0917 -- what makes a Job
    settings: Settings, cluster: Cluster, model: model_folder.ModelFolder, lock: Lock, inside: str, session: str
) -> str:
    """Bring the training image into the cluster and make the Job; return its name."""
    arguments = provenance.find_arguments(settings.training, model)
    command = ["python", model.script, *arguments]
    read_resources(settings)
    image = image_delivery.deliver(settings, images.build_training(settings, model, lock))
    variables = provenance.write_variables(model) | {"MLFLOW_TRACKING_URI": inside}
    variables |= training.write_context(settings, model, model.script, lock, session)
    container = {
        "image": image,
        "command": [patches.escape(word) for word in command],
        "env": patches.list_variables(variables),
    }
    job = name_job(model, session)
    place = (
        BUILD / "k8s" / manifests.make_name(settings.cluster.context) / f"_training-{settings.cluster.namespace}" / job
    )
    manifest = manifests.write(place, describe(settings, job, container, session, place))
    cluster.make_namespace()
    print(
        f"training {model.name} as Job {job} with {model.path.name}/{model.script} {shlex.join(arguments)}".rstrip(),
        flush=True,
    )
    cluster.run("create", "--filename", str(manifest))
    return job


def _follow(settings: Settings, cluster: Cluster, job: str) -> bool:
    """Follow a Job until it is done, and return whether it took more than one attempt.

    Raises SlipwayError when it fails.
    """
    script = model_folder.load(settings.model_dir).script
    followed = job_log.Followed(cluster, job)
    ending = followed.follow()
    if ending.reason == job_log.OUT_OF_MEMORY:
        raise SlipwayError(
            f"{script} needed more memory than {settings.training.memory}", "TRAIN_MEMORY=8Gi", ending.code
        )
    if ending.lost:
        again = f"make train_on_kubernetes CONTEXT={settings.cluster.context}"
        raise SlipwayError(
            f"every attempt of {job} was lost; the last one: {ending.reason}", f"{again} TRAIN_RETRIES=5", ending.code
        )
    if ending.code != 0:
        raise SlipwayError(f"{script} ended with exit code {ending.code}; see its output above", code=ending.code)
    return followed.began_again


def _end_runs(settings: Settings, cluster: Cluster, inside: str, session: str) -> None:
    with reached(settings, cluster, inside) as here:
        sessions.end_runs(here, session)


def _find_session(cluster: Cluster, job: str) -> str:
    found = cluster.get("job", job) or {}
    session = found.get("metadata", {}).get("annotations", {}).get(SESSION)
    if not session:
        raise SlipwayError(f"no training {job} in {cluster.context}, namespace {cluster.namespace}", "kubectl get jobs")
    return str(session)


def is_forwarded(settings: Settings, inside: str) -> bool:
    """Whether the server that the cluster calls `inside` is reached by a forwarded port (pure)."""
    plain = replace(settings, cluster=replace(settings.cluster, tracking_host=""))
    return urlsplit(inside).hostname in mlflow.list_names(plain)


@contextmanager
def reached(settings: Settings, cluster: Cluster, inside: str) -> Iterator[Settings]:
    """Yield settings by which this machine reaches the server that the cluster calls `inside`."""
    if not is_forwarded(settings, inside):
        yield settings
        return
    with mlflow.reached(settings, cluster) as here:
        yield here
