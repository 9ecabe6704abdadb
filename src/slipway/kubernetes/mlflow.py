"""MLflow and its database in a cluster: deployed, checked and removed; their data stays."""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import requests

from slipway import hints, shell
from slipway.bootstrap import docker_cli
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import image_delivery, manifests
from slipway.kubernetes.cluster import kubectl, storage
from slipway.kubernetes.pods import wait
from slipway.registry import connection
from slipway.runtimes import images
from slipway.settings import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.settings import Settings

MLFLOW, POSTGRES, SECRET = "mlflow", "mlflow-postgres", "tracking"  # the objects' names
PORT = 5000  # of the service
PORT_HERE = 5500  # that people are told to forward it to; 5000 is that of make start_mlflow_services
HERE = f"MLFLOW_TRACKING_URI=http://127.0.0.1:{PORT_HERE}"
LABELS = "app.kubernetes.io/component=tracking,app.kubernetes.io/part-of=slipway"
RUNNING = "deployments,statefulsets,services,ingresses,networkpolicies"
KEPT = "persistentvolumeclaims,secrets"
CLAIMS = ["mlflow-artifacts", f"data-{POSTGRES}-0"]
MAJOR = f"{manifests.PREFIX}postgres"  # labels the database's volume with the version that can read it
OPENED_BY = f"{manifests.PREFIX}secret"  # annotates MLflow's pod with the id of the Secret: a new one makes a new pod
API = "/api/2.0/mlflow/experiments/search?max_results=1"
MIGRATION = 360  # s more for MLflow, which may have to migrate the database


@dataclass(frozen=True)
class Facts:
    """What a deployment finds out.

    Images by their names in the manifests, the id of the user postgres, that of the Secret.
    """

    images: dict[str, str]
    user: int
    secret: str


def deploy(settings: Settings) -> None:
    """Deploy MLflow and Postgres, or the newer images of a newer Slipway; wait until the API answers under every name.

    Raises SlipwayError when they do not come up; then everything is left as it is, to be looked at.
    """
    started = time.monotonic()
    cluster = kubectl.connect(settings)
    storage.check_claims(cluster, CLAIMS)
    _check_major(settings, cluster)
    images = _deliver(settings)
    cluster.make_namespace()
    password = _make_secret(cluster)
    place = manifests.make_place(settings.cluster, "_tracking")  # no model's name begins so
    facts = Facts(
        images, _find_user(settings.images.postgres), (cluster.get("secret", SECRET) or {})["metadata"]["uid"]
    )
    cluster.apply(manifests.write(place, describe(settings, facts, place)))
    wait.wait(cluster, f"statefulset/{POSTGRES}", settings.services.timeout)
    if password:
        _set_password(cluster, password)
    wait.wait(cluster, f"deployment/{MLFLOW}", settings.services.timeout + MIGRATION)
    with cluster.forwarded(f"service/{MLFLOW}", PORT) as url:
        _check_names(settings, url)
    print(
        f"MLflow answers in {settings.cluster.context}, namespace {settings.cluster.namespace}, "
        f"after {time.monotonic() - started:.0f} s"
    )
    host = settings.cluster.tracking_host
    print(f"there {find_address(settings)}{f', and http://{host}' if host else ''}")
    print(f"here  {' '.join(cluster.command('port-forward', f'service/{MLFLOW}', f'{PORT_HERE}:{PORT}'))}")
    print(f"      export {HERE}")
    hints.say_next(
        f"make train_on_kubernetes CONTEXT={settings.cluster.context} NAMESPACE={settings.cluster.namespace}"
    )


def undeploy(settings: Settings, data: str = "") -> None:
    """Remove MLflow and Postgres; volumes and Secret stay, unless `data` is `delete`."""
    if data not in {"", "delete"}:
        raise SlipwayError(
            f"DATA is {data!r}: must be delete or empty",
            "DATA=delete, to delete all runs, models and versions",
            USAGE,
        )
    cluster = kubectl.connect(settings)
    kinds = f"{RUNNING},{KEPT}" if data else RUNNING
    print(
        cluster.run(
            "delete", kinds, "--selector", LABELS, "--cascade=foreground", "--wait", "--timeout", "180s", seconds=200
        )
    )
    if data:
        print(
            f"MLflow and Postgres are no longer in {settings.cluster.context}, namespace {settings.cluster.namespace}"
        )
        return
    print("the data stays, and the Secret with its password; DATA=delete deletes both")
    hints.say_next("make deploy_tracking, which brings MLflow back")


def is_deployed(cluster: Cluster) -> bool:
    """Whether there is an MLflow of ours in the namespace."""
    return cluster.get("deployment", MLFLOW) is not None


def check_deployed(cluster: Cluster) -> None:
    """Raise SlipwayError when there is none."""
    if not is_deployed(cluster):
        here = f"CONTEXT={cluster.context} NAMESPACE={cluster.namespace}"
        raise SlipwayError(
            f"no MLflow in {cluster.context}, namespace {cluster.namespace}", f"make deploy_tracking {here}"
        )


def find_address(settings: Settings) -> str:
    """Return the address in the cluster of the namespace's MLflow."""
    return f"http://{MLFLOW}.{settings.cluster.namespace}:{PORT}"


@contextmanager
def reached(settings: Settings, cluster: Cluster) -> Iterator[Settings]:
    """Yield settings by which this machine reaches the MLflow of the namespace, once that is ready.

    As long as its pod lives.
    """
    check_deployed(cluster)
    wait.wait(cluster, f"deployment/{MLFLOW}", settings.services.timeout)
    with cluster.forwarded(f"service/{MLFLOW}", PORT) as url:
        here = replace(settings, tracking=replace(settings.tracking, external_uri=url))
        connection.check_reachable(here)
        yield here


