"""What a training prints: the new version beside the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from slipway import registry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.folder import ModelFolder


def show(model: ModelFolder, client: MlflowClient, run: Run, version: ModelVersion) -> None:
    """Print a run's parameters and metrics, each metric with its spread (`<name>_std`) and the champion's."""
    champion = _champion_metrics(client, model.name)
    metrics = run.data.metrics
    table = Table(title=f"{version.name} version {version.version}", title_justify="left")
    for heading in ("", "this version", "champion"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in sorted(run.data.params):
        table.add_row(name, run.data.params[name], "")
    for name, value in sorted(metrics.items()):
        if not name.startswith("fold_") and not name.endswith("_std"):
            table.add_row(name, write(metrics, name), _beside(model, name, value, champion.get(name)))
    Console().print(table)


def write(metrics: dict[str, float], name: str) -> str:
    """Return a metric with its spread, such as 55.513 ± 3.68, or - without one."""
    if name not in metrics:
        return "-"
    return f"{metrics[name]:.5g}" + (f" ± {metrics[f'{name}_std']:.4g}" if f"{name}_std" in metrics else "")


def _beside(model: ModelFolder, name: str, value: float, champion: float | None) -> str:
    if champion is None:
        return "-"
    if name != model.metric or value == champion:
        return f"{champion:.5g}"
    return f"{champion:.5g} ({'better' if model.is_better(value, champion) else 'worse'} now)"


def _champion_metrics(client: MlflowClient, name: str) -> dict[str, float]:
    number = registry.find_aliases(client).get(name, {}).get(registry.CHAMPION)
    run_id = client.get_model_version(name, str(number)).run_id if number else None
    return registry.read_metrics(client, run_id) if run_id else {}
