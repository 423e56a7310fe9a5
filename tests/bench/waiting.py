"""A thousand changes that wait, half for votes and half for their slots, against none.

What waits is a row in the ledger, so the scheduler's processor time and the way from an answer to
the next task should be the same. Both are measured in turn on one stack: none, a thousand, none …
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.ledger import Actor, Source, Subject
from include.ledger.connection import open_ledger
from include.output import print_progress
from tests.bench.answers import run_approvals
from tests.bench.figures import Figure, median
from tests.bench.stand import Stand, stand

CHANGES = 1_000
IDLE = 30.0
# So many changes as one row each, far from any number that the stack gives itself.
_MADE = "CHG-9%"

_WRITE = """
INSERT INTO change (id, type, state, title, revision, content_hash, systems, requester, created_at,
                    updated_at, planned_start, planned_end)
SELECT 'CHG-9' || lpad(n::text, 5, '0'), 'normal',
       CASE WHEN n % 2 = 0 THEN 'authorizing' ELSE 'scheduled' END,
       'a change that waits', 1, 'sha256:x', ARRAY['network'], 'rita', now(), now(), :start,
       :start + interval '3 years'
FROM generate_series(1, :count) AS n;
INSERT INTO revision (change_id, number, content, content_hash, author, created_at)
SELECT id, 1, jsonb_build_object('type', 'normal', 'title', title, 'requester', 'rita',
       'implementers', jsonb_build_array('rita'), 'affected_systems', jsonb_build_array('network'),
       'description', repeat('what is done and why. ', 40)), content_hash, 'rita', now()
FROM change WHERE id LIKE :made;
INSERT INTO slot (change_id, system, during, window_name)
SELECT id, 'network', tstzrange(:start + right(id, 5)::int * interval '1 day',
       :start + right(id, 5)::int * interval '1 day' + interval '1 hour'), 'standard'
FROM change WHERE id LIKE :made AND state = 'scheduled';
INSERT INTO ballot (change_id, content_hash, rule, parties, policy_hash, meaning, state, opened_at,
                    closes_at, votes_last_until)
SELECT id, content_hash, '{"mandatory": ["technical_lead"], "asked": ["technical_lead"],
       "votes": 1, "approvals": 1, "chair": null}', '[]', 'sha256:x', 'approval', 'open', now(),
       now() + interval '14 days', now() + interval '14 days'
FROM change WHERE id LIKE :made AND state = 'authorizing';
"""
# Given up, they are as if they had never been for everything that looks for work.
_AWAY = """
UPDATE change SET state = 'cancelled' WHERE id LIKE :made;
UPDATE ballot SET state = 'withdrawn' WHERE change_id LIKE :made;
UPDATE slot SET released_at = now() WHERE change_id LIKE :made;
"""
_BACK = """
UPDATE change SET state = CASE WHEN right(id, 5)::int % 2 = 0 THEN 'authorizing' ELSE 'scheduled'
       END WHERE id LIKE :made;
UPDATE ballot SET state = 'open' WHERE change_id LIKE :made;
UPDATE slot SET released_at = NULL WHERE change_id LIKE :made;
"""


def figures(repeats: int) -> list[Figure]:
    """Return the scheduler's load and the answers' delays, with and without changes that wait."""
    idle: dict[bool, list[float]] = {False: [], True: []}
    delays: dict[bool, list[float]] = {False: [], True: []}
    with stand("our settings") as made:
        _look(made, IDLE)  # what a fresh stack does once is nobody's
        for number in range(repeats):
            # One begins, then the other: neither always has the warmer machine.
            for waiting in (False, True) if number % 2 == 0 else (True, False):
                _arrange(made, waiting=waiting)
                idle[waiting].append(_look(made, IDLE))
                delays[waiting] += run_approvals(made)
    return [
        Figure(
            name=f"scheduler's processor time, {CHANGES:,} changes waiting / none",
            ours=median(idle[True]),
            peer=median(idle[False]),
            unit="ms",
            times=1.15,
            note=f"in a second of a stack with nothing to do: {_all(idle[True])} against "
            f"{_all(idle[False])}",
        ),
        Figure(
            name=f"answer → next task, {CHANGES:,} changes waiting / none: median",
            ours=median(delays[True]),
            peer=median(delays[False]),
            times=1.15,
            note=f"{len(delays[True])} answers each, stock operators, our settings",
        ),
    ]


def _all(values: list[float]) -> str:
    return " ".join(f"{value:.0f}" for value in sorted(values))


def _arrange(made: Stand, *, waiting: bool) -> None:
    with _writing(made) as connection:
        known = connection.execute(
            text("SELECT count(*) FROM change WHERE id LIKE :made"), {"made": _MADE}
        ).scalar_one()
        if waiting and not known:
            start = datetime.now(UTC) + timedelta(days=30)
            _run(connection, _WRITE, count=CHANGES, start=start)
        elif known:
            _run(connection, _BACK if waiting else _AWAY)


@contextmanager
def _writing(made: Stand) -> Iterator[Connection]:
    ledger = open_ledger(made.station.settings)
    source = Source(kind="cli")
    with ledger.write(Actor.service("bench"), source, datetime.now(UTC)) as unit:
        yield unit.connection
        unit.append("bench.arranged", Subject(kind="change", id=_MADE), message="changes wait")


def _run(connection: Connection, script: str, **values: Any) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            wanted = {key: value for key, value in values.items() if f":{key}" in statement}
            connection.execute(text(statement), {**wanted, "made": _MADE}
                               if ":made" in statement else wanted)  # fmt: skip


def _look(made: Stand, seconds: float) -> float:
    """Return the scheduler's processor time over a while, in milliseconds a second."""
    before, begin = _used(made), time.monotonic()
    time.sleep(seconds)
    taken = 1000 * (_used(made) - before) / (time.monotonic() - begin)
    print_progress(f"  scheduler: {taken:.0f} ms a second")
    return taken


def _used(made: Stand) -> float:
    parts = made.station.json("status")["components"]
    (pid,) = [part["pid"] for part in parts if part["name"] == "airflow-scheduler"]
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
