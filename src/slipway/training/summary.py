"""What a training prints: the new version beside the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.table import Table

from slipway import hints
from slipway.services import deployer_client
from slipway.training import gate, measurements

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from slipway.model_folder import ModelFolder
    from slipway.registry.client import Registry
    from slipway.settings import Settings

T = TypeVar("T")
MOST = 50  # rows of a table


def show(model: ModelFolder, registry: Registry, run: Run, version: ModelVersion) -> gate.Verdict:
    """Print a run's parameters and metrics, each metric with its spread (`<name>_std`) and the champion's.

    Then what the gate says.

    Return that verdict, which rests on what is on record.
    """
    number = registry.find_champion(model.name)
    weighed = measurements.recall(registry, model, int(version.version), number)
    champion = weighed.measured[number].metrics if number and number in weighed.measured else {}
    metrics = run.data.metrics
    table = Table(title=f"{version.name} version {version.version}; {model.rules.metric} decides", title_justify="left")
    for heading in ("", "this version", f"champion, {number}" if number else "champion"):
        table.add_column(heading, justify="right" if heading else "left")
    params, left = shorten(sorted(run.data.params))
    for name in params:
        table.add_row(name, run.data.params[name], "")
    if left:
        table.add_row(left)
    deciding = model.rules.metric
    names = sorted({*metrics, *([deciding] if deciding in champion else [])}, key=lambda name: (name != deciding, name))
    shown, left = shorten([name for name in names if not name.startswith("fold_") and not name.endswith("_std")])
    for name in shown:
        table.add_row(name, write(metrics, name), write(champion, name), style="bold" if name == deciding else None)
    if left:
        table.add_row(left)
    Console(markup=False).print(table)
    if model.rules.metric not in metrics and (model.path / "validate.py").exists():
        print(
            hints.complete(
                f"gate     {model.rules.metric} is not measured yet: "
                "make compare measures it and shows what make promote would decide"
            )
        )
    else:
        say_verdict(weighed.verdict)
    return weighed.verdict


def shorten(rows: list[T]) -> tuple[list[T], str]:
    """Return as many rows as a table shows, and a line about the others, or ""."""
    left = len(rows) - MOST
    return rows[:MOST], f"… and {left} more, which MLflow shows" if left > 0 else ""


def say_verdict(verdict: gate.Verdict) -> None:
    """Print the gate's verdict, and what a promotion would do."""
    then = "make promote would go on to the smoke test" if verdict.passed else "make promote would refuse it"
    print(f"gate     {verdict.line}; {then}")


def write(metrics: dict[str, float], name: str) -> str:
    """Return a metric with its spread, such as 55.513 ± 3.68, or - without one."""
    if name not in metrics:
        return "-"
    return f"{metrics[name]:.5g}" + (f" ± {metrics[f'{name}_std']:.4g}" if f"{name}_std" in metrics else "")


def choose_next(settings: Settings, model: ModelFolder, verdict: gate.Verdict) -> str:
    """Return the command that makes sense after a training: to promote what is better, or what a deployer would serve.

    Else to try it.
    """
    is_wanted = verdict.kind == gate.BETTER or deployer_client.follows(settings, model.name)
    return "promote" if verdict.passed and is_wanted else "serve_model"
