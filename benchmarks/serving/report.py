"""The results of a run as Markdown and as a chart; python report.py FOLDER writes them again from serving.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import chart
from cases import BARS, MODELS, PEERS, WAYS, Bar
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
NOTHING, MISSED = "–", "×"
FIGURES = {"rps": "requests/s", "p50": "p50", "p99": "p99"}
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
    kernel = f"; OpenBLAS as on {results['coretype']}" if results["coretype"] else ""
    words = f"""# How fast the model server is

- Machine: {results["machine"]}{kernel}
- Date: {results["date"]}; it took {results["minutes"]:.0f} minutes
- Command: `{results["command"]}`
- Versions: {versions}

Each server runs as one process on one core, wrk on another. Servers are measured in turn while the others are stopped;
each figure is the median of {rounds} of {results["seconds"]} s (twice that for 10,000 rows). A case has 100 different
bodies (10 of 100 rows, 2 of 10,000), each answered correctly (to 1e-6) before the measurement. The best peer is the
best of KServe, MLServer, BentoML and LitServe in that figure, with whichever body of that kind it handles fastest.
Servers that need a configured batch size get the number of clients (for 10,000 rows: one). Where MLflow does not
support a body, its JSON result stands in. Bare uvicorn decodes a body with orjson, calls the estimator and encodes its
answer; a constant predicts nothing. With no shortcuts (`SCORING_SHORTCUTS=off`), our server calls each model as its
library does."""
    return [*words.splitlines(), "", *_ways(results)]


def _ways(results: Results) -> list[str]:
    if not results["ways"]:
        return []
    lines = """## The ways

By `/model.json` (`way`); × where it is not the one that the bars are about.

| model | way | why not a shorter one |
| --- | --- | --- |""".splitlines()
    for model, way in results["ways"].items():
        mark = "" if way["name"] == WAYS[model] else f" × ({WAYS[model]})"
        lines.append(f"| {MODELS[model]} | {way['name']}{mark} | {way['why']} |")
    return [*lines, ""]


def _bars(results: Results) -> list[str]:
    lines = """## The bars

The measured value, with the bar in parentheses; × marks a missed bar.

| case | ours | without shortcuts | against MLflow | against the best peer | against another |
| --- | --- | --- | --- | --- | --- |""".splitlines()
    missed = 0
    for bar in BARS:
        section = results["cases"].get(bar.case, {}) if bar.case in BY_KEY else results[bar.case]
        ours, off = (_say_figure(section.get(name, {}), bar.figure) for name in ("us", "off"))
        if bar.most:
            ours += _mark(section["us"][bar.figure] <= bar.most) if ours != NOTHING else ""
            ours += f" (≤ {say_number(bar.most)}{UNITS[bar.figure]})"
        others = [name for name in bar.bars if name not in ("mlflow", "peer")]
        cells = [_hold(results, bar, name) if name in bar.bars else "" for name in ("mlflow", "peer")]
        cells += ["; ".join(_hold(results, bar, name) for name in others)]
        missed += any(MISSED in cell for cell in (ours, *cells))
        title = bar.title or f"{BY_KEY[bar.case].title}: {FIGURES[bar.figure]}"
        lines.append(f"| {title} | {ours} | {off} | {' | '.join(cells)} |")
    return [*lines, "", f"Missed bars: {missed}.", ""]


def _say_figure(result: Results, figure: str) -> str:
    return f"{say_number(result[figure])}{UNITS[figure]}" if figure in result else str(result.get("void", NOTHING))


def _mark(reached: bool) -> str:  # noqa: FBT001 -- it is all that it is told
    return "" if reached else f" {MISSED}"


def _hold(results: Results, bar: Bar, name: str) -> str:
    """Return what was reached against a server beside the bar."""
    more = bar.figure in MORE_IS_BETTER
    wanted = f"{'≥' if more else '≤'} {say(bar.bars[name], more=more)}"
    reached = compare(results, bar.case, bar.figure, name)
    if reached is None:
        return f"{NOTHING} ({wanted}{'' if name in ('mlflow', 'peer') else ', ' + OTHERS[name]})"
    whom = SERVERS[reached[0]].title if reached[0] in SERVERS else OTHERS[name]
    mark = _mark(reached[1] >= bar.bars[name])
    return f"{say(reached[1], more=more)}{mark} ({wanted}{'' if name == 'mlflow' else ', ' + whom})"


def _starts(results: Results) -> list[str]:
    lines = f"""## Start and memory

Seconds from process start to the first correct answer (median of {results["starts"]}, warm file cache); MB after
1,000 requests (PSS of all its processes, started alone{_name_sharers(results)}).

| server | start | memory |
| --- | --- | --- |""".splitlines()
    for name, cold in results["cold"].items():
        memory = results["memory"][name]
        start = f"{cold['s']:.2f} s" if "s" in cold else cold["void"]
        held = f"{memory['MB']:.0f} MB" if "MB" in memory else memory["void"]
        lines.append(f"| {SERVERS[name].title} | {start} | {held} |")
    if image := results["image"].get("us"):
        lines += ["", f"- The served image, `{image['tag']}`: {image['MB']:.0f} MB"]
    if results["workers"]:
        workers = {"one": "1 worker", "us": "2 workers"}
        shown = (
            f"{words}, on cores shared with the load: {describe(results['workers'][name])}"
            for name, words in workers.items()
        )
        lines += [*([] if image else [""]), *(f"- Slipway, {each}" for each in shown)]
    return [*lines, ""]


def _name_sharers(results: Results) -> str:
    """Return whose memory was not measured alone: other processes had the same libraries in theirs."""
    shared = [SERVERS[name].title for name, memory in results["memory"].items() if memory.get("sharers")]
    return f"; but other processes shared the libraries of {', '.join(shared)}, so it is too low" if shared else ""


def _cases(results: Results) -> list[str]:
    names = [name for name in SERVERS if any(name in figures for figures in results["cases"].values())]
    columns = [SERVERS[name].title for name in names]
    lines = f"""## All cases

Requests/s, then p50 / p99. A dash: the server does not support that body or that model.

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
