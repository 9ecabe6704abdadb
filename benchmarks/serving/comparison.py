"""How many times better ours is than others, from the results of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cases import CASES, PEERS, SAME_KIND

if TYPE_CHECKING:
    from collections.abc import Iterable

Results = dict[str, Any]
BY_KEY = {case.key: case for case in CASES}
MORE_IS_BETTER = ("rps",)


def find_best(results: Results, key: str, figure: str, names: Iterable[str]) -> tuple[str, float] | None:
    """Return the best of some servers in a figure, and its value.

    Where it takes several bodies of that kind, in the one it likes best.
    """
    if key in BY_KEY:
        case = BY_KEY[key]
        bodies = dict.fromkeys((case.body, *SAME_KIND[case.body]))
        found = [results["cases"].get(replace(case, body=body).key, {}) for body in bodies]
    else:
        found = [results[key]]
    values = [(name, result[name][figure]) for result in found for name in names if figure in result.get(name, {})]
    if not values:
        return None
    choose = max if figure in MORE_IS_BETTER else min
    return choose(values, key=lambda value: value[1])


def compare(results: Results, key: str, figure: str, name: str) -> tuple[str, float] | None:
    """Return whom ours is compared with and how many times better it is: than a server, or than the best "peer"."""
    section = results["cases"].get(key, {}) if key in BY_KEY else results[key]
    ours = section.get("us", {}).get(figure)
    other = find_best(results, key, figure, PEERS if name == "peer" else (name,))
    if not ours or not other or not other[1]:
        return None
    return other[0], ours / other[1] if figure in MORE_IS_BETTER else other[1] / ours


def say(factor: float, *, more: bool) -> str:
    """Return a factor in words: 71x; where less is better, the part of the other's that ours is: 1/73."""
    if more:
        return f"{factor:.0f}x" if factor >= 100 else f"{factor:.3g}x"
    if factor < 2:
        return f"{1 / factor:.2g}" if factor != 1 else "1"
    return f"1/{factor:.0f}" if factor >= 100 else f"1/{factor:.3g}"
