"""Incidents from opening to review, on a real ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from include.errors import RecordMissing, RequestError
from include.incidents.desk import PARTS, IncidentDesk
from include.incidents.incident import load_incident
from include.incidents.watch import watch_clocks
from include.ledger import Actor, Ledger, Source, schema
from include.people import load_people
from include.settings import load_settings

T0 = datetime(2026, 11, 23, 12, tzinfo=UTC)
REVIEW = dict.fromkeys(PARTS, "The cache was full.")


class Hand:
    """Whoever acts, at the instant that the test sets."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.now, self.settings = ledger, T0, load_settings()

    def __call__(self, user: str = "olga", run: str | None = None) -> IncidentDesk:
        person = load_people(self.settings).find(user)
        assert person is not None
        return IncidentDesk(
            ledger=self.ledger,
            settings=self.settings,
            person=person,
            actor=Actor(user=user, name=person.name, auth="test"),
            source=Source(kind="dag", run_id=run) if run else Source(kind="cli"),
            clock=lambda: self.now,
            zone="America/New_York",
        )

    def opened(self, severity: str = "P1", **more: Any) -> str:
        return self(**more).open(title="API is down", severity=severity, systems=["api"]).id

    def read(self, key: str) -> Any:
        with self.ledger.read() as connection:
            return load_incident(connection, key)

    def told(self) -> list[str]:
        with self.ledger.read() as connection:
            return list(
                connection.execute(
                    select(schema.notice.c.event).order_by(schema.notice.c.id)
                ).scalars()
            )

    def watch(self, **after: float) -> int:
        self.now = T0 + timedelta(**after)
        return watch_clocks(self.ledger, "America/New_York", self.now)


@pytest.fixture
def hand(ledger: Ledger) -> Hand:
    return Hand(ledger)


def test_it_is_opened_with_the_clocks_of_its_severity(hand: Hand) -> None:
    limits = {"P1": (15, 240), "P2": (30, 1440), "P3": (120, 10080), "P4": (1440, None)}
    for severity, (respond, resolve) in limits.items():
        found = hand.read(hand.opened(severity))
        assert found.response.due == T0 + timedelta(minutes=respond)
        assert (found.resolution is None) is (resolve is None)
        if resolve is not None:
            assert found.resolution.due == T0 + timedelta(minutes=resolve)
    assert hand.told() == ["incident.opened"] * 4


def test_a_run_opens_one_incident_however_often_it_asks(hand: Hand) -> None:
    assert hand.opened(run="r1") == hand.opened(run="r1") == "INC-000001"
    assert hand.opened(run="r2") == "INC-000002"


def test_clocks_are_told_at_75_and_100_percent_once_and_stop_with_the_answer(hand: Hand) -> None:
    key = hand.opened("P1")
    assert hand.watch(minutes=11) == 0
    assert hand.watch(minutes=11.25) == 1
    assert hand.watch(minutes=14) == 0
    assert hand.watch(minutes=15) == 1
    assert hand.watch(minutes=16) == 0
    assert hand().respond(key).ok
    assert hand.watch(hours=3) == 1
    assert hand.told() == [
        "incident.opened", "incident.clock", "incident.breached", "incident.clock",
    ]  # fmt: skip
    assert hand().resolve(key, how="The cache was emptied.").ok
    assert hand.watch(hours=5) == 0
    assert [clock.state(hand.now) for clock in hand.read(key).clocks] == ["breached", "met"]


def test_another_severity_sets_the_clocks_from_the_opening(hand: Hand) -> None:
    key = hand.opened("P4")
    hand.now = T0 + timedelta(hours=1)
    assert hand().grade(key, "P1", reason="it spreads").ok
    assert hand.read(key).response.due == T0 + timedelta(minutes=15)
    assert hand.watch(hours=1) == 1
    assert hand.told()[-1] == "incident.breached"


def test_who_does_not_lead_incidents_is_refused_on_record(hand: Hand) -> None:
    key = hand.opened(user="steve")
    for refused in (
        hand("steve").respond(key),
        hand("steve").resolve(key, how="x"),
        hand("steve").grade(key, "P4", reason="x"),
        hand("steve").review(key, REVIEW),
    ):
        assert (refused.ok, refused.reason) == (False, "not_eligible")
    assert len(hand.ledger.records(event="incident.refused")) == 4
    assert hand.read(key).state == "open"


def test_a_review_has_five_parts_and_drafts_its_follow_up_changes(hand: Hand) -> None:
    key = hand.opened()
    asked = [("technical", "Limit the cache"), ("training", "How to read the cache's alarms")]
    assert hand().review(key, REVIEW).reason == "out_of_order"
    hand().resolve(key, how="restarted")
    with pytest.raises(RequestError, match="prevention"):
        hand().review(key, {**REVIEW, "prevention": " "})
    with pytest.raises(RequestError, match="no kind of follow-up"):
        hand().review(key, REVIEW, [("gossip", "x")])
    assert hand().review(key, REVIEW, asked).ok
    found = hand.read(key)
    assert (found.state, set(found.review)) == ("reviewed", set(PARTS))
    with hand.ledger.read() as connection:
        table = schema.change
        rows = connection.execute(
            select(table.c.id, table.c.title, table.c.state).order_by(table.c.id)
        ).all()
    assert [(row.title, row.state) for row in rows] == [(what, "draft") for _, what in asked]
    assert found.follow_ups == tuple(row.id for row in rows)
    # A follow-up is not what caused it.
    assert found.changes == ()
    assert hand().review(key, REVIEW).reason == "ended"
    assert hand().link(key, rows[0].id).ok
    assert hand.read(key).changes == (rows[0].id,)
    assert hand().link(key, rows[0].id, take_back=True).ok
    assert hand.read(key).changes == ()


def test_what_makes_no_sense_is_said_and_writes_nothing(hand: Hand) -> None:
    for wrong in (
        {"severity": "P9"}, {"severity": "P1\x00"}, {"title": " "}, {"title": "x" * 201},
        {"systems": []}, {"systems": ["apy"]},
    ):  # fmt: skip
        with pytest.raises(RequestError):
            hand().open(**{"title": "Down", "severity": "P1", "systems": ["api"], **wrong})
    with pytest.raises(RecordMissing):
        hand().respond("INC-9\x00")
    assert hand.ledger.records() == []


def test_a_patient_s_number_gets_into_no_record(hand: Hand) -> None:
    desk = hand()
    key = desk.open(title="MRN: 12345678 is lost", severity="P3", systems=["api"]).id
    desk.resolve(key, how="MRN 12345678 was found again")
    with hand.ledger.read() as connection:
        kept = list(connection.execute(select(schema.kept_text.c.body)).scalars())
    said = [row["body"] for row in hand.ledger.records()] + kept
    assert kept
    assert not [text for text in said if "12345678" in text]
