"""The deployer: a service that takes versions to its targets, by request, and whenever @champion moves."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from slipway import model_folder, secret_file
from slipway.deployer import auth, store, webhooks
from slipway.deployer.feedback import Journal
from slipway.deployer.figures.records import Records
from slipway.deployer.figures.sampler import Sampler
from slipway.deployer.guardian import Guardian
from slipway.deployer.targets import Local
from slipway.deployer.worker import Worker
from slipway.errors import SlipwayError
from slipway.kubernetes.rollout import Kubernetes
from slipway.registry import listing
from slipway.registry.client import CHAMPION, Registry
from slipway.release import history, lock, promote
from slipway.services.deployer_client import find_home

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.deployer.store import Deployment
    from slipway.release.protocols import Target
    from slipway.settings import Services, Settings

RECONCILE = 30  # s between two looks at the alias: events are sent at most once
TRIES = 3  # of a champion that fails; then a start tries again
FAILURES = {store.FAILED, store.BACK}
TARGETS = (Local.name, Kubernetes.name)
AGAIN = 5  # s until a deployment that waits for the tracking server is tried again


def name_hook(services: Services) -> str:
    """Return the name of the webhook registration for the deployer on DEPLOYER_PORT."""
    return f"slipway-{services.project}-{services.deployer_port}"


def list_targets(settings: Settings) -> list[Target]:
    """Return the targets: this machine, and the cluster of CONTEXT if set; in a pod only the cluster."""
    if settings.cluster.is_inside:
        return [Kubernetes(settings)]
    return [Local(settings), *([Kubernetes(settings)] if settings.cluster.context else [])]


def find_token(services: Services) -> Path:
    """Return the file with the token, made at the first start."""
    file = find_home(services) / "token"
    secret_file.read_or_make(file)
    return file


class Deployer:
    """The service's state and work; its HTTP interface is in api.py."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model = model_folder.load(settings.model_dir)
        self.guard = auth.Guard(find_token(settings.services))
        home = find_home(settings.services)
        self.webhook_secret = secret_file.read_or_make(home / "webhook_secret")
        self.pictures = home / "pictures"
        self.pictures.mkdir(exist_ok=True)
        self.store = store.Store(home / f"{model_folder.plain(self.model.name)}.db")
        self.targets: dict[str, Target] = {target.name: target for target in list_targets(settings)}
        identity = secret_file.read_or_make(home / "identity")
        self._workers = {  # each a holder of its own: two targets do not release at once either
            name: Worker(
                settings, self.store, target, lock.Holder("the deployer", f"deployer-{identity}-{name}"), self.pictures
            )
            for name, target in self.targets.items()
        }
        self.feedback = Journal(settings, self.model.name)
        self.sampler, self.records = Sampler(self.targets), Records(settings, self.model.name)
        self._wake = {name: threading.Event() for name in self.targets}
        self._looking = threading.Lock()  # two looks at once would both find the same

    def begin(self, url: str) -> None:
        """Resume what a kill interrupted.

        Then start working, polling the alias, and receiving MLflow's events at `url`, if given.
        """
        for found in self.store.recover():
            print(f"== {found.model}: was interrupted; restarting it", flush=True)
        for target in self.targets:
            threading.Thread(target=self._work, args=(target,), daemon=True, name=f"work on {target}").start()
        threading.Thread(target=self._look, args=(url,), daemon=True, name="look").start()
        for part in (self.feedback, self.sampler, self.records):
            part.begin()
        target = next(iter(self.targets))  # the others follow the alias
        Guardian(
            self.settings, self.model.name, lambda version, by: self.add(version, target, store.ROLL_BACK, by)
        ).begin()
        for local in [target for target in self.targets.values() if isinstance(target, Local)]:
            threading.Thread(target=local.watch, daemon=True, name="mend").start()

    def end(self) -> None:
        """Start nothing more; what is under way is interrupted, and resumed at the next start."""
        for worker in self._workers.values():
            worker.halt()

    def add(self, version: int, target: str, action: str, by: str) -> Deployment:
        """Queue a deployment of a version; return the one under way, if there is one."""
        found, _ = self.store.add(self.model.name, version, target, action, by)
        self._workers[target].make_way(found)
        self._wake[target].set()
        return self.store.get(found.id) or found

    def cancel(self, deployment: Deployment) -> bool:
        """End a deployment, and the step that it is at; return False when it is too late."""
        asked = self.store.cancel(deployment.id)
        if asked:
            self._workers[deployment.target].cancel(deployment.id)
        return asked

    def find_version(self, uri: str) -> int:
        """Return which version a URI names; raise SlipwayError when it names none of the folder's model."""
        registry = Registry.connect(self.settings)
        return int(promote.find_version(registry, self.model, uri).version or 0)

    def find_deployed(self, version: int, target: str) -> Deployment | None:
        """Return the deployment by which a version answers and is @champion, or None when it does not."""
        if self.targets[target].find_version() != version:
            return None
        registry = Registry.connect(self.settings)
        if registry.find_champion(self.model.name) != version:
            return None
        return self.store.find_last(target, version)

    def choose_previous(self, to: int | None) -> int:
        """Return the version that a rollback goes to; raise SlipwayError when there is none."""
        registry = Registry.connect(self.settings)
        return promote.choose_previous(registry, self.model, str(to or ""))

    def follow(self, event: webhooks.AliasMoved) -> dict[str, Any]:
        """Deploy the version that @champion names now."""
        if (event.name, event.alias) != (self.model.name, CHAMPION):
            return {"ignored": f"{self.model.name}@{CHAMPION} is the alias to follow, not {event.name}@{event.alias}"}
        behind = [name for name, target in self.targets.items() if target.find_version() != event.version]
        if not behind:
            return {"ignored": f"version {event.version} answers already"}
        return {
            "deployments": [self.add(event.version, name, store.FOLLOW, "MLflow's event").show() for name in behind]
        }

    def look(self) -> list[Deployment]:
        """Deploy the champion now wherever another version answers; return the new deployments."""
        registry = Registry.connect(self.settings)
        return self._reconcile(registry.find_champion(self.model.name), again=True)

    def describe(self) -> dict[str, Any]:
        """Return the champion, what answers, and the releases, as JSON."""
        found: dict[str, Any] = {
            "model": self.model.name, "alias": CHAMPION, "metric": self.model.rules.metric,
            "champion": None, "previous": None,
            "created": None, "metrics": {}, "releases": [], "error": None,
            "targets": {
                name: {"version": target.find_version(), "url": target.url} for name, target in self.targets.items()
            },
        }  # fmt: skip
        try:
            registry = Registry.connect(self.settings)
            champion = registry.find_champion(self.model.name)
            releases = history.read(registry, self.model.name)
            version = registry.find_version(self.model.name, champion) if champion else None
            if version:
                found["created"] = version.creation_timestamp
                found["metrics"] = (
                    listing.write_metrics(registry.read_metrics(version.run_id)) if version.run_id else {}
                )
        except SlipwayError as error:
            return found | {"error": error.message}
        way = history.walk(releases, champion)
        return found | {
            "champion": champion,
            "previous": way[-2] if len(way) > 1 else None,
            "releases": [vars(each) for each in releases[::-1]],
        }

    def _work(self, target: str) -> None:
        while True:
            try:
                self._wake[target].clear()
                while found := self.store.begin(target):
                    if not self._workers[target].run(found):
                        time.sleep(AGAIN)
                self._wake[target].wait()
            except Exception as error:  # noqa: BLE001 -- a full disk, say: what is under way is taken up again
                print(f"warning: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                time.sleep(AGAIN)
                with suppress(Exception):
                    self.store.recover(target)

    def _look(self, url: str) -> None:
        registered = looked = False
        while True:
            try:
                registry = Registry.connect(self.settings)
                self._reconcile(registry.find_champion(self.model.name), again=not looked)
                looked = True
                if url and not registered:
                    registry.register_webhook(
                        name_hook(self.settings.services), url, webhooks.EVENT, self.webhook_secret
                    )
                    registered = True
            except Exception as error:  # noqa: BLE001 -- the next look may see
                print(f"warning: {getattr(error, 'message', error)}", file=sys.stderr, flush=True)
            time.sleep(RECONCILE)

    def _reconcile(self, champion: int | None, *, again: bool) -> list[Deployment]:
        """Deploy the champion where another version answers, or none.

        One that has failed `TRIES` times only `again`, at a start.
        """
        made = []
        with self._looking:
            for name, target in self.targets.items():
                if champion is None or target.find_version() == champion:
                    continue
                there = [each for each in self.store.list() if each.target == name][:TRIES]
                failed = [each for each in there if each.version == champion and each.state in FAILURES]
                if again or len(failed) < TRIES:
                    made.append(self.add(champion, name, store.FOLLOW, f"polling @{CHAMPION}"))
        return made
