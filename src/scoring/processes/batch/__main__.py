"""Score files: python -m scoring.processes.batch FOLDER --data rows/ --out scored/.

Each input file, or part of a large one, becomes a file in OUT: keys, predictions, the model's version. What is done is
not done again by a second call. The last line on stdout says in JSON what became of it. Exit code 1: something has to
be put right; 3: the model does not load; 130: interrupted.

Several may share a batch, each in a pod: first `--step plan`, alone; then `--step 1/3` to `3/3`, at once; then one
without, which scores what may be left, and ends the batch.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is begun yet

from scoring import settings as server_settings
from scoring.errors import ModelError, Refusal, bad
from scoring.processes.batch import life, plan, storage
from scoring.processes.batch.crew import DID_NOT_LOAD, Crew
from scoring.processes.batch.plan import Done
from scoring.processes.batch.progress import Progress, Told

if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

    from scoring.processes.batch.plan import Part

REFUSED, INTERRUPTED = 1, 130
PLAN = "plan"  # a step


def main() -> None:
    """Read the arguments, score, and end with the code that says how it went."""
    life.end_with_parent()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _interrupt)
    parser = argparse.ArgumentParser(prog="python -m scoring.processes.batch", description=__doc__)
    parser.add_argument("--data", required=True, help="a .csv or .parquet file, or a folder of them; or s3://…")
    parser.add_argument("--out", required=True, help="a folder, or s3://…")
    parser.add_argument("--keys", default="null", help="columns to keep, a JSON list; null: those that are no input")
    parser.add_argument("--params", default="null", help="the model's params, as JSON")
    parser.add_argument("--form", default="", choices=["", "csv", "parquet"], help="what to write; none: as the input")
    parser.add_argument("--max-rejects", type=int, default=1000, help="rows that may be set aside, altogether")
    parser.add_argument("--called", default="", help="what DATA is called in the manifest")
    parser.add_argument("--bar", action="store_true", help="draw a bar")
    parser.add_argument("--tell", action="store_true", help="tell in JSON how far it is")
    parser.add_argument("--step", default="", type=read_step, help="plan, or 2/5: the second of five shares")
    given, rest = parser.parse_known_args()
    settings = server_settings.load(rest)
    try:
        print(json.dumps(score(given, rest, settings.workers)), flush=True)
    except ModelError as error:
        sys.exit(_fail(str(error), DID_NOT_LOAD))
    except Refusal as refusal:
        sys.exit(_fail(refusal.message, REFUSED))
    except OSError as error:
        sys.exit(_fail(f"{error.filename or 'DATA or OUT'}: {error.strerror or error}", REFUSED))
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)


def score(given: argparse.Namespace, rest: list[str], workers: int) -> dict[str, Any]:
    """Score what is not scored yet, and return the totals. Raises ModelError, Refusal, OSError."""
    (data, only), (out, other) = storage.find(given.data), storage.find(given.out)
    if other:
        raise bad("OUT is a file, and must be a folder")
    sources, others = plan.find_sources(data, only)
    if others:
        print(f"note: {others} files of DATA end in neither .csv nor .parquet, and are left out", file=sys.stderr)
    options = [part for name in ("data", "out", "keys", "params") for part in (f"--{name}", getattr(given, name))]
    with Crew([*rest, *options, "--max-rejects", str(given.max_rejects)]) as crew:
        about = {
            "model": crew.start(min(workers, plan.count_most(sources))),
            "data": given.called or given.data,
            "format": given.form,
        }
        about |= {"keys": json.loads(given.keys), "params": json.loads(given.params)}
        if given.step and given.step != PLAN and out.read(plan.PLAN) is None:
            raise bad(f"OUT has no {plan.PLAN} yet, which --step plan writes")
        batch = plan.prepare(out, about, sources, crew.cut)
        if not given.step:  # alone
            out.tidy()
        done = plan.find_done(out, batch)
        if none := {entry.name for entry in sources} - {part.source for part in batch.parts}:
            print(f"note: {len(none)} files of DATA have no rows: {min(none)}", file=sys.stderr, flush=True)
        about_it = {"id": batch.id, "parts": len(batch.parts)}
        if given.step == PLAN:
            return {**about_it, "parts_now": len(batch.parts) - len(done)}
        share = take(given.step, batch.parts)
        todo = [part for part in share if part.number not in done]
        if done:
            print(f"{len(done)} of {len(batch.parts)} parts are done already", file=sys.stderr, flush=True)
        _score(crew, share, done, given)
    if given.step:
        return {**about_it, "parts_now": len(todo)}
    sources, _ = plan.find_sources(data, only)
    return {**plan.conclude(out, batch, done, sources), **about_it, "parts_now": len(todo)}


def take(step: str, parts: list[Part]) -> list[Part]:
    """Return the parts of a share, or all."""
    at, _, count = (step or "1/1").partition("/")
    return [part for part in parts if part.number % int(count) == int(at) - 1]


def _score(crew: Crew, share: list[Part], done: dict[int, Done], given: argparse.Namespace) -> None:
    """Score the parts of a share that are not `done`, and put there what becomes of them."""
    weights = {part.number: part.weight for part in share}
    before = sum(weights[each] for each in done if each in weights)
    told = Told(weights, done.values()) if given.tell else None
    progress = told or Progress(sum(weights.values()), before, is_bar=given.bar)
    rejects = sum(each.rejects for each in done.values())
    if rejects > given.max_rejects:
        raise bad(f"{rejects} rows are not predicted already, more than {given.max_rejects} (MAX_REJECTS)")
    try:
        for said in crew.score([part for part in share if part.number not in done]):
            rejects += said.get("rejects", 0)
            if "many" in said or rejects > given.max_rejects:
                first = f"; one of them: {said['many']}" if "many" in said else ""
                raise bad(f"more than {given.max_rejects} rows are not predicted (MAX_REJECTS){first}")
            if found := said.get("done"):
                done[found["number"]] = Done(**found)
                progress.finish(done[found["number"]])
            else:
                progress.count(said["rows"], said["bytes"])
    finally:
        progress.end()


def read_step(words: str) -> str:
    """Return a step, if it is one."""
    at, _, count = words.partition("/")
    if words in {"", PLAN} or (at.isdecimal() and count.isdecimal() and 1 <= int(at) <= int(count)):
        return words
    raise argparse.ArgumentTypeError(f"{words!r} is no step: plan, or 2/5")


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(words: str, code: int) -> int:
    print(f"error: {words}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
