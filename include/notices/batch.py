"""One batch of notices for one channel: written down, sent, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row

from include.errors import DeliveryError
from include.ledger import Ledger, Outcome, Source, Subject, Unit
from include.notices import queue_state
from include.notices.channel import Arrived, Channel, Root
from include.notices.notice import QueuedNotice
from include.notices.outbox import from_row
from include.notices.queue_state import ACTOR, OPEN, Attempt, Thread, Waiting
from include.notices.summary import Summary, summarise
from include.notices.thread_names import subject_of
from include.notices.wording import moment, one_line

LATE = timedelta(minutes=10)
FIRST_WAIT = timedelta(seconds=2)
LONGEST_WAIT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What it takes to serve one channel."""

    ledger: Ledger
    name: str
    channel: Channel
    clock: Callable[[], datetime]
    zone: Callable[[], str]
    source: Source
    out_of_time: Callable[[], bool]


@dataclass(slots=True, kw_only=True)
class _Item:
    """One notice of the batch, and what became of it; `state` is the one that it goes to."""

    row: Row[Any]
    queued: QueuedNotice
    state: Literal["queued", "sending", "delivered", "dropped", "refused"]
    touched: bool = False
    why: str = ""
    arrived: Arrived | None = None
    at: datetime | None = None
    not_before: datetime | None = None
    waiting: tuple[str, ...] | None = None


