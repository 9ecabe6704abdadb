"""A cluster after an upgrade of the model's libraries: a rollback answers from those that it was trained with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.e2e.test_upgrade import NAME, NEW, OLD, folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Served

__all__ = ["folder"]  # a fixture
SERVICE = f"{NAME}-model"


def _ask(served: Served) -> tuple[int, str, dict[str, Any]]:
    """Return the version that answers, its pod's scikit-learn, and its answer to the version's own example."""
    code = "import sklearn; print(sklearn.__version__)"
    version = served.cluster.ask("exec", f"deployment/{SERVICE}", "--", "python", "-c", code).out.strip()
    example = json.loads(next(served.stack.folder.rglob("serving_input_example.json")).read_text())
    answer = requests.post(f"{served.find_url(SERVICE)}/invocations", json=example, timeout=30)
    return served.find_answering(SERVICE), version, answer.json()


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_a_rollback_past_an_upgrade_answers_as_before(served: Served, folder: Path) -> None:
    """After libraries were upgraded, locked and trained with, a rollback answers from the old ones, to the bit."""
    variables = {"MODEL_DIR": f"examples/{NAME}", "TRAIN_ARGS": "--repeats 1"}
    answers = []
    for library in (OLD, NEW):
        (folder / "requirements.txt").write_text(f"scikit-learn=={library}\nskops\n")
        served.make("train_model", **variables)
        served.make("promote", FORCE="1", WHY="the upgrade", **variables)
        served.make("deploy", MODEL=f"models:/{NAME}@champion", **variables)
        answers.append(_ask(served))
    served.make("rollback", TARGET="kubernetes", **variables)
    answers.append(_ask(served))

    assert [answer[:2] for answer in answers] == [(1, OLD), (2, NEW), (1, OLD)]
    assert answers[2][2] == answers[0][2]
    assert answers[0][2]["predictions"]
