"""The monthly report over a ledger of a million records, against the plain SQL that it needs.

The peer is every statement of the report, sent once by psycopg2 and fetched: no facts, no metrics,
no figures, no page. The history is `demo-data` of two years, its changes among records of
everything else that a ledger holds: half of them about the same changes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
from sqlalchemy import Engine, event

from include.ledger import Actor, Ledger, Source
from include.ledger.migrations import upgrade
from include.output import print_progress
from include.reports.demo.history import make_history
from include.reports.demo.writing import write_history
from include.reports.making import make_report
from include.reports.period import Kind, parse_period
from include.reports.storing import store
from include.settings import ROOT, load_settings
from tests.bench.figures import Figure, median
from tests.integration.conftest import OwnServer, PostgresServer

END = datetime(2026, 11, 23, tzinfo=UTC)
REPEATS = 5
PERIOD = parse_period(Kind.MONTHLY, "2026-10", ZoneInfo("America/New_York"))
_PATTERN = (
    '{"actor":{"auth":"process","name":"bench","user":"service:bench"},"change":"CHANGE",'
    '"details":{"channel":"slack:#releases","attempts":1},"event":"EVENT","id":"ID",'
    '"message":"what was said and done, in about as many words as a record of ours has on '
    'average, and some more for the details of it","outcome":"success","reason":"done",'
    '"source":{"kind":"dag"},"subject":{"id":"17","kind":"notice"},"time":"TIME"}'
)
_FILL = """
    INSERT INTO record (body, leaf_hash)
    SELECT body, sha256('\\x00' || convert_to(body, 'UTF8')) FROM (
        SELECT replace(replace(replace(replace(%(pattern)s,
            'ID', lpad(number::text, 36, '0')),
            'TIME', to_char(timestamp '2024-11-23' + number * interval '1 second' * %(every)s,
                            'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
            'EVENT', (ARRAY['notice.delivered', 'notice.sending', 'api.write', 'step.done'])
                     [1 + number %% 4]),
            '"change":"CHANGE",', CASE WHEN number %% 2 = 0 THEN ''
                ELSE '"change":"CHG-' || lpad((1 + number::bigint * 7919 %% 3000)::text,
                    6, '0') || '",'
                END) AS body
        FROM generate_series(1, %(records)s) AS number) AS made
"""


def figures(records: int) -> list[Figure]:
    """Return the figures of the monthly report on a ledger of so many records."""
    with tempfile.TemporaryDirectory(prefix="bench-reports-") as scratch:
        home = Path(scratch) / "postgres"
        home.mkdir()
        own = OwnServer(home, shared_buffers="256MB")
        try:
            own.start()
            url = _filled(own.server, records)
            return list(_measured(url, records, Path(scratch)))
        finally:
            own.remove()


def _filled(server: PostgresServer, records: int) -> str:
    server.create_role("ledger_owner")
    server.create_role("ledger_app")
    name = server.create_database(owner="ledger_owner")
    upgrade(server.url(name, "ledger_owner"), app_role="ledger_app")
    url = server.url(name, "ledger_app")
    write_history(Ledger(url, keep=1), make_history(years=2, seed=1, end=END))
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM record")
        (there,) = cursor.fetchone() or (0,)
        left = max(0, records - there)
        print_progress(f"{there:,} records of a history, and {left:,} of everything else")
        every = 2 * 365 * 86_400 / max(1, left)
        cursor.execute(_FILL, {"pattern": _PATTERN, "records": left, "every": every})
    connection.close()
    server.execute("VACUUM ANALYZE", database=name)
    return url


def _measured(url: str, records: int, scratch: Path) -> Iterator[Figure]:
    settings = load_settings(ROOT / "config")
    ledger = Ledger(url, keep=1)

    def make() -> Any:
        return make_report(ledger, settings, PERIOD, now=END)

    def write(report: Any) -> None:
        store(
            ledger, report, scratch / "reports",
            actor=Actor.service("bench"), source=Source(kind="cli"), now=END,
        )  # fmt: skip

    with _statements() as asked:
        report = make()
    making, plain, storing = [], [], []
    for _ in range(REPEATS):
        plain.append(_taken(lambda: _replay(url, asked)))
        making.append(_taken(make))
        storing.append(_taken(lambda: write(report)))
    print_progress(f"{len(asked)} statements; the report says: {report.summary}")
    yield Figure(
        name=f"monthly report, {records:,} records",
        ours=median(making),
        peer=median(plain),
        times=2,
        note=f"the peer is its {len(asked)} statements by psycopg2, fetched",
    )
    yield Figure(
        name="its HTML, PDF, Markdown and JSON",
        ours=median(storing),
        note="drawn, written, and recorded with their digests",
    )


def _taken(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


@contextmanager
def _statements() -> Iterator[list[tuple[str, Any]]]:
    """Collect what is sent to the database meanwhile."""
    found: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _replay(url: str, asked: list[tuple[str, Any]]) -> None:
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        for statement, parameters in asked:
            cursor.execute(statement, parameters)
            if cursor.description is not None:
                cursor.fetchall()
    connection.close()
