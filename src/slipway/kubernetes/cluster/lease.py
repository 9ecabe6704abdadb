"""One change of a model at a time in a namespace: a Lease works across machines, and expires by itself."""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from slipway.errors import SlipwayError
from slipway.kubernetes.cluster import kubectl
from slipway.release import lock
from slipway.release.lock import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.kubernetes.cluster.kubectl import Cluster

DURATION_S, RENEW_S = 90, 20  # how long it holds without being renewed, and how often it is
LOOK_S = RENEW_S + 5
MACHINE = "io.slipway/machine"  # annotates it: a name of a host may be that of two
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
TRIES = 3  # of taking over what has expired, before others do
_held: set[tuple[str, str, str]] = set()  # by this process


@dataclass(frozen=True)
class Lease:
    """Who is changing a model in a namespace, and until when nobody else may."""

    name: str
    holder: Holder
    machine: str
    renewed: datetime

    def describe(self) -> dict[str, Any]:
        """Return it as the object that the cluster keeps (pure)."""
        metadata = {
            "name": self.name,
            "annotations": {MACHINE: self.machine},
            "labels": {"app.kubernetes.io/part-of": "slipway"},
        }
        moment = self.renewed.strftime(TIME)
        times = {"leaseDurationSeconds": DURATION_S, "acquireTime": moment, "renewTime": moment}
        spec = {"holderIdentity": f"{self.holder.by} {self.holder.process}"} | times
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def is_free(self, found: dict[str, Any]) -> bool:
        """Whether we may take over one that is there.

        It has expired, or its holder was ours, or has died on this machine.
        """
        spec = found.get("spec", {})
        if self.was_left(found):
            return True
        try:
            renewed = datetime.strptime(spec["renewTime"], TIME).replace(tzinfo=UTC)
        except (KeyError, ValueError):
            return True  # nobody's
        return self.renewed > renewed + timedelta(seconds=spec.get("leaseDurationSeconds", DURATION_S))

    def was_left(self, found: dict[str, Any]) -> bool:
        """Whether the holder of one that is there was ours, or has died on this machine."""
        return found["metadata"].get("annotations", {}).get(MACHINE) == self.machine and self.holder.is_gone(
            read_holder(found)
        )


def read_holder(found: dict[str, Any]) -> Holder:
    """Return who holds a Lease that is there (pure)."""
    by, _, process = found.get("spec", {}).get("holderIdentity", "").rpartition(" ")
    return Holder(by, process)


@contextmanager
def held(cluster: Cluster, instance: str) -> Iterator[None]:
    """Hold the lock of a model in the cluster's namespace, also while this process holds it already.

    Raises SlipwayError, naming the holder, if it is taken. Without the right to create Leases it prints a note.
    """
    lease = Lease(f"{instance}-rollout", lock.identify_caller(), f"{uuid.getnode():x}", datetime.now(UTC))
    key = (cluster.context, cluster.namespace, lease.name)
    if key in _held or not _take(cluster, lease, instance):
        yield
        return
    _held.add(key)
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(cluster, lease, ended), daemon=True, name="renew the lease")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _held.discard(key)
        _release(cluster, lease)


def _take(cluster: Cluster, lease: Lease, instance: str) -> bool:
    """Take the lock; return False if that is impossible: no right to create Leases, or no namespace."""
    for _ in range(TRIES):
        answer = cluster.read("create", "--filename", "-", words=json.dumps(lease.describe()))
        if answer.code == 0:
            return True
        if kubectl.is_forbidden(answer):
            words = (
                f"you may not create Leases in {cluster.namespace}, "
                f"so nothing stops a second deployment of {instance} at the same time"
            )
            print(f"note: {words}", file=sys.stderr, flush=True)
            return False
        if "(NotFound)" in answer.err:
            return False
        if "(AlreadyExists)" not in answer.err:
            cure = cluster.show("get", "lease", lease.name)
            raise SlipwayError(f"cannot take the lock of {instance}: {kubectl.explain(answer)}", cure)
        found = cluster.get("lease", lease.name)
        if found and (not lease.is_free(found) or _is_renewed(cluster, lease, found)):
            where = f"{cluster.context}, namespace {cluster.namespace}"
            since = found["spec"].get("acquireTime", "")[:19]
            words = f"{read_holder(found).by} has been changing {instance} in {where} since {since}"
            raise SlipwayError(words, f"the same command when that has ended; if it has died, {DURATION_S} s later")
        if found and _replace(cluster, lease, found["metadata"]["resourceVersion"]):
            return True
    raise SlipwayError(f"others keep taking the lock of {instance} in {cluster.namespace} first", "again")


def _is_renewed(cluster: Cluster, lease: Lease, found: dict[str, Any]) -> bool:
    """Whether the holder of an expired Lease still renews it: another machine's clock may be behind ours."""
    if lease.was_left(found) or "renewTime" not in found.get("spec", {}):
        return False
    print(
        f"the lock {lease.name} of {read_holder(found).by} has expired; waiting {LOOK_S} s to be sure",
        file=sys.stderr,
        flush=True,
    )
    time.sleep(LOOK_S)
    now = cluster.get("lease", lease.name)
    return now is not None and now["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]


def _replace(cluster: Cluster, lease: Lease, version: str) -> bool:
    """Make a Lease ours if nobody has changed it meanwhile; return whether it is."""
    new = lease.describe()
    patch = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/annotations", "value": new["metadata"]["annotations"]},
        {"op": "add", "path": "/spec", "value": new["spec"]},
    ]
    return cluster.ask("patch", "lease", lease.name, "--type", "json", "--patch", json.dumps(patch)).code == 0


def _renew(cluster: Cluster, lease: Lease, ended: threading.Event) -> None:
    """Renew the Lease periodically; a failed renewal is repeated with the next."""
    while not ended.wait(RENEW_S):
        patch = [
            {"op": "test", "path": "/spec/holderIdentity", "value": lease.describe()["spec"]["holderIdentity"]},
            {"op": "replace", "path": "/spec/renewTime", "value": datetime.now(UTC).strftime(TIME)},
        ]
        cluster.ask_silently("patch", "lease", lease.name, "--type", "json", "--patch", json.dumps(patch))


def _release(cluster: Cluster, lease: Lease) -> None:
    """Release the lock, unless somebody else has it by now; if that fails, it expires."""
    try:
        found = cluster.get("lease", lease.name)
    except SlipwayError:
        found = lease.describe()
    if found and read_holder(found) == lease.holder:
        answer = cluster.read("delete", "lease", lease.name, "--ignore-not-found")
        if answer.code != 0:
            print(
                f"warning: the lock {lease.name} stays for {DURATION_S} s: {kubectl.explain(answer)}",
                file=sys.stderr,
                flush=True,
            )
