"""The deployer in a cluster: deployed and removed.

It follows @champion there, and needs none of our machines for it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slipway import hints, model_folder
from slipway.deployer.service import RECONCILE, name_hook
from slipway.errors import SlipwayError
from slipway.kubernetes import image_delivery, manifests, mlflow, patches, rollout, training_job
from slipway.kubernetes.cluster import kinds, kubectl
from slipway.kubernetes.cluster.storage import check_claims
from slipway.kubernetes.pods import wait
from slipway.registry.client import Registry
from slipway.runtimes import containers, images
from slipway.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.settings import Settings

MONITORING = "monitoring"  # the component that lets Prometheus read it, too
NAME, PORT = "deployer", 8002  # of all its objects; of the service
LABELS = f"app.kubernetes.io/component={NAME},app.kubernetes.io/part-of=slipway"
KINDS = "deployments,services,networkpolicies,rolebindings,roles,serviceaccounts,persistentvolumeclaims,secrets"
OPENED_BY = f"{manifests.PREFIX}secret"  # annotates its pod with the id of the Secret: a new one makes a new pod


def deploy(settings: Settings) -> None:
    """Deploy or update the deployer from this checkout and its model folder; wait until it answers.

    Raises SlipwayError when it does not, or when there is no tracking server that it could follow.
    """
    started = time.monotonic()
    cluster = kubectl.connect(settings)
    rollout.Kubernetes(settings).find_choices()  # now, when somebody can mend them
    model = model_folder.load(settings.model_dir)
    tracking_uri = training_job.find_tracking(settings, cluster)
    check_claims(cluster, [NAME])
    delivered = image_delivery.deliver(settings, images.build_deployer(settings, model))
    _make_secret(cluster)
    place = manifests.make_place(settings.cluster, "_deployer")  # no model's name begins so
    secret = (cluster.get("secret", NAME) or {})["metadata"]["uid"]
    cluster.apply(manifests.write(place, describe(settings, delivered, tracking_uri, secret, place)))
    wait.wait(cluster, f"deployment/{NAME}", settings.services.timeout)
    where = f"{settings.cluster.context}, namespace {settings.cluster.namespace}"
    print(
        f"the deployer of {model.name} is running in {where}, after {time.monotonic() - started:.0f} s; "
        f"it follows {tracking_uri}"
    )
    print(
        "a moved @champion is noticed by MLflow's event if MLflow is deploy_tracking's, "
        f"and otherwise within {RECONCILE} s"
    )
    print(
        f"see   {' '.join(cluster.command('port-forward', f'service/{NAME}', str(PORT)))}, then http://localhost:{PORT}"
    )
    template = "'{{.data.token | base64decode}}'"
    print(f"token {' '.join(cluster.command('get', 'secret', NAME, '--output', f'go-template={template}'))}")
    hints.say_next("make push_model MODEL=…, then RUNTIME=host make promote MODEL=…")


def undeploy(settings: Settings) -> None:
    """Remove the deployer with its records and its token; what it deployed keeps serving."""
    cluster = kubectl.connect(settings)
    known = f",{kinds.MONITORS}" if kinds.MONITORS in kinds.list_known(cluster) else ""
    print(
        cluster.run(
            "delete",
            f"{KINDS}{known}",
            "--selector",
            LABELS,
            "--cascade=foreground",
            "--wait",
            "--timeout",
            "120s",
            seconds=150,
        )
    )
    if (cluster.get("deployment", mlflow.MLFLOW) or {}).get("status", {}).get("readyReplicas"):
        with suppress(SlipwayError), mlflow.reached(settings, cluster) as here:
            Registry.connect(here).unregister_webhook(name_hook(_inside(settings).services))
    print(
        f"the deployer is no longer in {settings.cluster.context}, namespace {settings.cluster.namespace}; "
        "what it deployed keeps serving"
    )


def describe(settings: Settings, delivered: str, tracking_uri: str, secret: str, place: Path) -> dict[str, Any]:
    """Return the kustomization, that will lie in `place`: `secret` is the Secret's id (pure)."""
    variables = {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MODEL_DIR": str(settings.model_dir.relative_to(ROOT)),
        "COMPOSE_PROJECT_NAME": _inside(settings).services.project,
        "COMPONENTS": " ".join(settings.cluster.components),
        "GATEWAY": settings.cluster.gateway,
        "ROLLOUT_TIMEOUT": str(settings.cluster.rollout_timeout),
        "PREDICT_TIMEOUT": str(settings.serving.predict_timeout),
        "START_TIMEOUT": str(settings.serving.start_timeout),
        "TEST_TIMEOUT": str(settings.serving.test_timeout),
        "REQUEST_TIMEOUT": str(settings.serving.request_timeout),
        "MONITOR_EVERY": str(settings.monitoring.every or ""),
        "ROLLBACK_EVERY": str(settings.monitoring.rollback_every),
    } | {name: value for name, value in settings.serving.scoring.items() if name not in containers.SCORING_FILES}
    if "://" in settings.serving.log_dir:  # a folder of ours is none of the pod's
        variables["PREDICTION_LOG_DIR"] = settings.serving.log_dir
    components = [MONITORING] if MONITORING in settings.cluster.components else []
    container = {"name": NAME, "env": patches.list_variables(variables)}
    template = {"metadata": {"annotations": {OPENED_BY: secret}}, "spec": {"containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {"template": template},
    }
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(manifests.MANIFESTS / "deployer", place)],
        "components": [os.path.relpath(manifests.MANIFESTS / "deployer" / name, place) for name in components],
        "namespace": settings.cluster.namespace,
        "images": [manifests.replace_image("slipway/deployer", delivered)],
        "patches": [{"patch": json.dumps(deployment)}],
    }


def _inside(settings: Settings) -> Settings:
    """Return settings with the names that the deployer there goes by."""
    return replace(
        settings,
        services=replace(settings.services, project=f"cluster-{settings.cluster.namespace}", deployer_port=PORT),
    )


def _make_secret(cluster: Cluster) -> None:
    """Make the namespace, and in it the Secret, unless they are there."""
    cluster.make_namespace()
    if cluster.get("secret", NAME):
        return
    labels = dict(pair.split("=") for pair in LABELS.split(","))
    made = {"token": secrets.token_urlsafe(32), "webhook_secret": secrets.token_urlsafe(32)}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME, "labels": labels}, "stringData": made}
    cluster.run("create", "--filename", "-", words=json.dumps(secret))
