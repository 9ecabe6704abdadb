"""The report of `monitor`: one HTML file with its pictures in it, that asks nothing of any other machine."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.monitoring.drift import Column
    from slipway.monitoring.findings import Monitored, Window
    from slipway.monitoring.realised import Realised

MOST = 100  # columns with a picture
BARS = 16  # of a picture; of more categories the first
WIDTH, HEIGHT, GAP = 360, 120, 2
STYLE = """
:root { color-scheme: light dark; --text: #1c1f23; --soft: #565d66; --back: #fff; --line: #c9ced6;
  --before: #6b7683; --now: #0b62c4; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaed; --soft: #aab2bd; --back: #16181b; --line: #3c424a;
  --before: #98a3b0; --now: #6db3ff; --bad: #ff8a80 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } p, caption { color: var(--soft) }
.scroll { overflow-x: auto } .scroll:focus-visible { outline: 3px solid var(--now) }
table { border-collapse: collapse } caption { text-align: left; padding: .3rem 0 }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left } .bad { color: var(--bad); font-weight: 600 }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 1.5rem }
figure { margin: 0 } figcaption { font-size: .9rem } svg { width: 100%; height: auto } text { fill: var(--soft) }
.before { fill: var(--before) } .now { fill: var(--now) }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .4rem 0 1rem }
"""


def write(found: Monitored) -> str:
    """Return the report."""
    title = escape(f"{found.model} {found.version}")
    latest = found.latest
    parts = [_verdict(found), _realised(found)]
    if latest:
        parts += [_days(found.windows), _columns(latest), _pictures(latest)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Monitoring of {title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main><h1>Monitoring of {title}</h1>{''.join(parts)}</main></body></html>\n"
    )


def _verdict(found: Monitored) -> str:
    latest, rules = found.latest, found.rules
    if latest is None:
        rows = sum(window.rows for window in found.windows)
        return f"<p>{rows} rows were logged; {rules.min_rows} in a window are needed to judge drift.</p>"
    words = f"Drift in {', '.join(latest.drifted)}" if latest.drifted else "No column has drifted"
    mark = "bad" if latest.drifted else "good"
    known = f"{found.known['rows']} rows: {found.known['from']}"
    return (
        f'<p class="{mark}">{escape(words)}, {latest.since:%Y-%m-%d}, {latest.rows} rows.</p>'
        f"<p>Compared with {escape(known)}. A column has drifted when its test, corrected by Holm for all tests of the "
        f"window, gives p &lt; {rules.alpha:g}, and its PSI is at least {rules.psi:g}, or its share of missing values "
        f"differs by {rules.missing:.0%}.</p>"
    )


def _realised(found: Monitored) -> str:
    if not found.realised or not found.realised.known:
        return ""
    names = list(found.realised.metrics)
    rows = [_measured("all days", found.realised, names)]
    rows += [_measured(f"{day.since:%Y-%m-%d}", day.realised, names) for day in found.windows if day.realised]
    for beside in found.beside:
        rows += [
            _measured(f"the same rows as version {beside.version}", beside.own, names),
            _measured(f"version {beside.version} on them", beside.other, names),
        ]
    return "<h2>Realised metrics</h2>" + _table(
        "By the truth that has come so far", ["rows", *names, "with truth", "of"], rows
    )


def _measured(label: str, found: Realised, names: Sequence[str]) -> list[str]:
    values = [f"{found.metrics[name]:.5g}" if name in found.metrics else "–" for name in names]
    return [label, *values, str(found.known), str(found.rows)]


def _days(windows: Sequence[Window]) -> str:
    rows = [
        [
            f"{window.since:%Y-%m-%d}", str(window.rows), str(window.failed),
            ", ".join(window.drifted) or ("none" if window.columns else "too few rows"),
        ]
        for window in windows
    ]  # fmt: skip
    return "<h2>Days</h2>" + _table("Each day by itself", ["day", "rows", "failed requests", "drifted"], rows)


def _columns(window: Window) -> str:
    names = ["column", "kind", "PSI", "test", "statistic", "p (Holm)", "missing", "before", "out of range", "new"]
    rows = [
        [
            _name(column), column.kind, f"{column.psi:.3f}", column.test or "none", f"{column.statistic:.4g}",
            f"{column.p:.2g}", f"{column.missing:.1%}", f"{column.missing_before:.1%}", f"{column.out_of_range:.1%}",
            f"{column.new:.1%}",
        ]
        for column in window.columns
    ]  # fmt: skip
    bad = {_name(column) for column in window.columns if column.drifted}
    return "<h2>Columns</h2>" + _table(f"The latest day, {window.since:%Y-%m-%d}", names, rows, bad)


def _name(column: Column) -> str:
    return f"{column.name} (prediction)" if column.is_prediction else column.name


def _table(caption: str, names: Sequence[str], rows: Sequence[Sequence[str]], bad: set[str] | None = None) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        f"<tr{' class=bad' if row[0] in (bad or ()) else ''}>"
        f'<th scope="row">{escape(row[0])}{" — drift" if row[0] in (bad or ()) else ""}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _pictures(window: Window) -> str:
    drawn = [column for column in window.columns if column.expected][:MOST]
    figures = "".join(
        f"<figure><figcaption{' class=bad' if column.drifted else ''}>{escape(_name(column))}: "
        f"PSI {column.psi:.3f}</figcaption>{_bars(column)}</figure>"
        for column in drawn
    )
    key = '<p class="key"><span style="background:var(--before)"></span>reference<span style="background:var(--now)">'
    return f'<h2>Distributions</h2>{key}</span>latest day</p><div class="grid">{figures}</div>' if drawn else ""


def _bars(column: Column) -> str:
    """Return a picture of the shares of reference and window, bin by bin."""
    pairs = list(zip(column.expected, column.actual, strict=True))[:BARS]
    highest = max(max(pair) for pair in pairs) or 1.0
    step = WIDTH / len(pairs)
    bars = []
    for at, pair in enumerate(pairs):
        for place, (share, kind) in enumerate(zip(pair, ("before", "now"), strict=True)):
            tall, left = HEIGHT * share / highest, at * step + place * (step - GAP) / 2
            bars.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{HEIGHT - tall:.1f}" width="{(step - GAP) / 2:.1f}" '
                f'height="{tall:.1f}"><title>{escape(_label(column, at))}: {share:.1%}</title></rect>'
            )
    said = "; ".join(
        f"{_label(column, at)}: {before:.1%} before, {now:.1%} now" for at, (before, now) in enumerate(pairs)
    )
    first, last = _label(column, 0), _label(column, len(pairs) - 1)
    ends = f'<text x="0" y="{HEIGHT + 16}" font-size="12">{escape(first[:24])}</text>'
    ends += f'<text x="{WIDTH}" y="{HEIGHT + 16}" font-size="12" text-anchor="end">{escape(last[:24])}</text>'
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 20}" role="img" aria-label="{escape(said)}">{"".join(bars)}{ends}</svg>'
    )


def _label(column: Column, at: int) -> str:
    """Return the name of a bin: a category, or the range of numbers."""
    if len(column.labels) == len(column.expected):
        return column.labels[at]
    edges = ["below", *column.labels[1:-1], "above"] if len(column.labels) > 2 else column.labels  # noqa: PLR2004
    return f"{edges[at]} to {edges[at + 1]}" if at + 1 < len(edges) else f"bin {at + 1}"