class Batch:
    """The next few notices that are due in a channel."""

    def __init__(self, means: Means, size: int) -> None:
        self.count = 0
        self.failed = 0
        self._means = means
        self._size = size
        self._threads: dict[str, Thread] = {}
        self._stale: dict[str, bool] = {}
        self._down: DeliveryError | None = None
        self._place: str | None = None
        self._failures = 0
        # Why a thread's first message could not be edited.
        self._unshown = ""

    def send(self) -> bool:
        """Send the batch; return whether more may be due."""
        means = self._means
        now = means.clock()
        with means.ledger.read() as connection:
            self._failures, not_before = queue_state.channel_wait(connection, means.name)
            if not_before is not None and not_before > now:
                return False
            rows = queue_state.due(connection, means.name, now, self._size)
            more = len(rows) == self._size
            # What threads show is brought up to date once, behind everything that is due.
            stale = () if more else queue_state.stale_threads(connection, means.name)
            late = queue_state.superseded(connection, means.name, rows)
            waiting = queue_state.still_waiting(connection, means.name)
            items = [self._item(row, now, waiting) for row in rows]
            for item in items:
                self._drop(connection, item, late, now)
            names = [item.row.thread for item in items if item.state != "dropped"]
            for name in dict.fromkeys([*names, *stale]):
                self._threads[name] = queue_state.load_thread(connection, means.name, name)
            self._place = queue_state.any_place(connection, means.name)
        if not items and not stale:
            return False
        self._begin(items, now)
        self._send_all(items)
        self._show(stale, more=more)
        self._settle(items)
        return more and self._down is None

    def _item(self, row: Row[Any], now: datetime, waiting: Sequence[Waiting]) -> _Item:
        late = now - row.created_at > LATE
        said = self._late(row.created_at) if late else None
        before = (one for one in waiting if one.thread == row.thread and one.notice < row.id)
        people = None if row.waiting is None else tuple(row.waiting)
        queued = QueuedNotice(
            id=row.id,
            notice=from_row(row),
            created_at=row.created_at,
            attempts=row.attempts,
            late=said,
            waiting=people,
            behind=frozenset(person for one in before for person in one.people),
        )
        return _Item(row=row, queued=queued, state=row.state, waiting=people)

    def _drop(self, connection: Any, item: _Item, late: set[int], now: datetime) -> None:
        """Leave out a reminder of what is over, or with a newer one behind it."""
        notice = item.queued.notice
        if notice.reminds is None or item.state == "sending":
            return
        if notice.expires_at is not None and notice.expires_at <= now:
            item.why = "its moment has passed"
        elif item.row.id in late:
            item.why = "a newer reminder follows"
        elif notice.standing is not None and notice.standing.question is not None:
            whole = summarise(queue_state.whole_thread(connection, notice.thread))
            if notice.standing.question not in whole.open:
                item.why = "it was answered meanwhile"
        if item.why:
            item.state, item.touched = "dropped", True

    def _begin(self, items: Sequence[_Item], now: datetime) -> None:
        """Write down what is about to be sent, so that a crash leaves a trace."""
        ids = [item.row.id for item in items if item.state == "queued"]
        if not ids:
            return
        means = self._means
        with means.ledger.write(ACTOR, means.source, now) as unit:
            queue_state.set_states(unit, means.name, "sending", ids, sent_at=now)
            unit.append(
                "notice.sending",
                Subject(kind="outbox", id="notices"),
                message=f"{len(ids)} on their way to {means.channel.name}",
                details={"notices": ids},
            )

    def _send_all(self, items: Sequence[_Item]) -> None:
        stuck: set[str] = set()
        for item in items:
            if item.state == "dropped" or item.row.thread in stuck:
                continue
            if self._down is not None or (self._means.out_of_time() and self.count + self.failed):
                break
            thread = self._threads[item.row.thread]
            try:
                arrived = self._found(item, items, thread) or self._deliver(item, thread)
            except DeliveryError as error:
                # What only some are still to get holds back nobody else.
                if not error.waiting:
                    stuck.add(thread.name)
                self._failed(item, error)
            except Exception as error:
                # A channel's bug must not hold back the other threads. Its text is not kept: it
                # may quote the request.
                stuck.add(thread.name)
                # Where it broke nobody knows: perhaps when the notice was there already.
                self._failed(item, _broke(error))
            else:
                self._arrived(item, thread, arrived)

    def _found(self, item: _Item, items: Sequence[_Item], thread: Thread) -> Arrived | None:
        """Ask the channel for a notice that may have arrived already."""
        if item.state != "sending" or item.row.sent_at is None:
            return None
        if item.arrived is not None:
            return item.arrived
        unsure = [
            other
            for other in items
            if other.row.thread == thread.name and other.state == "sending" and not other.touched
        ]
        try:
            found = self._means.channel.find(
                [other.queued for other in unsure],
                thread.root,
                place=self._place,
                since=min(other.row.sent_at or other.row.created_at for other in unsure),
            )
        except DeliveryError as error:
            # Still nobody knows.
            error.unsure = True
            raise
        for other in unsure:
            other.arrived = (found or {}).get(other.row.id)
        return item.arrived

    def _deliver(self, item: _Item, thread: Thread) -> Arrived:
        late = item.queued.late if thread.first is None else self._late(thread.late_since)
        said = [*thread.said, item.queued.notice]
        summary = summarise(said, count=thread.count + 1, late=late)
        return self._means.channel.deliver(item.queued, thread.root, summary)

    def _arrived(self, item: _Item, thread: Thread, arrived: Arrived) -> None:
        item.state, item.touched = "delivered", True
        item.arrived, item.at = arrived, self._means.clock()
        thread.add(item.queued.notice, item.row.created_at if item.queued.late else None)
        if thread.root is None or arrived.opens:
            thread.root = Root(id=arrived.id, place=arrived.place)
            thread.shown = self._digest(thread)
        self._stale[thread.name] = thread.shown != self._digest(thread)
        self.count += 1

    def _digest(self, thread: Thread) -> str:
        return self._summary(thread).digest()

    def _summary(self, thread: Thread) -> Summary:
        return summarise(thread.said, count=thread.count, late=self._late(thread.late_since))

    def _late(self, due: datetime | None) -> str | None:
        return None if due is None else f"late: was due at {moment(due, self._means.zone())}"

    def _failed(self, item: _Item, error: DeliveryError) -> None:
        item.touched, item.why = True, one_line(str(error), 300)
        self.failed += 1
        if error.for_good:
            item.state = "refused"
            return
        item.state = "sending" if error.unsure else "queued"
        if error.waiting:
            item.waiting = error.waiting
            if item.queued.behind.issuperset(error.waiting):
                # Nobody was tried: it follows when the earlier one has arrived.
                return
        if error.down:
            self._down = error
        else:
            item.not_before = self._means.clock() + _wait(item.row.attempts, None)

    def _show(self, stale: Sequence[str], *, more: bool) -> None:
        """Edit the first messages of the threads that have moved on, once they are through."""
        if not self._means.channel.edits:
            self._stale = dict.fromkeys(self._stale, False)
            return
        for name in stale:
            self._stale.setdefault(name, True)
        if more:
            return
        shown = 0
        for name, is_stale in self._stale.items():
            thread = self._threads[name]
            if not is_stale or thread.root is None or not thread.said or self._down is not None:
                continue
            if self._means.out_of_time() and self.count + self.failed + shown:
                # It stays stale: the next delivery goes on here.
                break
            shown += 1
            summary = self._summary(thread)
            try:
                self._means.channel.show(thread.root, summary)
            except Exception as error:
                # Nor may a bug here: what was sent before is yet to be written down.
                said = error if isinstance(error, DeliveryError) else _broke(error)
                self._unshown = one_line(str(said), 300)
                if said.down:
                    self._down = said
                continue
            # Shown, or never to be: either way there is nothing left to do.
            thread.shown = summary.digest()
            self._stale[name] = False

    def _settle(self, items: Sequence[_Item]) -> None:
        """Write down what became of each; what was not touched is as it was."""
        means = self._means
        name = means.name
        now = means.clock()
        with means.ledger.write(ACTOR, means.source, now) as unit:
            untouched = [i.row.id for i in items if not i.touched and i.row.state == "queued"]
            queue_state.set_states(unit, name, "queued", untouched)
            touched = [(item, self._attempt(item)) for item in items if item.touched]
            address = means.channel.name
            queue_state.set_deliveries(unit, name, address, [attempt for _, attempt in touched])
            for item, attempt in touched:
                self._append(unit, item, attempt.attempts)
            for thread, stale in self._stale.items():
                queue_state.set_thread(unit, name, self._threads[thread], stale=stale)
            if self._down is not None:
                again = now + _wait(self._failures, self._down.retry_after)
                said = one_line(str(self._down), 300)
                failures = self._failures + 1
                queue_state.set_channel(unit, name, failures=failures, not_before=again, error=said)
            elif self._failures and self.count:
                queue_state.set_channel(unit, name, failures=0, not_before=None, error=None)
            if not touched:
                self._append_shown(unit)

    def _append_shown(self, unit: Unit) -> None:
        channel, why = self._means.channel.name, self._unshown
        what = f"{channel}: what threads show"
        unit.append(
            "notice.shown",
            Subject(kind="outbox", id="notices"),
            message=f"{what} was not brought up to date: {why}"
            if why
            else f"{what} was brought up to date",
            outcome=Outcome.FAILURE if why else Outcome.SUCCESS,
            reason="channel_failed" if why else "done",
        )

    def _attempt(self, item: _Item) -> Attempt:
        arrived = item.arrived if item.state == "delivered" else None
        remark = "" if arrived is None else arrived.remark
        return Attempt(
            notice=item.row.id,
            state=item.state,
            attempts=item.row.attempts + (item.state != "dropped"),
            not_before=item.not_before,
            error=one_line(remark, 300) if remark else item.why or None,
            delivered_at=None if arrived is None else item.at,
            message_id=None if arrived is None else arrived.id,
            late=None if arrived is None else item.queued.late is not None,
            waiting=list(item.waiting) if item.waiting and item.state in OPEN else None,
        )

    def _append(self, unit: Unit, item: _Item, attempts: int) -> None:
        channel, notice = self._means.channel.name, item.queued.notice
        told = f"“{notice.title}”"
        details: dict[str, Any] = {"channel": channel, "attempts": attempts}
        subject = Subject(kind="notice", id=str(item.row.id))
        belongs: dict[str, Any] = dict(subject_of(notice.thread))
        if item.state == "delivered" and item.arrived is not None:
            details["message_id"] = item.arrived.id
            message = f"{told} arrived in {channel}"
            unit.append("notice.delivered", subject, message=message, details=details, **belongs)
        elif item.state == "dropped":
            message = f"{told} was not sent to {channel}: {item.why}"
            unit.append("notice.dropped", subject, message=message, details=details, **belongs)
        else:
            unit.append(
                "notice.undelivered",
                subject,
                message=f"{told} did not arrive in {channel}: {item.why}",
                outcome=Outcome.FAILURE,
                reason="refused" if item.state == "refused" else "channel_failed",
                details=details,
                **belongs,
            )


def _broke(error: Exception) -> DeliveryError:
    return DeliveryError(f"the channel broke: {type(error).__name__}", unsure=True)


def _wait(failures: int, asked: float | None) -> timedelta:
    wait: timedelta = min(FIRST_WAIT * (1 << min(failures, 16)), LONGEST_WAIT)
    return wait if asked is None else max(wait, timedelta(seconds=asked))
