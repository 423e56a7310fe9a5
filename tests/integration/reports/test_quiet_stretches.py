"""What a stretch is about although the records that say so lie before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert

from include.ledger import Actor, Ledger, Source, schema
from include.reports.facts import Facts
from include.reports.metrics.scorecard import score
from include.reports.reading import read_facts
from tests.integration.reports.conftest import deployed

ACTOR, SOURCE = Actor.service("test"), Source(kind="cli")
BEGAN = datetime(2026, 11, 17, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)


def facts(ledger: Ledger, start: datetime, end: datetime, **how: Any) -> Facts:
    return read_facts(ledger, start, end, observed=72 * HOUR, **how)


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
