"""Runs that our own commands log, beside those of scripts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from slipway.registry.client import GONE, Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlflow.entities import Experiment, Run

Point = tuple[str, float, int, int]  # of a metric: name, value, ms since 1970, step
METRICS, PARAMS = 1000, 100  # that MLflow takes in one call


class RunLog(Registry):
    """The registry, and what it takes to log runs there."""

    def __init__(self, uri: str) -> None:
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for every run
        super().__init__(uri)

    def ensure_experiment(self, name: str) -> str:
        """Return the id of an experiment, made if missing."""
        found = self.find_experiment(name)
        return str(found.experiment_id if found else self._ask(self._client.create_experiment, name))

    def list_experiments(self, most: int) -> list[Experiment]:
        """Return the experiments that changed last."""
        order = ["last_update_time DESC"]
        return list(self._ask(self._client.search_experiments, max_results=most, order_by=order))

    def list_newest(self, experiment: str, most: int) -> list[Run]:
        """Return the newest runs of an experiment, by its id; newest first."""
        order = ["attributes.start_time DESC"]
        return list(self._ask(self._client.search_runs, [experiment], max_results=most, order_by=order))

    def begin_run(self, experiment: str, name: str, tags: dict[str, str]) -> str:
        """Begin a run in an experiment, by its id; return the run's."""
        return str(self._ask(self._client.create_run, experiment, tags=tags, run_name=name).info.run_id)

    def log_used_model(self, run_id: str, model_id: str) -> None:
        """Link a run to the logged model that it used."""
        from mlflow.entities import LoggedModelInput

        self._ask(self._client.log_inputs, run_id, models=[LoggedModelInput(model_id)])

    def log_metrics(self, run_id: str, points: Sequence[Point]) -> None:
        """Log metrics to a run, batch by batch."""
        from mlflow.entities import Metric

        for at in range(0, len(points), METRICS):
            batch = [Metric(*point) for point in points[at : at + METRICS]]
            self._ask(self._client.log_batch, run_id, batch)

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Log parameters to a run, batch by batch."""
        from mlflow.entities import Param

        texts = [Param(*item) for item in params.items()]
        for at in range(0, len(texts), PARAMS):
            self._ask(self._client.log_batch, run_id, params=texts[at : at + PARAMS])

    def tag_run(self, run_id: str, tag: str, value: str) -> None:
        """Set a tag of a run."""
        self._ask(self._client.set_tag, run_id, tag, value)

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Add a file to a run, in a folder of its artifacts."""
        self._ask(self._client.log_artifact, run_id, str(file), folder)

    def reopen_run(self, run_id: str) -> None:
        """Mark a run as running again."""
        self._ask(self._client.update_run, run_id, "RUNNING")

    def delete_run(self, run_id: str) -> None:
        """Delete a run, as the UI does."""
        self._ask_unless(GONE, self._client.delete_run, run_id)
