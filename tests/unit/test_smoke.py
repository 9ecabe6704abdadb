"""What the API test is told, and what it means when it does not end."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from slipway import settings, smoke

CASE = smoke.Case("http://127.0.0.1:8001", "models:/diabetes/3", {"columns": ["a"], "data": [[1.0]]}, [2.0], [])


def test_each_test_has_a_case_of_its_own() -> None:
    """Two tests of one port at once each read their own case, and nothing of either is left."""
    other = replace(CASE, uri="models:/diabetes/4")
    with smoke._written(CASE) as first, smoke._written(other) as second:  # noqa: SLF001 -- what is tested
        read = [json.loads(file.read_text())["uri"] for file in (first, second)]

    assert read == ["models:/diabetes/3", "models:/diabetes/4"]
    assert [first.exists(), second.exists()] == [False, False]


def test_a_test_that_does_not_end_says_nothing_about_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the time for the test runs out, the error says that it is this machine's, and is of a kind of its own."""
    monkeypatch.setattr(smoke, "wait_until_ready", lambda *_: None)
    monkeypatch.setattr(smoke, "SECONDS_TO_TEST", 0)

    with pytest.raises(smoke.UntestedError, match="this machine did not end the test of models:/diabetes/3 within 0 s"):
        smoke.ask(settings.load(), CASE)
