"""What requests share: which of them is whose."""

from __future__ import annotations

from pathlib import Path

from scoring.http.state import ServerState
from scoring.metrics import Metrics
from scoring.models.base import Identity, Model
from scoring.models.signature import Signature
from scoring.settings import Settings


def _model(version: str) -> Model:
    return Model(Identity("wine", version), Signature(), None)


def test_each_path_has_a_handler_with_each_prefix() -> None:
    """Predictions and explanations are asked for by seven paths, each with every prefix of the settings and without."""
    state = ServerState.of(Settings(Path(), root_path="/a/, /b"), _model("1"), Metrics())
    scorer, lane = state.scorer, state.lane

    assert lane
    assert {path: handler for path, handler in state.direct.items() if not path.startswith((b"/a", b"/b"))} == {
        b"/invocations": scorer.invocations,
        b"/predict": scorer.invocations,
        b"/explain": lane.explain,
        b"/v2/models/wine/explain": lane.explain_v2,
        b"/v2/models/wine/versions/1/explain": lane.explain_v2,
        b"/v2/models/wine/infer": scorer.infer,
        b"/v2/models/wine/versions/1/infer": scorer.infer,
    }
    assert len(state.direct) == 21
    assert state.direct[b"/b/v2/models/wine/infer"] == scorer.infer


def test_an_agent_is_called_by_way_of_asgi() -> None:
    """An agent has the path of OpenAI's clients; no request of a model that streams takes the short way."""
    agent, other = _model("1"), _model("1")
    agent.task, agent.streams = "agent/v1/responses", True
    state = ServerState.of(Settings(Path(), root_path="/a"), agent, Metrics())
    plain = ServerState.of(Settings(Path()), other, Metrics())

    assert state.direct[b"/a/responses"] == state.scorer.invocations
    assert state.fast == {}
    assert b"/responses" not in plain.direct
    assert plain.fast == plain.direct
