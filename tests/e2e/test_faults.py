"""What goes wrong with services, made to go wrong for real: each has an error of one line, with its cure."""

import os
import re
import socket
from pathlib import Path

import mlflow
import pytest
from sklearn.linear_model import LinearRegression

from slipway.runtimes.images import BASE
from slipway.services.credentials import PASSWORD
from tests.e2e.conftest import Stack


@pytest.fixture(autouse=True)
def built(stack: Stack) -> None:
    """Have the images; each test starts without services or data."""
    stack.make("build_base_container")
    stack.remove()


def test_a_taken_port_is_named(stack: Stack) -> None:
    """A port that another program has is named, with the setting that changes it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, words = stack.try_make("start_mlflow_services", MLFLOW_PORT=str(port))

    assert code != 0
    assert f"error: port {port} is taken by another program\n  try: MLFLOW_PORT={port + 1}" in words


def test_an_old_majors_volume_is_not_passed_over(stack: Stack) -> None:
    """Data of another major version of PostgreSQL stops the start, rather than an empty database taking its place."""
    stack.docker("volume", "create", f"{stack.project}_postgres16")
    code, words = stack.try_make("start_mlflow_services")

    assert code != 0
    assert "error: your data is from PostgreSQL 16" in words
    assert re.search("try: .*POSTGRES_IMAGE=postgres:16 make start_mlflow_services backup wipe", words)


def test_files_of_another_major_are_recognised(stack: Stack) -> None:
    """Files that another major version made are named with that version, not as a restart loop."""
    volume = f"{stack.project}_postgres17"
    stack.make("start_mlflow_services")
    stack.make("stop_mlflow_services")
    image = os.environ.get("POSTGRES_IMAGE", "postgres:17")
    stack.docker(
        "run",
        "--rm",
        "--user=0",
        "--entrypoint=sh",
        "--volume",
        f"{volume}:/data",
        image,
        "-c",
        "echo 16 > /data/PG_VERSION",
    )
    code, words = stack.try_make("start_mlflow_services")

    assert code != 0
    assert "error: the database files are from PostgreSQL 16" in words


def test_a_lost_password_has_its_cure(stack: Stack) -> None:
    """When Postgres refuses the password, the error names the one command that mends it; the data is still there."""
    stack.make("start_mlflow_services")
    stack.make("stop_mlflow_services")
    kept = PASSWORD.read_text()
    try:
        PASSWORD.unlink()
        code, words = stack.try_make("start_mlflow_services")
        assert code != 0
        assert "error: Postgres rejects the password" in words
        assert re.search("try: .*make reset_database_password", words)

        stack.make("reset_database_password")
        stack.make("start_mlflow_services")
    finally:
        PASSWORD.write_text(kept)


def test_a_full_disk_is_named(stack: Stack) -> None:
    """A volume without room is recognised as a full disk."""
    options = ["--opt=type=tmpfs", "--opt=device=tmpfs", "--opt=o=size=20m,uid=999,gid=999,mode=1777"]
    stack.docker("volume", "create", "--driver=local", *options, f"{stack.project}_postgres17")
    code, words = stack.try_make("start_mlflow_services")

    assert code != 0
    assert "error: the disk is full" in words


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("train_model", "error: no tracking server answers"),
        ("list_models", "error: no tracking server answers"),
        ("logs", "error: the MLflow services are not running"),
        ("mlflow_ui", "error: no tracking server answers"),
    ],
)
def test_a_step_taken_too_early_names_the_one_before(stack: Stack, target: str, words: str) -> None:
    """Without services a step ends with what is missing and the command that cures it."""
    code, printed = stack.try_make(target)

    assert code != 0
    assert words in printed
    assert re.search("try: .*make start_mlflow_services", printed)


def test_a_missing_base_image_is_named(stack: Stack, tmp_path: Path) -> None:
    """Without layer 1 no model can be served; the error names the command that builds it."""
    mlflow.sklearn.save_model(
        LinearRegression().fit([[1.0]], [1.0]), tmp_path / "model", pip_requirements=["mlflow==3.17.2"]
    )
    stack.docker("tag", BASE, "slipway/kept-for-the-test:0")
    stack.docker("rmi", "--no-prune", BASE)
    try:
        code, printed = stack.try_make("serve_model", MODEL=str(tmp_path / "model"))
    finally:
        stack.docker("tag", "slipway/kept-for-the-test:0", BASE)
        stack.docker("rmi", "--no-prune", "slipway/kept-for-the-test:0")

    assert code != 0
    assert re.search(rf"error: no image {BASE}\n  try: .*make build_base_container", printed)
