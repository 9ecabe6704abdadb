"""kubectl, for one context and one namespace: the only way from here to a cluster."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway import runtimes, shell
from slipway.errors import USAGE, SlipwayError, TimedOutError
from slipway.polling import poll

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from slipway.settings import Settings

SECONDS = 30  # for a call that waits for nothing
TRIES, PAUSE = 3, 1.0  # of what may be asked twice, and s between: an API server that restarts, a network that hiccups
LONG = 400  # characters of an argument that are shown
POLL = 0.05  # s between two looks at what kubectl port-forward prints
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # of DNS: what Kubernetes takes as the name of a namespace
FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")
COMPLAINT = re.compile(r"error|unable to|the connection to|The \S+ \".+\" is invalid", re.IGNORECASE)
CHATTER = re.compile(
    r"warning:|[IWEF]\d{4} ", re.IGNORECASE
)  # deprecations, plugins, and the log of kubectl's libraries
FINAL = re.compile(  # what no second try changes
    r"\((Forbidden|NotFound|AlreadyExists|Invalid|BadRequest|Conflict|Unauthorized|MethodNotAllowed|UnsupportedMediaType)\)"
    r"|denied the request|doesn't have a resource type|no matches for kind|unknown (flag|command)|timed out waiting"
    r"|request is invalid|provide credentials|must be logged in"
)


class UnreachedError(TimedOutError):
    """A port in the cluster cannot be reached from here: no verdict on what answers there."""


class Cluster:
    """The cluster of a context that was named, and a namespace in it."""

    def __init__(self, settings: Settings) -> None:
        if not settings.cluster.context:
            raise SlipwayError(
                "CONTEXT is empty: which cluster? Slipway never guesses one", "kubectl config get-contexts", USAGE
            )
        if not LABEL.fullmatch(settings.cluster.namespace):
            words = (
                f"NAMESPACE is {settings.cluster.namespace!r}: "
                "a namespace has lower-case letters, digits and hyphens, 63 at most"
            )
            raise SlipwayError(words, "NAMESPACE=models", USAGE)
        self.context, self.namespace = settings.cluster.context, settings.cluster.namespace
        self._inside = settings.cluster.is_inside  # with the rights of a service account, in its namespace alone
        context = [] if self._inside else ["--context", self.context]
        self._kubectl = ["kubectl", *context, "--namespace", self.namespace]
        self._shown: set[tuple[str, ...]] = set()  # the commands that were printed

    def check(self) -> None:
        """Raise SlipwayError when kubectl is missing, knows no such context, or the cluster does not answer."""
        answer = shell.ask(["kubectl", "config", "get-contexts", "--output", "name"], seconds=SECONDS)
        if answer.code == shell.NOT_FOUND:
            raise SlipwayError("kubectl is not installed", "see https://kubernetes.io/docs/tasks/tools/")
        if answer.code != 0 and not self._inside:
            raise SlipwayError(
                f"kubectl cannot read its configuration: {explain(answer)}", "kubectl config view", USAGE
            )
        if not self._inside and self.context not in answer.out.split():
            there = ", ".join(answer.out.split()) or "none"
            raise SlipwayError(
                f"kubectl has no context {self.context}; available: {there}", "kubectl config get-contexts", USAGE
            )
        answer = self.read("get", "--raw", "/readyz", "--request-timeout", "10s")
        if answer.code != 0 and not is_forbidden(answer):  # who may not look has been answered
            raise SlipwayError(
                f"the cluster {self.context} does not answer: {explain(answer)}", self.show("cluster-info")
            )

    def command(self, *arguments: str) -> list[str]:
        """Return a kubectl command for this context and namespace, for whoever starts it."""
        return [*self._kubectl, *arguments]

    def show(self, *arguments: str) -> str:
        """Return a kubectl command for this context and namespace, as one could type it."""
        return shlex.join(self.command(*arguments))

    def ask(self, *arguments: str, words: str | None = None, seconds: float = SECONDS) -> shell.Answer:
        """Run kubectl, and show the command the first time; return its exit code, stdout and stderr."""
        if arguments not in self._shown:
            self._shown.add(arguments)
            shell.echo(self.command(*(each if len(each) <= LONG else f"{each[:LONG]}…" for each in arguments)))
        return self.ask_silently(*arguments, words=words, seconds=seconds)

    def ask_silently(self, *arguments: str, words: str | None = None, seconds: float = SECONDS) -> shell.Answer:
        """Run kubectl, and show nothing."""
        return shell.ask(self.command(*arguments), words=words, seconds=seconds)

    def read(self, *arguments: str, words: str | None = None, seconds: float = SECONDS) -> shell.Answer:
        """Ask what may be asked twice, and do so while the answer is a failure that may pass."""
        started = time.monotonic()
        for left in reversed(range(TRIES)):
            answer = self.ask(*arguments, words=words, seconds=seconds)
            if answer.code == 0 or FINAL.search(answer.err) or not left or time.monotonic() - started > SECONDS:
                break
            time.sleep(PAUSE)
        return answer

    def run(self, *arguments: str, words: str | None = None, seconds: float = SECONDS, again: bool = False) -> str:
        """Run kubectl; return what it printed.

        With `again`, a failure that may pass is tried again: for what may be done twice.

        Raises SlipwayError, with its words, when it fails.
        """
        answer = (self.read if again else self.ask)(*arguments, words=words, seconds=seconds)
        if answer.code != 0:
            raise SlipwayError(f"kubectl {arguments[0]} failed: {explain(answer)}", self.show("get", "all"))
        return answer.out

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None if none has that name. Raises SlipwayError when the cluster does not say."""
        answer = self.read("get", kind, name, "--ignore-not-found", "--output", "json")
        if answer.code != 0:
            raise SlipwayError(f"kubectl get {kind} failed: {explain(answer)}", self.show("get", kind, name))
        return parse(answer)[0] if answer.out else None

    def find(self, manifest: Path) -> list[dict[str, Any]]:
        """Return those objects of a rendered file that are there, as they are.

        Raises SlipwayError when the cluster does not say.
        """
        answer = self.read("get", "--filename", str(manifest), "--ignore-not-found", "--output", "json")
        if answer.code != 0:
            raise SlipwayError(
                f"kubectl get --filename failed: {explain(answer)}", self.show("get", "--filename", str(manifest))
            )
        return parse(answer) if answer.out else []

    def list(self, kind: str, labels: str, *, strict: bool = False) -> list[dict[str, Any]]:
        """Return the objects of a kind with these labels.

        None when the cluster does not answer, or (`strict`) SlipwayError.
        """
        answer = (self.read if strict else self.ask)("get", kind, "--selector", labels, "--output", "json")
        if answer.code != 0 and strict:
            raise SlipwayError(
                f"kubectl get {kind} failed: {explain(answer)}", self.show("auth", "can-i", "list", kind)
            )
        return parse(answer) if answer.code == 0 else []

    def has_namespace(self) -> bool:
        """Whether the namespace is there, or may be: who has rights in a namespace alone may not look."""
        answer = self.read("get", "namespace", self.namespace, "--ignore-not-found", "--output", "name")
        if answer.code != 0 and not is_forbidden(answer):
            raise SlipwayError(
                f"kubectl get namespace failed: {explain(answer)}", self.show("get", "namespace", self.namespace)
            )
        return bool(answer.out) or answer.code != 0

    def make_namespace(self) -> None:
        """Make the namespace unless it is there, or may be."""
        if self._inside or self.has_namespace():
            return
        answer = self.read("create", "namespace", self.namespace)
        if answer.code != 0 and "(AlreadyExists)" not in answer.err:
            cure = f"ask a cluster administrator for: kubectl create namespace {self.namespace}"
            raise SlipwayError(
                f"there is no namespace {self.namespace}, and it cannot be created: {explain(answer)}", cure
            )

    def apply(self, manifest: Path) -> None:
        """Apply a file of rendered manifests."""
        print(self.run("apply", "--filename", str(manifest), seconds=120, again=True), flush=True)

    @contextmanager
    def forwarded(self, what: str, port: int) -> Iterator[str]:
        """Forward a port of a service or pod to this machine; yield its address here."""
        command = self.command("port-forward", "--address", "127.0.0.1", what, f":{port}")
        shell.echo(command)
        with tempfile.TemporaryDirectory() as place:
            log = Path(place) / "log"  # no pipe: that fills up
            process, here = _forward(command, log, what)
            try:
                yield f"http://127.0.0.1:{here}"
            finally:
                shell.stop(process)


