"""What people are told to type keeps the way they came: every setting that they gave, once, as a shell reads it."""

import os
import shlex

import pytest

from slipway import hints
from slipway.errors import SlipwayError

GIVEN = {
    "RUNTIME": "host", "PORT": "9001", "MODEL_DIR": "examples/my model", "CONTEXT": "prod", "NAMESPACE": "ml",
    "COMPOSE_PROJECT_NAME": "two", "MLFLOW_PORT": "5050", "DEPLOYER_PORT": "9002", "SCORING_API_KEYS_FILE": "/keys",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_caller", {})
    for name in hints.find_given(dict(os.environ)):
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", GIVEN)
def test_a_setting_that_was_given_is_typed_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting stands before the command, in a form that a shell reads back."""
    monkeypatch.setenv(name, GIVEN[name])

    assert hints.complete("make list_models") == f"{name}={shlex.quote(GIVEN[name])} make list_models"


def test_defaults_and_arguments_are_not_typed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has its default is left out, what is an argument of one command, and what is of the machine."""
    others = {"TRAIN_ARGS": "--alpha 1", "URL": "http://x", "PYTHON_IMAGE": "mine/python:3.13", "TEST_TIMEOUT": "9"}
    for name, value in {**hints.read_defaults(), **others, "PORT": "8001", "REGISTRY": " "}.items():
        monkeypatch.setenv(name, value)

    assert hints.complete("make list_models") == "make list_models"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (
            "make start_deployer, then make promote",
            "PORT=9001 CONTEXT=prod make start_deployer, then PORT=9001 CONTEXT=prod make promote",
        ),
        ("PORT=1 make serve_model MODEL=a", "CONTEXT=prod PORT=1 make serve_model MODEL=a"),
        ("make deploy MODEL=… CONTEXT=other PORT=2", "make deploy MODEL=… CONTEXT=other PORT=2"),
        ("make canary CONTEXT=… WEIGHT=0", "PORT=9001 make canary CONTEXT=prod WEIGHT=0"),
        ("make PORT=2 doctor", "CONTEXT=prod make PORT=2 doctor"),
        ("A='b c' make doctor (again)", "PORT=9001 CONTEXT=prod A='b c' make doctor (again)"),
        ("make sure that it is there; cmake doctor", "make sure that it is there; cmake doctor"),
        ("PORT=9002 with the same command", "PORT=9002 with the same command"),
    ],
    ids=[
        "two commands",
        "said before",
        "said after",
        "a gap is filled",
        "between",
        "another's",
        "no commands",
        "no make",
    ],
)
def test_nothing_is_said_twice(words: str, completed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that a text names already is not put there again, and what is no command of ours stays as it is."""
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("CONTEXT", "prod")

    assert hints.complete(words) == completed


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("kubectl get jobs", "kubectl --context prod --namespace slipway get jobs"),
        ("make deploy; kubectl logs x", "CONTEXT=prod make deploy; kubectl --context prod --namespace slipway logs x"),
        ("kubectl --context other get pods", "kubectl --context other get pods"),
        ("kubectl config get-contexts", "kubectl config get-contexts"),
        (
            "see https://kubernetes.io/docs/tasks/tools/kubectl is there",
            "see https://kubernetes.io/docs/tasks/tools/kubectl is there",
        ),
    ],
    ids=["kubectl", "both", "named already", "of no cluster", "an address"],
)
def test_kubectl_is_told_the_cluster(words: str, completed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubectl command to type names the caller's cluster and namespace, since kubectl's own may be others."""
    monkeypatch.setenv("CONTEXT", "prod")

    assert hints.complete(words) == completed


def test_without_a_cluster_kubectl_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no cluster was named, or it is the pod's own, kubectl is not told one."""
    monkeypatch.setenv("NAMESPACE", "ml")
    before = hints.complete("kubectl get pods")
    monkeypatch.setenv("CONTEXT", "in-cluster")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")

    assert (before, hints.complete("kubectl get pods")) == ("kubectl get pods", "kubectl get pods")


def test_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking server's address with a password in it is told by the variable's name."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@example.org")

    assert hints.complete("make list_models") == 'MLFLOW_TRACKING_URI="$MLFLOW_TRACKING_URI" make list_models'


def test_what_a_library_sets_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow sets its own variables once it runs: what counts is what was there when the settings were read."""
    monkeypatch.setenv("PORT", "9001")
    hints.remember()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    hints.remember(RUNTIME="host")

    assert hints.complete("make list_models") == "RUNTIME=host PORT=9001 make list_models"


def test_an_error_and_a_next_line_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two places where commands are told to people: below an error, and after a command's end."""
    monkeypatch.setenv("RUNTIME", "host")
    hints.say_next("make doctor")

    assert str(SlipwayError("it is broken", "make doctor")) == "error: it is broken\n  try: RUNTIME=host make doctor"
    assert capsys.readouterr().out == "next  RUNTIME=host make doctor\n"
