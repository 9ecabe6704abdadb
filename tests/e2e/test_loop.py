"""The local loop with real containers: every step that the README names, in its order."""

import json
import re
import subprocess
import time

import pytest
import requests

from slipway.services.credentials import PASSWORD
from tests.e2e.conftest import Stack


@pytest.fixture(scope="module")
def trained(stack: Stack) -> dict[str, str]:
    """Take the steps up to a trained, registered model; return the forms of its address."""
    stack.make("init_local")
    stack.make("build_model_container")
    stack.make("start_mlflow_services")
    printed = stack.make("train_model")
    row = json.loads(stack.make("list_models", FORMAT="json"))[0]
    uri = f"models:/{row['name']}/{row['version']}"
    assert f"make serve_model MODEL={uri}" in printed
    base = f"http://127.0.0.1:{stack.variables['MLFLOW_PORT']}/api/2.0/mlflow"
    requests.post(
        f"{base}/registered-models/alias",
        json={"name": row["name"], "alias": "champion", "version": str(row["version"])},
        timeout=10,
    ).raise_for_status()
    version = requests.get(
        f"{base}/model-versions/get", params={"name": row["name"], "version": row["version"]}, timeout=10
    ).json()["model_version"]
    model_id = version["source"].removeprefix("models:/")
    folder = next(stack.folder.rglob(f"{model_id}/artifacts"))
    return {
        "version": uri, "alias": f"models:/{row['name']}@champion", "model id": f"models:/{model_id}",
        "run": f"runs:/{row['run_id']}/model", "path": str(folder), "file URI": folder.as_uri(),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["version", "alias", "model id", "run", "path", "file URI"])
def test_every_address_is_served_and_passes_the_api_test(stack: Stack, trained: dict[str, str], form: str) -> None:
    """A model served by any form of its address passes the API test, and Ctrl-C stops it."""
    with stack.serve(trained[form]):
        printed = stack.make("test_api")

    assert "4 passed" in printed
    assert "true value" in printed


def test_both_runtimes_predict_the_same(stack: Stack, trained: dict[str, str]) -> None:
    """The container and the host's process give the same answer, to the last digit, at the same time on two ports.

    Without a server, a file in a container has it, too; only its owner may read the file.
    """
    with stack.serve(trained["version"]):
        stack.make("test_api")
        other = {
            "RUNTIME": "host",
            "PORT": str(int(stack.variables["PORT"]) + 1),
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{stack.variables['MLFLOW_PORT']}",
        }
        with stack.serve(trained["version"], **other):
            stack.make("test_api", **other)
            example = json.loads(next(stack.folder.rglob("serving_input_example.json")).read_text())
            answers = [
                requests.post(f"http://127.0.0.1:{port}/invocations", json=example, timeout=30).json()
                for port in (stack.variables["PORT"], other["PORT"])
            ]

    assert answers[0] == answers[1]
    rows, out = stack.folder / "rows.csv", stack.folder / "out.json"
    given = example["dataframe_split"]
    rows.write_text("\n".join(",".join(map(str, row)) for row in [given["columns"], *given["data"]]) + "\n")
    rows.chmod(0o600)
    stack.make("predict", MODEL=trained["version"], FILE=str(rows), OUT=str(out))
    assert [row["prediction"] for row in json.loads(out.read_text())] == answers[0]["predictions"]


def test_the_served_container_is_closed(stack: Stack, trained: dict[str, str]) -> None:
    """The container has no root, no capabilities, nothing to write to, and listens on this machine alone."""
    with stack.serve(trained["version"]):
        stack.make("test_api")
        name = f"{stack.project}-serve-{stack.variables['PORT']}"
        facts = json.loads(stack.docker("inspect", name))[0]
        user = stack.docker("exec", name, "id", "-u")
        health = facts["Config"]["Healthcheck"]["Test"]

    assert user != "0"
    assert facts["HostConfig"]["CapDrop"] == ["ALL"]
    assert facts["HostConfig"]["ReadonlyRootfs"]
    assert [binding["HostIp"] for bindings in facts["HostConfig"]["PortBindings"].values() for binding in bindings] == [
        "127.0.0.1"
    ]
    assert health[0] == "CMD"


