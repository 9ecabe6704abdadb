"""What the supervisor makes of starts that fail."""

from __future__ import annotations

from scoring.processes.supervisor import LONGEST_PAUSE_S, pause_after


def test_pauses_between_starts() -> None:
    """Starts that fail follow each other ever more slowly, and however often they have failed, the next one comes."""
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 7, 1100, 10**9)] == [1, 2, 4, 8, *[LONGEST_PAUSE_S] * 3]
