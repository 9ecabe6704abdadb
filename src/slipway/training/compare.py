"""Versions beside each other: their metrics, what differs between them, and a picture."""

from __future__ import annotations

import math
import re
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from slipway import hints, model_folder
from slipway.errors import USAGE, SlipwayError, TimedOutError
from slipway.monitoring import results
from slipway.registry import connection, model_uri
from slipway.registry.client import CHAMPION, Registry
from slipway.settings import BUILD, ROOT
from slipway.training import gate, measurements, summary, weighing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slipway.registry.model_uri import ModelRef
    from slipway.settings import Settings
    from slipway.training.measurements import Measured

MARK = f"@{CHAMPION}"  # ends the champion's label
COLUMNS = 3  # of panels in a picture
MOST = 9  # panels
TITLE = 60  # characters
LARGEST = 1e300  # no picture has an axis beyond; MySQL keeps infinity as 1.8e308
WIDTH_OFF_TERMINAL = 160  # a pipe has no width; the table should not be cut for it


@dataclass(frozen=True)
class Difference:
    """A fact that not all versions share: its value in each of them, in their order."""

    name: str
    values: list[str]


def compare(settings: Settings, uri: str = "", several: str = "") -> Path:
    """Print a version (default: the newest) beside the champion, or all that `several` names.

    Draw them, and return the picture's path.

    Raises SlipwayError for a version that is not there, without a champion, and for fewer than two versions.
    """
    model = model_folder.load(settings.model_dir)
    registry = Registry.connect(settings)
    found = _find_several(registry, model.name, several) if several.strip() else _find_two(registry, model.name, uri)
    verdict = None if several.strip() else _judge(settings, registry, model, found)
    champions = registry.find_aliases()
    versions = [(_label(one, model.name, champions), measurements.measure(registry, one)) for one in found]
    metrics = list_metrics([measured for _, measured in versions], model.rules.metric)
    console = Console(markup=False, width=None if sys.stdout.isatty() else WIDTH_OFF_TERMINAL)
    console.print(_tabulate_metrics(versions, metrics, model, ranked=verdict is None or verdict.ranks))
    differences = find_differences([measured for _, measured in versions])
    if differences:
        table = _begin("what differs", [label for label, _ in versions])
        shown, left = summary.shorten(differences)
        for difference in shown:
            table.add_row(difference.name, *difference.values)
        if left:
            table.add_row(left)
        console.print(table)
    else:
        print("nothing else differs: parameters, data, libraries and commit are the same")
    _warn(model, found, versions)
    for one in found:
        if one.version and (known := results.describe(registry, model.name, int(one.version))):
            print(known)
    if verdict:
        summary.say_verdict(verdict)
    path = (
        BUILD
        / "compare"
        / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', '-'.join([model.name, *(label for label, _ in versions)]))}.png"
    )
    validated = any(name.startswith("validation_") for name in metrics)
    drawn = [name for name in metrics if name == model.rules.metric or name.startswith("validation_") or not validated]
    draw(path, f"{model.name}: versions {', '.join(label for label, _ in versions)}", versions, drawn)
    print(f"picture  {path.relative_to(ROOT)}")
    return path


def list_metrics(versions: list[Measured], deciding: str) -> list[str]:
    """Return the names of all metrics, less the spreads.

    The one that decides, then those of a validation, then the others.
    """
    names = {name for measured in versions for name in measured.metrics}
    values = {name for name in names if not (name.endswith("_std") and name.removesuffix("_std") in names)}
    return sorted(values, key=lambda name: (name != deciding, not name.startswith("validation_"), name))


def find_differences(versions: list[Measured]) -> list[Difference]:
    """Return the parameters, data, libraries and commits that not all versions share.

    "-" stands for one that is not known.
    """
    kinds: list[tuple[str, Callable[[Measured], dict[str, str]]]] = [
        ("", lambda measured: measured.params),
        ("", lambda measured: {"data (digest)": measured.data, "commit": measured.commit[:10]}),
        ("library ", lambda measured: measured.libraries),
    ]
    found = []
    for prefix, read in kinds:
        facts = [read(measured) for measured in versions]
        for name in sorted({name for one in facts for name in one}):
            values = [one.get(name) or "-" for one in facts]
            if len(set(values)) > 1:
                found.append(Difference(prefix + name, values))
    return found


