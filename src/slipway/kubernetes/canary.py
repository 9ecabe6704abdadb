"""A canary: a challenger rolls out beside a cluster's champion, is tested, and only then gets a share of requests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slipway import hints
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import image_delivery, manifests, status, traffic
from slipway.kubernetes.cluster import lease
from slipway.kubernetes.cluster.kinds import ROUTES
from slipway.kubernetes.rollout import Kubernetes
from slipway.kubernetes.traffic import Share
from slipway.serving import api_test, server

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.runtimes.base import Prepared
    from slipway.serving.api_test import Case
    from slipway.settings import Settings


class Challenger(Kubernetes):
    """A version that is deployed beside the champion of the same model."""

    component = traffic.CHALLENGER

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.deployment = traffic.name(self.instance)
        self._labels += f",{traffic.COMPONENT}={self.component}"

    def start(self, prepared: Prepared, manifest: Path, case: Case) -> None:
        """Have all of its pods ready, and its API tested. Raises SlipwayError when either fails."""
        self._old = {pod["metadata"]["name"] for pod in self._list_pods()}
        self.cluster.apply(manifest)
        self._wait(prepared)
        with self.cluster.forwarded(f"deployment/{self.deployment}", 8080) as url:
            api_test.ask(self.settings, replace(case, url=url))
        api_test.show(case)


def set_share(settings: Settings, uri: str, weight: str) -> None:
    """Give a version (default: the running challenger) `weight` of 100 requests in the cluster of CONTEXT; 0 ends it.

    Raises SlipwayError when it does not roll out or fails its test: nothing of it is left, and the champion is as
    before.
    """
    percent = traffic.parse(weight)
    champion, challenger = Kubernetes(settings), Challenger(settings)
    champion.cluster.check()
    with lease.held(champion.cluster, champion.instance):
        if percent:
            _start(settings, uri, percent, champion, challenger)
            return
        end(champion, challenger)
        print(
            f"the challenger of {champion.instance} is no longer in {settings.cluster.context}, "
            f"namespace {settings.cluster.namespace}"
        )


def end(champion: Kubernetes, challenger: Challenger) -> None:
    """Send all requests to the champion, then delete its challenger; without one, nothing happens."""
    direct(champion, None)
    challenger.clear()


def direct(champion: Kubernetes, share: Share | None) -> None:
    """Have the champion's Service and route, as they run, give a challenger its share, or nothing.

    Nothing else of them changes.
    """
    cluster, name = champion.cluster, champion.deployment
    weight = share if share and share.component == traffic.BY_WEIGHT else None
    if (route := champion.find_route()) and traffic.read(None, route, traffic.name(champion.instance)) != weight:
        patch = [
            {"op": "replace", "path": "/spec/rules/0/backendRefs", "value": traffic.direct(champion.instance, weight)}
        ]
        print(cluster.run("patch", ROUTES, name, "--type", "json", "--patch", json.dumps(patch)))
    service = cluster.get("service", name)
    wanted = None if share and not weight else traffic.CHAMPION
    if service and service["spec"]["selector"].get(traffic.COMPONENT) != wanted:
        selector = {"spec": {"selector": {traffic.COMPONENT: wanted}}}
        print(cluster.run("patch", "service", name, "--type", "merge", "--patch", json.dumps(selector)))


def _start(settings: Settings, uri: str, percent: int, champion: Kubernetes, challenger: Challenger) -> None:
    champions = _count_champions(champion)
    chosen, overlay = champion.find_choices()
    share = _choose(champion, chosen.cluster.components, percent)
    pods = traffic.count_pods(share, champions)
    print(f"the challenger will get {traffic.explain(share, champions, pods)}", flush=True)
    chosen = replace(
        chosen, cluster=replace(chosen.cluster, components=traffic.choose_components(chosen.cluster.components, share))
    )
    before = challenger.cluster.get("deployment", challenger.deployment)
    prepared = server.prepare(settings, uri or _name(before), fresh=True)
    _check_name(champion, prepared, before)
    case = api_test.make_case(settings, prepared)
    image = image_delivery.deliver_version(settings, prepared)
    manifest = manifests.render_challenger(chosen, prepared, image, overlay, pods)
    try:
        if before and status.find_image(before) != image:
            print("\n== removing the earlier challenger", flush=True)
            end(champion, challenger)
        print(f"\n== starting {prepared.model.uri} beside the champion: {pods} pods to its {champions}", flush=True)
        challenger.start(prepared, manifest, case)
        print("\n== setting its share", flush=True)
        direct(champion, share)
    except BaseException:
        print("\n== removing the challenger", flush=True)
        _give_up(champion, challenger)
        raise
    print(f"{prepared.model.uri} gets {traffic.explain(share, champions, pods)}")
    print("the X-Model-Version header of each answer says which version gave it")


def _give_up(champion: Kubernetes, challenger: Challenger) -> None:
    """Delete a failed challenger; a failure to do so is only a warning, as the first failure counts."""
    try:
        end(champion, challenger)
    except SlipwayError as error:
        hints.say_cure(f"warning: the challenger is still there: {error.message}", "make canary WEIGHT=0")


def _count_champions(champion: Kubernetes) -> int:
    found = champion.cluster.get("deployment", champion.deployment)
    if not found or not found.get("status", {}).get("availableReplicas"):
        where = f"{champion.cluster.context}, namespace {champion.cluster.namespace}"
        raise SlipwayError(
            f"no version of {champion.instance} answers in {where}, so there are no requests to share",
            "make deploy MODEL=…",
        )
    return int(found["spec"]["replicas"])


def _choose(champion: Kubernetes, components: list[str], percent: int) -> Share:
    """Return how a share is made in the cluster: by weight if there is a route, otherwise by pods."""
    if champion.find_route():
        manifests.check_components([*components, traffic.BY_WEIGHT])
        return Share(traffic.BY_WEIGHT, percent)
    if "gateway" in manifests.check_components(components):
        raise SlipwayError(
            f"the champion has no HTTPRoute {champion.deployment} yet", "make deploy, with the same COMPONENTS"
        )
    return Share(traffic.BY_PODS, percent)


def _name(challenger: dict[str, Any] | None) -> str:
    known = manifests.read_annotations(challenger) if challenger else {}
    if not known.get("version"):
        raise SlipwayError(
            "MODEL is empty and there is no challenger yet", "make canary MODEL=models:/diabetes/4 WEIGHT=10", USAGE
        )
    return f"models:/{known['model']}/{known['version']}"


def _check_name(champion: Kubernetes, prepared: Prepared, there: dict[str, Any] | None) -> None:
    if manifests.make_name(prepared.model.name or "model") != champion.instance:
        raise SlipwayError(
            f"{prepared.model.uri} is not a version of {champion.instance}, the model in MODEL_DIR",
            "make list_models",
            USAGE,
        )
    if there and there["metadata"]["labels"].get("app.kubernetes.io/instance") != champion.instance:
        raise SlipwayError(
            f"{there['metadata']['name']} exists already and belongs to another model", "make deploy_status"
        )
