"""How long decoders take to read JSON."""

from __future__ import annotations

import pytest

from scoring.codecs.plain.simd import LONG, NUMBER_S, OBJECT_S, count, most_seconds, read_seconds


@pytest.mark.parametrize("part", [b'"",', b"[],", b"{},", b"1,", b'"a":1,', b'{"":[]},', b"0.12345,"])
@pytest.mark.parametrize("value_s", [NUMBER_S, OBJECT_S], ids=["numbers", "objects"])
def test_no_json_takes_longer_than_the_most(part: bytes, value_s: float) -> None:
    """No body of JSON is estimated to take longer for each of its bytes than the most that is assumed."""
    body = part * 1000

    assert read_seconds(body, value_s) <= most_seconds(value_s) * len(body) * (1 + 1e-9)


@pytest.mark.parametrize("size", [100, LONG, 4 * LONG], ids=["short", "medium", "long"])
@pytest.mark.parametrize("times", [0, 3, 4, 5, 50], ids=str)
def test_count(size: int, times: int) -> None:
    """Signs are counted rightly, rare or not, at the end too."""
    rest = size // 50 * 50 // max(1, times)
    body = b" " * 30 + (b"." * rest + b"[") * times

    assert count(body, b"[", b"{") == [times, 0]
