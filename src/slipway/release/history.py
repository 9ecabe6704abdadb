"""The history of releases, kept in the registry as tags of the versions, so that every machine sees it."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from slipway import hints, model_folder
from slipway.errors import USAGE, SlipwayError
from slipway.registry import listing
from slipway.registry.client import CHAMPION, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slipway.settings import Settings

TAG = "slipway.release."  # and the time, in ms since 1970
PROMOTED, ROLLED_BACK, PUT_BACK, REFUSED, INTERRUPTED = "promoted", "rolled back", "put back", "refused", "interrupted"
TAKEN_BACK = "taken back"  # a first champion that did not roll out: the alias is unset again


@dataclass(frozen=True)
class Release:
    """One event in a model's history: what was done with a version, by whom, and why."""

    action: str
    version: int
    previous: int | None  # the champion before
    by: str
    verdict: str
    forced: bool = False
    why: str = ""
    at: int = 0  # ms since 1970


def read(registry: Registry, name: str) -> list[Release]:
    """Return a model's releases, oldest first; tags of other origin are skipped."""
    found = []
    for version in registry.find_versions(name).values():
        for tag, value in version.tags.items():
            if tag.startswith(TAG):
                try:
                    found.append(Release(**json.loads(value)))
                except (ValueError, TypeError):
                    continue
    return sorted(found, key=lambda release: release.at)


def record(registry: Registry, name: str, release: Release) -> None:
    """Add an event to the history. What moves the alias is recorded before it moves: `walk` knows which of them did."""
    past = read(registry, name)
    at = max(int(time.time() * 1000), past[-1].at + 1 if past else 0)  # another machine's clock may be ahead
    value = json.dumps(dataclasses.asdict(dataclasses.replace(release, at=at)))
    registry.tag_version(name, release.version, f"{TAG}{at}", value)


def walk(releases: Sequence[Release], champion: int | None) -> list[int]:
    """Return the earlier champions that rollbacks go through, the current champion last (pure).

    A promotion extends the list, a rollback shortens it: rolling back twice goes further back, never in a circle.
    The alias is the truth: a recorded step that never happened is dropped, an alias moved by hand
    counts as a promotion.
    """
    way: list[int] = []
    for release in releases:
        if release.action in {REFUSED, INTERRUPTED}:
            continue
        if release.action == PUT_BACK:  # the one that it replaced was never released
            _settle(way, release.version)
            continue
        if release.action == TAKEN_BACK:
            way = way[:-1] if way[-1:] == [release.version] else way
            continue
        if release.previous is not None:
            _settle(way, release.previous)
        if release.action == PROMOTED and way[-1:] != [release.version]:
            way.append(release.version)
        elif release.action != PROMOTED and release.version in way:
            _settle(way, release.version)
    if champion is not None:
        _settle(way, champion)
    return way


def show(settings: Settings, form: str = "") -> None:
    """Print the releases, newest first, as "table" or "json".

    Raises SlipwayError when there are none (as a table; JSON is an empty list).
    """
    if form not in {"", "table", "json"}:
        raise SlipwayError(f"FORMAT is {form!r}: must be table or json", "make releases FORMAT=json", USAGE)
    name = model_folder.load(settings.model_dir).name
    registry = Registry.connect(settings)
    releases = read(registry, name)
    champion = registry.find_champion(name)
    if form == "json":
        listing.print_json([dataclasses.asdict(release) for release in reversed(releases)])
        return
    if not releases:
        raise SlipwayError(f"no version of {name} was released yet", "make promote")
    table = Table(box=None, header_style="bold")
    for heading in ("when", "ago", "what", "version", "before", "by", "verdict"):
        table.add_column(heading, no_wrap=heading != "verdict")
    for release in reversed(releases):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(release.at / 1000))
        verdict = release.verdict + (f" (forced: {release.why or 'no reason given'})" if release.forced else "")
        before = "-" if release.previous is None else str(release.previous)
        table.add_row(when, listing.age(release.at), release.action, str(release.version), before, release.by, verdict)
    Console().print(table) if Console().is_terminal else Console(width=listing.WIDTH_OFF_TERMINAL).print(table)
    way = walk(releases, champion)
    by_hand = "" if champion is None or champion in {release.version for release in releases} else ", moved by hand"
    print(f"\n@{CHAMPION} is version {champion}{by_hand}" if champion else f"\nthere is no @{CHAMPION} now")
    if len(way) > 1:
        hints.say_next(f"make rollback    # to version {way[-2]}")


def _settle(way: list[int], champion: int) -> None:
    """Make the list end with the version that is known to have been champion then."""
    if champion not in way:
        way.append(champion)
    while way[-1] != champion:
        way.pop()
