"""What people are reminded of, and what is coming to their systems."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from include.calendar import load_calendar
from include.ledger import Source, schema
from include.notices import texts
from include.notices.digest import digests, send_digests
from include.notices.reminders import queue_reminders
from include.notices.routing import load_routing
from include.people import load_people
from include.releases.train import Train
from tests.integration.train.works import Station


@pytest.fixture
def train(station: Station) -> Train:
    return station.train()


def told(station: Station, event: str) -> list[str]:
    return [row.title for row in station.rows(schema.notice) if row.event == event]


def test_a_freeze_that_begins_within_a_day_is_announced_once(
    station: Station, train: Train
) -> None:
    people = load_people(station.settings)
    freeze = train.plan.feature_freeze
    planned = station.rows(schema.release)[0].created_at
    for hours in (30, 23, 12, 1, -1):
        queue_reminders(station.ledger, people, freeze - timedelta(hours=hours), zone="UTC")
    # A plan that was made within that day has said so itself.
    expected = 1 if planned < freeze - timedelta(days=1) else 0
    assert len(told(station, "freeze.soon")) == expected


def test_who_has_not_answered_is_reminded_at_half_time_and_near_the_end(
    station: Station, train: Train
) -> None:
    people = load_people(station.settings)
    start = station.clock.now
    with train.unit() as unit:
        for seat, name in (("security", "Sam Okafor"), ("operations", "Olga Petrova")):
            asks = texts.checkpoint_asks(
                release=train.release, checkpoint=f"CAB: {seat}", people=[name], key=seat,
                until=start + timedelta(hours=10), zone="UTC",
            )  # fmt: skip
            train.tell(unit, asks)
        unit.append("test", train.subject, message="asked")
    counts = []
    for hours in (1, 5.5, 6, 9.5, 9.6, 11):
        now = start + timedelta(hours=hours)
        counts.append(queue_reminders(station.ledger, people, now, zone="America/New_York"))
        if hours == 6:
            with train.unit() as unit:
                train.tell(
                    unit,
                    texts.checkpoint_decided(
                        release=train.release, checkpoint="CAB: security", decision="approve",
                        by="Sam", key="security",
                    ),
                )  # fmt: skip
                unit.append("test", train.subject, message="decided")
    freezes = len(told(station, "freeze.soon"))
    assert sum(counts) == 3 + freezes
    rows = [row for row in station.rows(schema.notice) if row.event == "checkpoint.reminder"]
    assert [row.people for row in rows] == [["sam"], ["olga"], ["olga"]]
    for row in rows:
        # On the clock of those who are asked, and in UTC.
        assert re.search(r" E[SD]T \(.*UTC\)$", dict(row.fields)["Answer by"])


def test_a_team_is_told_what_is_coming_to_its_systems(station: Station, train: Train) -> None:
    routing = load_routing(station.settings)
    now = train.plan.slot.start - timedelta(days=3)
    found = digests(station.ledger, routing, now, timedelta(days=14))
    coming = {digest.team.name: [one.id for one in digest.coming] for digest in found}
    assert coming["clinical"] == [train.release]
    assert coming["platform"] == []
    json.dumps(found[0].document(), default=str)
    zone = str(load_calendar(station.settings.config_file("calendar.yaml")).zone)
    source = Source(kind="cli")
    for expected in (1, 0):
        queued = send_digests(
            station.ledger, station.settings, found, zone=zone, now=now, source=source
        )
        assert queued == expected
    (title,) = told(station, "digest.upcoming")
    assert title == "Clinical applications: what is coming to your systems"
    late = digests(station.ledger, routing, train.plan.slot.end, timedelta(days=14))
    assert not any(digest.coming for digest in late)


def test_a_question_of_minutes_needs_no_reminder(station: Station, train: Train) -> None:
    start = station.clock.now
    with train.unit() as unit:
        asks = texts.checkpoint_asks(
            release=train.release, checkpoint="UAT", people=["Quinn Harper"], key="uat",
            until=start + timedelta(minutes=10), zone="UTC",
        )  # fmt: skip
        train.tell(unit, asks)
        unit.append("test", train.subject, message="asked")
    people, now = load_people(station.settings), start + timedelta(minutes=9)
    queue_reminders(station.ledger, people, now, zone="UTC")
    assert told(station, "checkpoint.reminder") == []
