"""The chart: a panel for each question, a bar for each server, the value beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from servers import SERVERS

if TYPE_CHECKING:
    from pathlib import Path

OURS, OTHER, REFERENCE, PALE = "#0b6e4f", "#9aa5b1", "#d5dae0", "#8dbcab"
PANELS = (  # title, a case's key or a section, the figure, its unit
    ("ElasticNet, 1 row, 64 clients", "elasticnet-1x64-json", "rps", "/s"),
    ("ElasticNet, 100 rows, 16 clients", "elasticnet-100x16-json", "rps", "/s"),
    ("ElasticNet, 10,000 rows, 1 client", "elasticnet-10000x1-json", "rps", "/s"),
    ("Forest of 100 trees, 1 row, 64 clients", "forest-1x64-json", "rps", "/s"),
    ("Forest of 100 trees, 100 rows, 16 clients", "forest-100x16-json", "rps", "/s"),
    ("LightGBM, 1 row, 64 clients", "lightgbm-1x64-json", "rps", "/s"),
    ("Model with strings, 1 row, 64 clients", "strings-1x64-json", "rps", "/s"),
    ("Slowest 1 % (p99): ElasticNet, 1 row, 64 clients", "elasticnet-1x64-json", "p99", " ms"),
    ("Start to the first right answer", "cold", "s", " s"),
    ("Memory after 1,000 requests", "memory", "MB", " MB"),
)
COLUMNS = 2
WHOLE_FROM = 10  # from here on, a value is written without decimals


def draw(results: dict[str, Any], file: Path) -> None:
    """Draw the panels that were measured."""
    import matplotlib as mpl  # not in memory while others' is measured

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = [(panel, values) for panel in PANELS if (values := _find(results, panel[1], panel[2]))]
    if not panels:
        return
    rows = -(-len(panels) // COLUMNS)
    most = max(len(values) for _, values in panels)
    figure, grid = plt.subplots(
        rows, COLUMNS, figsize=(11, rows * (0.8 + 0.27 * most)), squeeze=False, layout="constrained"
    )
    for axes, (panel, values) in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel, values)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    figure.suptitle(
        "One process on one core, JSON, the load from another core (pale: yardsticks, which are no model servers)",
        fontsize=11,
    )
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _find(results: dict[str, Any], key: str, figure: str) -> list[tuple[str, float]]:
    section = results[key] if key in results else results["cases"].get(key, {})
    values = [(name, result[figure]) for name, result in section.items() if figure in result]
    return sorted(values, key=lambda value: value[1], reverse=figure != "rps")


def _draw_panel(axes: Any, panel: tuple[str, str, str, str], values: list[tuple[str, float]]) -> None:
    title, _, figure, unit = panel
    colours = {"us": OURS, "off": PALE, "constant": REFERENCE, "floor": REFERENCE}
    bars = axes.barh([SERVERS[name].title for name, _ in values], [value for _, value in values],
                     color=[colours.get(name, OTHER) for name, _ in values], height=0.72)  # fmt: skip
    labels = [f"{value:,.0f}{unit}" if value >= WHOLE_FROM else f"{value:.2g}{unit}" for _, value in values]
    axes.bar_label(bars, labels, padding=4, fontsize=9)
    for label, (name, _) in zip(axes.get_yticklabels(), values, strict=True):
        label.set_fontweight("bold" if name == "us" else "normal")
    better = "requests/s, more is better" if figure == "rps" else "less is better"
    axes.set_title(f"{title}\n", loc="left", fontsize=10, fontweight="bold", pad=-4)
    axes.text(0, 1.02, better, transform=axes.transAxes, fontsize=8.5, color="#5c6770")
    axes.set_xlim(0, max(value for _, value in values) * 1.18)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
