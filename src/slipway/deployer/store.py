"""The deployments on record: a sqlite file that survives a kill at any moment, and holds that one runs at a time.

sqlite and not the registry's tags: a deployment and its steps are this machine's own, change every second, and must be
on record before the registry is spoken to at all. What a release did to @champion stands in the registry: see history.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PENDING, RUNNING, DONE, FAILED, BACK, CANCELLED = "pending", "running", "done", "failed", "rolled back", "cancelled"
ENDED = (DONE, FAILED, BACK, CANCELLED)
DEPLOY, ROLL_BACK, FOLLOW = "deploy", "rollback", "follow"  # FOLLOW: the alias is there already
RANKS = {ROLL_BACK: 0, FOLLOW: 1, DEPLOY: 2}  # what concerns the champion goes before a candidate
URGENCY = "CASE action " + " ".join(f"WHEN '{action}' THEN {rank}" for action, rank in RANKS.items()) + " END"
AT_ALIAS = """EXISTS (SELECT 1 FROM steps WHERE deployment = deployments.id
    AND steps.name = 'alias' AND steps.state IN ('running', 'done'))"""
INSERT = """INSERT OR IGNORE INTO deployments (id, name, version, target, action, by, state, created)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
SCHEMA = """
CREATE TABLE IF NOT EXISTS deployments (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL,
    target TEXT NOT NULL, action TEXT NOT NULL, by TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', previous INTEGER, attempts INTEGER NOT NULL DEFAULT 0,
    cancel INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, ended REAL);
CREATE UNIQUE INDEX IF NOT EXISTS one_runs ON deployments (target) WHERE state = 'running';
CREATE UNIQUE INDEX IF NOT EXISTS one_of_a_version ON deployments (target, name, version)
    WHERE state IN ('pending', 'running');
CREATE TABLE IF NOT EXISTS steps (
    deployment TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
    started REAL NOT NULL, ended REAL, words TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, at REAL NOT NULL);
"""


@dataclass(frozen=True)
class Step:
    """One step of a deployment; times in s since 1970."""

    name: str
    state: str
    started: float
    ended: float | None
    words: str


@dataclass(frozen=True)
class Deployment:
    """One way of a version to a target; times in s since 1970."""

    id: str
    name: str
    version: int
    target: str
    action: str
    by: str
    state: str
    reason: str
    previous: int | None
    attempts: int
    cancel: bool
    created: float
    ended: float | None
    steps: list[Step] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The version's URI."""
        return f"models:/{self.name}/{self.version}"

    def show(self) -> dict[str, Any]:
        """Return it as JSON."""
        return dataclasses.asdict(self) | {"model": self.model}


