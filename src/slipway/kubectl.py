"""kubectl, for one context and one namespace: the only way from here to a cluster."""

from __future__ import annotations

import json
import re
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slipway import shell
from slipway.errors import USAGE, SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slipway.settings import Settings

SECONDS = 30  # for a call that waits for nothing
FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


class Cluster:
    """The cluster of a context that was named, and a namespace in it."""

    def __init__(self, settings: Settings) -> None:
        if not settings.context:
            raise SlipwayError("which cluster? CONTEXT is empty, and no other is ever guessed", "kubectl config get-contexts", USAGE)
        self.context, self.namespace = settings.context, settings.namespace
        self._inside = settings.in_cluster  # with the rights of a service account, in its namespace alone
        context = [] if self._inside else ["--context", self.context]
        self._kubectl = ["kubectl", *context, "--namespace", self.namespace]

    def check(self) -> None:
        """Raise SlipwayError when kubectl is missing, knows no such context, or the cluster does not answer."""
        answer = shell.ask(["kubectl", "config", "get-contexts", "--output", "name"])
        if answer.code == shell.NOT_FOUND:
            raise SlipwayError("kubectl is not installed", "see https://kubernetes.io/docs/tasks/tools/")
        if not self._inside and self.context not in answer.out.split():
            there = ", ".join(answer.out.split()) or "none"
            raise SlipwayError(f"there is no context {self.context}; there is: {there}", "kubectl config get-contexts", USAGE)
        answer = self.ask("get", "--raw", "/readyz", "--request-timeout", "10s")
        if answer.code != 0:
            raise SlipwayError(f"the cluster {self.context} does not answer: {answer.last}", "kubectl cluster-info")

    def command(self, *arguments: str) -> list[str]:
        """Return a kubectl command for this context and namespace, for whoever starts it."""
        return [*self._kubectl, *arguments]

    def ask(self, *arguments: str, words: str | None = None, seconds: float = SECONDS) -> shell.Answer:
        """Run kubectl silently; return its exit code, stdout and stderr."""
        return shell.ask([*self._kubectl, *arguments], words=words, seconds=seconds)

    def run(self, *arguments: str, words: str | None = None, seconds: float = SECONDS) -> str:
        """Run kubectl, and show the command; return what it printed.

        Raises SlipwayError, with its last line, when it fails.
        """
        shell.echo([*self._kubectl, *arguments])
        answer = self.ask(*arguments, words=words, seconds=seconds)
        if answer.code != 0:
            raise SlipwayError(f"kubectl {arguments[0]} failed: {answer.last}", "make deploy_status")
        return answer.out

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None when there is none of that name."""
        answer = self.ask("get", kind, name, "--ignore-not-found", "--output", "json")
        if answer.code != 0:
            raise SlipwayError(f"kubectl get {kind} failed: {answer.last}", "make deploy_status")
        return json.loads(answer.out) if answer.out else None

    def list(self, kind: str, labels: str, *, strict: bool = False) -> list[dict[str, Any]]:
        """Return the objects of a kind with these labels; none when the cluster does not answer, or (`strict`) SlipwayError."""
        answer = self.ask("get", kind, "--selector", labels, "--output", "json")
        if answer.code != 0 and strict:
            raise SlipwayError(f"kubectl get {kind} failed: {answer.last}", "kubectl auth can-i list pods")
        return list(json.loads(answer.out)["items"]) if answer.code == 0 else []

    def make_namespace(self) -> None:
        """Make the namespace unless it is there."""
        if not self._inside and self.get("namespace", self.namespace) is None:
            self.run("create", "namespace", self.namespace)

    def apply(self, manifest: Path) -> None:
        """Apply a file of rendered manifests."""
        print(self.run("apply", "--filename", str(manifest), seconds=120))

    @contextmanager
    def forwarded(self, what: str, port: int) -> Iterator[str]:
        """Forward a port of a service or pod to this machine; yield its address here."""
        command = [*self._kubectl, "port-forward", "--address", "127.0.0.1", what, f":{port}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            yield f"http://127.0.0.1:{_read_port(process, what)}"
        finally:
            process.terminate()
            process.wait()


def connect(settings: Settings) -> Cluster:
    """Return the cluster of CONTEXT, once it answers. Raises SlipwayError as Cluster.check and check_runtime do."""
    check_runtime(settings)
    cluster = Cluster(settings)
    cluster.check()
    return cluster


def check_runtime(settings: Settings) -> None:
    """Raise SlipwayError where no image is built, nor, in a pod, found: a cluster runs nothing else."""
    if not (settings.in_docker or settings.in_cluster):
        raise SlipwayError("a cluster runs images, and RUNTIME=host builds none", "RUNTIME=docker", USAGE)


def _read_port(process: subprocess.Popen[str], what: str) -> int:
    deadline = time.monotonic() + SECONDS
    said = ""
    while time.monotonic() < deadline and process.stdout and (line := process.stdout.readline()):
        said += line
        if found := FORWARDED.search(line):
            return int(found[1])
    raise SlipwayError(f"no port of {what} can be forwarded: {(said.splitlines() or ['no word'])[-1]}", "make deploy_status")
