"""What people are reminded of: a freeze that begins within a day, a question nobody has answered.

A reminder is queued once for its moment, whoever asks and however often.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.ledger import Ledger, Source, Subject
from include.ledger.schema import notice, release
from include.notices import texts
from include.notices.notice import Notice
from include.notices.outbox import from_row, queue
from include.notices.queue_state import ACTOR
from include.notices.summary import summarise
from include.people import People
from include.releases.plan import read_plan

AHEAD = timedelta(days=1)
# Of the time that people have, how much is gone when they are reminded.
SHARES = (0.5, 0.9)
# What is asked for minutes needs no reminder.
SHORTEST = timedelta(hours=1)


def queue_reminders(ledger: Ledger, people: People, now: datetime, *, zone: str) -> int:
    """Queue the reminders that are due at `now`; return how many of them are new.

    `zone` is where people are told by when they answer.
    """
    with ledger.read() as connection:
        due = [*_freezes(connection, now), *_questions(connection, people, now, zone)]
        keys = [one.dedupe_key for one in due]
        query = select(notice.c.dedupe_key).where(notice.c.dedupe_key.in_(keys))
        known = set(connection.execute(query).scalars())
    new = [one for one in due if one.dedupe_key not in known]
    if not new:
        return 0
    with ledger.write(ACTOR, Source(kind="dag"), now) as unit:
        queued = sum(queue(unit, one) for one in new)
        unit.append(
            "notice.reminded",
            Subject(kind="outbox", id="notices"),
            message=f"{queued} reminders: {', '.join(one.title for one in new)}"[:2000],
        )
    return queued


def _freezes(connection: Connection, now: datetime) -> Iterable[Notice]:
    rows = connection.execute(
        select(release.c.plan, release.c.created_at).where(release.c.state == "running")
    )
    for row in rows:
        plan = read_plan(row.plan)
        for phase, at in (("feature", plan.feature_freeze), ("code", plan.code_freeze)):
            # What was planned later than that was said in time by the plan itself.
            if at - AHEAD <= now < at and row.created_at < at - AHEAD:
                yield texts.freeze_soon(
                    release=plan.release, phase=phase, at=at, zone=plan.zone, attempt=plan.attempt
                )


def _questions(
    connection: Connection, people: People, now: datetime, zone: str
) -> Iterable[Notice]:
    users = {person.name: person.user for person in people.people}
    answer_by = notice.c.standing["answer_by"].astext
    # Text in UTC sorts as instants do.
    still = select(notice.c.thread).where(answer_by > f"{now:%Y-%m-%dT%H:%M:%S}").distinct()
    for thread in connection.execute(still).scalars().all():
        rows = connection.execute(
            select(notice).where(notice.c.thread == thread).order_by(notice.c.id)
        ).all()
        said = [from_row(row) for row in rows]
        asked_at = {
            one.standing.question: (row.created_at, one)
            for row, one in zip(rows, said, strict=True)
            if one.standing and one.standing.question and one.reminds is None
        }
        for key, question in summarise(said).open.items():
            if question.answer_by is None or question.answer_by <= now or key not in asked_at:
                continue
            since, asking = asked_at[key]
            length = question.answer_by - since
            gone = [share for share in SHARES if now >= since + length * share]
            if length < SHORTEST or not gone:
                continue
            yield texts.checkpoint_reminder(
                thread=thread,
                about=question.about,
                question=key,
                people=question.asked,
                users=[users[name] for name in question.asked if name in users],
                until=question.answer_by,
                zone=zone,
                key=f"{asking.dedupe_key}:{gone[-1]:.0%}",
                link=asking.link,
            )