class Store:
    """The file; each operation is one transaction."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._open() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)

    def add(self, name: str, version: int, target: str, action: str, by: str) -> tuple[Deployment, bool]:
        """Record a deployment that is to come.

        Return it, and whether it is new: there is one of a version until it has ended.

        One that is there already becomes as urgent as it is asked for now, unless it has come to the alias: it is as
        good as released.
        """
        with self._open() as database:
            values = (uuid.uuid4().hex[:12], name, version, target, action, by, PENDING, time.time())
            made = database.execute(INSERT, values).rowcount
            there = "target = ? AND name = ? AND version = ? AND state IN ('pending', 'running')"
            if action != DEPLOY:
                urgent = f"UPDATE deployments SET action = ? WHERE {there} AND NOT {AT_ALIAS} AND action != ?"  # noqa: S608
                database.execute(urgent, (action, target, name, version, ROLL_BACK))
            found = database.execute(f"SELECT * FROM deployments WHERE {there}", (target, name, version)).fetchone()  # noqa: S608
        return _read(found), bool(made)

    def begin(self, target: str) -> Deployment | None:
        """Take the most urgent that is to come, of those the oldest; None when there is none, or one runs."""
        with self._open() as database:
            found = database.execute(
                f"SELECT * FROM deployments WHERE target = ? AND state = 'pending' ORDER BY {URGENCY}, created LIMIT 1",  # noqa: S608
                (target,),
            ).fetchone()
            if found is None:
                return None
            taken = database.execute(
                "UPDATE OR IGNORE deployments SET state = 'running', reason = '', attempts = attempts + 1 "
                "WHERE id = ? AND state = 'pending'",
                (found["id"],),
            ).rowcount
        return self.get(found["id"]) if taken else None

    def end(self, deployment: str, state: str, reason: str = "") -> None:
        """Record how a deployment ended; PENDING: it waits, and this was no attempt."""
        ended, fewer = (time.time(), 0) if state in ENDED else (None, 1)
        with self._open() as database:
            database.execute(
                "UPDATE deployments SET state = ?, reason = ?, ended = ?, attempts = attempts - ? WHERE id = ?",
                (state, reason, ended, fewer, deployment),
            )

    def put_back(self, deployment: str, reason: str) -> None:
        """Requeue a deployment as if it had not started: this does not count as an attempt."""
        with self._open() as database:
            database.execute(
                "UPDATE deployments SET state = 'pending', reason = ?, previous = NULL, attempts = attempts - 1 "
                "WHERE id = ? AND state = 'running'",
                (reason, deployment),
            )

    def note(self, deployment: str, reason: str) -> None:
        """Record what a deployment waits for."""
        with self._open() as database:
            database.execute("UPDATE deployments SET reason = ? WHERE id = ?", (reason, deployment))

    def recover(self, target: str | None = None) -> list[Deployment]:
        """Requeue the deployments that were running when this program was killed (on a target, or all); return them.

        They restart from the first step.
        """
        with self._open() as database:
            found = [_read(row) for row in database.execute("SELECT * FROM deployments WHERE state = 'running'")]
            found = [each for each in found if target in {None, each.target}]
            for each in found:
                values = (time.time(), each.id)
                database.execute(
                    "UPDATE steps SET state = 'interrupted', ended = ? WHERE state = 'running' AND deployment = ?",
                    values,
                )
                database.execute("UPDATE deployments SET state = 'pending' WHERE id = ?", (each.id,))
        return found

    def set_previous(self, deployment: str, previous: int | None) -> None:
        """Record the champion that a deployment goes back to."""
        with self._open() as database:
            database.execute("UPDATE deployments SET previous = ? WHERE id = ?", (previous, deployment))

    def cancel(self, deployment: str) -> bool:
        """Cancel a deployment; one that has not started ends at once.

        Return False when it has ended, or moves the alias.
        """
        with self._open() as database:
            where = f"id = ? AND state IN ('pending', 'running') AND NOT {AT_ALIAS}"
            asked = database.execute(f"UPDATE deployments SET cancel = 1 WHERE {where}", (deployment,)).rowcount  # noqa: S608
            database.execute(
                "UPDATE deployments SET state = 'cancelled', reason = 'before it began', ended = ? "
                "WHERE id = ? AND state = 'pending' AND cancel = 1",
                (time.time(), deployment),
            )
        return bool(asked)

    def begin_step(self, deployment: str, name: str) -> int:
        """Record that a step begins; return its number."""
        with self._open() as database:
            return int(
                database.execute(
                    "INSERT INTO steps (deployment, name, state, started) VALUES (?, ?, 'running', ?)",
                    (deployment, name, time.time()),
                ).lastrowid or 0
            )  # fmt: skip

    def end_step(self, step: int, state: str, words: str) -> None:
        """Record how a step ended."""
        with self._open() as database:
            database.execute(
                "UPDATE steps SET state = ?, words = ?, ended = ? WHERE rowid = ?", (state, words, time.time(), step)
            )

    def get(self, deployment: str) -> Deployment | None:
        """Return a deployment with its steps."""
        with self._open() as database:
            found = database.execute("SELECT * FROM deployments WHERE id = ?", (deployment,)).fetchone()
            steps = database.execute(
                "SELECT name, state, started, ended, words FROM steps WHERE deployment = ? ORDER BY rowid",
                (deployment,),
            )
            return _read(found, [Step(**dict(step)) for step in steps]) if found else None

    def list(self, limit: int = 50) -> list[Deployment]:
        """Return the newest deployments with their steps, newest first."""
        with self._open() as database:
            ids = [
                row["id"]
                for row in database.execute("SELECT id FROM deployments ORDER BY created DESC LIMIT ?", (limit,))
            ]
        return [found for each in ids if (found := self.get(each))]

    def find_last(self, target: str, version: int) -> Deployment | None:
        """Return the newest deployment of a version to a target that is done."""
        with self._open() as database:
            found = database.execute(
                "SELECT id FROM deployments WHERE target = ? AND version = ? AND state = 'done' "
                "ORDER BY created DESC LIMIT 1",
                (target, version),
            ).fetchone()
        return self.get(found["id"]) if found else None

    def count(self) -> dict[tuple[str, str], int]:
        """Return how many deployments ended how, by model and outcome."""
        with self._open() as database:
            rows = database.execute(
                "SELECT name, state, COUNT(*) AS many FROM deployments WHERE ended IS NOT NULL GROUP BY name, state"
            ).fetchall()
        return {(row["name"], row["state"]): row["many"] for row in rows}

    def knows(self, delivery: str) -> bool:
        """Whether a delivery was remembered."""
        with self._open() as database:
            return database.execute("SELECT 1 FROM deliveries WHERE id = ?", (delivery,)).fetchone() is not None

    def remember(self, delivery: str, keep: float) -> None:
        """Remember a delivery for `keep` s."""
        with self._open() as database:
            database.execute("DELETE FROM deliveries WHERE at < ?", (time.time() - keep,))
            database.execute("INSERT OR IGNORE INTO deliveries VALUES (?, ?)", (delivery, time.time()))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._file, timeout=10)
        database.row_factory = sqlite3.Row
        try:
            with database:  # a transaction
                yield database
        finally:
            database.close()


def _read(row: sqlite3.Row, steps: list[Step] | None = None) -> Deployment:
    return Deployment(**{**dict(row), "cancel": bool(row["cancel"])}, steps=steps or [])
