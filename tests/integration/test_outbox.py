"""The outbox in the real ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from include.errors import LedgerError
from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.schema import notice as table
from include.notices import Audience, Notice, Severity, queue
from include.notices.notice import Standing
from include.notices.outbox import from_row

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)


def a_notice(**changed: object) -> Notice:
    values: dict[str, object] = {
        "event": "release.planned",
        "thread": "hims-api-2.3.0",
        "audience": Audience.TEAM,
        "severity": Severity.INFO,
        "title": "planned",
        "text": "text",
        "people": ("rita",),
        "standing": Standing(
            phase="p", next="n", question="q", about="a", asked=("Rita",), answer_by=NOW
        ),
        "reminds": "k",
        "expires_at": NOW,
        "fields": {"Zebra": "1", "Ape": "2", "Code freeze": "3"},
        "dedupe_key": "k",
        **changed,
    }
    return Notice(**values)  # type: ignore[arg-type]


def write(ledger: Ledger, *notices: Notice) -> list[bool]:
    with ledger.write(Actor.service("test"), Source(kind="cli"), NOW) as unit:
        new = [queue(unit, notice) for notice in notices]
        unit.append("test", Subject(kind="release", id="hims-api-2.3.0"), message="said")
    return new


def queue_without_record(ledger: Ledger) -> None:
    with ledger.write(Actor.service("test"), Source(kind="cli"), NOW) as unit:
        assert queue(unit, a_notice())


def test_a_notice_comes_back_as_it_was_queued_with_its_fields_in_order(ledger: Ledger) -> None:
    said = a_notice(link="http://127.0.0.1:8080/x", final=True, title='q"uote <!here> é \U0001f600')
    assert write(ledger, said) == [True]
    with ledger.read() as connection:
        row = connection.execute(select(table)).one()
    assert from_row(row) == said
    assert list(from_row(row).fields) == ["Zebra", "Ape", "Code freeze"]
    assert (row.routed_at, row.created_at) == (None, NOW)


def test_a_second_notice_with_the_same_key_is_not_queued(ledger: Ledger) -> None:
    assert write(ledger, a_notice()) == [True]
    assert write(ledger, a_notice(title="again"), a_notice(dedupe_key="other")) == [False, True]
    with ledger.read() as connection:
        titles = connection.execute(select(table.c.title).order_by(table.c.id)).scalars().all()
    assert titles == ["planned", "planned"]


def test_a_notice_is_not_queued_when_the_unit_of_work_is_undone(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="without a record"):
        queue_without_record(ledger)
    with ledger.read() as connection:
        assert connection.execute(select(table)).first() is None


def test_text_that_the_database_cannot_hold_is_made_holdable(ledger: Ledger) -> None:
    hostile = a_notice(title="a\x00b\ud800c", text="x\x00\ny\u202egnp", dedupe_key="long" * 5000)
    assert write(ledger, hostile) == [True]
    with ledger.read() as connection:
        row = connection.execute(select(table)).one()
    assert row.title == "a b\ufffdc"
    assert row.text == "x\nygnp"
