"""minikube: the few commands that it needs in addition to kubectl."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slipway import hints, shell
from slipway.errors import SlipwayError
from slipway.kubernetes import commands, manifests
from slipway.kubernetes.rollout import NO_COMPONENT

if TYPE_CHECKING:
    from slipway.settings import Cluster, Settings

ADDONS = {"autoscaling": "metrics-server", "ingress": "ingress"}  # what a component needs


def deploy(settings: Settings, uri: str = "") -> None:
    """Start minikube unless it runs, deploy a version there, and print where it answers.

    Raises SlipwayError when minikube is missing or does not start, and as cluster.deploy does.
    """
    settings = adapt(settings)
    answer = _ask(settings.cluster, "status", "--output", "json")
    if answer.code == shell.NOT_FOUND:
        raise SlipwayError("minikube is not installed", "see https://minikube.sigs.k8s.io/docs/start/")
    if answer.code != 0:
        shell.run(_command(settings.cluster, "start"))
    chosen = manifests.check_components([name for name in settings.cluster.components if name != NO_COMPONENT])
    for addon in (ADDONS[name] for name in chosen if name in ADDONS):
        shell.run(_command(settings.cluster, "addons", "enable", addon))
    target = commands.deploy(settings, uri, "minikube")
    answer = _ask(
        settings.cluster, "service", f"{target.instance}-model", "--namespace", settings.cluster.namespace, "--url"
    )
    by_hand = f"minikube service {target.instance}-model -n {settings.cluster.namespace}"
    print(f"see   {answer.out.splitlines()[0] if answer.code == 0 else by_hand}")
    hints.say_next(f"make deploy_status CONTEXT={settings.cluster.context}")


def adapt(settings: Settings) -> Settings:
    """Return the settings of a cluster of minikube's: CONTEXT is its profile, and images are loaded into it."""
    profile = settings.cluster.context or "minikube"
    return replace(
        settings,
        cluster=replace(
            settings.cluster,
            context=profile,
            registry="",
            image_load=["minikube", "--profile", profile, "image", "load"],
        ),
    )


def _ask(cluster: Cluster, *arguments: str) -> shell.Answer:
    return shell.ask(_command(cluster, *arguments), seconds=60)


def _command(cluster: Cluster, *arguments: str) -> list[str]:
    return ["minikube", "--profile", cluster.context, *arguments]
