"""The deployer in its container, beside the real services: from an alias that moves in MLflow to what answers."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import requests

from slipway.deployer import webhooks
from slipway.settings import STATE
from tests import beside
from tests.e2e.place import CLIENTS, PER_SECOND, Load, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Stack

ALPHAS = ("0.05", "0.2", "0.3", "0.4", "3")  # each better on the held-out rows than the one before, but for the last
CHANGES = 20
KILL = """
import os, pathlib, sys
for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if sys.argv[1].encode() in line.read_bytes() and int(line.parent.name) not in {1, os.getpid()}:
        os.kill(int(line.parent.name), 9)
"""


def kill(container: str, program: str) -> None:
    """SIGKILL a program in a container, from within: the engine takes that for a crash."""
    subprocess.run(["docker", "exec", container, "python", "-c", KILL, program], check=False, capture_output=True)


@pytest.fixture(scope="module")
def place(stack: Stack) -> Iterator[Place]:
    """Train the versions, promote the first, start the deployer, and wait until that version answers."""
    stack.make("start_mlflow_services")
    for alpha in ALPHAS:
        stack.make("train_model", TRAIN_ARGS=f"--alpha {alpha} --repeats 1")
    stack.make("promote", MODEL="models:/diabetes/1")
    stack.make("start_deployer")
    place = Place(stack)
    place.wait(lambda: place.find_answering() == 1, "the champion answers")
    yield place
    stack.make("stop_deployer")
    left = stack.docker(
        "ps", "--all", "--filter", f"name={stack.project}-(deployer|live|trial)", "--format", "{{.Names}}"
    )
    assert left == "", "stop_deployer leaves something"


def test_a_moved_alias_is_followed(place: Place) -> None:
    """An alias that is set in MLflow is followed on MLflow's event, through every step.

    The release stands in the registry.
    """
    place.settle(1)
    place.set_alias(2)
    took = place.wait(lambda: place.find_answering() == 2, "version 2 answers")
    deployment = place.finish(place.find_last()["id"])
    print(f"answers {took:.1f} s after the alias was set")

    assert deployment["by"] == "MLflow's event"
    assert (deployment["state"], deployment["version"], deployment["previous"]) == ("done", 2, 1)
    assert [step["name"] for step in deployment["steps"]] == [
        "files",
        "gate",
        "image",
        "smoke test",
        "alias",
        "roll out",
        "smoke test there",
    ]
    assert json.loads(place.stack.make("releases", FORMAT="json"))[0]["verdict"].startswith("better: validation_rmse")
    assert (
        requests.get(f"{place.deployer}/deployments/{deployment['id']}/verdict.png", timeout=10).content[:4]
        == b"\x89PNG"
    )


def test_a_lost_event_is_found(place: Place) -> None:
    """With MLflow's event lost, the moved alias is found by looking."""
    place.settle(1)
    hook = next(each for each in place.mlflow("webhooks")["webhooks"] if each["name"].startswith("slipway-"))
    url = f"http://127.0.0.1:{place.stack.variables['MLFLOW_PORT']}/api/2.0/mlflow/webhooks/{hook['webhook_id']}"
    requests.patch(url, json={"status": "DISABLED"}, timeout=10).raise_for_status()
    time.sleep(6)  # MLflow's memory of it
    place.set_alias(3)
    took = place.wait(lambda: place.find_answering() == 3, "version 3 answers")
    requests.patch(url, json={"status": "ACTIVE"}, timeout=10).raise_for_status()
    deployment = place.finish(place.find_last()["id"])
    print(f"answers {took:.1f} s after the alias was set, without an event")

    assert (deployment["state"], deployment["by"]) == ("done", "polling @champion")


def test_a_worse_one_is_put_back(place: Place) -> None:
    """An alias that is set to a worse version goes back, with the reason; the version before answers throughout."""
    place.settle(3)
    place.set_alias(5)
    place.wait(
        lambda: place.find_last()["version"] == 5 and place.find_last()["state"] == "failed", "version 5 is refused"
    )
    place.wait(lambda: place.find_champion() == 3, "the alias is back")
    releases = json.loads(place.stack.make("releases", FORMAT="json"))

    assert place.find_last()["reason"].startswith("worse: validation_rmse")
    assert place.find_answering() == 3
    assert [(event["action"], event["version"]) for event in releases[:2]] == [("put back", 3), ("refused", 5)]


