"""What is measured, and the bars that our server is held to."""

from __future__ import annotations

from dataclasses import dataclass, field

MODELS = {  # in words
    "elasticnet": "ElasticNet",
    "forest": "forest of 100",
    "histograms": "histogram gradient boosting",
    "lightgbm": "LightGBM",
    "digits": "digits classifier, 64 columns",
    "strings": "model with strings",
    "pyfunc": "custom Python model",
}
WAYS = {**dict.fromkeys(MODELS, "shortcut"), "pyfunc": "mlflow"}  # that /model.json must name, for a figure to count
BODIES = {
    "json": "JSON",
    "records": "JSON of records",
    "v2": "v2 JSON",
    "v2cols": "v2 JSON, a tensor a column",
    "v2bin": "v2 binary",
}
PEERS = ("kserve", "mlserver", "bentoml", "litserve")
SAME_KIND = {
    "json": ("json", "v2"),
    "records": ("json", "v2"),
    "v2": ("json", "v2"),
    "v2cols": ("v2cols",),
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

    case: str  # a case's key, or of the figures outside the cases: cold, memory, image, workers
    figure: str  # rps, p50, p99, s, MB
    bars: dict[str, float] = field(default_factory=dict)  # mlflow, peer (the best), kserve, floor, constant: a factor
    title: str = ""  # of a figure outside the cases
    most: float = 0  # that ours may be, whatever the others are


CASES = [
    *(Case("elasticnet", 1, clients) for clients in (1, 64)),
    Case("elasticnet", 100, 16),
    *(Case("elasticnet", 10_000, 1, body) for body in ("json", "records", "v2", "v2bin")),
    *(Case(model, 1, 64, body) for model in ("elasticnet", "digits") for body in ("v2", "v2cols")),
    *(Case(model, 100, 16, body) for model in ("elasticnet", "digits") for body in ("v2", "v2cols")),
    *(Case(model, 100, 16) for model in ("forest", "digits")),
    *(Case(model, 1, 64) for model in MODELS if model != "elasticnet"),
]
QUICK = (
    "elasticnet-1x1-json", "elasticnet-1x64-json", "elasticnet-100x16-json", "elasticnet-10000x1",
    "forest-1x64", "histograms-1x64", "lightgbm-1x64", "digits-1x64", "digits-100x16", "strings-1x64", "pyfunc-1x64",
)  # fmt: skip
BARS = [
    Bar("elasticnet-1x64-json", "rps", {"mlflow": 60, "peer": 20, "constant": 0.9}),
    Bar("elasticnet-1x64-json", "p99", {"mlflow": 50, "peer": 8}),
    Bar("elasticnet-1x1-json", "p50", {"mlflow": 8, "peer": 8, "floor": 1}),
    Bar("forest-1x64-json", "rps", {"mlflow": 30, "peer": 25}),
    Bar("forest-100x16-json", "rps", {"mlflow": 7, "peer": 4}),
    Bar("histograms-1x64-json", "rps", {"peer": 15, "floor": 10}),
    Bar("lightgbm-1x64-json", "rps", {"peer": 15, "floor": 10}),
    Bar("strings-1x64-json", "rps", {"mlflow": 10, "peer": 12}),
    Bar("digits-1x64-json", "rps", {"mlflow": 200, "peer": 10}),
    Bar("elasticnet-100x16-json", "rps", {"mlflow": 30, "peer": 8, "floor": 2}),
    Bar("elasticnet-100x16-v2cols", "rps", {"peer": 8, "floor": 2}),
    Bar("digits-100x16-json", "rps", {"peer": 8, "floor": 2}),
    Bar("digits-100x16-v2cols", "rps", {"peer": 8, "floor": 2}),
    Bar("elasticnet-1x64-v2", "rps", {"kserve": 12}),
    Bar("elasticnet-1x64-v2cols", "rps", {"kserve": 12}),
    Bar("digits-1x64-v2", "rps", {"kserve": 12}),
    Bar("digits-1x64-v2cols", "rps", {"kserve": 12}),
    Bar("elasticnet-10000x1-json", "rps", {"mlflow": 15, "peer": 2}),
    Bar("elasticnet-10000x1-records", "rps", {"peer": 2}),
    Bar("elasticnet-10000x1-v2", "rps", {"peer": 2}),
    Bar("elasticnet-10000x1-v2bin", "rps", {"mlflow": 40, "peer": 4}),
    Bar("pyfunc-1x64-json", "rps", {"mlflow": 3}),
    Bar(
        "workers",
        "rps",
        {"one": 1.3},
        "2 workers, on two cores shared with the load (forest, 100 rows, 16 clients)",
    ),
    Bar("cold", "s", {"mlflow": 3, "kserve": 1 / 0.6}, "cold start to the first right answer", 0.9),
    Bar("memory", "MB", {"mlflow": 2, "kserve": 1 / 0.8}, "memory alone, after load and 1,000 requests"),
    Bar("image", "MB", {}, "the served image", 500),
]
