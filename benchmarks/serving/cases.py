"""What is measured, and the bars that our server is held to."""

from __future__ import annotations

from dataclasses import dataclass, field

MODELS = {  # in words
    "elasticnet": "ElasticNet",
    "forest": "forest of 100",
    "histograms": "histogram gradient boosting",
    "digits": "digits classifier, 64 columns",
    "strings": "model with strings",
    "pyfunc": "custom Python model",
}
WAYS = {  # to their predictions, as /model.json names them: measured by a longer one, a figure says nothing
    "elasticnet": "shortcut",
    "forest": "shortcut",
    "histograms": "shortcut",
    "digits": "shortcut",
    "strings": "shortcut",
    "pyfunc": "mlflow",
}
BODIES = {"json": "JSON", "csv": "CSV", "v2": "v2 JSON", "v2bin": "v2 binary"}
PEERS = ("kserve", "mlserver", "bentoml", "litserve")
SAME_KIND = {
    "json": ("json", "v2"),
    "csv": ("csv",),
    "v2": ("json", "v2"),
    "v2bin": ("json", "v2", "v2bin"),
}  # of body, to find the best peer


@dataclass(frozen=True)
class Case:
    """A model, the rows of a request, the clients that send one request after the other, and the kind of body."""

    model: str
    rows: int
    clients: int
    body: str = "json"

    @property
    def key(self) -> str:
        """Its name for CASES and in the results."""
        return f"{self.model}-{self.rows}x{self.clients}-{self.body}"

    @property
    def title(self) -> str:
        """Its name for people."""
        rows, clients = f"{self.rows:,} row{'s' * (self.rows > 1)}", f"{self.clients} client{'s' * (self.clients > 1)}"
        return f"{MODELS[self.model]}, {rows}, {clients}, {BODIES[self.body]}"

    @property
    def batch(self) -> int:
        """How many requests a server that must be told may gather: all there can be.

        Of 10,000 rows, which are a batch already, none.
        """
        return self.clients if self.rows < 10_000 else 1


@dataclass(frozen=True)
class Bar:
    """How many times better than another server ours shall be in one figure of one case.

    Of rps more is better, of the others less.
    """

    title: str
    case: str  # a case's key, or of the figures outside the cases: cold, memory, workers
    figure: str  # rps, p50, p99, s, MB
    bars: dict[str, float] = field(default_factory=dict)  # mlflow, peer (the best), kserve, floor, constant: a factor


CASES = [
    *(Case("elasticnet", 1, clients) for clients in (1, 16, 64)),
    *(Case("elasticnet", 100, clients) for clients in (1, 16, 64)),
    *(Case("elasticnet", 10_000, clients) for clients in (1, 16)),
    *(Case("elasticnet", rows, clients, "csv") for rows, clients in ((1, 64), (100, 16), (10_000, 1))),
    *(
        Case("elasticnet", rows, clients, body)
        for body in ("v2", "v2bin")
        for rows, clients in ((1, 64), (100, 16), (10_000, 1))
    ),
    *(
        Case(model, rows, clients)
        for model in ("forest", "histograms", "digits", "strings")
        for rows, clients in ((1, 1), (1, 64), (100, 16))
    ),
    Case("pyfunc", 1, 64),
]
QUICK = (
    "elasticnet-1x1-json", "elasticnet-1x64-json", "elasticnet-100x16-json",
    "elasticnet-10000x1-json", "elasticnet-10000x1-v2bin",
    "forest-1x64", "histograms-1x64", "digits-1x64", "strings-1x64", "pyfunc-1x64",
)  # fmt: skip
BARS = [
    Bar(
        "ElasticNet, 1 row, 64 clients: requests/s",
        "elasticnet-1x64-json",
        "rps",
        {"mlflow": 60, "peer": 12, "constant": 0.8},
    ),
    Bar("the same: p99", "elasticnet-1x64-json", "p99", {"mlflow": 50, "peer": 8}),
    Bar("ElasticNet, 1 row, 1 client: p50", "elasticnet-1x1-json", "p50", {"mlflow": 8, "peer": 2, "floor": 1}),
    Bar("ElasticNet, 100 rows, 16 clients: requests/s", "elasticnet-100x16-json", "rps", {"mlflow": 30, "peer": 6}),
    Bar(
        "ElasticNet, 10,000 rows, 1 client, JSON: requests/s",
        "elasticnet-10000x1-json",
        "rps",
        {"mlflow": 15, "peer": 1.5},
    ),
    Bar("the same by v2 binary tensors", "elasticnet-10000x1-v2bin", "rps", {"mlflow": 40, "peer": 4}),
    Bar("forest of 100, 1 row, 64 clients: requests/s", "forest-1x64-json", "rps", {"mlflow": 30, "peer": 25}),
    Bar("forest of 100, 100 rows, 16 clients: requests/s", "forest-100x16-json", "rps", {"mlflow": 7, "peer": 4}),
    Bar(
        "histogram gradient boosting, 1 row, 64 clients: requests/s",
        "histograms-1x64-json",
        "rps",
        {"peer": 15, "floor": 10},
    ),
    Bar("digits, 64 columns, 1 row, 64 clients: requests/s", "digits-1x64-json", "rps", {"mlflow": 200, "peer": 10}),
    Bar("model with strings, 1 row, 64 clients: requests/s", "strings-1x64-json", "rps", {"mlflow": 10, "peer": 4}),
    Bar("custom Python model, 1 row, 64 clients: requests/s", "pyfunc-1x64-json", "rps", {"mlflow": 3}),
    Bar(
        "2 workers against 1, on two cores shared with the load (forest, 100 rows, 16 clients)",
        "workers",
        "rps",
        {"one": 1.3},
    ),
    Bar("cold start to the first right answer", "cold", "s", {"mlflow": 3, "kserve": 1}),
    Bar("memory after load and 1,000 requests, one worker", "memory", "MB", {"mlflow": 2, "kserve": 1}),
]
