"""The outbox: a notice is queued in the transaction that makes true what it says."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql import insert

from include.ledger import Unit
from include.ledger.schema import notice as table
from include.notices.notice import Notice, read_standing


def queue(unit: Unit, notice: Notice) -> bool:
    """Put `notice` into the outbox as part of `unit`; return whether it is new.

    A notice whose dedupe key is there already is left alone, so a retried task says a thing once.
    Appends no record: the record of the caller's unit of work covers the notice as well.
    """
    statement = (
        insert(table)
        .values(
            dedupe_key=notice.dedupe_key,
            event=notice.event,
            thread=notice.thread,
            audience=str(notice.audience),
            severity=str(notice.severity),
            title=notice.title,
            text=notice.text,
            fields=to_pairs(notice),
            link=notice.link,
            created_at=unit.now,
            people=list(notice.people),
            standing=None if notice.standing is None else notice.standing.document(),
            reminds=notice.reminds,
            expires_at=notice.expires_at,
            final=notice.final,
        )
        .on_conflict_do_nothing(index_elements=[table.c.dedupe_key])
        .returning(table.c.id)
    )
    return unit.row(statement) is not None


def to_pairs(notice: Notice) -> list[list[str]]:
    """Return the fields as they are stored: in pairs, for jsonb sorts the keys of an object."""
    return [[name, value] for name, value in notice.fields.items()]


def from_row(row: Any) -> Notice:
    """Return the notice in a row of the outbox."""
    return Notice(
        event=row.event,
        thread=row.thread,
        audience=row.audience,
        severity=row.severity,
        title=row.title,
        text=row.text,
        fields=dict(row.fields),
        link=row.link,
        dedupe_key=row.dedupe_key,
        final=row.final,
        people=tuple(row.people),
        standing=read_standing(row.standing),
        reminds=row.reminds,
        expires_at=row.expires_at,
    )
