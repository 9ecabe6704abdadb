"""A real deployer process with a registry of its own and really trained versions, and what one does on its page."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from playwright.sync_api import expect

from slipway import ports
from slipway import settings as slipway_settings
from slipway.deployer import service as slipway_deployer
from slipway.deployer import store as deployments
from slipway.registry.client import Registry
from slipway.release import history, lock
from slipway.services import deployer_client
from slipway.settings import ROOT, STATE, Settings
from tests import beside
from tests.conftest import changed, find_command
from tests.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page, Route

    from tests.aliases import Json

DEADLINE = 400  # s for a deployment on a busy machine
GOOD, BETTER, WORSE = 1, 2, 3  # the versions
ARGUMENTS = {GOOD: "--alpha 1 --repeats 1", BETTER: "--alpha 0.05 --repeats 1", WORSE: "--alpha 4 --repeats 1"}


@dataclass
class Running:
    """A deployer that runs: where, with what settings, and what its program printed."""

    settings: Settings
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.settings.services.deployer_port}"

    @property
    def token(self) -> str:
        """Its token."""
        return slipway_deployer.find_token(self.settings.services).read_text().strip()

    @property
    def store(self) -> deployments.Store:
        """Its records."""
        return deployments.Store(deployer_client.find_home(self.settings.services) / "diabetes.db")

    def get(self, path: str) -> Json:
        """Return what it answers."""
        return requests.get(f"{self.url}{path}", timeout=30).json()

    def post(self, path: str, **body: Json) -> dict[str, Any]:
        """Ask for a deployment, and return it."""
        answer = requests.post(
            f"{self.url}{path}", json=body, headers={"Authorization": f"Bearer {self.token}"}, timeout=30
        )
        assert answer.ok, answer.text
        return dict(answer.json())

    def deploy(self, version: int) -> dict[str, Any]:
        """Ask for the deployment of a version."""
        return self.post("/deployments", model=f"models:/diabetes/{version}")

    def wait(self, deployment: dict[str, Any]) -> dict[str, Any]:
        """Wait until a deployment has ended; fail at once with the log when the deployer has."""
        found: dict[str, Any] = self._await(
            lambda: self.get(f"/deployments/{deployment['id']}"), lambda found: found["state"] in deployments.ENDED
        )
        return found

    def wait_for_all(self) -> None:
        """Wait until no deployment is under way."""
        self._await(
            lambda: self.get("/deployments")["deployments"],
            lambda found: all(each["state"] in deployments.ENDED for each in found),
        )

    def begin_another(self) -> dict[str, Any]:
        """Begin a deployment that takes its time: to the better version, or back from it."""
        champion = self.get("/status")["champion"]
        return self.post("/rollbacks") if champion == BETTER else self.deploy(BETTER)

    @contextlib.contextmanager
    def holding_the_alias(self) -> Iterator[None]:
        """Have whatever moves the alias wait at that step, as for somebody else who moves it."""
        with lock.held(
            Registry.connect(self.settings), "diabetes", lock.Holder("somebody else", "elsewhere/1"), what=lock.MOVE
        ):
            yield

    def find_answering(self) -> int:
        """Return the version that answers on PORT."""
        return int(requests.get(f"{self.settings.serving.api_url}/readyz", timeout=10).json()["version"])

    def restore(self) -> None:
        """Have the better version be champion again, when it is not."""
        self.wait_for_all()
        if self.get("/status")["champion"] != BETTER:
            assert self.wait(self.deploy(BETTER))["state"] == deployments.DONE

    def record_failure(self, name: str, words: str) -> str:
        """Record a deployment that failed, by `name` in a step `name`; return its id."""
        found, _ = self.store.add(
            "diabetes", 9, "elsewhere", deployments.DEPLOY, name
        )  # no target of this deployer: never begun
        self.store.end_step(self.store.begin_step(found.id, name), "failed", words)
        self.store.end(found.id, deployments.FAILED, words)
        return found.id

    def record_release(self, **facts: Json) -> None:
        """Record a release that was refused."""
        release = history.Release(history.REFUSED, WORSE, None, **facts)
        history.record(Registry.connect(self.settings), "diabetes", release)

    def _await(self, look: Callable[[], Json], suits: Callable[[Json], bool]) -> Json:
        def try_it() -> tuple[Json] | None:
            found = look()
            return (found,) if suits(found) else None

        return wait_until(
            try_it,
            DEADLINE,
            lambda: self.log.read_text()[-3000:],
            process=self.process,
            ignored=(requests.ConnectionError,),
        )[0]


@contextlib.contextmanager
def run(folder: Path) -> Iterator[Running]:
    """Train three versions and run a deployer in the host runtime; in the end nothing of it is left."""
    port, deployer_port = ports.find_free(), ports.find_free()
    chosen = {
        "RUNTIME": "host", "PORT": str(port), "DEPLOYER_PORT": str(deployer_port), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "URL": "", "MODEL_DIR": "model",
    }  # fmt: skip
    environment = {**os.environ, **chosen}
    for arguments in ARGUMENTS.values():
        _run("train_model", {**environment, "TRAIN_ARGS": arguments})
    settings = changed(
        slipway_settings.load(),
        runtime="host",
        model_dir=ROOT / "model",
        serving={"port": port, "url": ""},
        services={"deployer_port": deployer_port},
        tracking={"external_uri": chosen["MLFLOW_TRACKING_URI"]},
    )
    log = folder / "deployer.log"
    with log.open("wb") as out:
        process = subprocess.Popen(find_command("start_deployer"), cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        running = Running(settings, log, process)
        running._await(lambda: running.get("/livez"), lambda found: found["live"])  # noqa: SLF001 -- our own
        yield running
    finally:
        beside.end(process)
        _run("stop_deployer", environment)
        for home in (deployer_client.find_home(settings.services), STATE / "live" / str(port)):
            shutil.rmtree(home, ignore_errors=True)


def card(page: Page, version: int) -> Locator:
    """Return the newest deployment of a version."""
    return (
        page.locator("#timeline > li")
        .filter(has=page.get_by_role("heading", name=f"Version {version}", exact=True))
        .first
    )


def states(page: Page, shown: str) -> list[Callable[[], Any]]:
    """Return what takes the page from state to state: at rest, with a picture, asking for the token, refused."""

    def open_picture() -> None:
        card(page, WORSE).locator("summary").click()
        expect(card(page, WORSE).locator("img")).to_have_js_property("complete", value=True)

    def refuse() -> None:
        page.locator("#do-it").click()
        expect(page.locator("#asking-problem")).not_to_be_empty()

    return [
        lambda: expect(page.get_by_text(shown).first).to_be_visible(),
        open_picture,
        page.locator("#roll-back").click,
        refuse,
    ]


def answer(page: Page, token: str) -> None:
    """Give the dialog a token."""
    page.get_by_label("Token").fill(token)
    page.get_by_role("dialog").get_by_role("button").first.click()


def change_status(page: Page, **changes: Json) -> None:
    """Have /status say something else than it does."""

    def handle(route: Route) -> None:
        said = route.fetch().json()
        route.fulfill(json=said | changes | {"targets": {"local": said["targets"]["local"] | changes.get("local", {})}})

    page.route("**/status", handle)
    page.reload()


def _run(target: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        find_command(target), cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
