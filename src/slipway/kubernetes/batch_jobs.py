"""A batch in a cluster: WORKERS Jobs of the version's own image, each scores a share of the parts."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slipway import runtimes
from slipway.errors import MODEL_DID_NOT_LOAD, USAGE, SlipwayError
from slipway.kubernetes import image_delivery, manifests, patches, training_job
from slipway.kubernetes.cluster import kubectl, rights
from slipway.kubernetes.cluster.rights import Right
from slipway.kubernetes.pods import job_log
from slipway.kubernetes.pods.jobs import Group, Job, Seen
from slipway.registry import model_uri
from slipway.runtimes import containers
from slipway.serving import batch, predict, server

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.kubernetes.cluster.kubectl import Cluster
    from slipway.settings import Settings

SECRET = "slipway-batch"  # noqa: S105 -- the name of the namespace's Secret with what reaches S3
BATCH = f"{manifests.PREFIX}batch"  # annotates a Job with which batch, and in how many shares
CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")  # the name of a PersistentVolumeClaim
MOST = 500  # shares
PLAN, END = "plan", "end"
LOG_LINES = 20  # in which the last word on how far a share is stands
NEEDED = {Right("jobs.batch", verb) for verb in ("get", "list", "watch", "create", "patch", "delete")}
NEEDED |= {Right("pods", "get"), Right("pods", "list"), Right("pods/log", "get")}


@dataclass(frozen=True)
class Place:
    """DATA or OUT as it was given, and as a pod sees it: `claim` is mounted at `mount`, or "" for S3."""

    address: str
    inside: str
    claim: str = ""
    mount: str = ""


def score(settings: Settings, uri: str, data: str, out: str, options: dict[str, str]) -> None:
    """Score DATA into OUT, both s3://… or pvc://claim/path, in the cluster of CONTEXT, and log a run.

    Jobs that score this batch already are followed. Ctrl-C deletes them; what is whole stays, and is not done again.
    Raises SlipwayError as `batch.score` does, and for what the cluster does not allow.
    """
    given = batch.read_options(options, settings.serving.max_rejects)
    places = find_place("DATA", data, "/data"), find_place("OUT", out, "/out")
    batch.check_apart(*(each.address for each in places))
    shares = read_shares(settings.serving.scoring["SCORING_WORKERS"])
    is_text = all(each.claim for each in places) and places[0].address.lower().endswith(".csv")
    if options["FORMAT"].strip() == "parquet" or not is_text:  # S3 needs pyarrow, and what a folder holds is not known
        settings = predict.with_parquet(settings)
    settings = replace(settings, training=replace(settings.training, gpu=""))
    training_job.read_resources(settings)
    cluster = kubectl.connect(settings)
    rights.demand(cluster, NEEDED, "run Jobs in")
    prepared = server.prepare(settings, uri)
    cluster.make_namespace()
    _check_there(cluster, places)
    about = [prepared.lasting, *(each.address for each in places), *given]
    digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    image = image_delivery.deliver(settings, runtimes.of(settings).image(prepared))
    group = Group(cluster, name_group(places[1]), "the same command, which follows them")
    if there := find_running(group.look(), digest, places[1].address):
        print(f"following the Jobs of {group.name}, which score this batch already", flush=True)
        shares = int(next(iter(there.values())).job["metadata"]["annotations"][BATCH].partition("/")[2])
    scoring = settings.serving.scoring | {"SCORING_WORKERS": str(shares)}
    settings = replace(settings, serving=replace(settings.serving, scoring=scoring))
    steps = make_jobs(settings, image, group.name, places, [*given, "--called", places[0].address], shares, digest)
    place = manifests.make_place(settings.cluster, group.name)
    try:
        total = _Run(group, steps, place, places[1].address).run(there)
    except KeyboardInterrupt:
        print(f"\ndeleting the Jobs of {group.name}; the same command goes on", file=sys.stderr, flush=True)
        with suppress(SlipwayError):
            group.delete()
        raise
    batch.report(settings, prepared, (data, out, places[1].address), given, total)


def find_place(name: str, address: str, mount: str) -> Place:
    """Return where a pod finds DATA or OUT (pure). Raises SlipwayError (exit code 2) for what no pod reaches."""
    address = address.strip().rstrip("/")
    if address.startswith(batch.CLOUD):
        return Place(batch.check_cloud(address), address)
    claim, _, path = address.removeprefix(batch.VOLUME).partition("/")
    example = f"{name}=s3://bucket/rows, or {name}=pvc://claim/rows"
    if not address.startswith(batch.VOLUME):
        words = f"{name} is {address!r}: the pods of a cluster reach s3://… and pvc://claim/path only"
        raise SlipwayError(words, f"{example}; or no CONTEXT, to score on this machine", USAGE)
    if not CLAIM.fullmatch(claim) or ".." in path.split("/"):
        raise SlipwayError(f"{name} is {address!r}: must be pvc://claim/path", example, USAGE)
    path = posixpath.normpath(f"/{path}").strip("/")
    return Place(f"{batch.VOLUME}{claim}/{path}".rstrip("/"), f"{mount}/{path}".rstrip("/"), claim, mount)


def read_shares(workers: str) -> int:
    """Return in how many shares a batch is scored (pure). Raises SlipwayError (exit code 2) for no such number."""
    if not workers.isdecimal() or not 1 <= int(workers) <= MOST:
        raise SlipwayError(f"WORKERS is {workers!r}: must be a number of Jobs, {MOST} at most", "WORKERS=4", USAGE)
    return int(workers)


def name_group(out: Place) -> str:
    """Return what the Jobs of a batch begin with: one batch at a time writes to an OUT (pure)."""
    return f"batch-{hashlib.sha256(out.address.encode()).hexdigest()[:12]}"


def find_running(seen: dict[str, Seen], digest: str, out: str) -> dict[str, Seen]:
    """Return the Jobs of a batch, if any has not ended (pure). Raises SlipwayError when they are another batch's."""
    if all(each.has_ended for each in seen.values()):
        return {}
    marks = {each.job["metadata"].get("annotations", {}).get(BATCH, "").partition("/")[0] for each in seen.values()}
    if marks != {digest}:
        cure = "wait for its end, Ctrl-C where it is followed, or another OUT"
        raise SlipwayError(f"Jobs score another batch into {out}: {', '.join(sorted(seen))}", cure)
    return seen


