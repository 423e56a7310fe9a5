"""The change that a release opens: its train drives it, and the doors of other changes say so."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from include.changes import checkpoint, implementing
from include.changes.change import Change
from include.changes.desk import Desk
from include.changes.ending import give_up
from include.errors import RequestError
from include.ledger import Source, schema
from tests.integration.train.paper import Station, person


def desk(station: Station, user: str = "olga") -> Desk:
    return Desk(
        ledger=station.ledger, settings=station.settings, actor=person(user),
        source=Source(kind="cli"), clock=station.clock,
    )  # fmt: skip


def put(station: Station, change: Change, state: str) -> Change:
    """Let its train have brought the change into a state."""
    with desk(station).unit() as unit:
        table = schema.change
        unit.execute(update(table).where(table.c.id == change.id).values(state=state))
        unit.append("test.arranged", change.subject, message="arranged")
    return desk(station).load(change.id)


def test_nobody_is_told_that_a_release_is_on_hold_while_its_train_goes_on(
    permitted: Station,
) -> None:
    change = permitted.change(permitted.train(begin=False))
    ruling = desk(permitted).hold(change.id, "wait for the vendor")
    assert (ruling.ok, ruling.reason) == (False, "release")
    assert "a no to its next checkpoint stops it" in ruling.message
    assert [item["outcome"] for item in permitted.bodies("change.hold_refused")] == ["denied"]
    assert desk(permitted).load(change.id).held_because is None


def test_no_other_run_implements_or_closes_what_a_train_drives(permitted: Station) -> None:
    change = permitted.change(permitted.train(begin=False))
    permits = len(permitted.rows(schema.permit))
    with pytest.raises(RequestError, match="its train drives it"):
        checkpoint.ask(desk(permitted), change.id, "before", key="by-hand")
    for state in (change.state, "implementing", "validating"):
        put(permitted, change, state)
        assert implementing.start(desk(permitted), change.id, "by-hand").reason == "not_scheduled"
        assert not implementing.implement(desk(permitted), change.id, "by-hand").ok
        assert desk(permitted).close(change.id).reason == "release"
        assert desk(permitted).load(change.id).state == state
    assert len(permitted.rows(schema.permit)) == permits


def test_a_release_that_was_led_back_is_closed_by_its_review_and_by_nothing_else(
    permitted: Station,
) -> None:
    change = put(permitted, permitted.change(permitted.train(begin=False)), "implementing")
    with desk(permitted).unit() as unit:
        give_up(unit, permitted.settings, change, reason="failed", message="led back")
    assert desk(permitted).close(change.id).reason == "checklist.review"
    ruling = desk(permitted, "tomas").review(change.id, outcome="rolled_back", comment="learnt")
    assert ruling.ok
    closed = desk(permitted).load(change.id)
    assert (closed.state, closed.outcome) == ("closed", "rolled_back")
