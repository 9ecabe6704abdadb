"""What a batch is: its model, settings, input files and their parts; noted in OUT, and compared by a second call."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from scoring.errors import bad

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.processes.batch.storage import Entry, Place

    Cut = Callable[[Entry], list[tuple[int, int, int, int]]]

PLAN, MANIFEST, SUCCESS = "_plan.json", "_manifest.json", "_SUCCESS"
FORMS = (".csv", ".parquet")
GROUPS = 32 * 1024 * 1024  # bytes of CSV, or of row groups, that make a part
ANOTHER = "OUT holds a batch with another {}: {}; take another OUT, or delete that one"


@dataclass(frozen=True)
class Part:
    """A part of an input file: bytes of CSV, or row groups of Parquet."""

    number: int
    source: str
    output: str
    begin: int
    end: int
    place: int  # the line of CSV, or the row of Parquet, that it begins with, from 1
    weight: int  # bytes

    @property
    def rejects(self) -> str:
        """The file of the rows that are set aside."""
        return f"_rejects/{self.output}.csv"

    @property
    def record(self) -> str:
        """The file that says that it is done."""
        return f"_parts/{self.number:05}.json"


@dataclass
class Done:
    """What became of a part."""

    number: int
    source: str
    output: str
    rows_in: int
    rows_out: int
    rejects: int
    size: int
    sha256: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A batch: `about` are its model and settings, `sources` its files as they were when it began."""

    id: str
    about: dict[str, Any]
    sources: list[dict[str, Any]]
    parts: list[Part]


def find_sources(data: Place, only: str) -> tuple[list[Entry], int]:
    """Return the input files, and how many others there are; names that begin with _ or . are nobody's input.

    Raises Refusal when there is none.
    """
    named = data.list(only)
    if not only:
        named = [entry for entry in named if not any(each[0] in "_." for each in entry.name.split("/"))]
    found = [entry for entry in named if entry.name.lower().endswith(FORMS)]
    if not found:
        raise bad("DATA has no file that ends in .csv or .parquet")
    return found, len(named) - len(found)


def count_most(sources: list[Entry]) -> int:
    """Return how many parts the files have at most: all but the last of each have GROUPS bytes."""
    return sum(entry.size // GROUPS + 1 for entry in sources)


def prepare(out: Place, about: dict[str, Any], sources: list[Entry], cut: Cut) -> Plan:
    """Return the plan that OUT has, or make it and note it there.

    Raises Refusal for an OUT with another batch, or with anything else.
    """
    noted, files = out.read(PLAN), [asdict(each) for each in sources]
    if noted is None:
        if there := [entry.name for entry in out.list() if not entry.name.startswith(("_", "."))]:
            raise bad(f"OUT holds {there[0]}, which no batch wrote: take another OUT, an empty folder")
        plan = Plan(uuid.uuid4().hex, about, files, _cut(sources, str(about["format"]), cut))
        with out.write(PLAN) as written:
            written.file.write(json.dumps(asdict(plan), indent=1).encode())
        return plan
    try:
        known = json.loads(noted)
        plan = Plan(known["id"], known["about"], known["sources"], [Part(**each) for each in known["parts"]])
    except (ValueError, KeyError, TypeError):
        raise bad(f"OUT's {PLAN} is not a batch's: take another OUT") from None
    for name, value in about.items():
        if name != "data" and plan.about.get(name) != value:  # the same files may be reached by another path
            raise bad(ANOTHER.format(name, f"{_word(plan.about.get(name))}, not {_word(value)}"))
    if plan.sources != files:
        raise bad(ANOTHER.format("input", _differ(plan.sources, files)))
    return plan


def find_done(out: Place, plan: Plan) -> dict[int, Done]:
    """Return what became of the parts that are done: there is a record, and its output is as the record has it."""
    sizes, found = {entry.name: entry.size for entry in out.list()}, {}
    for part in plan.parts:
        if part.record in sizes:
            try:
                done = Done(**json.loads(out.read(part.record) or b"{}"))
            except (ValueError, TypeError):  # damaged: the part is done again
                continue
            if sizes.get(part.output) == done.size and (not done.rejects or part.rejects in sizes):
                found[part.number] = done
    return found


def conclude(out: Place, plan: Plan, done: dict[int, Done], sources: list[Entry]) -> dict[str, Any]:
    """Write the manifest, then `_SUCCESS`, and return the totals; `sources` are the input files as they are now.

    Raises Refusal when these are not what the batch began with, and when no row at all was predicted.
    """
    if (now := [asdict(entry) for entry in sources]) != plan.sources:
        raise bad(ANOTHER.format("input", _differ(plan.sources, now)))
    each = [done[part.number] for part in plan.parts]
    total: dict[str, Any] = {
        "rows_in": sum(part.rows_in for part in each),
        "rows_out": sum(part.rows_out for part in each),
        "rejects": sum(part.rejects for part in each),
        "seconds": round(sum(part.seconds for part in each), 3),
    }
    if total["rejects"] and not total["rows_out"]:
        words = f"the model takes none of the {total['rows_in']} rows: see _rejects in OUT"
        raise bad(f"{words}; then take another OUT, or delete that one")
    files, by_source = [], defaultdict[str, list[Done]](list)
    for part in each:
        by_source[part.source].append(part)
    for source in plan.sources:
        of_it = by_source[source["name"]]
        outputs = [{"name": part.output, "rows": part.rows_out, "sha256": part.sha256} for part in of_it]
        counts = {name: sum(getattr(part, name) for part in of_it) for name in ("rows_in", "rows_out", "rejects")}
        files.append({**source, **counts, "outputs": outputs})
    manifest = {"id": plan.id, **plan.about, **total, "files": files}
    with out.write(MANIFEST) as written:
        written.file.write(json.dumps(manifest, indent=1).encode())
    with out.write(SUCCESS):
        pass
    return total


def _cut(sources: list[Entry], form: str, cut: Cut) -> list[Part]:
    parts: list[Part] = []
    taken = set[str]()
    for source in sources:
        path, pieces = PurePosixPath(source.name), cut(source)
        suffix = f".{form}" if form else path.suffix.lower()
        stem = str(path.with_suffix(""))
        if f"{stem}{suffix}" in taken:  # rows.csv beside rows.parquet
            stem = source.name
        taken.add(f"{stem}{suffix}")
        for at, (begin, end, place, weight) in enumerate(pieces, 1):
            middle = f".{at:05}-of-{len(pieces):05}" if len(pieces) > 1 else ""
            parts.append(Part(len(parts), source.name, f"{stem}{middle}{suffix}", begin, end, place, weight))
    return parts


def _word(value: object) -> str:
    if isinstance(value, dict):
        return f"{value.get('name')} {value.get('version')} ({str(value.get('checksum')).rpartition(':')[2][:12]})"
    return json.dumps(value)


def _differ(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> str:
    before, now = ({each["name"]: each for each in some} for some in (old, new))
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    name = changed[0]
    what = "is new" if name not in before else "is gone" if name not in now else "has changed"
    return f"{name} {what}"
