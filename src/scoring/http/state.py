"""What the requests of one process share: everything that outlives one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from scoring.errors import Refusal
from scoring.explain.lane import Lane
from scoring.http.access_log import AccessLog
from scoring.http.api_keys import Keys
from scoring.http.bodies import Room
from scoring.http.hosts import Hosts
from scoring.http.inflater import Inflater
from scoring.inference import Scorer
from scoring.prediction_log.log import PredictionLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.batching import Request
    from scoring.metrics import Metrics
    from scoring.models.base import Model
    from scoring.settings import Settings

    Handler = Callable[[Request], None]

RESPONSES = "agent/v1/responses"  # the task of models that OpenAI's clients call at /responses


class Arriving(Protocol):
    """A request whose body is being read."""

    def hurry(self) -> None:
        """End the time for a body that arrives too slowly; called at each look."""


@dataclass(slots=True, eq=False)
class ServerState:
    """The state of one process, around the model that answers."""

    settings: Settings
    metrics: Metrics
    hosts: Hosts
    keys: Keys
    access: AccessLog
    room: Room  # for the bodies of requests
    inflater: Inflater
    prefixes: list[str]  # of paths, less their last /
    scorer: Scorer
    direct: dict[bytes, Handler]  # which request for a prediction is whose, by its path
    fast: dict[bytes, Handler]  # the same of those that need no ASGI
    log: PredictionLog | None = None
    lane: Lane | None = None
    arriving: set[Arriving] = field(default_factory=set)
    connections: set[Any] = field(default_factory=set)  # uvicorn's, of the direct way
    newest: object = None  # of them, by which the newest request came
    draining: bool = False  # connections are closed after their next answer
    is_ending: bool = False  # for good
    has_successor: bool = False  # another process accepts on the port

    @classmethod
    def of(cls, settings: Settings, model: Model, metrics: Metrics) -> Self:
        """Return the state of a process that begins to answer with a model."""
        prefixes = [prefix.strip().rstrip("/") for prefix in settings.root_path.split(",") if prefix.strip()]
        scorer = Scorer(model, settings, metrics)
        lane = Lane(scorer, settings)
        direct = _handlers(scorer, lane, prefixes)
        log = PredictionLog(settings, model, metrics) if settings.prediction_log else None
        return cls(
            settings, metrics, Hosts(settings.allowed_hosts), Keys(settings.api_keys_file),
            AccessLog(on=settings.access_log == "on"),
            Room(settings.max_body), Inflater(settings), prefixes, scorer, direct,
            _without_asgi(direct, scorer, settings), log, lane,
        )  # fmt: skip

    def refusal(self, headers: list[tuple[bytes, bytes]]) -> Refusal | None:
        """Return why the head of a request is refused, if it is; its body need not be read then."""
        try:
            self.hosts.check(headers)
            self.keys.check(headers)
        except Refusal as refusal:
            return refusal
        return None


def _without_asgi(direct: dict[bytes, Handler], scorer: Scorer, settings: Settings) -> dict[bytes, Handler]:
    """Return what takes a request on the short way: nothing where ASGI does CORS, or sends streams."""
    return {} if settings.cors_origins or scorer.model.streams else direct


def _handlers(scorer: Scorer, lane: Lane, prefixes: list[str]) -> dict[bytes, Handler]:
    """Return what takes a request for a prediction, by its path, with each prefix and without."""
    identity = scorer.model.identity
    base = f"/v2/models/{identity.name}"
    found: dict[bytes, Handler] = {b"/invocations": scorer.invocations, b"/predict": scorer.invocations}
    found[b"/explain"] = lane.explain
    if scorer.model.task == RESPONSES:
        found[b"/responses"] = scorer.invocations
    for path in (base, f"{base}/versions/{identity.version}"):
        found |= {f"{path}/infer".encode(): scorer.infer, f"{path}/explain".encode(): lane.explain_v2}
    return found | {prefix.encode() + path: handler for prefix in prefixes for path, handler in found.items()}