def draw(path: Path, title: str, versions: list[tuple[str, Measured]], metrics: list[str]) -> None:
    """Write a PNG: a panel for each metric, in it a dot for each version (label, measured) with its spread as a bar.

    A label that ends in `@champion` is marked. At most `MOST` panels; a version without the metric, or with one that
    is not finite, has no dot.
    """
    from matplotlib.figure import Figure  # half a second, which other commands need not wait for
    from matplotlib.ticker import MaxNLocator

    shown = [name for name in metrics if any(name in measured.metrics for _, measured in versions)][:MOST]
    columns = min(COLUMNS, max(len(shown), 1))
    rows = max(-(-len(shown) // columns), 1)
    figure = Figure(figsize=(max(3.4 * columns, 5), 3 * rows + 0.5), layout="constrained")
    figure.suptitle(_write_title(title))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, shown, strict=False):
        for place, (label, measured) in enumerate(versions):
            if abs(measured.metrics.get(name, math.nan)) < LARGEST:
                style = (
                    {"color": "tab:orange", "marker": "D"}
                    if label.endswith(MARK)
                    else {"color": "tab:blue", "marker": "o"}
                )
                spread = measured.metrics.get(f"{name}_std", 0)
                spread = spread if math.isfinite(spread) and spread > 0 else 0
                axes.errorbar(place, measured.metrics[name], yerr=spread, capsize=4, **style)
        axes.set(title=_write_title(name), xlim=(-0.6, len(versions) - 0.4))
        axes.set_xticks(range(len(versions)), [_write_title(label).replace(" ", "\n") for label, _ in versions])
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(axis="y", alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _write_title(text: str) -> str:
    """Return text as a picture shows it: short, and nothing in it taken for a formula."""
    return (text if len(text) <= TITLE else f"{text[:TITLE]}…").replace("$", r"\$")


def _find_two(registry: Registry, name: str, uri: str) -> list[ModelRef]:
    candidate = model_uri.resolve(registry, uri or f"models:/{name}/latest")
    name = candidate.name or name
    champion = registry.find_aliases().get(name, {}).get(CHAMPION)
    versions = registry.find_versions(name)
    if candidate.version and len(versions) == 1:
        raise SlipwayError(
            f"{name} has only version {candidate.version}, so there is nothing to compare it with", "make train_model"
        )
    if champion is None:
        there = " ".join(map(str, sorted(versions)[-5:]))
        raise SlipwayError(f"{name} has no {MARK} to compare with", f'make compare MODELS="{there}"')
    if candidate.version == str(champion):
        others = [number for number in sorted(versions) if number != champion]
        raise SlipwayError(
            f"{name} version {champion} is {MARK} itself",
            f"make compare MODEL={shlex.quote(f'models:/{name}/{others[-1]}')}",
        )
    return [model_uri.resolve(registry, f"models:/{name}/{champion}"), candidate]


def _find_several(registry: Registry, name: str, several: str) -> list[ModelRef]:
    words = [word for word in re.split(r"[\s,]+", several) if word]
    found = [model_uri.resolve(registry, f"models:/{name}/{word}" if word.isdigit() else word) for word in words]
    distinct = list({(one.name, one.version) if one.version else one.location: one for one in found}.values())
    if len(distinct) <= 1:
        raise SlipwayError(
            f"MODELS={several!r} names one version; a comparison needs two", 'make compare MODELS="1 2"', USAGE
        )
    return distinct


def _judge(
    settings: Settings, registry: Registry, model: model_folder.ModelFolder, found: list[ModelRef]
) -> gate.Verdict | None:
    """Return what the gate says of a candidate beside the champion, both measured as a promotion does.

    None for what has no gate here.
    """
    champion, candidate = found
    if candidate.name != model.name or not candidate.version:
        return None
    try:
        return weighing.weigh(settings, registry, model, candidate, int(champion.version or 0)).verdict
    except (TimedOutError, connection.UnreachableError):
        raise
    except SlipwayError as error:
        return gate.Verdict("not measured", error.message)


def _label(model: ModelRef, name: str, aliases: dict[str, dict[str, int]]) -> str:
    if not model.name or not model.version:
        return model.uri.rsplit("/", 1)[-1]
    words = model.version if model.name == name else f"{model.name}/{model.version}"
    is_champion = str(aliases.get(model.name, {}).get(CHAMPION)) == model.version
    return f"{words} {MARK}" if is_champion else words


def _begin(title: str, labels: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for label in labels:
        table.add_column(label, justify="right", overflow="fold")
    return table


def _tabulate_metrics(
    versions: list[tuple[str, Measured]], metrics: list[str], model: model_folder.ModelFolder, *, ranked: bool
) -> Table:
    table = _begin(f"{model.name}: {model.rules.metric} decides ({model.direction})", [label for label, _ in versions])
    shown, left = summary.shorten(metrics)
    for name in shown:
        cells = [summary.write(measured.metrics, name) for _, measured in versions]
        values = [measured.metrics.get(name) for _, measured in versions]
        known = [value for value in values if value is not None and math.isfinite(value)]
        if ranked and name == model.rules.metric and len(set(known)) > 1:
            best = min(known) if model.direction == "minimize" else max(known)
            word = "better" if len(cells) == 2 else "best"  # noqa: PLR2004
            cells = [f"{cell}, {word}" if value == best else cell for cell, value in zip(cells, values, strict=True)]
        table.add_row(name, *cells, style="bold" if name == model.rules.metric else None)
    if left:
        table.add_row(left)
    return table


def _warn(model: model_folder.ModelFolder, found: list[ModelRef], versions: list[tuple[str, Measured]]) -> None:
    """Say what makes the scores of these versions hard to compare."""
    digests = set()
    for one, (label, measured) in zip(found, versions, strict=True):
        if any(name.startswith("validation_") for name in measured.metrics):
            digests.add(measured.data)
        else:
            print(
                hints.complete(
                    f"note: {label} has not been validated: make validate_model MODEL={shlex.quote(one.uri)}"
                ),
                file=sys.stderr,
            )
        if model.rules.metric not in measured.metrics:
            print(f"note: {label} has no {model.rules.metric}, the deciding metric", file=sys.stderr)
    if len(digests) > 1:
        print("note: not all were scored on the same data, so the scores cannot be compared", file=sys.stderr)
