"""The runs that one training logged, or one attempt at it: which of them counts, and the end of those that do not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import SlipwayError
from slipway.registry.client import Registry

if TYPE_CHECKING:
    from mlflow.entities import Run

    from slipway.settings import Settings

TAG = "slipway.training"  # finds the runs of one training, whatever experiment its script chose
PARENT_TAG = "mlflow.parentRunId"  # of a nested run
SHOWN = 5  # runs that an error names


def find_run(registry: Registry, script: str, session: str, kept: str) -> Run:
    """Return the run that counts: of nested ones the outermost, of several beside each other the newest with a model.

    Raises SlipwayError when the script logged none, or its models in nested runs alone.
    """
    runs = registry.find_runs(f"tags.`{TAG}` = '{session}'")
    if kept and not runs:
        found = registry.find_run(Path(kept).stem.rsplit("-", 1)[-1])
        runs = [found] if found else []
    if not runs:
        cure = "call mlflow.start_run() in it, and set_tracking_uri() nowhere; see docs/add-a-model.md"
        raise SlipwayError(f"{script} succeeded but logged no run here", cure)
    tops = [run for run in runs if not _is_child(run, runs)]
    if finished := [run for run in tops if _has_model(registry, run)]:
        if len(finished) > 1:
            words = f"{script} logged models in {len(finished)} runs; the newest counts: {finished[0].info.run_name}"
            print(f"note: {words}", file=sys.stderr, flush=True)
        return finished[0]
    if nested := [run for run in runs if _has_model(registry, run)]:
        there = ", ".join(f"{run.info.run_name} ({run.info.run_id[:8]})" for run in nested[:SHOWN]) + (
            ", …" if len(nested) > SHOWN else ""
        )
        raise SlipwayError(
            f"{script} logged no model in its run {tops[0].info.run_name}, but in {len(nested)} nested in it: {there}",
            "log the final model in the outer run, after the search; see docs/add-a-model.md",
        )
    return tops[0]


def end_runs(settings: Settings, session: str) -> None:
    """Mark the runs of an interrupted training, so that they do not look as if they still ran."""
    registry = Registry.connect(settings)
    for run in registry.find_runs(f"tags.`{TAG}` = '{session}' and attributes.status = 'RUNNING'"):
        registry.end_run(run.info.run_id)


def forget_lost(settings: Settings, session: str) -> None:
    """Keep one version of a training that was begun again.

    That of the newest run with a model, and any that an alias names.
    """
    registry = Registry.connect(settings)
    runs = registry.find_runs(f"tags.`{TAG}` = '{session}'")
    tops = [run for run in runs if not _is_child(run, runs)]
    kept = next((run.info.run_id for run in tops if _has_model(registry, run)), None)
    for run in runs if kept else []:
        if _find_root(run, runs) == kept:
            continue
        if run.info.status == "RUNNING":
            registry.end_run(run.info.run_id)
        for version in registry.find_versions_of_run(run.info.run_id):
            found = registry.find_version(version.name, version.version)  # a search leaves the aliases out
            if found and not found.aliases:
                registry.delete_version(version.name, version.version)


def _is_child(run: Run, runs: list[Run]) -> bool:
    return run.data.tags.get(PARENT_TAG) in {each.info.run_id for each in runs}


def _find_root(run: Run, runs: list[Run]) -> str:
    """Return the id of the outermost run that a run is nested in, among those of one training."""
    known = {each.info.run_id: each for each in runs}
    while (parent := run.data.tags.get(PARENT_TAG, "")) in known:
        run = known[parent]
    return str(run.info.run_id)


def _has_model(registry: Registry, run: Run) -> bool:
    return bool(run.outputs and run.outputs.model_outputs) or bool(registry.find_versions_of_run(run.info.run_id))