def make_jobs(  # noqa: PLR0913, PLR0917 -- what makes them
    settings: Settings, image: str, group: str, places: tuple[Place, Place], given: list[str], shares: int, digest: str
) -> list[list[Job]]:
    """Return the Jobs of a batch, step by step: plan, shares at once, end; one share needs the last only (pure)."""
    data, out = places
    scoring = settings.serving.scoring
    kept = {key: scoring[key] for key in scoring.keys() - containers.SCORING_FILES} | {"SCORING_WORKERS": "1"}
    program = ["python", "-W", "ignore", "-m", "scoring.processes.batch", "/opt/model", "--tell"]
    program += ["--data", data.inside, "--out", out.inside, *given]

    def make(name: str, *step: str) -> Job:
        return Job(
            name=f"{group}-{name}",
            kind="batch",
            group=group,
            container={
                "image": image,
                "command": [patches.escape(word) for word in (*program, *step)],
                "env": patches.list_variables(dict(sorted(kept.items()))),
                "resources": training_job.read_resources(settings),
            },
            secret=SECRET,
            retries=training_job.read_retries(settings),
            annotations={BATCH: f"{digest}/{shares}"},
            claims={each.mount: (each.claim, each is data) for each in places if each.claim},
        )

    if shares == 1:
        return [[make(END)]]
    shared = [make(f"{at}", "--step", f"{at}/{shares}") for at in range(1, shares + 1)]
    return [[make(PLAN, "--step", PLAN)], shared, [make(END)]]


