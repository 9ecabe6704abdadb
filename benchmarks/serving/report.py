"""The results of a run as Markdown and as a chart; python report.py FOLDER writes them again from serving.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import chart
from cases import BARS, MODELS, PEERS, Bar
from comparison import BY_KEY, MORE_IS_BETTER, compare, say
from servers import SERVERS

Results = dict[str, Any]
OTHERS = {
    "mlflow": "MLflow",
    "peer": "the best peer",
    "kserve": "KServe",
    "floor": "bare uvicorn",
    "constant": "a constant",
    "one": "1 worker",
}
UNITS = {"rps": "/s", "p50": " ms", "p99": " ms", "s": " s", "MB": " MB"}


def describe(result: Results) -> str:
    """Return the figures of one server in one case, or why there are none."""
    return (
        str(result["void"])
        if "void" in result
        else f"{say_number(result['rps'])}/s, {say_number(result['p50'])} / {say_number(result['p99'])} ms"
    )


def say_number(value: float) -> str:
    """Return a number with three digits or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(build: Path) -> None:
    """Write serving.md and serving.png beside serving.json."""
    results = json.loads((build / "serving.json").read_text())
    (build / "serving.md").write_text(
        "\n".join([*_head(results), *_bars(results), *_starts(results), *_cases(results)]) + "\n"
    )
    chart.draw(results, build / "serving.png")
    print(f"wrote {build / 'serving.md'}, serving.json and serving.png", flush=True)


def _head(results: Results) -> list[str]:
    versions = ", ".join(f"{SERVERS[name].title} {version}" for name, version in results["versions"].items())
    rounds = f"{results['rounds']} rounds" if results["rounds"] > 1 else "1 round"
    ways = ", ".join(f"{MODELS[model]} by {way}" for model, way in results["ways"].items())
    words = f"""# The scoring server, measured

- Machine: {results["machine"]}
- Date: {results["date"]}; it took {results["minutes"]:.0f} minutes
- Command: `{results["command"]}`
- Versions: {versions}
- Slipway's ways: {ways}

One process for each server on one core, wrk on another. The servers of a model are measured in turns, the others stand
still; each figure is the median of {rounds} of {results["seconds"]} s (twice that for 10,000 rows). The requests of a
case are 100 different bodies (10 of 100 rows, 2 of 10,000); each was answered rightly (to 1e-6) before it was measured.
The best peer is the best of KServe, MLServer, BentoML and LitServe in that figure, by whichever body of that kind it
takes fastest; those that must be told how many requests to gather are told the number of clients (of 10,000 rows: one).
Where MLflow does not speak a body, its JSON stands for it."""
    return [*words.splitlines(), ""]


def _bars(results: Results) -> list[str]:
    lines = """## The bars

Reached beside the bar; × where it was missed.

| case | ours | against MLflow | against the best peer | against another |
| --- | --- | --- | --- | --- |""".splitlines()
    for bar in BARS:
        section = results["cases"].get(bar.case, {}) if bar.case in BY_KEY else results[bar.case]
        ours = section.get("us", {})
        value = (
            f"{say_number(ours[bar.figure])}{UNITS[bar.figure]}"
            if bar.figure in ours
            else ours.get("void", "not measured")
        )
        others = [name for name in bar.bars if name not in ("mlflow", "peer")]
        cells = [_hold(results, bar, name) if name in bar.bars else "" for name in ("mlflow", "peer", *others[:1])]
        lines.append(f"| {bar.title} | {value} | {' | '.join([*cells, ''][:3])} |")
    return [*lines, ""]


def _hold(results: Results, bar: Bar, name: str) -> str:
    """Return what was reached against a server beside the bar."""
    more = bar.figure in MORE_IS_BETTER
    wanted = f"{'≥' if more else '≤'} {say(bar.bars[name], more=more)}"
    reached = compare(results, bar.case, bar.figure, name)
    if reached is None:
        return f"not measured ({wanted})"
    whom = SERVERS[reached[0]].title if reached[0] in SERVERS else OTHERS[name]
    mark = "" if reached[1] >= bar.bars[name] else " ×"
    return f"{say(reached[1], more=more)}{mark} ({wanted}{'' if name == 'mlflow' else ', ' + whom})"


def _starts(results: Results) -> list[str]:
    lines = f"""## Start and memory

Seconds from the start of the process to the first right answer (median of {results["starts"]}, files in the system's
cache); MB after 1,000 requests (PSS of all its processes).

| server | start | memory |
| --- | --- | --- |""".splitlines()
    for name, cold in results["cold"].items():
        memory = results["memory"][name]
        start = f"{cold['s']:.2f} s" if "s" in cold else cold["void"]
        held = f"{memory['MB']:.0f} MB" if "MB" in memory else memory["void"]
        lines.append(f"| {SERVERS[name].title} | {start} | {held} |")
    if results["workers"]:
        workers = {"one": "1 worker", "us": "2 workers"}
        shown = (
            f"{words}, no core of its own: {describe(results['workers'][name])}" for name, words in workers.items()
        )
        lines += ["", *(f"- Slipway, {each}" for each in shown)]
    return [*lines, ""]


def _cases(results: Results) -> list[str]:
    names = [name for name in SERVERS if any(name in figures for figures in results["cases"].values())]
    columns = [SERVERS[name].title for name in names]
    lines = f"""## All cases

Requests/s, then p50 / p99. A dash: the server does not speak that body, or does not serve that model.

| case | {" | ".join(columns)} | against MLflow | against the best peer |
|{" --- |" * (len(names) + 3)}""".splitlines()
    for key, figures in results["cases"].items():
        cells = [describe(figures[name]) if name in figures else "–" for name in names]
        ratios = []
        for other in ("mlflow", "peer"):
            reached = compare(results, key, "rps", other)
            ratios.append(
                f"{say(reached[1], more=True)}{f' ({SERVERS[reached[0]].title})' if reached[0] in PEERS else ''}"
                if reached
                else "–"
            )
        lines.append(f"| {BY_KEY[key].title} | {' | '.join(cells)} | {' | '.join(ratios)} |")
    return [*lines, ""]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
