"""The API test.

It compares a served model's answers to real rows with the model's own, then checks bad input.

Its checks are in api_checks.
"""

from __future__ import annotations

import csv
import io
import sys
import time
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

import requests
from rich.console import Console
from rich.table import Table

from slipway.errors import USAGE, SlipwayError, TimedOutError, time_out
from slipway.registry import connection, mlmodel
from slipway.registry.client import Registry
from slipway.serving import answers, api_checks, example, server
from slipway.serving.api_checks import Api, NoAnswerError, OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.runtimes.base import Prepared
    from slipway.serving.answers import Json
    from slipway.settings import Serving, Settings

SHOWN = 20  # rows
WIDEST = 40  # characters of a value


class UntestedError(TimedOutError):
    """A test that this machine could not finish: no verdict on a model."""


@dataclass(frozen=True)
class Case:
    """What the API test sends and expects: a request (None: there are no rows), its answer, true values if known."""

    url: str
    uri: str
    request: example.Request | None
    expected: Json
    true: list[str]
    seconds: int = 30  # for each answer
    inputs: example.Inputs = field(default_factory=list)  # of the signature


def check(settings: Settings, uri: str = "") -> Case:
    """Test the API of whatever is served on PORT or at URL, which must be `uri` when that is given.

    Raises SlipwayError when the test fails, nothing answers, or it is not known which model should.
    """
    recorded = server.find_recorded(settings.serving)
    if not recorded:  # it may be starting
        wait_until_ready(settings.serving, settings.serving.api_url)
        recorded = server.find_recorded(settings.serving)
    if uri and recorded and server.prepare(settings, recorded).files != server.prepare(settings, uri).files:
        raise SlipwayError(f"{settings.serving.api_url} serves {recorded}, not {uri}", "make test_api")
    if not (uri or recorded):
        raise SlipwayError(
            f"which model should {settings.serving.api_url} serve? It was not started by make serve_model here",
            "make test_api MODEL=…",
            USAGE,
        )
    return examine(settings, server.prepare(settings, uri or recorded or ""))


def examine(settings: Settings, prepared: Prepared, is_alive: Callable[[], bool] | None = None) -> Case:
    """Test the API at `settings.api_url` against a model; print its predictions beside the true values, and what fails.

    `is_alive` tells whether the server still runs, where it is ours. Raises SlipwayError when the test fails, or the
    server does not get ready.
    """
    case = make_case(settings, prepared)
    ask(settings, case, is_alive)
    show(case)
    return case


def make_case(settings: Settings, prepared: Prepared) -> Case:
    """Return what to ask the API at `settings.api_url`, and what the model says to it without a server.

    A model without an input example, and without a signature of which rows could be made up, is asked for none.
    """
    uri, inputs = prepared.model.uri, mlmodel.read_inputs(prepared.files)
    request, true = read_rows(settings, prepared)
    is_made_up = request is None
    request, expected = request or example.make_up(inputs), None
    if request is not None:
        rows = "made-up rows of the signature, as there is no input example" if is_made_up else "to compare"
        print(f"asking {uri} without a server: {rows}", file=sys.stderr, flush=True)
        try:
            expected = server.predict(settings, prepared, request)
        except TimedOutError:
            raise
        except SlipwayError as error:
            if not is_made_up:
                raise
            print(f"note: {error.message}", file=sys.stderr)
            request = None
    if request is None:
        words = "there is no input example to send, so no prediction is tested: log the model with input_example=…"
        print(f"note: {uri}: {words}", file=sys.stderr)
    return Case(settings.serving.api_url, uri, request, expected, true, settings.serving.request_timeout, inputs)


def ask(settings: Settings, case: Case, is_alive: Callable[[], bool] | None = None) -> None:
    """Test the server at its URL with a case.

    Raises SlipwayError when it does not pass, or the server does not get ready; UntestedError when this machine does
    not end the test.
    """
    wait_until_ready(settings.serving, case.url, is_alive)
    started = time.monotonic()
    api = Api(case.url, case.request, case.expected, case.inputs, server.read_key(settings.serving), case.seconds)
    try:
        found = api_checks.run(api, settings.serving.test_timeout)
    except NoAnswerError as how:
        raise _untested(f"{case.url} did not answer{how}", case.seconds, "REQUEST_TIMEOUT") from None
    except OutOfTimeError:
        raise _untested(
            f"this machine did not finish the test of {case.uri}", settings.serving.test_timeout, "TEST_TIMEOUT"
        ) from None
    if failed := {name: reason for name, reason in found.items() if reason}:
        print("\n".join(f"FAILED {name}: {reason}" for name, reason in failed.items()))
        why = "; ".join([*failed.values()][:2])
        raise SlipwayError(f"the API at {case.url} does not answer as {case.uri} should: {why}")
    skipped = sum(reason is None for reason in found.values())
    counts = f"{len(found) - skipped} passed{f', {skipped} skipped' if skipped else ''}"
    print(f"{counts} in {time.monotonic() - started:.2f}s: {case.url} answers as {case.uri}")


