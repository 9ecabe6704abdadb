"""The API test.

It compares a served model's answers to real rows with the model's own, then checks bad input.

Its checks are in api_checks.
"""

from __future__ import annotations

import csv
import io
import sys
import time
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import requests
from rich.console import Console
from rich.table import Table

from slipway.errors import USAGE, SlipwayError, TimedOutError, time_out
from slipway.registry import connection, mlmodel
from slipway.registry.client import Registry
from slipway.serving import api_checks, example, server
from slipway.serving.api_checks import Api, NoAnswerError, OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.runtimes.base import Prepared
    from slipway.settings import Serving, Settings


class UntestedError(TimedOutError):
    """A test that this machine could not finish: no verdict on a model."""


@dataclass(frozen=True)
class Case:
    """What the API test sends and expects: n rows of the example, n predictions, n true values (or none known)."""

    url: str
    uri: str
    rows: example.Rows
    expected: list[Any]
    true: list[str]
    seconds: int = 30  # for each answer


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
    """Return what to ask the API at `settings.api_url`, and what the model says to it without a server."""
    print(f"asking {prepared.model.uri} without a server, to compare", file=sys.stderr, flush=True)
    rows, true = read_rows(settings, prepared)
    return Case(
        settings.serving.api_url,
        prepared.model.uri,
        rows,
        server.predict(settings, prepared, rows),
        true,
        settings.serving.request_timeout,
    )


def ask(settings: Settings, case: Case, is_alive: Callable[[], bool] | None = None) -> None:
    """Test the server at its URL with a case.

    Raises SlipwayError when it does not pass, or the server does not get ready; UntestedError when this machine does
    not end the test.
    """
    wait_until_ready(settings.serving, case.url, is_alive)
    started = time.monotonic()
    api = Api(case.url, case.rows, case.expected, server.read_key(settings.serving), case.seconds)
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
    table = Table(box=None, header_style="bold")
    columns, lines = example.list_lines(case.rows)
    shown = columns[:4]
    for heading in (*shown, *(["…"] if len(columns) > len(shown) else []), "prediction", "true value"):
        table.add_column(str(heading), justify="right")
    for row, predicted, true in zip_longest(lines, case.expected[: len(lines)], case.true, fillvalue="?"):
        values = [_short(value) for value in row[: len(shown)]] + (["…"] if len(columns) > len(shown) else [])
        table.add_row(*values, _short(predicted), true)
    Console().print(table)


def _nothing_to_send(prepared: Prepared) -> SlipwayError:
    words = f"{prepared.model.uri} has no input example to send"
    return SlipwayError(words, "log the model with input_example=…; see model/README.md")


def read_rows(settings: Settings, prepared: Prepared) -> tuple[example.Rows, list[str]]:
    """Take the rows from the model's input example, or else the run's sample.csv, which has the true values, too.

    Raises SlipwayError when there is neither.
    """
    rows = example.read(mlmodel.read_example(prepared.files))
    sample = _read_sample(settings, prepared)
    if sample is None:
        if rows is None:
            raise _nothing_to_send(prepared)
        return rows, []
    heading, *lines = list(csv.reader(io.StringIO(sample)))
    if rows is None:
        try:
            rows = {"columns": heading[:-1], "data": [[float(value) for value in line[:-1]] for line in lines]}
        except ValueError as error:
            words = f"sample.csv of {prepared.model.uri} contains values that are not numbers: {error}"
            raise SlipwayError(words, "log the model with input_example=…") from None
    return rows, [line[-1] for line in lines][: example.count(rows)]


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
    return f"{value:.5g}" if isinstance(value, float) else str(value)
