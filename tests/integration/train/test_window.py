"""Entering the change window: now, later, or never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.calendar import Span
from include.calendar.waiting import span_words
from include.changes.change import book_slot, open_change
from include.entries.freeze import Scope, enter_freeze, lift
from include.ledger import schema
from include.releases.phases import window
from include.releases.phases.window import Wait
from include.releases.train import Done, Train
from include.releases.window_clock import needs_of
from tests.integration.train.paper import DAG, IN_WINDOW, OPENING, Station, person, spoil


@pytest.fixture
def train(decided: Station) -> Train:
    return decided.train(begin=False)


def enter(station: Station, train: Train, at: datetime) -> Done | Wait:
    station.clock.now = at
    return window.enter_window(train)


def test_before_the_opening_it_waits_for_it(decided: Station, train: Train) -> None:
    outcome = enter(decided, train, OPENING - timedelta(days=3))
    assert isinstance(outcome, Wait)
    assert outcome.until == OPENING
    assert decided.bodies("window.waiting")[-1]["reason"] == "closed"
    assert not train.has("enter_window")


def test_at_the_opening_it_books_the_rest_and_enters_once(decided: Station, train: Train) -> None:
    outcome = enter(decided, train, IN_WINDOW)
    assert isinstance(outcome, Done)
    assert outcome.ok
    (held,) = [row for row in decided.rows(schema.slot) if row.released_at is None]
    assert (held.during.lower, held.during.upper) == (IN_WINDOW, OPENING + timedelta(hours=2))
    again = enter(decided, train, OPENING + timedelta(days=1))
    assert isinstance(again, Done)
    assert again.reason == "already_done"
    assert len(decided.bodies("window.entered")) == 1


def test_too_late_for_what_it_needs_it_waits_for_the_next_one(
    decided: Station, train: Train
) -> None:
    latest = OPENING + timedelta(hours=2) - train.plan.work
    outcome = enter(decided, train, latest + timedelta(seconds=1))
    assert isinstance(outcome, Wait)
    assert outcome.until == OPENING + timedelta(days=7)
    # Entered at the last moment, the deploy has what it needs when the backup is done.
    assert isinstance(enter(decided, train, latest), Done)
    assert train.plan.work - train.plan.profile.durations.backup == train.plan.needs


def test_the_next_window_is_entered_as_well_while_the_approval_lasts(
    decided: Station, train: Train
) -> None:
    outcome = enter(decided, train, OPENING + timedelta(days=7, minutes=1))
    assert isinstance(outcome, Done)
    assert outcome.ok


def test_when_the_approval_has_ended_no_window_is_left(decided: Station, train: Train) -> None:
    outcome = enter(decided, train, train.plan.slot.latest + timedelta(seconds=1))
    assert isinstance(outcome, Done)
    assert (outcome.ok, outcome.reason) == (False, "no_window")
    (record,) = decided.bodies("window.entered")
    assert record["outcome"] == "failure"


def test_a_blackout_that_was_added_is_waited_out(decided: Station, train: Train) -> None:
    spoil(
        decided.settings.config_file("calendar.yaml"),
        "blackouts:\n",
        "blackouts:\n  audit:\n    start: 2026-11-27T00:00\n    end: 2026-11-30T00:00\n"
        "    systems: [api]\n    reason: Audit\n",
    )
    outcome = enter(decided, train, IN_WINDOW)
    assert isinstance(outcome, Wait)
    assert outcome.until == OPENING + timedelta(days=7)


def frozen(station: Station, start: datetime, end: datetime, **scope: tuple[str, ...]) -> str:
    olga = station.people.find("olga")
    assert olga is not None
    with station.ledger.write(person("olga"), DAG, station.clock()) as unit:
        entered = enter_freeze(
            unit,
            olga,
            kind="freeze",
            span=Span(start, end),
            scope=Scope(**scope),
            owner=olga,
            reason="Audit",
        )
    assert entered.id is not None, entered.message
    return entered.id


def test_a_freeze_that_was_entered_while_it_waits_is_waited_out(
    decided: Station, train: Train
) -> None:
    assert isinstance(enter(decided, train, OPENING - timedelta(days=3, hours=4)), Wait)
    key = frozen(decided, OPENING, OPENING + timedelta(days=2), systems=("api",))
    outcome = enter(decided, train, OPENING - timedelta(days=3))
    assert isinstance(outcome, Wait)
    assert outcome.until == OPENING + timedelta(days=7)
    assert f"passes over Sat 02:00 EST (freeze {key}" in outcome.message
    inside = enter(decided, train, IN_WINDOW)
    assert isinstance(inside, Wait)
    olga = decided.people.find("rita")
    assert olga is not None
    with decided.ledger.write(person("rita"), DAG, IN_WINDOW) as unit:
        assert lift(unit, olga, key, reason="It is over").ok
    assert isinstance(enter(decided, train, IN_WINDOW), Done)


def test_what_it_waits_for_can_be_read(decided: Station, train: Train) -> None:
    outcome = enter(decided, train, OPENING - timedelta(days=3, hours=4))
    assert isinstance(outcome, Wait)
    needs = span_words(train.plan.work)
    assert outcome.message == (
        f"opens Sat 02:00 EST, in 3 d 4 h; needs {needs} before the 03:40 cutoff"
    )


@pytest.mark.parametrize("how", ["broken", "gone", "unknown key"])
def test_a_calendar_that_cannot_be_read_is_closed_until_it_is_put_right(
    decided: Station, train: Train, how: str
) -> None:
    path = decided.settings.config_file("calendar.yaml")
    before = path.read_text()
    if how == "gone":
        path.unlink()
    else:
        path.write_text(before.replace("windows:", "windows: [" if how == "broken" else "windoze:"))
    outcome = enter(decided, train, IN_WINDOW)
    assert isinstance(outcome, Wait)
    assert "cannot be read, so it is closed" in outcome.message
    assert decided.bodies("window.waiting")[-1]["reason"] == "calendar_unreadable"
    path.write_text(before)
    entered = enter(decided, train, IN_WINDOW + timedelta(minutes=1))
    assert isinstance(entered, Done)
    assert entered.ok


def test_a_calendar_that_stays_unreadable_ends_with_the_approval(
    decided: Station, train: Train
) -> None:
    decided.settings.config_file("calendar.yaml").write_text("windows: [")
    outcome = enter(decided, train, train.plan.slot.latest)
    assert isinstance(outcome, Done)
    assert (outcome.ok, outcome.reason) == (False, "no_window")


def test_while_another_change_works_on_the_system_it_waits_its_turn(
    decided: Station, train: Train
) -> None:
    content = {"type": "normal", "title": "x", "affected_systems": ["api"], "requester": "mei"}
    with decided.ledger.write(person("mei"), DAG, decided.clock()) as unit:
        other = open_change(unit, content, release_id=None)
        start = OPENING + train.plan.work + timedelta(minutes=1)
        assert (
            book_slot(unit, other, start=start, end=start + timedelta(hours=1), window="w") is None
        )
    outcome = enter(decided, train, IN_WINDOW)
    assert isinstance(outcome, Wait)
    assert f"{other.id} works on api now" in outcome.message
    assert outcome.until > IN_WINDOW
    assert not train.has("enter_window")
    assert [row.state for row in decided.rows(schema.step) if row.name == "enter_window"] == [
        "started"
    ]
    later = enter(decided, train, OPENING + timedelta(days=7, minutes=1))
    assert isinstance(later, Done)
    assert later.ok


def test_the_opening_s_instant_is_inside(decided: Station, train: Train) -> None:
    outcome = enter(decided, train, datetime(2026, 11, 28, 7, tzinfo=UTC))
    assert isinstance(outcome, Done)
    assert outcome.ok


@pytest.mark.parametrize(
    ("began", "took"),
    [
        # Minutes at which begin_deploy, shift_1 and switch_traffic began; each takes fifteen.
        ((0, 15, 30), 45),
        # A worker that takes its time between two steps is part of a deploy …
        ((0, 15.5, 31), 46),
        # … and one that was dead for hours is not.
        ((0, 15, 600), 46),
        ((0, 500, 515), 46),
    ],
)
def test_what_stood_still_is_no_measure_of_a_deploy(
    decided: Station, train: Train, began: tuple[float, ...], took: float
) -> None:
    opens = OPENING.isoformat()
    names = ("begin_deploy", "shift_1", "switch_traffic")
    decided.arrange(
        "INSERT INTO release SELECT (jsonb_populate_record(r, "
        """'{"id": "hims-api-2.2.9", "version": "2.2.9"}')).* FROM release r""",
        *(
            "INSERT INTO step (release_id, attempt, name, state, tries, started_at, finished_at) "  # noqa: S608
            f"VALUES ('hims-api-2.2.9', 1, '{name}', 'done', 1, "
            f"timestamptz '{opens}' + interval '{at} minutes', "
            f"timestamptz '{opens}' + interval '{at + 15} minutes')"
            for name, at in zip(names, began, strict=True)
        ),
    )
    found = needs_of(train)
    assert dict(found.measured)["deploy"] == 1
    assert found.deploy == timedelta(minutes=took)
