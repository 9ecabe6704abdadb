"""A process that scores one part after another: python -m scoring.processes.batch.worker FOLDER --data … --out ….

It reads what to do, a line of JSON each, from stdin, and answers in lines of JSON on stdout: `ready`, `cut` (the parts
of a file), `rows` (since the last time), `done`, or `error`, after which it ends. It ends with its parent, too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import IO, TYPE_CHECKING, Any

from scoring import loading, memory
from scoring import settings as server_settings
from scoring.errors import ModelError, Refusal
from scoring.processes.batch import life, rows, storage
from scoring.processes.batch.part import Scorer, TooManyError, explain, to_json
from scoring.processes.batch.plan import Part

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED, DID_NOT_LOAD = 1, 3


def main() -> None:
    """Load the model, and do what stdin says until that ends."""
    life.end_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--keys", default="null", help="JSON: a list of columns, or null")
    parser.add_argument("--params", default="null", help="JSON")
    parser.add_argument("--max-rejects", type=int, default=1000, help="rows that may be set aside")
    given, rest = parser.parse_known_args()
    settings = server_settings.load(rest)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # a model may print what it likes

        def say(**words: Any) -> None:  # noqa: ANN401 -- JSON
            answers.write(json.dumps(words) + "\n")
            answers.flush()

        try:
            model = loading.load(settings)
            (data, _), (out, _) = storage.find(given.data), storage.find(given.out)
            keys, params = json.loads(given.keys), json.loads(given.params)
            scorer = Scorer(model, data, out, keys, params, given.max_rejects)
            identity = model.identity
            memory.trim()
            say(ready={"name": identity.name, "version": identity.version, "checksum": identity.checksum})
            for task in map(json.loads, sys.stdin):
                for answer in _do(task, scorer, data, out):
                    say(**answer)
        except ModelError as error:
            say(error=str(error), code=DID_NOT_LOAD)
        except Refusal as refusal:
            say(error=explain(refusal), code=REFUSED)


def _do(task: dict[str, Any], scorer: Scorer, data: storage.Place, out: storage.Place) -> Iterator[dict[str, Any]]:
    name = task["source"]
    try:
        if "number" not in task:
            with data.open(name) as file:
                yield {"cut": rows.cut(file, name, task["size"])}
            return
        part = Part(**task)
        for found in scorer.score(part):
            if isinstance(found, dict):
                yield found
            else:
                _record(out, part, to_json(found))
                yield {"done": to_json(found)}
    except TooManyError as error:
        yield {"many": str(error), "code": REFUSED}
    except Refusal as refusal:
        yield {"error": f"{name}: {explain(refusal)}", "code": REFUSED}
    except OSError as error:
        yield {"error": f"{name}: {error.strerror or error or type(error).__name__}", "code": REFUSED}
    except Exception as error:  # noqa: BLE001 -- a damaged file may raise whatever its reader does
        yield {"error": f"{name}: {type(error).__name__}: {str(error).partition(chr(10))[0]}", "code": REFUSED}


def _record(out: storage.Place, part: Part, done: dict[str, Any]) -> None:
    with out.write(part.record) as written:
        file: IO[bytes] = written.file
        file.write(json.dumps(done).encode())


if __name__ == "__main__":
    main()
