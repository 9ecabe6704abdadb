"""What the user hears of a version that the gate refuses."""

import pytest

from slipway.errors import SlipwayError
from slipway.release import candidate
from slipway.training import gate


@pytest.mark.parametrize(
    ("kind", "cure"),
    [(gate.MISSING, "log it when training, or name another in model.toml"), (gate.WORSE, "make compare")],
)
def test_a_refusal_has_a_cure_that_fits(kind: str, cure: str) -> None:
    """A comparison helps where there are two values; a metric that is missing must be logged."""
    with pytest.raises(SlipwayError) as raised:
        candidate._pass(gate.Verdict(kind, "words"), force=False)  # noqa: SLF001 -- what is tested

    assert raised.value.cure == f"{cure}; FORCE=1 WHY=… promotes it against the verdict"
