"""One opening of a change window: what starts, what waits and why, what is left at its end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.calendar import Span, read_calendar
from include.entries.whole_calendar import whole_calendar
from include.errors import RequestError
from include.ledger import schema
from include.windows.announcing import announce
from include.windows.closing import Closed, OnClose, close_opening, closing_order
from include.windows.opening import PRIORITIES, Attended, attended, due_changes
from include.windows.starting import (
    AT_ONCE,
    Decision,
    confirm_start,
    consider,
    decide_starts,
    started_in,
    work_stamp,
)
from tests.integration.entries.office import HOUR, SATURDAY, Office

OPENING = Attended(span=Span(SATURDAY, SATURDAY + 2 * HOUR))
MINUTE = timedelta(minutes=1)
ALL = (SATURDAY, SATURDAY + 2 * HOUR)


def decide(office: Office, **locked: str) -> Decision:
    with office.unit("service") as unit:
        calendar = whole_calendar(office.calendar_file, unit.connection)
        return decide_starts(unit, calendar, OPENING, locked=locked)


def confirm(office: Office, decision: Decision) -> list[str]:
    for start in decision.starts:
        with office.unit("service") as unit:
            confirm_start(unit, OPENING, start)
    return [start.change for start in decision.starts]


def go(office: Office, **locked: str) -> list[str]:
    return confirm(office, decide(office, **locked))


def close(office: Office) -> Closed:
    with office.unit("service") as unit:
        return close_opening(unit, office.calendar, OPENING)


@pytest.fixture
def inside(office: Office) -> Office:
    office.now = SATURDAY + MINUTE
    return office


def test_what_is_due_starts_by_priority(inside: Office) -> None:
    changes = {
        name: inside.change(systems=(name,), slot=ALL, priority=name).id
        for name in ("low", "high", "critical", "normal")
    }
    assert go(inside) == [changes[name] for name in PRIORITIES]
    assert inside.records("change.start_asked")[0]["details"]["run_id"].endswith(
        changes["critical"]
    )


def test_what_is_scheduled_elsewhere_or_not_scheduled_or_a_train_s_does_not_start(
    inside: Office, ledger_url: str
) -> None:
    inside.change(slot=(SATURDAY + 7 * 24 * HOUR, SATURDAY + 7 * 24 * HOUR + HOUR))
    inside.change(systems=("a",), slot=ALL, state="authorizing")
    inside.change(systems=("b",))
    assert go(inside) == []


def test_each_waits_for_its_own_slot(inside: Office) -> None:
    early = inside.change(slot=(SATURDAY, SATURDAY + HOUR))
    late = inside.change(slot=(SATURDAY + HOUR, SATURDAY + 2 * HOUR))
    decision = decide(inside)
    assert confirm(inside, decision) == [early.id]
    assert decision.waiting == {late.id: "its slot has not begun"}
    assert decision.look_again == SATURDAY + HOUR
    inside.now = SATURDAY + HOUR
    inside.move(early, "implementing")
    assert f"{early.id} works on api" in decide(inside).waiting[late.id]
    inside.move(early, "review")
    assert go(inside) == [late.id]


def test_nothing_starts_twice_however_often_it_is_asked(inside: Office) -> None:
    change = inside.change(slot=ALL)
    assert go(inside) == [change.id]
    assert go(inside) == []
    with inside.ledger.read() as connection:
        assert started_in(connection, OPENING) == [change.id]


def test_what_was_decided_and_not_confirmed_is_started_again_under_the_same_run(
    inside: Office,
) -> None:
    change = inside.change(slot=ALL)
    first = decide(inside)
    assert [start.change for start in first.starts] == [change.id]
    again = decide(inside)
    assert again.starts == first.starts
    inside.move(change, "implementing")
    assert decide(inside).starts == ()


def test_two_that_decide_at_once_start_it_once_and_keep_to_the_limit(inside: Office) -> None:
    import threading

    for number in range(6):
        inside.change(systems=(f"s{number}",), slot=ALL)
    found: list[Decision] = []
    threads = [threading.Thread(target=lambda: found.append(decide(inside))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = {start.change for decision in found for start in decision.starts}
    assert len(started) == AT_ONCE
    with inside.ledger.read() as connection:
        rows = connection.execute(schema.opening_start.select()).all()
    assert len(rows) == AT_ONCE


def test_no_more_than_a_few_are_under_way_at_once(inside: Office) -> None:
    changes = [inside.change(systems=(f"s{number}",), slot=ALL) for number in range(AT_ONCE + 2)]
    assert len(go(inside)) == AT_ONCE
    assert go(inside) == []
    inside.move(changes[0], "implementing")
    assert go(inside) == []
    inside.move(changes[0], "review")
    assert go(inside) == [changes[AT_ONCE].id]


def test_a_start_that_does_not_get_going_keeps_nobody_waiting_for_ever(inside: Office) -> None:
    first = inside.change(slot=(SATURDAY, SATURDAY + HOUR / 2), priority="high")
    second = inside.change(slot=(SATURDAY + HOUR / 2, SATURDAY + HOUR))
    assert go(inside) == [first.id]
    inside.now = SATURDAY + HOUR / 2
    assert go(inside) == [second.id]


def test_a_window_takes_as_many_changes_as_it_may(inside: Office, tmp_path: Path) -> None:
    text = inside.calendar_file.read_text()
    inside.calendar_file = tmp_path / "calendar.yaml"
    inside.calendar_file.write_text(
        text.replace("cutoff: 20m", "cutoff: 20m\n    max_changes: 2", 1)
    )
    changes = [inside.change(systems=(f"s{number}",), slot=ALL) for number in range(3)]
    decision = decide(inside)
    assert confirm(inside, decision) == [changes[0].id, changes[1].id]
    assert decision.waiting[changes[2].id] == "standard takes 2 changes and has them"
    for change in changes[:2]:
        inside.move(change, "closed")
    assert go(inside) == []


def test_a_locked_system_is_left_alone(inside: Office) -> None:
    change = inside.change(slot=ALL)
    decision = decide(inside, api="hims-api is locked by hims-api-2.3.0: it broke")
    assert decision.starts == ()
    assert decision.waiting == {change.id: "hims-api is locked by hims-api-2.3.0: it broke"}
    assert go(inside) == [change.id]


def test_a_freeze_entered_in_mid_window_stops_the_next_start(inside: Office) -> None:
    change = inside.change(slot=ALL)
    key = inside.freeze(inside.now, SATURDAY + HOUR).id
    assert key is not None
    decision = decide(inside)
    assert decision.starts == ()
    assert f"freeze {key}" in decision.waiting[change.id]
    assert decision.look_again == SATURDAY + HOUR
    inside.lift(key)
    assert go(inside) == [change.id]


def test_an_extension_lets_one_change_start_outside_the_recurring_window(office: Office) -> None:
    change = office.change(slot=ALL)
    sunday = SATURDAY + 24 * HOUR
    assert office.decide(office.extend(change, sunday, sunday + 4 * HOUR).id).ok
    office.now = sunday + MINUTE
    opening = Attended(span=Span(sunday, sunday + 4 * HOUR))
    with office.unit("service") as unit:
        calendar = whole_calendar(office.calendar_file, unit.connection)
        decision = decide_starts(unit, calendar, opening, locked={})
    assert [start.change for start in decision.starts] == [change.id]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_due_the_limits_hold(office: Office, data: st.DataObject) -> None:
    """No system is worked on twice at once, and of those that could start the pressing go first."""
    with psycopg.connect(
        office.ledger._engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")
    ) as connection:
        connection.execute("UPDATE change SET state = 'closed'")
        connection.execute("UPDATE slot SET released_at = now()")
    office.now = SATURDAY + MINUTE
    systems = data.draw(
        st.lists(
            st.tuples(st.sampled_from("abcdef"), st.sampled_from(PRIORITIES)),
            max_size=8,
            unique_by=lambda item: item[0],
        )
    )
    changes = {
        office.change(systems=(name,), slot=ALL, priority=priority).id: (name, priority)
        for name, priority in systems
    }
    with office.ledger.read() as connection:
        begun = len(
            connection.execute(
                schema.opening_start.select()
                .join(schema.change, schema.change.c.id == schema.opening_start.c.change_id)
                .where(schema.change.c.state.in_(("scheduled", "implementing")))
            ).all()
        )
        decision, _ = consider(connection, office.calendar, OPENING, office.now, locked={})
    assert begun == 0
    started = [start.change for start in decision.starts]
    ranks = [PRIORITIES.index(changes[key][1]) for key in started]
    assert ranks == sorted(ranks)
    assert len(started) == min(AT_ONCE, len(changes))
    left = [PRIORITIES.index(changes[key][1]) for key in decision.waiting]
    assert not left or max(ranks) <= min(left)


# -- the end ---------------------------------------------------------------------------------------


def test_closing_tells_each_change_under_way_what_it_declared(inside: Office) -> None:
    changes = {
        name: inside.change(systems=(str(name),), slot=ALL, on_close=name)
        for name in ("finish", "hold", "roll_back", None)
    }
    go(inside)
    for change in changes.values():
        inside.move(change, "implementing")
    with inside.ledger.read() as connection:
        assert closing_order(connection, changes["hold"].id) is None
    inside.now = SATURDAY + 2 * HOUR
    closed = close(inside)
    assert set(closed.unfinished) == {change.id for change in changes.values()}
    with inside.ledger.read() as connection:
        orders = {name: closing_order(connection, item.id) for name, item in changes.items()}
    assert orders == {
        "finish": OnClose.FINISH,
        "hold": OnClose.HOLD,
        "roll_back": OnClose.ROLL_BACK,
        None: OnClose.HOLD,
    }
    assert len(inside.records("change.window_closed")) == 4
    close(inside)
    assert len(inside.records("change.window_closed")) == 4


def test_closing_reports_what_is_done_unfinished_and_not_started(inside: Office) -> None:
    done = inside.change(systems=("a",), slot=ALL)
    under_way = inside.change(systems=("b",), slot=ALL)
    go(inside)
    inside.move(done, "closed")
    inside.move(under_way, "validating")
    never = inside.change(systems=("c",), slot=ALL)
    inside.now = SATURDAY + 2 * HOUR
    closed = close(inside)
    assert set(closed.done) == {done.id}
    assert set(closed.unfinished) == {under_way.id}
    assert set(closed.not_started) == {never.id}
    (record,) = inside.records("window.closed")
    assert (record["outcome"], record["reason"]) == ("failure", "unfinished")
    with inside.ledger.read() as connection:
        (notice,) = connection.execute(schema.notice.select()).all()
    assert never.id in notice.text
    assert notice.severity == "warning"


def test_a_change_that_was_granted_more_time_is_left_alone(inside: Office) -> None:
    change = inside.change(slot=ALL, on_close="roll_back")
    go(inside)
    inside.move(change, "implementing")
    assert inside.decide(inside.extend(change, SATURDAY, SATURDAY + 5 * HOUR).id).ok
    inside.now = SATURDAY + 2 * HOUR
    closed = close(inside)
    assert "has time until 2026-11-28 12:00Z" in closed.unfinished[change.id]
    with inside.ledger.read() as connection:
        assert closing_order(connection, change.id) is None


def test_a_window_in_which_nothing_was_due_closes_quietly(office: Office) -> None:
    office.now = SATURDAY + 2 * HOUR
    assert close(office).message.endswith("0 done, 0 unfinished, 0 not started")
    (record,) = office.records("window.closed")
    assert record["outcome"] == "success"


# -- the beginning ---------------------------------------------------------------------------------


def test_an_opening_is_announced_with_what_is_due(inside: Office) -> None:
    change = inside.change(slot=ALL)
    with inside.unit("service") as unit:
        message = announce(unit, inside.calendar, OPENING)
    assert message == "the window Sat 28 Nov 2026 02:00–04:00 EST opens; due: 1"
    with inside.ledger.read() as connection:
        (notice,) = connection.execute(schema.notice.select()).all()
    assert change.id in notice.text


def test_a_window_that_a_freeze_keeps_shut_is_announced_as_that(inside: Office) -> None:
    inside.freeze(SATURDAY, SATURDAY + 2 * HOUR)
    with inside.unit("service") as unit:
        message = announce(unit, inside.calendar, OPENING)
    assert "stays closed" in message
    assert "The audit needs quiet" in message
    with inside.ledger.read() as connection:
        assert connection.execute(schema.notice.select()).all() == []


def test_news_about_the_changes_of_a_window_changes_its_stamp(inside: Office) -> None:
    def stamp() -> str:
        with inside.ledger.read() as connection:
            return work_stamp(connection, OPENING)

    seen = [stamp()]
    change = inside.change(slot=ALL)
    seen.append(stamp())
    inside.now += MINUTE
    inside.move(change, "implementing")
    seen.append(stamp())
    inside.change(slot=(SATURDAY + 7 * 24 * HOUR, SATURDAY + 7 * 24 * HOUR + HOUR))
    assert stamp() == seen[-1]
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"start": "tomorrow", "end": "2026-11-28T09:00:00Z"}, "is not an instant"),
        ({"start": "2026-11-28T07:00:00Z"}, "give both start and end"),
        ({"start": 7, "end": "2026-11-28T09:00:00Z"}, "give both start and end"),
        ({"start": "2026-11-28T09:00:00Z", "end": "2026-11-28T09:00:00Z"}, "is not after start"),
    ],
)
def test_a_conf_that_makes_no_sense_is_refused(conf: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        attended(None, conf)


def test_hostile_contents_are_due_like_any_other(inside: Office) -> None:
    change = inside.change(slot=ALL, on_close={"a": 1})
    with inside.ledger.read() as connection:
        (due,) = due_changes(connection, OPENING.span, states=("scheduled",))
    assert (due.id, due.priority) == (change.id, "normal")
    assert read_calendar(inside.calendar_file.read_text(), name="x").window(due.window)
