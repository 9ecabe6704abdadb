"""What requests share: which of them is whose, and the change to another model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scoring.http.state import ServerState
from scoring.inference import Scorer
from scoring.metrics import Metrics
from scoring.models.base import Identity, Model
from scoring.models.signature import Signature
from scoring.settings import Settings

if TYPE_CHECKING:
    import pytest


def _model(version: str) -> Model:
    return Model(Identity("wine", version), Signature(), None)


def test_each_path_has_a_handler_with_each_prefix() -> None:
    """Predictions are asked for by three paths, each with every prefix of the settings and without."""
    state = ServerState.of(Settings(Path(), root_path="/a/, /b"), _model("1"), Metrics())
    scorer = state.scorer

    assert {path: handler for path, handler in state.direct.items() if not path.startswith((b"/a", b"/b"))} == {
        b"/invocations": scorer.invocations,
        b"/v2/models/wine/infer": scorer.infer,
        b"/v2/models/wine/versions/1/infer": scorer.infer,
    }
    assert len(state.direct) == 9
    assert state.direct[b"/b/v2/models/wine/infer"] == scorer.infer


def test_another_model_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go to the new model from then on, by the paths of its version, and the one before is closed."""
    closed: list[Scorer] = []
    monkeypatch.setattr(Scorer, "close", lambda scorer: closed.append(scorer))  # noqa: PLW0108 -- it is given the scorer only as a function
    state = ServerState.of(Settings(Path()), _model("1"), Metrics())
    before = state.scorer

    state.use(_model("2"))

    assert closed == [before]
    assert state.direct[b"/invocations"] == state.scorer.invocations
    assert b"/v2/models/wine/versions/2/infer" in state.direct
    assert b"/v2/models/wine/versions/1/infer" not in state.direct
