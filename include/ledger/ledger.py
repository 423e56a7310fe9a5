"""Reading and writing the ledger.

    with ledger.write(actor, source, now) as unit:
        unit.execute(update(schema.release)…)
        unit.append("release.started", subject, message="…")

A unit that ends without a record is refused: state never changes without a line that says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg2
from sqlalchemy import Executable, cast, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, CursorResult, Row, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from include.errors import LedgerAway, LedgerError
from include.instants import format_duration
from include.ledger import schema
from include.ledger.lines import Lines
from include.ledger.placing import Placer
from include.ledger.record import (
    Actor,
    Outcome,
    Record,
    Source,
    Subject,
    leaf_hash,
    storable,
    time_text,
)
from include.ledger.rows import digests, touched

log = logging.getLogger(__name__)

# Keeps the locks of `exclusive` apart from other single-key advisory locks.
_LOCKS = 7304
_LOCK_NOT_AVAILABLE = "55P03"
_UNDEFINED_TABLE = "42P01"
# Two transactions that cannot both go on: the server ends one of them.
_IN_EACH_OTHERS_WAY = ("40P01", "40001")

# The transaction gets its id before the record gets its seq: the sequencer relies on it.
_INSERT = (
    "INSERT INTO record (body, leaf_hash) SELECT v.body, v.leaf_hash"
    " FROM pg_current_xact_id(), (VALUES {}) AS v (body, leaf_hash)"
)
# A place that is lost in a crash is given again, and heads are signed only after a full flush.
_SEQUENCE = text(
    "SELECT CASE WHEN set_config('synchronous_commit', 'off', true) = 'off'"
    " THEN sequence_records() END"
)

# The server lets a lock go when its holder's machine has not answered for a minute.
_LOST_SOON = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


class Unit:
    """One transaction: the state that it changes and the records that say so.

    The records are written when the unit ends, and the last of them vouches for every row that it
    has changed (rows.py).
    """

    def __init__(
        self, connect: Callable[[], Connection], actor: Actor, source: Source, now: datetime
    ) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._bodies: list[str] = []
        self._last: Record | None = None
        self.actor = actor
        self.source = source
        self.now = now
        # The hash of all policy at this moment, where the unit decides something by it.
        self.policy_hash: str | None = None

    @property
    def connection(self) -> Connection:
        """Return the transaction's connection."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def execute(self, statement: Executable, *arguments: Any) -> CursorResult[Any]:
        """Run one statement inside the unit."""
        return self.connection.execute(statement, *arguments)

    def row(self, statement: Executable) -> Row[Any] | None:
        """Return the first row, or None."""
        return self.connection.execute(statement).first()

    def append(
        self,
        event: str,
        subject: Subject,
        *,
        message: str,
        reason: str = "done",
        outcome: Outcome = Outcome.SUCCESS,
        release: str | None = None,
        change: str | None = None,
        difference: Mapping[str, Any] | None = None,
        evidence: Sequence[Mapping[str, str]] = (),
        details: Mapping[str, Any] | None = None,
        meaning: str | None = None,
        actor: Actor | None = None,
    ) -> Record:
        """Append one record to the unit; see design §6 for what each part holds."""
        line = Record(
            time=self.now,
            event=event,
            outcome=outcome,
            reason=reason,
            message=message,
            actor=actor or self.actor,
            source=self.source,
            subject=subject,
            release=release or (subject.id if subject.kind == "release" else None),
            change=change or (subject.id if subject.kind == "change" else None),
            difference=difference or {},
            evidence=evidence,
            details=details or {},
            policy_hash=self.policy_hash,
            meaning=meaning,
        )
        # What cannot be written is the caller's mistake: said here, not when the unit ends.
        self._bodies.append(line.body())
        self._last = line
        return line

    def end(self, line: Any) -> None:
        """Write the records and commit; raise LedgerError if there is none.

        Records alone go by `line`, one of the driver's connections.
        """
        if self._last is None:
            raise LedgerError("a unit of work ended without a record; nothing was written")
        changed = self._connection
        if changed is not None and (keys := touched(changed)):
            self._bodies[-1] = replace(self._last, rows=digests(changed, keys)).body()
        raw: Any = line if changed is None else changed.connection.dbapi_connection
        values = [value for body in self._bodies for value in (body, leaf_hash(body))]
        statement = _INSERT.format(", ".join(["(%s, %s)"] * len(self._bodies)))
        # Records alone are one statement: the server's own transaction is enough for that.
        try:
            if changed is None:
                raw.autocommit = True
            with closing(raw.cursor()) as cursor:
                cursor.execute(statement, values)
            if changed is not None:
                raw.commit()
        except psycopg2.Error as error:
            raise DBAPIError.instance(statement, None, error, psycopg2.Error) from error
        finally:
            # A connection that is kept must not stay so: the next unit may be more than a record.
            if raw.autocommit:
                with suppress(psycopg2.Error):
                    raw.autocommit = False


