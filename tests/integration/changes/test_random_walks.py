"""Whatever people do, and in whatever order: no change is implemented without a valid quorum on
exactly what it says then."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from include.changes import checklist, items
from include.changes.case import case_of
from include.changes.change import Change, load_change
from include.changes.machine import MACHINES, advance
from include.changes.open_ballots import end_overdue
from include.ledger import schema
from tests.integration.changes.office import IN_WINDOW, MONDAY, SEATS, Office

FOUR = ("technical_lead", "product_manager", "security_officer", "operations_manager")
MANDATORY = FOUR[:3]
HOLDERS = {
    "technical_lead": {"tomas", "dana"},
    "product_manager": {"priya", "femi"},
    "security_officer": {"sam", "oscar"},
    "operations_manager": {"olga", "dana"},
}

ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("vote"),
            st.sampled_from(FOUR),
            st.sampled_from(["tomas", "dana", "priya", "femi", "sam", "oscar", "olga", "rita"]),
            st.sampled_from(["approve", "approve", "approve", "reject", "abstain"]),
        ),
        st.tuples(st.just("all")),
        st.tuples(st.just("all")),
        st.tuples(st.just("edit"), st.sampled_from(["one", "two"])),
        st.tuples(st.just("label"), st.sampled_from(["a", "b"])),
        st.tuples(st.just("attest")),
        st.tuples(st.just("hold"), st.booleans()),
        st.tuples(st.just("later"), st.sampled_from([1, 3, 15])),
        st.tuples(st.just("window")),
        st.tuples(st.just("start")),
        st.tuples(st.just("start")),
        st.tuples(st.just("sweep")),
    ),
    max_size=10,
)


def quorum(office: Office, change: Change, now: datetime) -> bool:
    """Tell from the raw rows, by other means than the machine's, whether enough have agreed."""
    with office.ledger.read() as connection:
        edits = [
            json.loads(body)
            for body in connection.execute(
                select(schema.record.c.body)
                .where(schema.record.c.change == change.id)
                .order_by(schema.record.c.seq)
            ).scalars()
        ]
        rows = list(
            connection.execute(select(schema.vote).where(schema.vote.c.change_id == change.id))
        )
    since: list[dict[str, Any]] = []
    for line in edits:
        if (line["event"] == "change.edited" and line["reason"] == "significant") or line[
            "event"
        ] == "ballot.opened":
            since = []
        elif line["event"] == "vote.cast":
            since.append(line)
    valid = {}
    for line in since:
        if line["subject"]["content_hash"] != change.content_hash:
            continue
        seat, voter = line["details"]["seat"], line["actor"]["user"]
        row = next(
            row
            for row in rows
            if (row.seat, row.voter, row.ballot_id) == (seat, voter, line["details"]["ballot"])
        )
        if row.expires_at > now and voter in HOLDERS[seat] and voter != change.requester:
            valid[seat] = (voter, row.choice)
    voters = [voter for voter, _ in valid.values()]
    return (
        len(set(voters)) == len(voters)
        and len(valid) >= 4
        and all(valid.get(seat, ("", ""))[1] == "approve" for seat in MANDATORY)
    )


def act(office: Office, change: Change, action: tuple[Any, ...]) -> None:
    name, *rest = action
    now = office.load(change)
    if name == "vote":
        seat, user, choice = rest
        office.vote(now, seat, user, choice)
    elif name == "all":
        for seat in FOUR:
            office.vote(now, seat, SEATS[seat])
    elif name == "edit":
        office.edit(now, impact_assessment={"rollback_plan": rest[0]})
    elif name == "label":
        office.edit(
            now, title=rest[0],
            impact_assessment={"rollback_plan": now.content["rollback_plan"]},
        )  # fmt: skip
    elif name == "attest":
        desk = office.desk("olga")
        with desk.ledger.read() as connection:
            case = case_of(now, connection, desk.clock(), desk.settings)
            judged = {item for item in checklist.AUTOMATIC if checklist.judged(case, item)}
        for item in (*items.BEFORE, *items.AFTER):
            if item not in judged:
                office.desk("olga").attest(now.id, item, verdict="go", comment="seen")
        office.deliver(now)
    elif name == "hold":
        office.desk("olga").hold(now.id, "wait" if rest[0] else None)
    elif name == "later":
        office.clock.now += timedelta(days=rest[0])
    elif name == "window":
        office.clock.now = max(office.clock.now, IN_WINDOW)
    elif name == "sweep":
        end_overdue(office.desk())
    elif now.state == "scheduled":
        desk = office.desk("olga")
        with desk.unit() as unit:
            loaded = load_change(unit.connection, now.id)
            advance(unit, desk.case(unit, loaded), "implementing", reason="x", message="x")


@given(ACTIONS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_walk_reaches_implementing_without_a_quorum(
    office: Office, actions: list[tuple[Any, ...]]
) -> None:
    office.clock.now = MONDAY
    with office.desk("olga").unit() as unit:
        # What earlier walks have booked is free again.
        unit.execute(schema.slot.update().values(released_at=unit.now))
        unit.execute(schema.change.update().values(state="cancelled"))
        unit.execute(
            schema.ballot.update().where(schema.ballot.c.state == "open").values(state="withdrawn")
        )
        from include.ledger import Subject

        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")
    change, _ = office.submit()
    for action in actions:
        before = office.load(change)
        act(office, change, action)
        after = office.load(change)
        if after.state == "implementing" and before.state != "implementing":
            assert before.state == "scheduled"
            assert before.held_because is None
            assert quorum(office, after, office.clock())
        if after.state == "scheduled" and before.state != "scheduled":
            assert quorum(office, after, office.clock())


def test_the_way_through_all_of_it_exists(office: Office) -> None:
    change, _ = office.submit()
    for action in (("all",), ("attest",), ("window",), ("start",)):
        act(office, change, action)
    assert office.load(change).state == "implementing"


def test_every_machine_can_be_walked_to_its_end_and_none_skips_the_votes() -> None:
    for kind, ways in MACHINES.items():
        reached, waiting = {"draft"}, ["draft"]
        while waiting:
            here = waiting.pop()
            for way in ways:
                if way.source == here and way.target not in reached:
                    reached.add(way.target)
                    waiting.append(way.target)
        assert "closed" in reached, kind
        without = _reachable(
            [way for way in ways if not {"votes", "model"} & set(way.guards)], "draft"
        )
        assert "implementing" not in without, kind


def _reachable(ways: list[Any], start: str) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        for way in ways:
            if way.source == here and way.target not in reached:
                reached.add(way.target)
                waiting.append(way.target)
    return reached
