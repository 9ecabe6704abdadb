"""The checks of the API test.

They compare a served model's answers to real rows, and check that it refuses bad requests.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from slipway import interruption, shell
from slipway.serving import answers, example

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.serving.answers import Json

TEST = "slipway-test-"  # begins the ids of requests that no prediction log has
QUOTED = 300  # characters of an answer
LOOK_S = 0.1  # between two looks whether the test has to end


class NoAnswerError(Exception):
    """The server did not answer a request in time."""


class OutOfTimeError(Exception):
    """The test as a whole took too long."""


@dataclass(frozen=True)
class Answer:
    """A status, and what came with it."""

    status: int
    content: str

    @property
    def is_refusal(self) -> bool:
        """Whether the caller is told that the request is wrong."""
        return self.status // 100 == 4  # noqa: PLR2004 -- 4xx


@dataclass(frozen=True)
class Api:
    """A served model: the request to send (None: there are no rows), and the answer to expect."""

    url: str
    request: example.Request | None
    expected: Json
    inputs: example.Inputs  # of the signature; empty without one
    key: str  # "" without one
    seconds: float  # for each answer

    def post(self, body: Json = None, data: bytes | None = None) -> Answer:
        """Send one request to /invocations: bytes, or a body, whose numbers may be NaN, as in MLflow's input examples.

        Raises NoAnswerError when the answer takes too long; requests' own errors otherwise.
        """
        headers = {"Content-Type": "application/json", "X-Request-Id": f"{TEST}{uuid.uuid4().hex}"}
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            sent = json.dumps(body) if data is None else data
            answer = requests.post(f"{self.url}/invocations", data=sent, headers=headers, timeout=self.seconds)
        except requests.Timeout:
            raise NoAnswerError from None
        except requests.ConnectionError as error:
            if "timed out" in str(error).lower():  # as it is called in the middle of an answer
                raise NoAnswerError from None
            raise
        if answer.status_code == requests.codes.gateway_timeout:
            raise NoAnswerError(" (status 504)")
        return Answer(answer.status_code, answer.text)


def check_predictions(api: Api) -> str | None:
    """Check that it answers 200, and as the model loaded directly does; None without rows."""
    if api.request is None:
        return None
    answer = api.post(api.request)
    if answer.status != requests.codes.ok:
        return f"status {answer.status}: {shell.cut(answer.content, QUOTED)}"
    try:
        served = json.loads(answer.content)
    except ValueError:
        return f"its answer is not JSON: {shell.cut(answer.content, QUOTED)}"
    if (
        isinstance(api.expected, dict)
        and "predictions" in api.expected
        and not (isinstance(served, dict) and served.get("predictions") is not None)
    ):
        return f"no predictions in {shell.cut(answer.content, QUOTED)}"
    expected, rows = answers.list_predictions(api.expected), example.count_rows(api.request)
    is_list = isinstance(api.expected, dict) and isinstance(api.expected.get("predictions"), list)
    if is_list and rows not in {None, len(expected)}:
        return f"{len(expected)} predictions for {rows} rows"
    return answers.find_fault(expected) or answers.differ(served, api.expected)


def check_incomplete(api: Api) -> str | None:
    """Check that it refuses rows without a column, or a request without an input, that the signature requires.

    None where nothing can go.
    """
    found = example.make_incomplete(api.request or {}, api.inputs)
    if found is None:
        return None
    missing, body = found
    answer = api.post(body)
    return "" if answer.is_refusal else f"without {missing} it answers {answer.status}"


def check_wrong_type(api: Api) -> str | None:
    """Check that it refuses words where numbers belong, or lists where words do; None where the types exclude none."""
    wrong = example.make_wrong(api.request or {}, api.inputs)
    if wrong is None:
        return None
    answer = api.post(wrong)
    return "" if answer.is_refusal else f"to {str(wrong)[:200]} it answers {answer.status}"


def check_malformed(api: Api) -> str:
    """Check that it refuses a body that is not JSON."""
    answer = api.post(data=b'{"dataframe_split": ')
    return "" if answer.is_refusal else f"to half a body it answers {answer.status}"


CHECKS: dict[str, Callable[[Api], str | None]] = {
    "predictions are the model's own": check_predictions,
    "a missing column is refused": check_incomplete,
    "a wrong type is refused": check_wrong_type,
    "a malformed body is refused": check_malformed,
}


def run(api: Api, seconds: float) -> dict[str, str | None]:
    """Return, for each check, why it failed: "" where it passed, None where there is nothing to check.

    Raises NoAnswerError as `Api.post` does, and OutOfTimeError after `seconds`, however slowly an answer drips: then
    the thread that reads it is left behind, and sends nothing more.
    """
    found: dict[str, str | None] = {}
    late: list[NoAnswerError] = []
    ended = threading.Event()

    def check_all() -> None:
        for name, check in CHECKS.items():
            if ended.is_set():
                return
            try:
                found[name] = check(api)
            except NoAnswerError as error:
                late.append(error)
                return
            except requests.RequestException as error:
                found[name] = f"the request failed: {type(error).__name__}"
            except Exception as error:  # noqa: BLE001 -- of whatever the server sent
                found[name] = shell.cut(f"{type(error).__name__}: {error}".splitlines()[0], QUOTED)

    thread = threading.Thread(target=check_all, daemon=True, name="API test")
    thread.start()
    deadline = time.monotonic() + seconds
    try:
        while thread.is_alive():
            interruption.check()
            if time.monotonic() >= deadline:
                raise OutOfTimeError
            thread.join(LOOK_S)
    finally:
        ended.set()
    if late:
        raise late[0]
    return found
