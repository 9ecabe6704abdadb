"""The program of a trial's pod: runs the script, and tells what that logs by lines of its own output, row by row.

Standard library only. Python gets this text as an argument, since the training image has none of our code; its own
first argument is JSON (file: the store that the script logs to; seconds: what it may take; tables: whose columns are
told), the others are the script's.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

MARK = "::slipway "  # begins a line that is not the script's: JSON with some rows, or with the end
LOOK_S = 1.0  # between two looks at the store
MOST = 20_000  # rows of a table that are told; of those after them the LAST
LAST = 1000
BATCH = 100  # rows of a line
SHOWN = 1_000_000  # characters of output that are passed on; of those after them the last lines
LINE = 65_536  # characters
_printing = threading.Lock()


def main() -> int:
    """Run the script; return its exit code, as a shell says it."""
    given = json.loads(sys.argv[1])
    file, tables = Path(given["file"]), given["tables"]
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *sys.argv[2:]]
    script = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert script.stdout  # noqa: S101 -- a pipe
    output = threading.Thread(target=pass_on, args=(script.stdout,), daemon=True)
    output.start()
    told = dict.fromkeys(tables, (0, 0))
    deadline, code = time.monotonic() + given["seconds"], None
    while code is None and time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            code = script.wait(LOOK_S)
        tell(file, tables, told)
    script.kill()
    output.join(LOOK_S)
    tell(file, tables, told, is_last=True)
    say({"end": code})
    return 124 if code is None else code if code >= 0 else 128 - code


def pass_on(output: IO[str]) -> None:
    """Print what the script prints; of very much the beginning and the end."""
    left, last = SHOWN, deque[str](maxlen=50)
    while line := output.readline(LINE):
        if left > 0:
            show(line)
        else:
            last.append(line)
        left -= len(line)
    for line in last:
        show(line)


def show(line: str) -> None:
    """Print a line of the script's."""
    with _printing:
        print(f" {line}" if line.startswith(MARK) else line, end="" if line.endswith("\n") else "\n", flush=True)


def say(words: dict[str, object]) -> None:
    """Print a line that is not the script's."""
    with _printing:
        print(MARK + json.dumps(words), flush=True)


def tell(file: Path, tables: dict[str, list[str]], told: dict[str, tuple[int, int]], *, is_last: bool = False) -> None:
    """Print the rows that are new in a store; what cannot be read now is told at another look."""
    found: list[tuple[str, list[object]]] = []
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=5)) as base:
        for table, columns in tables.items():
            # Of tags, which may be long, the one that makes a run a nested one
            where = "rowid > ?" + (" AND key = 'mlflow.parentRunId'" if table == "tags" else "")
            chosen = f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE {where} ORDER BY rowid"  # noqa: S608 -- our own words
            place, count = told[table]
            rows = base.execute(f"{chosen} LIMIT ?", (place, MOST - count)).fetchall()
            place = rows[-1][0] if rows else place
            if is_last:
                rows += reversed(base.execute(f"{chosen} DESC LIMIT ?", (place, LAST)).fetchall())
            told[table] = place, count + len(rows)
            found += [(table, [*row[1:]]) for row in rows]
    for at in range(0, len(found), BATCH):
        say({"rows": found[at : at + BATCH]})


if __name__ == "__main__":
    sys.exit(main())