def list_names(settings: Settings) -> list[str]:
    """Return what clients call MLflow: here, by a forwarded port; in the cluster; from outside (pure)."""
    service = f"{MLFLOW}.{settings.cluster.namespace}"
    names = [*LOCAL, MLFLOW, service, f"{service}.svc", f"{service}.svc.cluster.local"]
    return [*names, settings.cluster.tracking_host] if settings.cluster.tracking_host else names


def describe(settings: Settings, facts: Facts, place: Path) -> dict[str, Any]:
    """Return the kustomization, that will lie in `place` (pure)."""
    hosts = ",".join(f"{name},{name}:*" for name in list_names(settings))
    variables = [{"name": "MLFLOW_SERVER_ALLOWED_HOSTS", "value": hosts}]
    if settings.cluster.tracking_host:  # a page's own POST names its origin
        origins = ",".join(f"{scheme}://{settings.cluster.tracking_host}" for scheme in ("http", "https"))
        variables.append({"name": "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "value": origins})
    container = {"name": "mlflow", "env": variables}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": MLFLOW},
        "spec": {"template": {
            "metadata": {"annotations": {OPENED_BY: facts.secret}}, "spec": {"containers": [container]},
        }},
    }  # fmt: skip
    context = "/spec/template/spec/securityContext"
    database: list[dict[str, Any]] = [
        {"op": "replace", "path": f"{context}/{key}", "value": facts.user}
        for key in ("runAsUser", "runAsGroup", "fsGroup")
    ]
    label = f"/spec/volumeClaimTemplates/0/metadata/labels/{MAJOR.replace('/', '~1')}"
    database += [{"op": "add", "path": label, "value": settings.images.postgres_major}]
    patches: list[dict[str, Any]] = [{"patch": json.dumps(deployment)}]
    patches += [{"target": {"kind": "StatefulSet", "name": POSTGRES}, "patch": json.dumps(database)}]
    if settings.cluster.tracking_host:
        host = [{"op": "replace", "path": "/spec/rules/0/host", "value": settings.cluster.tracking_host}]
        patches += [{"target": {"kind": "Ingress", "name": MLFLOW}, "patch": json.dumps(host)}]
    folder = os.path.relpath(manifests.MANIFESTS / "tracking", place)
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [folder],
        "components": [f"{folder}/ingress"] if settings.cluster.tracking_host else [],
        "namespace": settings.cluster.namespace,
        "images": [manifests.replace_image(name, tag) for name, tag in facts.images.items()],
        "patches": patches,
    }


def _check_major(settings: Settings, cluster: Cluster) -> None:
    found = cluster.get("persistentvolumeclaim", f"data-{POSTGRES}-0") or {}
    major = found.get("metadata", {}).get("labels", {}).get(MAJOR, settings.images.postgres_major)
    if major != settings.images.postgres_major:
        wrong = f"the data there was written by PostgreSQL {major}, and {settings.images.postgres} cannot read it"
        raise SlipwayError(wrong, f"POSTGRES_IMAGE=postgres:{major}")


def _deliver(settings: Settings) -> dict[str, str]:
    """Bring the images into the cluster; return how manifests name them, by the names that they have in ours."""
    mlflow = images.build_service(settings, "mlflow")
    if not images.exists(settings.images.postgres):
        shell.run(docker_cli.pull(settings.images.postgres))
    return {
        "slipway/mlflow": image_delivery.deliver(settings, mlflow),
        "postgres": image_delivery.deliver(settings, settings.images.postgres),
    }


def _find_user(postgres: str) -> int:
    """Return the id of the user postgres in its image: Debian's and Alpine's differ."""
    answer = shell.ask(docker_cli.run(postgres, ["--rm", "--entrypoint", "id"], ["-u", "postgres"]))
    if answer.code != 0 or not answer.out.isdigit():
        raise SlipwayError(
            f"{postgres} has no user postgres: {answer.words}", "POSTGRES_IMAGE=postgres:17, or an image built from it"
        )
    return int(answer.out)


def _make_secret(cluster: Cluster) -> str:
    """Make the Secret unless it is there; return the new password, or "" when it was."""
    if cluster.get("secret", SECRET):
        return ""
    password, key = secrets.token_hex(24), base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    labels = dict(pair.split("=") for pair in LABELS.split(","))
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "labels": labels},
        "stringData": {"postgres-password": password, "webhook-key": key},
    }  # fmt: skip
    cluster.run("create", "--filename", "-", words=json.dumps(secret))
    return password


def _set_password(cluster: Cluster, password: str) -> None:
    """Give the database's user the password of a new Secret: the volume may be older, and its Secret gone."""
    command = ["exec", "--stdin", f"{POSTGRES}-0", "--", "psql", "--username=mlflow", "--dbname=mlflow", "--quiet"]
    answer = cluster.ask(*command, words=f"ALTER USER mlflow PASSWORD '{password}'\n")
    if answer.code != 0:
        raise SlipwayError(f"Postgres did not accept the password of the new Secret: {answer.words}")


def _check_names(settings: Settings, url: str) -> None:
    for name in list_names(settings):
        host = name if name == settings.cluster.tracking_host else f"{name}:{PORT}"
        answer = requests.get(f"{url}{API}", headers={"Host": host}, timeout=30)
        if not answer.ok:
            raise SlipwayError(
                f"MLflow answers {answer.status_code} to clients that use the host name {host}",
                "kubectl logs deployment/mlflow",
            )