def test_data_survives_stop_and_start(stack: Stack, trained: dict[str, str]) -> None:
    """After a stop, a new image and a start the registry is as it was, and the model is served."""
    before = json.loads(stack.make("list_models", FORMAT="json"))
    image = stack.docker("inspect", "--format", "{{.Config.Image}}", f"{stack.project}-mlflow-1")
    stack.make("stop_mlflow_services")
    code, words = stack.try_make("list_models")
    stack.docker("tag", image, "slipway/kept-for-the-test:0")  # another stack may run on it
    stack.docker("rmi", image)
    printed = stack.make("start_mlflow_services")
    stack.docker("rmi", "slipway/kept-for-the-test:0")

    assert f"built {image}" in printed
    assert code != 0
    assert "no tracking server answers" in words
    assert re.search("try: .*make start_mlflow_services", words)
    assert json.loads(stack.make("list_models", FORMAT="json")) == before
    with stack.serve(trained["alias"]):
        stack.make("test_api")


def test_artifacts_belong_to_the_user(stack: Stack, trained: dict[str, str]) -> None:
    """No file of the artifact folder belongs to root."""
    owners = {file.stat().st_uid for file in (stack.folder / "artifacts").rglob("*")}

    assert trained
    assert 0 not in owners


def test_postgres_killed_during_training_loses_nothing(stack: Stack, trained: dict[str, str]) -> None:
    """SIGKILL to Postgres for 20 s in the middle of a training: the run is complete, every metric there once."""
    postgres = f"{stack.project}-postgres-1"
    url = f"http://127.0.0.1:{stack.variables['MLFLOW_PORT']}/api/2.0/mlflow"
    search = {"experiment_ids": ["1"], "filter": "attributes.status = 'RUNNING'"}
    process = stack.start("train_model", TRAIN_ARGS="--repeats 150")
    runs: list[dict[str, dict[str, str]]] = []
    while not runs and process.poll() is None:
        runs = requests.post(f"{url}/runs/search", json=search, timeout=10).json().get("runs", [])
        time.sleep(0.2)
    stack.docker("update", "--restart=no", postgres)
    stack.docker("kill", "--signal=KILL", postgres)
    time.sleep(20)
    stack.docker("start", postgres)
    printed, _ = process.communicate(timeout=300)
    run_id = runs[0]["info"]["run_id"]
    asked = {"run_id": run_id, "metric_key": "fold_rmse", "max_results": "5000"}
    history = requests.get(f"{url}/metrics/get-history", params=asked, timeout=30).json()["metrics"]

    assert trained
    assert process.returncode == 0, printed
    assert sorted(metric["step"] for metric in history) == list(range(750))


def test_the_stack_answers_under_every_name(stack: Stack, trained: dict[str, str]) -> None:
    """Clients may call the tracking server by each of its names; one it does not know is refused."""
    url = f"http://127.0.0.1:{stack.variables['MLFLOW_PORT']}/api/2.0/mlflow/experiments/search?max_results=1"
    known = ("localhost", "localhost:5000", "127.0.0.1:5000", "mlflow", "mlflow:5000", "host.docker.internal:5000")
    status = {
        name: requests.get(url, headers={"Host": name}, timeout=10).status_code for name in (*known, "evil.example")
    }

    assert trained
    assert status.pop("evil.example") == 403
    assert set(status.values()) == {200}


def test_nothing_secret_is_logged(stack: Stack, trained: dict[str, str]) -> None:
    """The database's password is in no log of the services."""
    logs = subprocess.run(["docker", "logs", f"{stack.project}-mlflow-1"], check=True, capture_output=True, text=True)

    assert trained
    assert PASSWORD.stat().st_mode & 0o777 == 0o600
    assert not re.search(PASSWORD.read_text(), logs.stdout + logs.stderr)
