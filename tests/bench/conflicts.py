"""The conflict check against many booked changes: by its indexes, and by reading every row.

All of them hold a slot, hours and systems side by side, for years to come: nothing is saved by
being over. What PostgreSQL does is shown by its own EXPLAIN of the very statements that ran.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import event, text
from sqlalchemy.engine import Connection

from include.calendar import Span, load_calendar
from include.calendar.conflict import Finding, find_conflicts
from include.calendar.proposal import Proposal
from include.changes.surroundings import surroundings
from include.ledger import Ledger
from include.ledger.migrations import upgrade
from include.output import print_progress
from include.settings import ROOT
from tests.bench.figures import Figure, median
from tests.integration.conftest import OwnServer, PostgresServer

CHANGES, FEW = 100_000, 1_000
SYSTEMS = ("frontend", "api", "cache", "database", "network")
BEGIN = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
REPEATS, BY_READING = 60, 7
CALENDAR = load_calendar(ROOT / "config/calendar.yaml")
# What a check may read of each table: rows by an index, never all of them.
TABLES = ("change", "revision", "slot")

_FILL = """
INSERT INTO change (id, type, state, title, revision, content_hash, systems, requester, created_at,
                    updated_at)
SELECT 'CHG-' || lpad(n::text, 6, '0'), 'normal', 'scheduled', 'a change', 1, 'sha256:x',
       ARRAY[(%(systems)s::text[])[1 + n %% 5]], 'rita', now(), now()
FROM generate_series(1, %(count)s) AS n;
INSERT INTO revision (change_id, number, content, content_hash, author, created_at)
SELECT id, 1, jsonb_build_object('implementers', jsonb_build_array('dev' || right(id, 2)),
                                 'description', repeat('what is done and why. ', 40)),
       'sha256:x', 'rita', now() FROM change;
INSERT INTO slot (change_id, system, during, window_name)
SELECT 'CHG-' || lpad(n::text, 6, '0'), (%(systems)s::text[])[1 + n %% 5],
       tstzrange(%(begin)s + (n / 5) * interval '1 hour',
                 %(begin)s + (n / 5 + 1) * interval '1 hour'), 'standard'
FROM generate_series(1, %(count)s) AS n;
"""
_OFF = "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off"


def figures() -> list[Figure]:
    """Return the check with many and with few changes booked, and the same without indexes."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-conflicts-") as scratch:
        own = OwnServer(Path(scratch), shared_buffers="256MB")
        try:
            own.start()
            with _ledger(own.server, FEW) as ledger:
                few = _check(ledger)
            with _ledger(own.server, CHANGES) as ledger:
                used = _explained(ledger)
                many = _check(ledger)
                with ledger.read() as connection:
                    connection.execute(text(_OFF))
                    reading = _timed(connection, BY_READING)
        finally:
            own.remove()
    found.append(
        Figure(
            name=f"conflict check, {CHANGES:,} changes booked: by index / sequential scan",
            ours=many,
            peer=reading,
            unit="ms",
            times=0.1,
            note=f"EXPLAIN: {', '.join(used)}; no table is read whole",
        )
    )
    found.append(
        Figure(
            name=f"  with {CHANGES:,} / with {FEW:,}",
            ours=many,
            peer=few,
            unit="ms",
            times=1.5,
            note="the same hour, the same bookings in it; the eight rules included",
        )
    )
    return found


def _ask(connection: Connection) -> tuple[Finding, ...]:
    """Judge work on one system for an hour that every system has a change in."""
    start = BEGIN + (FEW // 10) * HOUR
    proposal = Proposal(
        id="CHG-999999", span=Span(start, start + HOUR / 2), systems=("api",),
        people=frozenset({"rita"}), rollback=HOUR / 4, commit_types=frozenset(),
    )  # fmt: skip
    around = surroundings(connection, start, start + HOUR * 3 / 4, dependencies={})
    return find_conflicts(CALENDAR, proposal, around)


def _check(ledger: Ledger) -> float:
    with ledger.read() as connection:
        return _timed(connection, REPEATS)


def _timed(connection: Connection, repeats: int) -> float:
    taken = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        findings = _ask(connection)
        taken.append(1000 * (time.perf_counter() - begin))
        if not any(item.code == "system_busy" for item in findings):
            raise RuntimeError("the check has not seen the change that works on the same system")
    return median(taken[1:])


def _explained(ledger: Ledger) -> list[str]:
    """Return the indexes that the check uses; RuntimeError where it reads a whole table."""
    ran: list[tuple[str, Any]] = []

    def note(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        ran.append((statement, parameters))

    with ledger.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        _ask(connection)
        event.remove(connection, "before_cursor_execute", note)
        cursor = connection.connection.cursor()
        plans = []
        for statement, parameters in ran:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            (answer,) = cursor.fetchone()
            plans.append(json.loads(answer) if isinstance(answer, str) else answer)
    nodes = [node for plan in plans for node in _nodes(plan[0]["Plan"])]
    for node in nodes:
        print_progress(
            f"  {node['Node Type']} {node.get('Relation Name', '')} {node.get('Index Name', '')}: "
            f"{node['Actual Rows']} rows"
        )
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in TABLES:
            raise RuntimeError(f"the conflict check reads all of {node['Relation Name']}")
    return sorted({node["Index Name"] for node in nodes if "Index Name" in node})


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@contextmanager
def _ledger(server: PostgresServer, changes: int) -> Iterator[Ledger]:
    server.create_role("ledger_owner")
    server.create_role("ledger_app")
    name = server.create_database(owner="ledger_owner")
    upgrade(server.url(name, "ledger_owner"), app_role="ledger_app")
    print_progress(f"writing {changes:,} changes")
    connection = psycopg2.connect(server.url(name))
    with connection, connection.cursor() as cursor:
        # What refers to what is right as it is written; asking row by row takes minutes.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(_FILL, {"systems": list(SYSTEMS), "count": changes, "begin": BEGIN})
    connection.autocommit = True
    connection.cursor().execute("ANALYZE")
    connection.close()
    yield Ledger(server.url(name, "ledger_app"))
    server.drop_database(name)
