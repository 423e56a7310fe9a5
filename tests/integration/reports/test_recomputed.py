"""A report that is made again later is the same, whatever was written down since it was due."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, text

from include.changes.change import book_slot, load_change, open_change, revise_change
from include.changes.checklist import attest
from include.incidents.desk import PARTS, IncidentDesk
from include.ledger import Actor, Ledger, Source, Subject, Unit, schema
from include.people import load_people
from include.reports.facts import Facts
from include.reports.making import make_report
from include.reports.metrics.scorecard import score
from include.reports.period import Kind, parse_period
from include.reports.reading import read_facts
from include.reports.rendering.data import data
from include.reports.report import Grid
from include.settings import load_settings
from tests.integration.reports.conftest import CONTENT, deployed

WEEK = parse_period(Kind.WEEKLY, "2026-W47", ZoneInfo("America/New_York"))
BEFORE = datetime(2026, 11, 18, 12, tzinfo=UTC)
AFTER = datetime(2026, 11, 25, 12, tzinfo=UTC)
AHEAD = datetime(2026, 11, 28, 7, tzinfo=UTC)


def report(ledger: Ledger) -> dict[str, Any]:
    made = make_report(ledger, load_settings(), WEEK, now=AFTER)
    return dict(json.loads(json.dumps(data(made))))


def facts(ledger: Ledger, service: str | None) -> Facts:
    observed = timedelta(hours=72)
    return read_facts(ledger, WEEK.start, WEEK.end, observed=observed, service=service)


def desk(ledger: Ledger, at: datetime) -> IncidentDesk:
    settings = load_settings()
    person = load_people(settings).find("olga")
    assert person is not None
    return IncidentDesk(
        ledger=ledger,
        settings=settings,
        person=person,
        actor=Actor(user="olga", name=person.name, auth="test"),
        source=Source(kind="cli"),
        clock=lambda: at,
        zone="America/New_York",
    )


def schedule(unit: Unit, change_id: str, start: datetime) -> None:
    change = load_change(unit.connection, change_id)
    assert book_slot(
        unit, change, start=start, end=start + timedelta(hours=2), window="standard"
    ) is None  # fmt: skip
    unit.append("change.scheduled", change.subject, message="it has its slot", change=change.id)


def test_an_incident_counts_by_the_severity_that_it_had(ledger: Ledger) -> None:
    key = desk(ledger, BEFORE).open(title="API is slow", severity="P3", systems=["api"]).id
    desk(ledger, BEFORE + timedelta(hours=1)).grade(key, "P2", reason="more are hit")
    before = report(ledger)
    assert ["INC-000001", "P2"] in [
        row[:2] for section in before["sections"] for block in section["blocks"]
        for row in block.get("rows", ())
    ]  # fmt: skip
    desk(ledger, AFTER).grade(key, "P1", reason="all are hit")
    desk(ledger, AFTER).grade(key, "P4", reason="nobody is hit")
    assert report(ledger) == before


def test_what_a_change_broke_is_charged_however_long_its_review_took(ledger: Ledger) -> None:
    actor, source = Actor.service("test"), Source(kind="cli")
    began = WEEK.start - timedelta(days=60)
    with ledger.write(actor, source, began) as unit:
        made = open_change(unit, CONTENT, release_id=None)
        unit.append("change.implementing", made.subject, message="it begins", change=made.id)
    with ledger.write(actor, source, began + timedelta(hours=1)) as unit:
        unit.append("change.review", made.subject, message="it is in", change=made.id)
    asked = desk(ledger, began + timedelta(hours=2))
    asked.link(asked.open(title="API is slow", severity="P2", systems=["api"]).id, made.id)
    with ledger.write(actor, source, BEFORE) as unit:
        unit.append("change.closed", made.subject, message="it is closed", change=made.id)
    (row,) = score(facts(ledger, None))["change_success_rate"].rows
    assert "caused INC-000001 (P2)" in row.why


def test_the_last_report_is_corrected_by_what_came_after_it_and_by_nothing_else(
    ledger: Ledger,
) -> None:
    actor, source = Actor.service("test"), Source(kind="cli")
    began = WEEK.start - timedelta(hours=30)
    with ledger.write(actor, source, began) as unit:
        made = open_change(unit, CONTENT, release_id=None)
        unit.append("change.implementing", made.subject, message="it begins", change=made.id)
    with ledger.write(actor, source, began + timedelta(hours=1)) as unit:
        unit.append("change.review", made.subject, message="it is in", change=made.id)
        unit.connection.execute(
            text("UPDATE change SET outcome = 'successful' WHERE id = :id"), {"id": made.id}
        )
        unit.append("change.closed", made.subject, message="it is closed", change=made.id)
    # It was still being observed when the last report was due.
    last = make_report(ledger, load_settings(), WEEK.previous(), now=AFTER)
    (row,) = next(block.rows for block in last.sections[0].blocks if isinstance(block, Grid))
    assert row[-1] == "as planned so far"
    assert report(ledger)["corrections"] == []
    told = WEEK.start + timedelta(hours=7)
    asked = desk(ledger, told - timedelta(hours=1))
    asked.link(asked.open(title="API is slow", severity="P2", systems=["api"]).id, made.id)
    early = make_report(ledger, load_settings(), WEEK, now=AFTER, as_of=told - timedelta(hours=2))
    assert early.corrections == []
    asked = desk(ledger, told + timedelta(hours=1))
    asked.link(asked.open(title="API is down", severity="P1", systems=["api"]).id, made.id)
    assert report(ledger)["corrections"] == [
        f"{made.id} (2026-W46): caused INC-000001 (P2); caused INC-000002 (P1); "
        "reported: caused INC-000001 (P2)."
    ]


def test_what_is_coming_is_what_was_booked_then_under_its_title_of_then(ledger: Ledger) -> None:
    actor, source = Actor.service("test"), Source(kind="cli")
    with ledger.write(actor, source, BEFORE) as unit:
        ids = [open_change(unit, CONTENT, release_id=None).id for _ in range(3)]
        schedule(unit, ids[0], AHEAD)
    before = report(ledger)
    assert [ids[0], "Renew certificates"] in [
        row[:2] for section in before["sections"] for block in section["blocks"]
        for row in block.get("rows", ())
    ]  # fmt: skip
    with ledger.write(actor, source, AFTER) as unit:
        renamed = {**CONTENT, "title": "Renew them all", "affected_systems": ["frontend"]}
        revise_change(unit, load_change(unit.connection, ids[0]), renamed)
        schedule(unit, ids[0], AHEAD + timedelta(days=7))
        schedule(unit, ids[1], AHEAD)
    assert report(ledger) == before


def test_no_title_fills_a_page_or_turns_what_stands_beside_it(ledger: Ledger) -> None:
    with ledger.write(Actor.service("test"), Source(kind="cli"), BEFORE) as unit:
        for days, title in enumerate(("x" * 3000, "a\u202eb\nc")):
            content = {**CONTENT, "title": title, "affected_systems": [title]}
            made = open_change(unit, content, release_id=None)
            schedule(unit, made.id, AHEAD + timedelta(days=days))
    shown = [
        (row[1], row[3]) for section in report(ledger)["sections"] for block in section["blocks"]
        for row in block.get("rows", ())
    ]  # fmt: skip
    assert shown == [("x" * 159 + "…",) * 2, ("ab c",) * 2]


def test_what_is_led_back_long_after_it_was_done_took_no_longer_for_that(ledger: Ledger) -> None:
    actor, source = Actor.service("test"), Source(kind="cli")
    back = BEFORE + timedelta(days=60)
    with ledger.write(actor, source, BEFORE) as unit:
        made = deployed(unit, state="returned", live_at=BEFORE, ended_at=back)
    with ledger.write(actor, source, BEFORE + timedelta(hours=1)) as unit:
        unit.append("change.validating", made.subject, message="it is in", change=made.id)
        unit.append("change.closed", made.subject, message="it is closed", change=made.id)
    found = facts(ledger, None)
    assert found.changes[0].rolled_back
    assert not found.changes[0].canary
    assert score(found)["mean_time_to_complete"].value == 3600
    as_then = read_facts(
        ledger, WEEK.start, WEEK.end, as_of=back, observed=timedelta(hours=72)
    ).changes[0]  # fmt: skip
    assert (as_then.rolled_back, as_then.finished_at) == (False, BEFORE + timedelta(hours=1))


def test_what_was_never_live_was_led_back_as_a_canary(ledger: Ledger) -> None:
    actor, source = Actor.service("test"), Source(kind="cli")
    back = BEFORE + timedelta(minutes=5)
    with ledger.write(actor, source, BEFORE) as unit:
        deployed(unit, state="returned", live_at=None, ended_at=back)
    (change,) = facts(ledger, None).changes
    assert (change.rolled_back, change.canary, change.finished_at) == (True, True, back)


def test_a_measurement_that_is_no_number_is_none(ledger: Ledger) -> None:
    with ledger.write(Actor.service("test"), Source(kind="cli"), BEFORE) as unit:
        made = deployed(unit, state="live", live_at=BEFORE)
        for number, value in enumerate(("nan", "inf", "-Infinity", "many", None)):
            unit.execute(
                insert(schema.gate).values(
                    release_id="hims-api-2.3.0", attempt=1, name=f"gate {number}", commit="0",
                    digest="0", verdict="go", reason="passed", message="passed",
                    evidence=[{"measure": "coverage", "value": value}], decided_by="test",
                    decided_at=BEFORE,
                )
            )  # fmt: skip
        unit.append("gate.go", made.subject, message="passed")
    assert score(facts(ledger, None))["coverage"].value is None
    assert "NaN" not in json.dumps(report(ledger))


def test_what_was_refused_to_one_service_is_not_anothers(ledger: Ledger) -> None:
    with ledger.write(Actor.service("test"), Source(kind="cli"), BEFORE) as unit:
        for number, service in enumerate(("hims-api", "hims-api", "hims-web")):
            unit.append(
                "service.unlock_refused", Subject(kind="service", id=service), message=str(number)
            )
    found = {
        service: dict(facts(ledger, service).refused) for service in (None, "hims-api", "hims-web")
    }
    assert [sum(each.values()) for each in found.values()] == [3, 2, 1]


def test_lessons_are_what_people_said_and_never_that_they_said_nothing(ledger: Ledger) -> None:
    actor, source = Actor(user="olga", name="Olga Petrova", auth="test"), Source(kind="cli")
    with ledger.write(actor, source, BEFORE) as unit:
        changes = [open_change(unit, CONTENT, release_id=None) for _ in range(2)]
        attest(unit, changes[0], "review", verdict="go", comment="")
        attest(unit, changes[1], "review", verdict="go", comment="Rehearse:\u202e it\npays.")
    key = desk(ledger, BEFORE).open(title="API is slow", severity="P3", systems=["api"]).id
    desk(ledger, BEFORE).resolve(key, how="restarted")
    parts = {part: f"{part} in words" for part in PARTS}
    desk(ledger, BEFORE).review(key, parts)
    (section,) = [part for part in report(ledger)["sections"] if part["title"] == "Lessons learned"]
    assert section["blocks"] == [
        {"points": [f"Rehearse: it pays. ({changes[1].id})", f"lessons in words ({key})"]}
    ]
