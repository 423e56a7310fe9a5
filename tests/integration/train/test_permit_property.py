"""Whatever has been decided and whatever has happened: a permit if, and only if, all is well.

The oracle below is written from the design's list of conditions, and knows no code of ours.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from include.ledger import schema
from include.permits.permit import issue
from include.releases.phases import cab, window
from tests.integration.train.conftest import Arranged
from tests.integration.train.paper import DAG, IN_WINDOW, SEATS, Station, codes, person

CHOICES = st.sampled_from(["approve", "approve", "approve", "approve", "abstain", "reject", None])
VOTES = st.fixed_dictionaries(dict.fromkeys(SEATS, CHOICES))
ANSWERS = st.sampled_from([True, True, True, False, None])
BACKUPS = st.sampled_from(["proven", "proven", "proven", "taken", None])
RARELY = st.sampled_from([False, False, False, False, True])


def incident(station: Station, severity: str) -> None:
    with station.ledger.write(person("olga"), DAG, station.clock()) as unit:
        unit.execute(
            insert(schema.incident).values(
                id=f"INC-{severity}",
                severity=severity,
                title="x",
                systems=["api"],
                opened_at=unit.now,
            )
        )
        unit.append("incident.opened", station.train(begin=False).subject, message="x")


def lock(station: Station) -> None:
    with station.ledger.write(person("olga"), DAG, station.clock()) as unit:
        unit.execute(
            insert(schema.release_lock).values(
                service="hims-api",
                release_id="hims-api-2.3.0",
                reason="x",
                locked_by="olga",
                locked_at=unit.now,
            )
        )
        unit.append("release.locked", station.train(begin=False).subject, message="x")


@given(
    votes=VOTES,
    uat=ANSWERS,
    go=ANSWERS,
    backup=BACKUPS,
    enters=st.sampled_from([True, True, True, False]),
    severity=st.sampled_from([None, None, None, "P1", "P3"]),
    locked=RARELY,
)
@example(
    votes=dict.fromkeys(SEATS, "approve"),
    uat=True,
    go=True,
    backup="proven",
    enters=True,
    severity=None,
    locked=False,
)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_permit_if_and_only_if_all_is_well(
    built_once: Arranged,
    tmp_path_factory: pytest.TempPathFactory,
    votes: dict[str, str | None],
    uat: bool | None,
    go: bool | None,
    backup: str | None,
    enters: bool,
    severity: str | None,
    locked: bool,
) -> None:
    station = built_once.station(tmp_path_factory.mktemp("any") / "config")
    try:
        train = station.train(begin=False)
        if uat is not None:
            station.answer(train, "uat", "quinn", approved=uat)
        assert cab.open_release_change(train).ok
        for seat, choice in votes.items():
            if choice is not None:
                station.vote(train, seat, SEATS[seat], choice)
        cab.tally_votes(train)
        if go is not None:
            station.answer(train, "go_no_go", "olga", approved=go)
        station.clock.now = IN_WINDOW
        if enters:
            window.enter_window(train)
        if backup is not None:
            station.back_up(train, proven=backup == "proven")
        if severity is not None:
            incident(station, severity)
        if locked:
            lock(station)

        mandatory = ("technical_lead", "product_manager", "security_officer")
        agreed = all(votes[seat] == "approve" for seat in mandatory) and None not in votes.values()
        # The slot was booked from the window's opening on when the change was opened.
        well = {
            "votes": agreed,
            "gate.uat": uat is True,
            "gate.go_no_go": go is True,
            "backup": backup == "proven",
            "incidents": severity != "P1",
            "lock": not locked,
        }
        decision = issue(train)
        assert (decision.permit is not None) is all(well.values())
        assert set(codes(decision)) == {code for code, good in well.items() if not good}
        assert bool(station.bodies("permit.issued")) is all(well.values())
        assert bool(station.bodies("permit.refused")) is not all(well.values())
    finally:
        built_once.restore()