class Ledger:
    """The ledger in one PostgreSQL database. `url` is a libpq-style URL of the application role.

    One connection stays open from one use to the next: signing in is most of what a small unit
    costs. A process that writes all the time asks to `keep` more of them open.
    """

    def __init__(self, url: str, *, keep: int = 0) -> None:
        pool: dict[str, Any] = (
            # One more for the placer: signing in twice a second costs more than all it places.
            {"pool_size": keep + 1, "pool_recycle": 600}
            if keep
            # Asked first whether it still is there: servers are restarted between two units.
            else {"pool_size": 1, "max_overflow": -1, "pool_pre_ping": True}
        )
        self._placer = Placer(self.sequence_new) if keep else None
        self._engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg2"),
            connect_args={
                "connect_timeout": 10,
                "application_name": "release-control",
                # In which the text of a row, and so its digest, is the same for all.
                "options": "-c TimeZone=UTC -c DateStyle=ISO",
            },
            **pool,
        )
        self._lines = Lines(self._engine, keep) if keep else None

    @contextmanager
    def write(self, actor: Actor, source: Source, now: datetime) -> Iterator[Unit]:
        """Open a unit of work; it commits when the block ends and is undone when it raises.

        Raises LedgerAway when the database cannot be reached or ended a deadlock, LedgerError when
        the block changed state without appending a record.
        """
        with self._translated(), ExitStack() as open_until_the_end:
            if self._lines is None or self._placer is None:
                connection = open_until_the_end.enter_context(self._engine.connect())
                unit = Unit(lambda: connection, actor, source, now)
                yield unit
                unit.end(connection.connection.dbapi_connection)
                connection.rollback()
                _sequence(connection)
            else:
                line = open_until_the_end.enter_context(self._lines.one())
                connect = self._engine.connect
                unit = Unit(lambda: open_until_the_end.enter_context(connect()), actor, source, now)
                yield unit
                unit.end(line)
                self._placer.wanted()

    def close(self) -> None:
        """Place what is new, and close the connections that are kept open."""
        if self._placer is not None:
            self._placer.close()
        if self._lines is not None:
            self._lines.close()
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction for the ledger's own tables; what changes state is a unit of work."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    def sequence(self) -> int:
        """Give every record that has none yet its place in the tree; return how many got one.

        This looks at all records and waits for others who do the same; after each unit of work,
        whoever comes first does so for those that are new.
        """
        with self._translated(), self._engine.begin() as connection:
            return int(connection.execute(select(func.sequence_records(True))).scalar_one())

    def tree_size(self) -> int:
        """Return how many records have a place in the tree."""
        with self.read() as connection:
            newest = connection.execute(select(func.max(schema.leaf.c.position))).scalar()
        return 0 if newest is None else int(newest) + 1

    def newest_waiting(self) -> int | None:
        """Return the newest record if it has no place in the tree, else None."""
        newest = select(func.max(schema.record.c.seq)).scalar_subquery()
        placed = select(schema.leaf.c.seq).where(schema.leaf.c.seq == newest).exists()
        with self.read() as connection:
            seq = connection.execute(select(newest).where(~placed)).scalar()
        return None if seq is None else int(seq)

    def has_place(self, seq: int) -> bool:
        """Return whether a record has its place in the tree."""
        leaf = schema.leaf.c
        with self.read() as connection:
            return connection.execute(select(leaf.seq).where(leaf.seq == seq)).first() is not None

    def sequence_new(self) -> int:
        """Give new records their place unless another is at it; return how many got one."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            return max(0, int(connection.execute(_SEQUENCE).scalar_one()))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only view of one moment."""
        with self._translated(), self._engine.connect() as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    @contextmanager
    def exclusive(self, key: str, *, wait: timedelta) -> Iterator[None]:
        """Hold the lock `key` among everybody who works with this ledger, while the block lasts.

        It goes with its holder: it is free at the instant the process, its machine or its
        connection dies. Raises LedgerError when another holds it for longer than `wait`.
        """
        with self._translated():
            raw = self._engine.connect()
        with raw:
            connection = raw.execution_options(isolation_level="AUTOCOMMIT")
            # Closed afterwards, never used again: the lock is the session's.
            connection.detach()
            with self._translated():
                for name, value in _LOST_SOON.items():
                    connection.execute(select(func.set_config(name, value, False)))
                limit = f"{int(wait.total_seconds() * 1000)}ms"
                connection.execute(select(func.set_config("lock_timeout", limit, False)))
                try:
                    connection.execute(
                        select(func.pg_advisory_lock(func.hashtextextended(key, _LOCKS)))
                    )
                except OperationalError as error:
                    if getattr(error.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
                        raise
                    raise LedgerError(
                        f"{key} has been under way in another process for "
                        f"{format_duration(wait)}; nothing was done here"
                    ) from error
            yield

    def records(
        self,
        *,
        release: str | None = None,
        change: str | None = None,
        event: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Mapping[str, Any]]:
        """Return rows (seq, body, leaf_hash) in order: those that meet every condition given.

        `event` is one event or a whole family (`permit` for `permit.issued` and the like), `actor`
        a sign-in or `service:<name>`; `[since, until)` is when the record says it was.
        """
        table = schema.record
        query = select(table.c.seq, table.c.body, table.c.leaf_hash).order_by(table.c.seq)
        if release is not None:
            query = query.where(table.c.release == storable(release))
        if change is not None:
            query = query.where(table.c.change == storable(change))
        if event is not None:
            name = storable(event)
            family = table.c.event.startswith(f"{name}.", autoescape=True)
            query = query.where((table.c.event == name) | family)
        if actor is not None:
            user = cast(table.c.body, JSONB)[("actor", "user")].astext
            query = query.where(user == storable(actor))
        # As text: the record's own form in UTC with milliseconds sorts as instants do.
        if since is not None:
            query = query.where(table.c.time >= time_text(since))
        if until is not None:
            query = query.where(table.c.time < time_text(until))
        with self.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) in _IN_EACH_OTHERS_WAY:
                raise LedgerAway(
                    "two who worked with the ledger at once were in each other's way, and its "
                    f"database ended one ({_first_line(error)}); try again: nothing was written"
                ) from error
            raise LedgerAway(
                f"the ledger's database does not answer ({_first_line(error)}); "
                "see `./hims status`, then try again: nothing was written"
            ) from error
        except SQLAlchemyError as error:
            if getattr(getattr(error, "orig", None), "pgcode", None) == _UNDEFINED_TABLE:
                raise LedgerError(
                    f"the ledger lacks a table ({_first_line(error)}): `./hims up` makes its "
                    "tables when it starts; wait for it, or run it again"
                ) from error
            raise LedgerError(f"the ledger refuses: {_first_line(error)}") from error


def _sequence(connection: Connection) -> None:
    try:
        with connection.begin():
            connection.execute(_SEQUENCE)
    except SQLAlchemyError:
        # The unit is written, whatever comes of this; the next one, or the sweeper, makes it good.
        log.warning("the newest records have no place in the tree yet", exc_info=True)


def _first_line(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or ["no reason given"])[0]