class _Run:
    """A batch that is followed through its steps."""

    def __init__(self, group: Group, steps: list[list[Job]], place: Path, out: str) -> None:
        self._group, self._steps, self._place, self._out = group, steps, place, out
        self._names: list[str] = []  # of the step's Jobs
        self._told: dict[str, dict[str, int]] = {}  # the last words of each share
        self._parts = 0  # of the batch
        self._shown = ""

    def run(self, there: dict[str, Seen]) -> dict[str, Any]:
        """Take the steps from the one that `there` has come to, and return the totals."""
        if not there:
            self._group.delete()  # of an earlier command, which have ended
        plans = [name for name in there if name.endswith(f"-{PLAN}")]
        self._parts = self._group.read_result(plans[0]).get("parts", 0) if plans else 0
        reached = [at for at, step in enumerate(self._steps) if any(job.name in there for job in step)]
        scored = 1 if there else 0
        said: dict[str, Any] = {}
        for whole in self._steps[max(reached, default=0) :]:
            step = whole
            if len(whole) > 1 and said:  # the plan's: no more shares than parts, and none if all are done
                step = whole[: said["parts"]] if said["parts_now"] else []
            if missing := [job for job in step if job.name not in there]:
                print(f"creating {', '.join(job.name for job in missing)}", flush=True)
                self._group.create(self._place, missing)
            self._names, self._told = [job.name for job in step], {}
            if failed := self._group.follow(self._names, self._show):
                self._fail(failed)
            if len(whole) > 1:
                continue  # what shares did, the plan had to say
            said = self._group.read_result(step[0].name)
            self._parts = said.get("parts", self._parts)
            scored += said.get("parts_now", 0)
        if "rows_out" not in said:
            raise SlipwayError(f"the batch in {self._out} has ended, but its log does not say how", batch.GOES_ON)
        return said | {"parts_now": scored}

    def _fail(self, failed: dict[str, str]) -> None:
        name, why = next(iter(failed.items()))
        if self._group.read_code(name) == MODEL_DID_NOT_LOAD:
            raise SlipwayError(f"the model did not load: {why}", model_uri.choose_cure(why), MODEL_DID_NOT_LOAD)
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        cure = "TRAIN_MEMORY=8Gi" if job_log.OUT_OF_MEMORY in why else batch.OTHER if batch.OTHER in why else ""
        raise SlipwayError(f"the batch in {self._out} is not whole: {name}{more}: {why}", cure or batch.GOES_ON)

    def _show(self, seen: dict[str, Seen]) -> None:
        """Say how far the shares are together; each pod tells it in a line of JSON now and then."""
        pods = {name: seen[name].pods[-1] for name in self._names if seen[name].pods}
        phases = {name: pod.get("status", {}).get("phase", "") for name, pod in pods.items()}
        for name in (each for each, phase in phases.items() if phase in {"Running", "Succeeded"}):
            for line in self._group.read_log(pods[name]["metadata"]["name"], LOG_LINES):
                if line.startswith('{"parts": ') and '"of": ' in line:
                    self._told[name] = json.loads(line)
        if not self._told:
            return
        parts, rows = (sum(each[key] for each in self._told.values()) for key in ("parts", "rows"))
        of = self._parts or max(each["of"] for each in self._told.values())
        words = f"{parts} of {of} parts, {rows:,} rows; pods at work: {[*phases.values()].count('Running')}"
        if words != self._shown:
            self._shown = words
            job_log.say(words)


def _check_there(cluster: Cluster, places: tuple[Place, Place]) -> None:
    """Raise SlipwayError for a claim that is not there; say that no Secret is, where S3 may need one."""
    for claim in dict.fromkeys(each.claim for each in places if each.claim):
        answer = cluster.read("get", "persistentvolumeclaim", claim, "--ignore-not-found", "--output", "name")
        if answer.code == 0 and not answer.out:  # who may not look sees what the pod waits for
            words = f"there is no PersistentVolumeClaim {claim} in {cluster.context}, namespace {cluster.namespace}"
            raise SlipwayError(words, cluster.show("get", "persistentvolumeclaims"))
    if all(each.claim for each in places):
        return
    answer = cluster.read("get", "secret", SECRET, "--ignore-not-found", "--output", "name")
    if answer.code == 0 and not answer.out:
        make = cluster.show("create", "secret", "generic", SECRET, "--from-literal", "AWS_ACCESS_KEY_ID=…")
        print(f"note: no Secret {SECRET}: pods reach S3 with what their nodes have; else {make} …", file=sys.stderr)
