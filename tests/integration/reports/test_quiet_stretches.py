"""What a stretch is about although the records that say so lie before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from include.calendar.wall_time import Span
from include.ledger import Actor, Ledger, Source, Subject, schema
from include.reports.facts import Facts
from include.reports.metrics.scorecard import score
from include.reports.reading import read_facts
from tests.integration.reports.conftest import deployed

ACTOR, SOURCE = Actor.service("test"), Source(kind="cli")
BEGAN = datetime(2026, 11, 17, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)


def facts(ledger: Ledger, start: datetime, end: datetime, **how: Any) -> Facts:
    return read_facts(ledger, start, end, observed=72 * HOUR, **how)


def test_a_switch_is_rework_by_its_change_though_that_moved_before_and_after(
    ledger: Ledger,
) -> None:
    with ledger.write(ACTOR, SOURCE, BEGAN) as unit:
        made = deployed(unit, kind="emergency", after=HOUR, state="live", live_at=BEGAN + HOUR)
    with ledger.write(ACTOR, SOURCE, BEGAN + 2 * HOUR) as unit:
        unit.append("change.validating", made.subject, message="it is in", change=made.id)
    for service in (None, "hims-api"):
        found = facts(ledger, BEGAN + HOUR / 2, BEGAN + 1.5 * HOUR, service=service)
        assert score(found)["deployment_rework_rate"].value == 1


def test_a_switch_after_its_work_was_over_is_rework_too(ledger: Ledger) -> None:
    with ledger.write(ACTOR, SOURCE, BEGAN) as unit:
        made = deployed(unit, kind="emergency", after=2 * HOUR, state="live")
    with ledger.write(ACTOR, SOURCE, BEGAN + HOUR) as unit:
        unit.append("change.closed", made.subject, message="it is closed", change=made.id)
    found = facts(ledger, BEGAN + 1.5 * HOUR, BEGAN + 3 * HOUR)
    assert score(found)["deployment_rework_rate"].value == 1


def test_what_is_still_worked_on_is_work_up_to_what_is_known(ledger: Ledger) -> None:
    with ledger.write(ACTOR, SOURCE, BEGAN) as unit:
        deployed(unit, state="staged")
    start, end = BEGAN + HOUR, BEGAN + 3 * HOUR
    for how, share in (
        ({}, 1.0),
        ({"asked_at": BEGAN + 2 * HOUR}, 0.5),
        ({"as_of": BEGAN + 1.5 * HOUR, "asked_at": BEGAN + 9 * HOUR}, 0.25),
    ):
        found = facts(ledger, start, end, openings=lambda *ends: [Span(*ends)], **how)
        assert score(found)["window_use"].value == share
        assert score(found)["change_success_rate"].said.endswith(
            "(0 rejected or cancelled, 1 under way)"
        )


def test_work_that_was_over_before_is_none(ledger: Ledger) -> None:
    with ledger.write(ACTOR, SOURCE, BEGAN) as unit:
        made = deployed(unit, state="live", live_at=BEGAN)
    with ledger.write(ACTOR, SOURCE, BEGAN + HOUR) as unit:
        unit.append("change.review", made.subject, message="it is in", change=made.id)
    found = facts(ledger, BEGAN + 2 * HOUR, BEGAN + 3 * HOUR, openings=lambda *ends: [Span(*ends)])
    assert (list(found.changes), score(found)["window_use"].value) == ([], 0)


def test_defects_are_of_the_release_whenever_they_were_found_before_it(ledger: Ledger) -> None:
    with ledger.write(ACTOR, SOURCE, BEGAN) as unit:
        made = deployed(unit, state="live", live_at=BEGAN)
        for gate, at, value in (
            ("uat", BEGAN - timedelta(days=40), "4"),
            ("release_tests", BEGAN, "2"),
            ("look_back", BEGAN + HOUR, "8"),
        ):
            unit.execute(
                insert(schema.gate).values(
                    release_id="hims-api-2.3.0", attempt=1, name=gate, commit="0", digest="0",
                    verdict="go", reason="passed", message="passed", decided_by="test",
                    evidence=[{"measure": "defects_found", "value": value}], decided_at=at,
                )
            )  # fmt: skip
        unit.append("gate.go", made.subject, message="passed")
    for as_of in (None, BEGAN + HOUR / 2):
        found = facts(ledger, BEGAN, BEGAN + 2 * HOUR, as_of=as_of)
        for stretch in (found, found.between(BEGAN, BEGAN + HOUR / 4)):
            assert score(stretch)["defect_leakage"].parts["before_count"] == 6
        later = found.between(BEGAN + HOUR / 4, BEGAN + HOUR)
        assert score(later)["defect_leakage"].value is None


def test_what_a_service_broke_or_was_refused_is_its_own_though_its_change_lies_still(
    ledger: Ledger,
) -> None:
    with ledger.write(ACTOR, SOURCE, BEGAN) as unit:
        made = deployed(unit, state="live", live_at=BEGAN)
        unit.append("change.closed", made.subject, message="it is closed", change=made.id)
    with ledger.write(ACTOR, SOURCE, BEGAN + 5 * HOUR) as unit:
        unit.append("vote.refused", made.subject, message="closed", change=made.id)
        unit.execute(
            insert(schema.incident).values(
                id="INC-000001", severity="P2", title="slow", systems=["frontend"],
                opened_at=unit.now,
            )
        )  # fmt: skip
        unit.append(
            "incident.linked", Subject(kind="incident", id="INC-000001"), reason="caused_by",
            message="by its change", change=made.id,
        )  # fmt: skip
    for service, number in ((None, 1), ("hims-api", 1), ("hims-web", 0)):
        found = facts(ledger, BEGAN + 4 * HOUR, BEGAN + 6 * HOUR, service=service)
        assert len(found.incidents) == number
        assert found.refused.get("vote.refused", 0) == number