@pytest.mark.parametrize(("kind", "why"), [("Garbage", "does not answer as"), ("Crash", "exit code 9")])
def test_a_bad_one_is_refused(place: Place, kind: str, why: str) -> None:
    """A version with the best score that answers garbage or crashes in its container fails its smoke test."""
    place.settle(3)
    place.stack.make("wrap_model", FILE="tests/e2e/bad_models.py", CLASS=kind)
    answer = place.post("/deployments", {"model": "models:/diabetes/latest"})
    ended = place.finish(answer.json()["id"])

    assert [step["state"] for step in ended["steps"]] == ["done", "done", "done", "failed"]
    assert ended["steps"][1]["words"].startswith("better: validation_rmse 0")
    assert (ended["state"], ended["steps"][-1]["name"]) == ("failed", "smoke test")
    assert why in ended["reason"]
    assert (place.find_champion(), place.find_answering()) == (3, 3)


def test_whoever_is_not_mlflow_is_refused(place: Place) -> None:
    """Unsigned, forged or repeated events, wrong tokens and wrong requests are refused in one shape; nothing moves."""
    place.settle(3)
    body = json.dumps(
        {
            "entity": "model_version_alias",
            "action": "created",
            "data": {"name": "diabetes", "alias": "other", "version": "5"},
        }
    )
    now = str(int(time.time()))
    signature = webhooks.sign(place.secrets["webhook_secret"], "a delivery", now, body.encode())
    headers = {"X-MLflow-Delivery-Id": "a delivery", "X-MLflow-Timestamp": now, "X-MLflow-Signature": signature}
    url = f"{place.deployer}/webhooks/mlflow"
    answers = [
        requests.post(url, data=body, timeout=10),
        requests.post(url, data=body.replace("other", "champion"), headers=headers, timeout=10),
        requests.post(url, data=body, headers=headers, timeout=10),
        requests.post(url, data=body, headers=headers, timeout=10),
        requests.post(f"{place.deployer}/deployments", json={"model": "models:/diabetes/5"}, timeout=10),
        place.post("/deployments", {"model": "models:/diabetes/5"}, "wrong"),
        place.post("/deployments", {"model": "models:/diabetes/99"}),
        place.post("/deployments", {"model": "s3://elsewhere"}),
        place.post("/deployments", {"model": "models:/diabetes/5", "target": "the moon"}),
        place.post("/deployments", {"modle": "models:/diabetes/5"}),
        place.post("/rollbacks", {"to": 5}),
        place.post("/deployments", {"model": "x" * 100_000}),
        requests.get(f"{place.deployer}/deployments/none", timeout=10),
        requests.get(f"{place.deployer}/nothing", timeout=10),
    ]

    assert [answer.status_code for answer in answers] == [
        401,
        401,
        202,
        409,
        401,
        403,
        404,
        422,
        422,
        422,
        409,
        413,
        404,
        404,
    ]
    assert all(answer.json().keys() == {"error_code", "message"} for answer in answers if not answer.ok)
    assert requests.get(place.deployer, headers={"Host": "evil.example"}, timeout=10).status_code == 400
    assert (place.find_champion(), place.find_answering()) == (3, 3)


def test_changes_under_load_fail_no_request(place: Place) -> None:
    """In twenty promotions and rollbacks under a constant load not one request fails."""
    place.settle(3)
    with (STATE.parent / "model" / "request.json").open("rb") as file:
        body = file.read()
    load, states = Load(place.api), []
    with beside.threads(lambda ended: load.run(body, ended), CLIENTS):
        for change in range(CHANGES):
            answer = (
                place.post("/rollbacks", {})
                if change % 2
                else place.post("/deployments", {"model": "models:/diabetes/4"})
            )
            assert answer.status_code == 202, answer.text
            states.append(place.finish(answer.json()["id"])["state"])
    print(f"{load.sent} requests")

    assert states == ["done"] * CHANGES
    assert load.failed == []
    assert load.versions == {"3", "4"}
    assert load.is_right
    assert load.sent > CHANGES * PER_SECOND


