"""Kubernetes as a target: a version rolls out, is tested in the cluster, and is reverted if it fails."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slipway import hints, model_folder, shell
from slipway.errors import USAGE, SlipwayError
from slipway.kubernetes import image_delivery, manifests, traffic
from slipway.kubernetes.cluster import kinds, kubectl, lease, recovery, rights
from slipway.kubernetes.cluster.kubectl import Cluster, check_runtime
from slipway.kubernetes.pods import addresses, trial_pod
from slipway.kubernetes.pods.diagnosis import find_newest
from slipway.kubernetes.pods.wait import Rollout
from slipway.registry.model_uri import ModelRef
from slipway.runtimes import containers, prediction_log
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slipway.kubernetes.cluster.recovery import Before
    from slipway.kubernetes.traffic import Share
    from slipway.serving.api_test import Case
    from slipway.settings import Settings

MARK = f"{recovery.UNPROVED}-"  # for kubectl annotate: to be taken off
OVERLAY = "cloud"  # the default
NO_COMPONENT = "none"  # in COMPONENTS: without those of the last deployment


class Kubernetes:
    """One model in one namespace of one cluster."""

    name = "kubernetes"
    component = traffic.CHAMPION

    def __init__(self, settings: Settings, overlay: str = "") -> None:
        check_runtime(settings)
        self.settings, self.overlay = settings, overlay
        self.cluster = Cluster(settings)
        self.instance = manifests.make_name(model_folder.load(settings.model_dir).name)
        self.deployment = f"{self.instance}-model"
        self._labels = f"app.kubernetes.io/instance={self.instance},app.kubernetes.io/part-of=slipway"
        self._manifest: Path | None = None  # of the last rollout
        self._before: Before | None = None  # what was there before it, until it is tested
        self._allowed = False  # to deploy, as far as that is known
        self._tried = False  # whether what was rolled out last had passed its case before
        self._old: set[str] = set()  # pods that were there before it
        self._known: list[str] = []  # the kinds of the cluster, when they were asked for

    @property
    def url(self) -> str | None:
        """Nothing that this machine could open: kubectl port-forward, or an ingress."""
        return None

    def find_version(self) -> int | None:
        """Return the version that answers, or None when none does."""
        found = self.cluster.get("deployment", self.deployment)
        if not found or not found.get("status", {}).get("availableReplicas"):
            return None
        version = manifests.read_annotations(found).get("version", "")
        return int(version) if version.isdigit() else None

    def list_addresses(self) -> list[str]:
        """Return where its ready pods answer; only a pod of the cluster reaches them."""
        return addresses.find(self._list_pods()) if self.settings.cluster.is_inside else []

    def render(self, prepared: Prepared, image: str) -> Path:
        """Write the version's manifests, by which a challenger keeps its share.

        Raises SlipwayError for components that cannot be.
        """
        settings, overlay = self.find_choices()
        share = self.find_share()
        if (
            share
            and share.component == traffic.BY_WEIGHT
            and "gateway" not in manifests.check_components(settings.cluster.components)
        ):
            share = None  # the route goes
        if share:
            print(
                hints.complete("note: a challenger keeps its share of the requests; make canary WEIGHT=0 ends it"),
                flush=True,
            )
        return manifests.render(settings, prepared, image, overlay, share)

    def find_choices(self) -> tuple[Settings, str]:
        """Return settings with components and Gateway, and the overlay; what is not said is as in the last deployment.

        Raises SlipwayError for components that the cluster cannot have, or whose Deployment is not ours to watch.
        """
        found = self.cluster.get("deployment", self.deployment)
        known = manifests.read_annotations(found) if found else {}
        if files := sorted(self.settings.serving.scoring.keys() & containers.SCORING_FILES):
            cure = f"unset {files[0]}; in a cluster, an ingress or Gateway in front of the model handles keys and TLS"
            words = f"{files[0]} is a file on this machine, which cannot be deployed to a cluster"
            raise SlipwayError(words, cure, USAGE)
        prediction_log.in_cluster(self.settings, None)
        given = self.settings.cluster.components or known.get("components", "").split()
        components = [name for name in given if name != NO_COMPONENT]
        if "kserve" in components:
            raise SlipwayError(
                "KServe creates the Deployment itself, so make deploy cannot watch it", "see docs/kubernetes.md", USAGE
            )
        needed = manifests.check_components(components)
        kinds.check_needed(self.cluster, needed, self._knows)
        route = self.find_route() if "gateway" in needed and not self.settings.cluster.gateway else None
        gateway = traffic.read_gateway(route) if route else self.settings.cluster.gateway
        overlay = self.overlay or known.get("overlay", OVERLAY)
        chosen = replace(self.settings, cluster=replace(self.settings.cluster, components=components, gateway=gateway))
        return chosen, overlay

    def find_share(self) -> Share | None:
        """Return what gives a challenger its share, or None where there is none."""
        challenger = traffic.name(self.instance)
        if not self.cluster.get("deployment", challenger):
            return None
        return traffic.read(self.cluster.get("service", self.deployment), self.find_route(), challenger)

    def find_route(self) -> dict[str, Any] | None:
        """Return the route to the model, or None where there is none."""
        return self.cluster.get(kinds.ROUTES, self.deployment) if self._knows(kinds.ROUTES) else None

    def check_rights(self) -> None:
        """Raise SlipwayError, with what is missing, when the user may not deploy there what is to be deployed."""
        if self._allowed:
            return
        refused = None
        try:
            settings, overlay = self.find_choices()
        except SlipwayError as error:
            settings, overlay, refused = self.settings, self.overlay or OVERLAY, error
        folder = self.settings.model_dir
        none = Prepared(ModelRef("", "", model_folder.load(folder).name, "0"), folder, "{}", Lock(folder))
        rights.check(self.cluster, recovery.read(manifests.render(settings, none, "slipway/model:none", overlay)))
        if refused:
            raise refused
        self._allowed = True

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Check the rights to deploy the model, then hold its lock in the namespace.

        The namespace is made.

        Raises SlipwayError when we may not, or somebody else is changing it.
        """
        self.check_rights()
        self.cluster.make_namespace()
        with lease.held(self.cluster, self.instance):
            yield

    def roll_out(self, prepared: Prepared, case: Case | None = None, /) -> None:
        """Roll the version out to all replicas, after it has passed a case in the trial pod.

        Raises SlipwayError when it does not: the one before is back, or nothing is left.
        """
        with self.changing():
            self._manifest = self.render(prepared, image_delivery.deliver_version(self.settings, prepared))
            self._tried = case is not None and trial_pod.test(
                self.settings, self.cluster, self._manifest, prepared, case
            )
            before = recovery.record(self.cluster, self._manifest, self.deployment, self._own_labels)
            self._old = {pod["metadata"]["name"] for pod in self.cluster.list("pods", self._own_labels, strict=True)}
            self._before = before
            try:
                self.cluster.apply(self._manifest)
                self._wait(prepared)
            except BaseException as error:
                words = getattr(error, "message", "stopped")
                print(f"\n{words}", file=sys.stderr, flush=True)  # before the evidence goes
                self.undo()
                raise

    def check(self, prepared: Prepared, case: Case) -> None:
        """Check what was rolled out, and accept it. Raises SlipwayError as `look` does."""
        self.look(prepared, case)
        self.settle()

    def look(self, prepared: Prepared, case: Case) -> None:
        """Look which version answers, and put a case to it that it has not passed before.

        What keeps us from looking is a warning.

        Raises SlipwayError when another answers, or it fails.
        """
        pod = find_newest(self._list_pods(), prepared.model.version or "", self._old)
        where = f"pod/{pod}" if pod else f"deployment/{self.deployment}"
        answers = trial_pod.look(self.settings, self.cluster, where, prepared, None if self._tried else case)
        if answers not in {None, prepared.model.version}:
            raise SlipwayError(f"version {answers} answers in {self.cluster.context}, not {prepared.model.version}")

    def settle(self) -> None:
        """Take the last rollout, which was tested, for good.

        Nothing goes back from here on, and what only the one before had goes.
        """
        self._before = None
        answer = self.cluster.read("annotate", f"deployment/{self.deployment}", MARK)
        if answer.code != 0:
            words = f"warning: {self.deployment} is not marked as tested: a failing next rollout would revert past it"
            hints.say_cure(
                f"{words}: {kubectl.explain(answer)}",
                self.cluster.show("annotate", f"deployment/{self.deployment}", MARK),
            )
        self.prune()

    def undo(self) -> None:
        """Restore what was there before the last rollout, if anything.

        A failure is only a warning: the reason for reverting counts.
        """
        before, self._before = self._before, None
        if not before:
            return
        print("== reverting", flush=True)
        try:
            with shell.undisturbed(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before.restore(self.cluster)
            if ("Deployment", self.deployment) in map(recovery.name, before.there):
                patience = self.settings.cluster.rollout_timeout
                self.cluster.run(
                    "rollout",
                    "status",
                    f"deployment/{self.deployment}",
                    "--timeout",
                    f"{patience}s",
                    seconds=patience + 10,
                )
            else:
                self.cluster.run(
                    "wait", "--for=delete", "pods", "--selector", self._labels, "--timeout", "120s", seconds=150
                )
        except SlipwayError as error:
            hints.say_cure(
                f"warning: reverting failed: {error.message}",
                self.cluster.show("get", "all", "--selector", self._labels),
            )

    def prune(self) -> None:
        """Delete objects of an earlier deployment that the current one lacks, such as an Ingress.

        A failure is only a warning.
        """
        if not self._manifest:
            return
        labels = f"{self._labels},app.kubernetes.io/component!=challenger"
        try:
            answer = self.cluster.read("get", self._find_kinds(), "--selector", labels, "--output", "json")
            if answer.code != 0:
                raise SlipwayError(f"kubectl get failed: {kubectl.explain(answer)}")  # noqa: TRY301 -- as any reason
            old = recovery.find_old(kubectl.parse(answer), recovery.read(self._manifest))
            if names := [
                recovery.refer(each) for each in old if recovery.name(each) != ("Deployment", self.deployment)
            ]:
                self.cluster.run(
                    "delete", *names, "--ignore-not-found", "--wait", "--timeout", "120s", seconds=150, again=True
                )
        except SlipwayError as error:
            words = f"objects of an earlier deployment may still be there: {error.message}"
            print(f"warning: {words}; the next deployment looks again", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Delete what was deployed, as far as we may, and wait until its pods are gone."""
        if not (deletable := self._find_kinds()):
            cure = self.cluster.show("auth", "can-i", "--list")
            raise SlipwayError(
                f"you may not delete anything in {self.cluster.context}, namespace {self.cluster.namespace}", cure
            )
        self.cluster.run(
            "delete", deletable, "--selector", self._labels, "--wait", "--timeout", "120s", seconds=150, again=True
        )
        self.cluster.run("wait", "--for=delete", "pods", "--selector", self._labels, "--timeout", "120s", seconds=150)

    def _find_kinds(self) -> str:
        self._knows("")
        return ",".join(kinds.list_deletable(self.cluster, self._known))

    def _knows(self, kind: str) -> bool:
        self._known = self._known or kinds.list_known(self.cluster)
        return kind in self._known

    def _wait(self, prepared: Prepared) -> None:
        version, patience = prepared.model.version or "", self.settings.cluster.rollout_timeout
        Rollout(self.cluster, self.deployment, self._own_labels, version, self._old, patience).wait(prepared.model.uri)

    @property
    def _own_labels(self) -> str:
        return f"{self._labels},{traffic.COMPONENT}={self.component}"

    def _list_pods(self) -> list[dict[str, Any]]:
        return self.cluster.list("pods", self._own_labels)
