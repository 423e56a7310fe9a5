"""Slots: of two changes that want one system at one time, one gets it, however close the race."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from include.changes.change import (
    Change,
    book_slot,
    load_change,
    open_change,
    release_slot,
)
from include.ledger import Actor, Ledger, Source, Subject, schema

AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROBOT, CLI = Actor.service("test"), Source(kind="cli")


def change(ledger: Ledger, *systems: str) -> Change:
    content = {
        "type": "normal",
        "title": "x",
        "affected_systems": list(systems),
        "requester": "rita",
    }
    with ledger.write(ROBOT, CLI, AT) as unit:
        return open_change(unit, content, release_id=None)


def book(ledger: Ledger, wanted: Change, start: datetime, end: datetime) -> str | None:
    with ledger.write(ROBOT, CLI, AT) as unit:
        holder = book_slot(unit, wanted, start=start, end=end, window="standard")
        unit.append("slot.asked", wanted.subject, message=str(holder))
        return holder


def booked(ledger: Ledger) -> list[tuple[str, str]]:
    table = schema.slot
    with ledger.read() as connection:
        rows = connection.execute(
            select(table.c.change_id, table.c.system).where(table.c.released_at.is_(None))
        )
        return sorted((row.change_id, row.system) for row in rows)


def overlaps(ledger: Ledger) -> int:
    """Return how many pairs of held slots on one system overlap; there must be none."""
    one, two = schema.slot.alias(), schema.slot.alias()
    with ledger.read() as connection:
        return int(
            connection.execute(
                select(func.count()).where(
                    one.c.id < two.c.id,
                    one.c.system == two.c.system,
                    one.c.during.overlaps(two.c.during),
                    one.c.released_at.is_(None),
                    two.c.released_at.is_(None),
                )
            ).scalar_one()
        )


def test_an_overlap_on_one_system_names_the_holder_and_books_nothing(ledger: Ledger) -> None:
    first, second = change(ledger, "api", "web"), change(ledger, "web", "billing")
    assert book(ledger, first, AT, AT + HOUR) is None
    assert book(ledger, second, AT + HOUR / 2, AT + 2 * HOUR) == first.id
    assert booked(ledger) == [(first.id, "api"), (first.id, "web")]


def test_slots_that_only_touch_do_not_overlap(ledger: Ledger) -> None:
    first, second = change(ledger, "api"), change(ledger, "api")
    assert book(ledger, first, AT, AT + HOUR) is None
    assert book(ledger, second, AT + HOUR, AT + 2 * HOUR) is None


def test_booking_again_moves_the_slot(ledger: Ledger) -> None:
    first, second = change(ledger, "api"), change(ledger, "api")
    assert book(ledger, first, AT, AT + HOUR) is None
    assert book(ledger, first, AT + 2 * HOUR, AT + 3 * HOUR) is None
    assert book(ledger, second, AT, AT + HOUR) is None
    assert book(ledger, first, AT, AT + HOUR) == second.id
    assert booked(ledger) == [(first.id, "api"), (second.id, "api")]


def test_a_slot_given_back_is_free(ledger: Ledger) -> None:
    first, second = change(ledger, "api"), change(ledger, "api")
    assert book(ledger, first, AT, AT + HOUR) is None
    with ledger.write(ROBOT, CLI, AT) as unit:
        release_slot(unit, first.id)
        unit.append("slot.released", Subject(kind="change", id=first.id), message="x")
    assert book(ledger, second, AT, AT + HOUR) is None


def test_a_system_named_twice_is_booked_once(ledger: Ledger) -> None:
    first = change(ledger, "api", "api")
    assert book(ledger, first, AT, AT + HOUR) is None
    assert booked(ledger) == [(first.id, "api")]


def race(ledger: Ledger, changes: list[Change]) -> list[str | None]:
    gate = threading.Barrier(len(changes))
    answers: list[str | None] = []
    raised: list[BaseException] = []

    def ask(wanted: Change) -> None:
        gate.wait()
        try:
            answers.append(book(ledger, wanted, AT, AT + HOUR))
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=ask, args=(wanted,)) for wanted in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    return answers


def test_of_many_that_want_one_slot_at_once_one_gets_it(ledger: Ledger) -> None:
    answers = race(ledger, [change(ledger, "api") for _ in range(8)])
    assert answers.count(None) == 1
    assert len(booked(ledger)) == 1


def test_systems_in_any_order_never_make_two_bookings_wait_for_each_other(ledger: Ledger) -> None:
    for _ in range(4):
        orders = itertools.permutations(["api", "web", "billing"])
        changes = [change(ledger, *order) for order in orders]
        answers = race(ledger, changes)
        assert answers.count(None) == 1
        assert len(booked(ledger)) == 3
        winner = booked(ledger)[0][0]
        with ledger.write(ROBOT, CLI, AT) as unit:
            release_slot(unit, winner)
            unit.append("slot.released", Subject(kind="change", id=winner), message="x")


def waiting(ledger: Ledger) -> int:
    """Return how many connections to this ledger wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with ledger.read() as connection:
        return int(connection.execute(query).scalar_one())


def test_who_waits_for_a_change_that_another_holds_keeps_nobody_from_booking(
    ledger: Ledger,
) -> None:
    held = change(ledger, "api")
    answers: list[str | None] = []
    second = threading.Thread(target=lambda: answers.append(book(ledger, held, AT, AT + HOUR)))
    with ledger.write(ROBOT, CLI, AT) as unit:
        load_change(unit.connection, held.id, lock=True)
        second.start()
        while not waiting(ledger):
            assert second.is_alive()
        assert book_slot(unit, held, start=AT, end=AT + HOUR, window="standard") is None
        unit.append("slot.asked", held.subject, message="booked")
    second.join()
    assert answers == [None]
    assert booked(ledger) == [(held.id, "api")]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sets(st.sampled_from(["api", "web", "db"]), min_size=1),
            st.integers(0, 6),
            st.integers(1, 3),
        ),
        max_size=8,
    )
)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whoever_books_what_nothing_is_booked_twice_and_what_is_free_is_given(
    ledger: Ledger, wishes: list[tuple[int, set[str], int, int]]
) -> None:
    """Against a list of intervals kept by hand."""
    base = AT + timedelta(days=len(booked(ledger)))
    held: dict[str, tuple[set[str], datetime, datetime]] = {}
    changes: dict[tuple[int, frozenset[str]], Change] = {}
    for who, systems, start, length in wishes:
        key = (who, frozenset(systems))
        wanted = changes.get(key) or changes.setdefault(key, change(ledger, *sorted(systems)))
        begin, end = base + start * HOUR, base + (start + length) * HOUR
        free = all(
            other == wanted.id or not (theirs & systems) or end <= since or until <= begin
            for other, (theirs, since, until) in held.items()
        )
        assert (book(ledger, wanted, begin, end) is None) is free
        if free:
            held[wanted.id] = (systems, begin, end)
    assert overlaps(ledger) == 0
    with ledger.write(ROBOT, CLI, AT) as unit:
        for made in changes.values():
            release_slot(unit, made.id)
        unit.append("slot.released", Subject(kind="test", id="all"), message="x")