def test_one_version_is_deployed_once(place: Place) -> None:
    """Asked twice for one version, the deployer does it once; asked again when it answers, it says so."""
    place.settle(3)
    first, second = (place.post("/deployments", {"model": "models:/diabetes/4"}) for _ in range(2))
    deployment = place.finish(first.json()["id"])
    third = place.post("/deployments", {"model": "models:/diabetes/4"})

    assert (first.status_code, second.status_code, third.status_code) == (202, 202, 200)
    assert {answer.json()["id"] for answer in (first, second, third)} == {deployment["id"]}


def test_mlflow_killed_in_the_middle(place: Place) -> None:
    """SIGKILL to MLflow during a deployment.

    It waits, goes on when MLflow is back, and the old version answers meanwhile.
    """
    place.settle(3)
    mlflow = f"{place.stack.project}-mlflow-1"
    deployment = place.post("/deployments", {"model": "models:/diabetes/4"}).json()["id"]
    place.wait(lambda: any(step["name"] == "image" for step in place.find_last()["steps"]), "it is at its third step")
    place.stack.docker("update", "--restart=no", mlflow)
    place.stack.docker("kill", "--signal=KILL", mlflow)
    time.sleep(15)  # the outage
    meanwhile = place.find_answering()
    place.stack.docker("update", "--restart=unless-stopped", mlflow)
    place.stack.docker("start", mlflow)
    ended = place.finish(deployment)

    assert meanwhile == 3
    assert ended["state"] == "done", ended
    assert (place.find_champion(), place.find_answering()) == (4, 4)


def test_the_deployer_killed_comes_back(place: Place) -> None:
    """SIGKILL to the deployer's process.

    The engine starts it again, it takes the deployment up, and the served model never noticed.
    """
    place.settle(3)
    deployment = place.post("/deployments", {"model": "models:/diabetes/4"}).json()["id"]
    place.wait(
        lambda: any(step["name"] == "smoke test" for step in place.find_last()["steps"]), "it is at its smoke test"
    )
    kill(f"{place.stack.project}-deployer-1", "start-deployer")
    meanwhile = place.find_answering()
    ended = place.finish(deployment)

    assert meanwhile == 3
    assert (ended["state"], ended["attempts"]) == ("done", 2), json.dumps(ended)
    assert (place.find_champion(), place.find_answering()) == (4, 4)


def test_what_serves_is_killed_and_comes_back(place: Place) -> None:
    """SIGKILL to the version, to the keeper, and to both: the engine starts them again, in any order.

    Who calls a killed version waits for it and is answered; each version runs from its own image.
    """
    place.settle(3)
    keeper = f"{place.stack.project}-live-{place.stack.variables['PORT']}"
    version = place.stack.docker("ps", "--filter", f"name=^{keeper}-v3-", "--format", "{{.Names}}")
    image = place.stack.docker("inspect", "--format", "{{.Config.Image}}", version)
    kill(version, "scoring")
    waited = requests.get(f"{place.api}/readyz", timeout=60).json()["version"]
    for killed in ([keeper], [version, keeper], [keeper, version]):
        for each in killed:
            kill(each, "scoring")
        place.wait(lambda: place.find_answering() == 3, f"it answers after {killed} was killed")

    assert waited == "3"
    assert image.split(":")[-1].startswith("v3-")
    assert place.stack.docker("ps", "--filter", f"name=^{keeper}-v3-", "--format", "{{.Names}}") == version


def test_the_container_is_closed(place: Place) -> None:
    """The deployer has no root, no capabilities; of this machine it sees the checkout, to read, and the prediction log.

    Its secrets are in no log.
    """
    name = f"{place.stack.project}-deployer-1"
    facts = json.loads(place.stack.docker("inspect", name))[0]
    logs = subprocess.run(["docker", "logs", name], check=True, capture_output=True, text=True)
    token = STATE / "deployer" / place.stack.variables["DEPLOYER_PORT"] / "token"
    seen = place.stack.docker("exec", name, "ls", str(STATE)).split()

    assert place.stack.docker("exec", name, "id", "-u") != "0"
    assert facts["HostConfig"]["CapDrop"] == ["ALL"]
    assert facts["HostConfig"]["ReadonlyRootfs"]
    assert [binding["HostIp"] for bindings in facts["HostConfig"]["PortBindings"].values() for binding in bindings] == [
        "127.0.0.1"
    ]
    assert sorted(seen) == ["deployer", "live", "predictions"]
    assert token.stat().st_mode & 0o777 == 0o600
    assert not [secret for secret in place.secrets.values() if secret in logs.stdout + logs.stderr]