def connect(settings: Settings) -> Cluster:
    """Return the cluster of CONTEXT, once it answers. Raises SlipwayError as Cluster.check and check_runtime do."""
    check_runtime(settings)
    cluster = Cluster(settings)
    cluster.check()
    return cluster


def check_runtime(settings: Settings) -> None:
    """Raise SlipwayError where no image is built, nor, in a pod, found: a cluster runs nothing else."""
    if not runtimes.of(settings).has_images:
        raise SlipwayError("Kubernetes needs an image; RUNTIME=host does not build one", "RUNTIME=docker", USAGE)


def is_forbidden(answer: shell.Answer) -> bool:
    """Whether the cluster refused an answer to this user."""
    return answer.code != 0 and "(Forbidden)" in answer.err


def explain(answer: shell.Answer) -> str:
    """Return why kubectl failed, in its words: the errors among what it printed, not what it warns of."""
    lines = [line.strip() for line in (answer.err or answer.out).splitlines() if line.strip()]
    errors = [line for line in lines if COMPLAINT.match(line)] or [line for line in lines if not CHATTER.match(line)][
        -3:
    ]
    return "; ".join(dict.fromkeys(errors)) or answer.last


def parse(answer: shell.Answer) -> list[dict[str, Any]]:
    """Return the objects that kubectl printed as JSON: those of a list, one, or several one after another (pure).

    Raises SlipwayError if it is not JSON.
    """
    found: list[dict[str, Any]] = []
    rest = answer.out.strip()
    while rest:
        try:
            each, end = json.JSONDecoder().raw_decode(rest)
        except ValueError:
            raise SlipwayError(
                f"kubectl printed no JSON: {shell.cut(rest.splitlines()[0], 200)}", "kubectl version"
            ) from None
        found += each["items"] if each.get("kind", "").endswith("List") and "items" in each else [each]
        rest = rest[end:].strip()
    return found


def _forward(command: list[str], log: Path, what: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start kubectl port-forward, again when it fails; return it and the port here."""
    for left in reversed(range(TRIES)):
        process = shell.start(command, log=log)
        try:
            if port := _read_port(process, log):
                return process, port
        except BaseException:
            shell.stop(process)
            raise
        shell.stop(process)
        said = log.read_text(encoding="utf-8", errors="replace")
        if not left or FINAL.search(said):
            break
        time.sleep(PAUSE)
    cure = shlex.join([*command[: command.index("port-forward")], "get", "pods"])
    raise UnreachedError(f"cannot forward a port of {what}: {explain(shell.Answer(1, err=said))}", cure)


def _read_port(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the port of this machine that kubectl forwards, or "" when it ends or says none in time."""

    def look() -> re.Match[str] | bool:
        ended = process.poll() is not None
        return FORWARDED.search(log.read_text(encoding="utf-8", errors="replace")) or ended

    found = poll(look, SECONDS, POLL)
    return found[1] if isinstance(found, re.Match) else ""