def _untested(what: str, seconds: int, setting: str) -> UntestedError:
    error = time_out(what, seconds, setting)
    return UntestedError(f"{error.message}, which says nothing about the version itself", error.cure)


def wait_until_ready(serving: Serving, url: str, is_alive: Callable[[], bool] | None = None) -> None:
    """Wait until `/ping` answers; give up when what serves it is not alive.

    Raises SlipwayError when nothing listens; TimedOutError at the deadline, when something does that is not ready.
    """
    started, limit = time.monotonic(), serving.start_timeout
    said, listens = False, is_alive is not None
    while time.monotonic() < started + limit and (is_alive is None or is_alive()):
        try:
            answer = requests.get(f"{url}/ping", timeout=min(5, limit))
            listens = True
            if answer.ok:
                return
            if answer.status_code < requests.codes.server_error:  # a server that starts, or a proxy before it, says 5xx
                raise SlipwayError(
                    f"{url} is not a model API: it answers {answer.status_code} to /ping", "URL=http://127.0.0.1:8001"
                )
        except requests.exceptions.SSLError as error:
            raise SlipwayError(
                f"{url} does not speak TLS as expected: {error}", "http:// instead of https://, or its certificate"
            ) from None
        except requests.ReadTimeout:
            listens = True
        except (requests.ConnectionError, requests.Timeout):
            pass
        except requests.RequestException as error:
            raise SlipwayError(
                f"{url} is not the address of an API: {error}", "URL=http://127.0.0.1:8001", USAGE
            ) from None
        if not said and time.monotonic() > started + 2:
            print(f"waiting for {url}, at most {limit} s (START_TIMEOUT) …", file=sys.stderr, flush=True)
            said = True
        time.sleep(0.1)
    if listens and (is_alive is None or is_alive()):
        raise time_out(f"the server at {url} did not get ready", limit, "START_TIMEOUT")
    raise SlipwayError(f"no model answers at {url}", "make serve_model MODEL=…, in another terminal")


def show(case: Case) -> None:
    """Print the rows that were sent, what came back, and the true values."""
    if case.request is None:
        return
    table = Table(box=None, header_style="bold")
    columns, lines = example.list_lines(case.request)
    shown = columns[:4]
    for heading in (*shown, *(["…"] if len(columns) > len(shown) else []), "prediction", "true value"):
        table.add_column(str(heading), justify="right")
    predictions = answers.list_predictions(case.expected)
    for row, predicted, true in zip_longest(lines[:SHOWN], predictions[:SHOWN], case.true[:SHOWN], fillvalue="?"):
        values = [_short(value) for value in row[: len(shown)]] + (["…"] if len(columns) > len(shown) else [])
        table.add_row(*values, *[""] * (len(table.columns) - 2 - len(values)), _short(predicted), true)
    Console(markup=False).print(table)


def read_rows(settings: Settings, prepared: Prepared) -> tuple[example.Request | None, list[str]]:
    """Take the rows from the model's input example, or else the run's sample.csv, which has the true values, too.

    None where there is neither. Raises SlipwayError for a sample whose values are not of their columns' types.
    """
    request = mlmodel.read_example(prepared.files)
    sample = _read_sample(settings, prepared)
    if sample is None:
        return request, []
    heading, *lines = list(csv.reader(io.StringIO(sample)))
    if request is None:
        try:
            rows = [line[:-1] for line in lines]
            request = example.read_lines(heading[:-1], rows, mlmodel.read_inputs(prepared.files))
        except ValueError as error:
            words = f"sample.csv of {prepared.model.uri} contains values that are not of their columns' types: {error}"
            raise SlipwayError(words, "log the model with input_example=…") from None
    return request, [line[-1] for line in lines if line][: len(example.list_lines(request)[1])]


def _read_sample(settings: Settings, prepared: Prepared) -> str | None:
    if not prepared.model.run_id:
        return None
    try:
        return (prepared.registry or Registry.connect(settings)).read_sample(prepared.model.run_id)
    except SlipwayError as error:
        if prepared.registry and not isinstance(error, connection.UnreachableError):
            raise
        print(f"note: the true values are not known: {error.message}", file=sys.stderr)
        return None


def _short(value: object) -> str:
    text = f"{value:.5g}" if isinstance(value, float) else "varies" if value is answers.VARIES else str(value)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"
