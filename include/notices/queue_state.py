"""What the ledger knows of notices on their way: to which channels, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, cast, column, func, or_, select, update, values
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import Connection

from include.ledger import Actor, Ledger, Source, Subject, Unit
from include.ledger.schema import notice, notice_channel, notice_delivery, notice_thread
from include.notices.channel import Root
from include.notices.notice import Notice
from include.notices.outbox import from_row

ACTOR = Actor.service("notices")
OPEN = ("queued", "sending")
_ROUTED_AT_ONCE = 500
# A summary shows what is going on now; a thread longer than this has no older question open.
_REMEMBERED = 200

Routes = Callable[[Notice], Sequence[str]]


def route_new(ledger: Ledger, routes: Routes, source: Source, now: datetime) -> int:
    """Decide once for every new notice to which channels it goes; return how many were new."""
    done = 0
    while True:
        with ledger.read() as connection:
            waiting = connection.execute(_new().limit(1)).first()
        if waiting is None:
            return done
        with ledger.write(ACTOR, source, now) as unit:
            rows = unit.execute(
                _new().limit(_ROUTED_AT_ONCE).with_for_update(skip_locked=True)
            ).all()
            targets = [(row, name) for row in rows for name in routes(from_row(row))]
            if targets:
                unit.execute(
                    upsert(notice_delivery).on_conflict_do_nothing(),
                    [
                        {
                            "channel": name,
                            "notice_id": row.id,
                            "thread": row.thread,
                            "state": "queued",
                            "attempts": 0,
                            "late": False,
                        }
                        for row, name in targets
                    ],
                )
                unit.execute(
                    update(notice)
                    .where(notice.c.id.in_([row.id for row in rows]))
                    .values(routed_at=now)
                )
            names = sorted({name for _, name in targets})
            unit.append(
                "notice.routed",
                Subject(kind="outbox", id="notices"),
                message=f"{len(rows)} new, for {', '.join(names) or 'nobody: others are at it'}",
                details={"notices": [row.id for row in rows]},
            )
        done += len(rows)
        if len(rows) < _ROUTED_AT_ONCE:
            return done


def _new() -> Any:
    return select(notice).where(notice.c.routed_at.is_(None)).order_by(notice.c.id)


def anything_open(ledger: Ledger) -> bool:
    """Say whether any notice is new or on its way, or a thread is to be shown anew."""
    delivery, thread = notice_delivery, notice_thread
    any_of = or_(
        select(notice.c.id).where(notice.c.routed_at.is_(None)).exists(),
        select(delivery.c.notice_id).where(delivery.c.state.in_(OPEN)).exists(),
        select(thread.c.thread).where(thread.c.stale).exists(),
    )
    with ledger.read() as connection:
        return bool(connection.execute(select(any_of)).scalar_one())


def open_channels(ledger: Ledger) -> set[str]:
    """Return the names of the channels for which something is queued or to be shown anew."""
    delivery, thread = notice_delivery, notice_thread
    with ledger.read() as connection:
        queued = select(delivery.c.channel).where(delivery.c.state.in_(OPEN)).distinct()
        stale = select(thread.c.channel).where(thread.c.stale).distinct()
        return set(connection.execute(queued.union(stale)).scalars())


def count_open(ledger: Ledger) -> int:
    """Return how many deliveries are left."""
    query = select(func.count()).where(notice_delivery.c.state.in_(OPEN))
    with ledger.read() as connection:
        return int(connection.execute(query).scalar_one())


def due(connection: Connection, channel: str, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Return what may go out now, oldest first; a thread whose head waits, waits with it.

    What only some are still to get holds back nobody else: it comes last, and whoever is still to
    get an earlier notice of the thread has it before.
    """
    table = notice_delivery
    mine = (table.c.channel == channel) & table.c.state.in_(OPEN)
    fresh = mine & table.c.waiting.is_(None)
    held = select(table.c.thread).where(fresh, table.c.not_before > now)
    query = (
        select(
            notice,
            table.c.state,
            table.c.attempts,
            table.c.sent_at,
            table.c.waiting,
        )
        .join(notice, notice.c.id == table.c.notice_id)
        .order_by(table.c.notice_id)
        .limit(limit)
    )
    rows = connection.execute(query.where(fresh, table.c.thread.not_in(held))).all()
    if len(rows) == limit:
        return rows
    again = [
        one.notice
        for one in still_waiting(connection, channel)
        if (one.not_before is None or one.not_before <= now) and set(one.people) - one.behind
    ]
    if not again:
        return rows
    more = query.where(mine, table.c.notice_id.in_(again)).limit(limit - len(rows))
    return [*rows, *connection.execute(more).all()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A notice that `people` alone are still to get; of them, `behind` an earlier one as well."""

    notice: int
    thread: str
    people: tuple[str, ...]
    behind: frozenset[str]
    not_before: datetime | None


def still_waiting(connection: Connection, channel: str) -> list[Waiting]:
    """Return the notices that only some are still to get, oldest first."""
    table = notice_delivery
    query = select(table.c.notice_id, table.c.thread, table.c.waiting, table.c.not_before).where(
        table.c.channel == channel, table.c.state.in_(OPEN), table.c.waiting.is_not(None)
    )
    behind: dict[str, frozenset[str]] = {}
    found = []
    for row in connection.execute(query.order_by(table.c.notice_id)):
        before = behind.get(row.thread, frozenset())
        found.append(
            Waiting(
                notice=row.notice_id,
                thread=row.thread,
                people=tuple(row.waiting),
                behind=before,
                not_before=row.not_before,
            )
        )
        behind[row.thread] = before | set(row.waiting)
    return found


def superseded(connection: Connection, channel: str, rows: Iterable[Row[Any]]) -> set[int]:
    """Return which of these reminders have a newer one behind them in the same channel."""
    reminders = {row.reminds for row in rows if row.reminds}
    if not reminders:
        return set()
    query = (
        select(notice.c.reminds, func.max(notice.c.id))
        .join(notice_delivery, notice_delivery.c.notice_id == notice.c.id)
        .where(
            notice_delivery.c.channel == channel,
            notice_delivery.c.state.in_(OPEN),
            notice.c.reminds.in_(reminders),
        )
        .group_by(notice.c.reminds)
    )
    newest = {row[0]: row[1] for row in connection.execute(query)}
    return {row.id for row in rows if row.reminds and row.id < newest.get(row.reminds, 0)}


@dataclass
class Thread:
    """A thread in one channel: its first message, and what it has said there."""

    name: str
    root: Root | None = None
    shown: str | None = None
    first: Notice | None = None
    # When the first one was due, if it came late.
    late_since: datetime | None = None
    # Those that change where the thread stands, and the latest.
    said: list[Notice] = field(default_factory=list)
    count: int = 0

    def add(self, said: Notice, late_since: datetime | None = None) -> None:
        """Take in one more that has arrived."""
        if self.first is None:
            self.first, self.late_since = said, late_since
        self.said.append(said)
        self.count += 1


def load_thread(connection: Connection, channel: str, name: str) -> Thread:
    """Return a thread as it was delivered to a channel."""
    thread = Thread(name)
    found = connection.execute(
        select(notice_thread).where(
            notice_thread.c.channel == channel, notice_thread.c.thread == name
        )
    ).first()
    if found is None:
        return thread
    thread.root = Root(id=found.root_id, place=found.place)
    thread.shown = found.shown
    there = (
        select(
            notice,
            notice_delivery.c.late,
            func.row_number().over(order_by=notice.c.id).label("place"),
            func.count().over().label("number"),
        )
        .join(notice_delivery, notice_delivery.c.notice_id == notice.c.id)
        .where(
            notice_delivery.c.channel == channel,
            notice_delivery.c.state == "delivered",
            notice.c.thread == name,
        )
        .subquery()
    )
    ends = there.c.place.in_((1, there.c.number))
    rows = connection.execute(
        select(there)
        .where(or_(ends, there.c.standing.is_not(None), there.c.final))
        .order_by((there.c.place == 1).desc(), there.c.id.desc())
        .limit(1 + _REMEMBERED)
    ).all()
    if rows:
        first = rows[0]
        thread.first = from_row(first)
        thread.late_since = first.created_at if first.late else None
        thread.said = [thread.first, *(from_row(row) for row in reversed(rows[1:]))]
        thread.count = first.number
    return thread


def whole_thread(connection: Connection, name: str) -> list[Notice]:
    """Return everything recent that was said in a thread, whether it has arrived or not."""
    query = select(notice).where(notice.c.thread == name).order_by(notice.c.id.desc())
    rows = connection.execute(query.limit(_REMEMBERED)).all()
    return [from_row(row) for row in reversed(rows)]


def stale_threads(connection: Connection, channel: str) -> Sequence[str]:
    """Return the threads whose first message shows what is no longer so."""
    query = select(notice_thread.c.thread).where(
        notice_thread.c.channel == channel, notice_thread.c.stale
    )
    return connection.execute(query.order_by(notice_thread.c.thread).limit(100)).scalars().all()


def any_place(connection: Connection, channel: str) -> str | None:
    """Return where this channel has put a thread before."""
    query = select(notice_thread.c.place).where(
        notice_thread.c.channel == channel, notice_thread.c.place.is_not(None)
    )
    place: str | None = connection.execute(query.limit(1)).scalar()
    return place


def channel_wait(connection: Connection, channel: str) -> tuple[int, datetime | None]:
    """Return how often the channel has failed in a row, and until when it is left alone."""
    found = connection.execute(
        select(notice_channel).where(notice_channel.c.channel == channel)
    ).first()
    return (0, None) if found is None else (found.failures, found.not_before)


def set_channel(
    unit: Unit, channel: str, *, failures: int, not_before: datetime | None, error: str | None
) -> None:
    """Keep how a channel fares."""
    kept = {"failures": failures, "not_before": not_before, "last_error": error}
    statement = upsert(notice_channel).values(channel=channel, **kept)
    unit.execute(statement.on_conflict_do_update(index_elements=["channel"], set_=kept))


def set_thread(unit: Unit, channel: str, thread: Thread, *, stale: bool) -> None:
    """Keep a thread's first message, and what it shows."""
    if thread.root is None:
        return
    kept = {
        "root_id": thread.root.id,
        "place": thread.root.place,
        "shown": thread.shown,
        "stale": stale,
    }
    statement = upsert(notice_thread).values(channel=channel, thread=thread.name, **kept)
    unit.execute(statement.on_conflict_do_update(index_elements=["channel", "thread"], set_=kept))


def set_states(unit: Unit, channel: str, state: str, ids: Sequence[int], **changed: Any) -> None:
    """Give all these deliveries one state."""
    if ids:
        table = notice_delivery
        unit.execute(
            update(table)
            .where(table.c.channel == channel, table.c.notice_id.in_(ids))
            .values(state=state, **changed)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of one delivery. What is None stays as it was, but for `not_before` and
    `waiting`: those who alone are still to get it."""

    notice: int
    state: str
    attempts: int
    not_before: datetime | None = None
    error: str | None = None
    delivered_at: datetime | None = None
    message_id: str | None = None
    late: bool | None = None
    waiting: list[str] | None = None


def set_deliveries(unit: Unit, channel: str, address: str, attempts: Sequence[Attempt]) -> None:
    """Keep what became of some deliveries of one channel, in one statement."""
    if not attempts:
        return
    table = notice_delivery
    columns = [field.name for field in fields(Attempt)]
    made = values(*(column(name) for name in columns), name="made").data(
        [tuple(getattr(attempt, name) for name in columns) for attempt in attempts]
    )

    def kept(name: str, where: str) -> ColumnElement[Any]:
        """Nulls alone have no type of their own."""
        own = table.c[where]
        return func.coalesce(cast(made.c[name], own.type), own)

    unit.execute(
        update(table)
        .where(table.c.channel == channel, table.c.notice_id == made.c.notice)
        .values(
            address=address,
            state=made.c.state,
            attempts=made.c.attempts,
            not_before=cast(made.c.not_before, table.c.not_before.type),
            last_error=kept("error", "last_error"),
            delivered_at=kept("delivered_at", "delivered_at"),
            message_id=kept("message_id", "message_id"),
            late=kept("late", "late"),
            waiting=cast(made.c.waiting, table.c.waiting.type),
        )
    )
