"""The commands for a cluster: deploy and test a version, show what would change, roll back, undeploy."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from slipway import model_folder, runtimes
from slipway.errors import SlipwayError
from slipway.kubernetes import image_delivery
from slipway.kubernetes.cluster import kubectl, lease
from slipway.kubernetes.pods import trial_pod
from slipway.kubernetes.rollout import Kubernetes
from slipway.registry.client import CHAMPION
from slipway.release import promote
from slipway.serving import api_test, server
from slipway.settings import ROOT

if TYPE_CHECKING:
    from slipway.release.candidate import Outcome
    from slipway.settings import Settings


def deploy(settings: Settings, uri: str = "", overlay: str = "") -> Kubernetes:
    """Deploy a version (default: the champion) to the cluster of CONTEXT.

    Test its API there in a pod of its own, then roll it out.

    Raises SlipwayError if it does not roll out or fails its test: the previous version is restored, or all is deleted.
    """
    started = time.monotonic()
    target = Kubernetes(settings, overlay)
    target.cluster.check()
    target.check_rights()
    prepared = server.prepare(
        settings, uri or f"models:/{model_folder.load(settings.model_dir).name}@{CHAMPION}", fresh=True
    )
    case = api_test.make_case(settings, prepared)
    with target.changing():
        target.roll_out(prepared, case)
        try:
            target.check(prepared, case)
        except BaseException:
            target.undo()
            raise
    print(
        f"{prepared.model.uri} answers in {settings.cluster.context}, namespace {settings.cluster.namespace}, "
        f"after {time.monotonic() - started:.1f} s"
    )
    return target


def roll_back(settings: Settings, to: str = "") -> None:
    """Roll the cluster back to the previous champion (or version `to`), test it there, then move @champion."""
    target = Kubernetes(settings)
    target.cluster.check()

    def roll_out(outcome: Outcome) -> None:
        print(f"\n== roll out in {settings.cluster.context}", flush=True)
        case = outcome.make_case()
        target.roll_out(outcome.prepared, case)
        target.look(outcome.prepared, case)

    with target.changing():
        try:
            promote.roll_back(settings, to, roll_out)
        except BaseException:
            target.undo()
            raise
        target.settle()


def diff(settings: Settings, uri: str = "") -> bool:
    """Print what a deployment of a version would change in the cluster, as kubectl does.

    Return whether anything would change.
    """
    target = Kubernetes(settings)
    target.cluster.check()
    prepared = server.prepare(settings, uri or f"models:/{model_folder.load(settings.model_dir).name}@{CHAMPION}")
    tag = runtimes.of(settings).image(prepared)
    image = (
        image_delivery.deliver(settings, tag) if settings.cluster.registry else tag
    )  # it is pushed, as its digest is part of the manifests
    manifest = target.render(prepared, image)
    if not target.cluster.has_namespace():
        print(
            f"all of {manifest.relative_to(ROOT)} would be new: there is no namespace {settings.cluster.namespace} yet"
        )
        return True
    answer = target.cluster.ask("diff", "--filename", str(manifest))
    if answer.code > 1 or (answer.code and not answer.out):
        raise SlipwayError(f"kubectl diff failed: {kubectl.explain(answer)}", target.cluster.show("get", "all"))
    print(answer.out or "nothing would change")
    return answer.code == 1


def undeploy(settings: Settings) -> None:
    """Delete what was deployed of the folder's model; the namespace and everything else stays."""
    target = Kubernetes(settings)
    target.cluster.check()
    with lease.held(target.cluster, target.instance):
        target.clear()
        with suppress(SlipwayError):  # what we may not look at ends by itself
            trial_pod.clear(target.cluster, target.instance)
    print(f"{target.instance} is no longer in {settings.cluster.context}, namespace {settings.cluster.namespace}")
