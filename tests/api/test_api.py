"""The API of a served model, wherever it runs: `make test_api` gives it the address, the rows and the model's own answers."""

import math
from typing import Any

import pytest
import requests

from slipway import shell
from slipway.serving import api_test, example
from slipway.serving.api_test import Case


@pytest.fixture(scope="module")
def case() -> Case:
    """Return what `make test_api` prepared."""
    return Case.load()


def post(case: Case, body: Any = None, data: bytes | None = None) -> requests.Response:  # noqa: ANN401 -- any JSON
    """Send one request to /invocations."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {case.key}"} if case.key else {})
    try:
        answer = requests.post(f"{case.url}/invocations", json=body, data=data, headers=headers, timeout=case.seconds)
    except requests.Timeout:
        pytest.exit(api_test.NO_ANSWER, shell.TIMED_OUT)
    if answer.status_code == requests.codes.gateway_timeout:
        pytest.exit(f"{api_test.NO_ANSWER}, it said 504,", shell.TIMED_OUT)
    return answer


def test_predictions_are_the_models_own(case: Case) -> None:
    """It answers 200, one finite prediction a row, each equal to that of the model loaded directly."""
    answer = post(case, example.make_request(case.rows))
    predictions = answer.json().get("predictions") if answer.ok else None

    assert answer.status_code == requests.codes.ok, f"status {answer.status_code}: {answer.text[:300]}"
    assert predictions is not None, f"no predictions in {answer.text[:300]}"
    rows = example.count(case.rows)
    assert len(predictions) == rows, f"{len(predictions)} predictions for {rows} rows"
    for served, direct in zip(predictions, case.expected, strict=True):
        if isinstance(direct, float):
            assert isinstance(served, int | float), f"a prediction is {served}, and no number"
            assert math.isfinite(served), f"a prediction is {served}"
            assert math.isclose(served, direct, rel_tol=1e-9), f"it predicts {served}, the model loaded directly {direct}"
        else:
            assert served == direct, f"it predicts {served}, the model loaded directly {direct}"


def test_missing_column_is_refused(case: Case) -> None:
    """A row without a column, or a request without an input, that the model needs gets a 4xx."""
    found = example.make_incomplete(case.rows)
    if found is None:
        pytest.skip("the model takes one value a row: nothing can be left out")
    missing, body = found
    answer = post(case, body)

    assert 400 <= answer.status_code < 500, f"without {missing} it answers {answer.status_code}"


def test_wrong_type_is_refused(case: Case) -> None:
    """Words where numbers belong, or lists where words do, get a 4xx."""
    wrong = example.make_wrong(case.rows)
    answer = post(case, wrong)

    assert 400 <= answer.status_code < 500, f"to {str(wrong)[:200]} it answers {answer.status_code}"


def test_malformed_body_is_refused(case: Case) -> None:
    """A body that is not JSON gets a 4xx."""
    answer = post(case, data=b'{"dataframe_split": ')

    assert 400 <= answer.status_code < 500, f"to half a body it answers {answer.status_code}"
