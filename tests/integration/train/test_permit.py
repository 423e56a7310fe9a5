"""The permit: given when every condition holds, refused when any single one does not."""

# ruff: noqa: S608 - the ledger is bent by statements that are written here

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.calendar import Span, load_calendar
from include.entries.extension import ask_extension, decide_extension
from include.errors import LedgerError
from include.ledger import Unit, schema
from include.people import Person
from include.permits.permit import Decision, check_again, issue
from include.releases.train import Train
from include.releases.window_clock import closing, needs_of
from tests.integration.train.paper import (
    DAG,
    IN_WINDOW,
    OPENING,
    PLANNED_AT,
    Station,
    codes,
    permit_of,
    person,
    spoil,
)

ROLLBACK = timedelta(minutes=10)
WINDOW_ENDS = OPENING + timedelta(hours=2)
Breaker = Callable[[Station], object]


def calendar(station: Station) -> Path:
    return station.settings.config_file("calendar.yaml")


def sql(*statements: str) -> Breaker:
    return lambda station: station.arrange(*statements)


def clock(at: datetime) -> Breaker:
    return lambda station: setattr(station.clock, "now", at)


def calendar_says(old: str, new: str) -> Breaker:
    return lambda station: spoil(calendar(station), old, new)


def artefact_becomes(content: bytes | None) -> Breaker:
    def change(station: Station) -> None:
        path = Path(station.train(begin=False).result("build_artefact")["path"])
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)

    return change


def vote(change: str) -> Breaker:
    return sql(f"UPDATE vote SET {change} WHERE voter = 'sam'")


def gate(name: str, change: str | None) -> Breaker:
    what = "DELETE FROM gate" if change is None else f"UPDATE gate SET {change}"
    return sql(f"{what} WHERE name = '{name}'")


def slot(change: str) -> Breaker:
    return sql(f"UPDATE slot SET {change} WHERE released_at IS NULL")


TOO_OLD = IN_WINDOW - timedelta(hours=4, seconds=1)
INCIDENT = "INSERT INTO incident VALUES ('INC-1', '{}', 'x', '{{{}}}', now(), {})"
LOCK = (
    "INSERT INTO release_lock (service, release_id, reason, locked_by, locked_at, unlocked_at)"
    " VALUES ('hims-api', 'hims-api-2.3.0', 'rolled back', 'x', now(), {})"
)
LIVE = (
    "INSERT INTO deployment"
    " (service, environment, version, digest, colour, state, fence, staged_at)"
    " VALUES ('hims-api', '{}', '{}', 'sha256:1', 'blue', '{}', 0, now())"
)
BLACKOUT = """blackouts:
  entered-yesterday:
    start: 2026-11-28T00:00
    end: 2026-11-28T12:00
    systems: [api]
    reason: Audit
"""

FREEZE = (
    "INSERT INTO calendar_freeze (id, kind, starts_at, ends_at, systems, environments, owner,"
    " reason, entered_by, entered_at) VALUES ('FRZ-000001', '{}', '2026-11-28T00:00Z',"
    " '2026-11-29T00:00Z', '{{{}}}', '{{{}}}', 'olga', 'Audit', 'olga', now())"
)

# What stands in the way, and the one condition that has to say so.
BREAKERS: dict[str, tuple[str, Breaker]] = {
    "a vote is missing": ("votes", sql("DELETE FROM vote WHERE voter = 'sam'")),
    "too few have voted": ("votes", sql("DELETE FROM vote WHERE voter = 'olga'")),
    "a mandatory seat says no": ("votes", vote("choice = 'reject'")),
    "a mandatory seat abstains": ("votes", vote("choice = 'abstain'")),
    "a vote has expired": ("votes", vote(f"expires_at = '{IN_WINDOW}'")),
    "a vote signs something else": ("votes", vote("content_hash = 'sha256:1'")),
    "the window has other hours": ("calendar", calendar_says('start: "02:00"', 'start: "02:30"')),
    "the calendar is broken": ("calendar", calendar_says("windows:", "windows: [")),
    "the calendar is gone": ("calendar", lambda station: calendar(station).unlink()),
    "a blackout was added": ("calendar", calendar_says("blackouts:\n", BLACKOUT)),
    "a freeze was entered": ("calendar", sql(FREEZE.format("freeze", "billing,api", "production"))),
    "a blackout of all was entered": ("calendar", sql(FREEZE.format("blackout", "*", "*"))),
    "too little is left": ("calendar", clock(datetime(2026, 11, 28, 8, 50, 1, tzinfo=UTC))),
    "a P1 is open": ("incidents", sql(INCIDENT.format("P1", "api", "NULL"))),
    "a P2 is open on one system": ("incidents", sql(INCIDENT.format("P2", "billing,api", "NULL"))),
    "there is no backup": ("backup", sql("DELETE FROM backup")),
    "the backup is not proven": ("backup", sql("UPDATE backup SET proven_at = NULL")),
    "the backup is too old": ("backup", sql(f"UPDATE backup SET taken_at = '{TOO_OLD}'")),
    "the backup is another attempt's": ("backup", sql("UPDATE backup SET attempt = 2")),
    "nobody checked the commits": ("gate.commits", gate("commits", None)),
    "nobody ran the release tests": ("gate.release_tests", gate("release_tests", None)),
    "nobody tested it in staging": ("gate.staging_tests", gate("staging_tests", None)),
    "nobody accepted it": ("gate.uat", gate("uat", None)),
    "nobody said go": ("gate.go_no_go", gate("go_no_go", None)),
    "a gate says no": ("gate.uat", gate("uat", "verdict = 'no_go'")),
    "a gate does not know": ("gate.uat", gate("uat", "verdict = 'inconclusive'")),
    "a gate spoke of another commit": ("gate.uat", gate("uat", "commit = 'x'")),
    "a gate spoke of another artefact": ("gate.uat", gate("uat", "digest = 'x'")),
    "a rollback has left a lock": ("lock", sql(LOCK.format("NULL"))),
    "a newer version is live": ("superseded", sql(LIVE.format("production", "2.3.1", "live"))),
    "what is live is unclear": ("superseded", sql(LIVE.format("production", "latest", "live"))),
    "no slot is booked": ("slot", slot("released_at = now()")),
    "the slot is over": ("slot", slot(f"during = tstzrange('{PLANNED_AT}', '{IN_WINDOW}')")),
    "the artefact is another file": ("content", artefact_becomes(b"something else")),
    "the artefact is gone": ("content", artefact_becomes(None)),
    "the release has ended": ("release", sql("UPDATE release SET state = 'failed'")),
    "another run drives it": ("release", sql("UPDATE release SET run_id = 'run-2'")),
}

# What changes what would be deployed takes the votes with it: they sign something else.
CONTENT_BREAKERS: dict[str, Breaker] = {
    "the pinned commits are others": sql(
        "UPDATE step SET result = jsonb_set(result, '{commits}', '[]') WHERE name = 'check_commits'"
    ),
    "the change says something else": sql("UPDATE change SET content_hash = 'sha256:1'"),
}

HARMLESS: dict[str, Breaker] = {
    "a P3 is open": sql(INCIDENT.format("P3", "api", "NULL")),
    "a P1 was closed": sql(INCIDENT.format("P1", "api", "now()")),
    "a P1 is open elsewhere": sql(INCIDENT.format("P1", "billing", "NULL")),
    "a lock was taken off": sql(LOCK.format("now()")),
    "an older version is live": sql(LIVE.format("production", "2.2.0", "live")),
    "a newer version is in staging": sql(LIVE.format("staging", "9.9.9", "live")),
    "a newer version was here and is retired": sql(LIVE.format("production", "9.9.9", "retired")),
    "a seat that need not agree says no": sql(
        "UPDATE vote SET choice = 'reject' WHERE seat = 'operations_manager'"
    ),
    "just enough is left": clock(datetime(2026, 11, 28, 8, 5, tzinfo=UTC)),
}


def refused_for(station: Station, decision: Decision, event: str, code: str) -> None:
    """Check that a decision is a no for this reason alone, and that it is on record as that."""
    assert decision.permit is None
    assert codes(decision) == [code]
    (record,) = station.bodies(event)
    assert (record["outcome"], record["reason"]) == ("denied", code)
    assert record["release"] == "hims-api-2.3.0"
    recorded = {item["code"]: item["verdict"] for item in record["details"]["conditions"]}
    assert [name for name, verdict in recorded.items() if verdict != "go"] == [code]
    assert len(recorded) >= 12, "every condition is recorded, also those that hold"
    assert any(
        code in notice.text or code in str(notice.fields) for notice in station.rows(schema.notice)
    )


def test_a_train_of_which_everything_holds_gets_its_permit(permitted: Station) -> None:
    train = permitted.train(begin=False)
    decision = issue(train)
    assert decision.permit is not None, decision.message
    assert decision.permit.expires_at == WINDOW_ENDS - ROLLBACK
    (row,) = permitted.rows(schema.permit)
    assert (row.fence, row.holder, row.closed_at, row.used_at) == (
        decision.permit.fence,
        "run-1",
        None,
        None,
    )
    (record,) = permitted.bodies("permit.issued")
    assert {item["verdict"] for item in record["details"]["conditions"]} == {"go"}
    assert record["subject"]["content_hash"] == permitted.change(train).content_hash


@pytest.mark.parametrize("what", BREAKERS)
def test_no_permit_and_no_switch_when(permitted: Station, what: str) -> None:
    code, breaks = BREAKERS[what]
    train = permitted.train(begin=False)
    fence = permit_of(train)
    breaks(permitted)
    refused_for(permitted, issue(train), "permit.refused", code)
    refused_for(permitted, check_again(train, needs=ROLLBACK), "permit.withdrawn", code)
    (row,) = permitted.rows(schema.permit)
    assert (row.fence, row.used_at) == (fence, None)


def test_a_first_refusal_writes_no_permit(permitted: Station) -> None:
    permitted.arrange("DELETE FROM backup")
    refused_for(permitted, issue(permitted.train(begin=False)), "permit.refused", "backup")
    assert permitted.rows(schema.permit) == []


@pytest.mark.parametrize("what", CONTENT_BREAKERS)
def test_no_permit_and_no_votes_when(permitted: Station, what: str) -> None:
    train = permitted.train(begin=False)
    CONTENT_BREAKERS[what](permitted)
    decision = issue(train)
    assert decision.permit is None
    assert codes(decision) == ["content", "votes"]


@pytest.mark.parametrize("what", HARMLESS)
def test_a_permit_all_the_same_when(permitted: Station, what: str) -> None:
    HARMLESS[what](permitted)
    permit_of(permitted.train(begin=False))


def test_a_step_row_that_names_another_artefact_refuses_on_every_count(permitted: Station) -> None:
    train = permitted.train(begin=False)
    digest = "sha256:" + "0" * 64
    permitted.arrange(
        f"UPDATE step SET result = jsonb_set(result, '{{digest}}', '\"{digest}\"')"
        " WHERE name = 'build_artefact'"
    )
    decision = issue(train)
    assert decision.permit is None
    assert {"content", "gate.uat", "gate.release_tests"} <= set(codes(decision))


def test_a_plan_that_was_changed_is_no_plan(permitted: Station) -> None:
    permitted.arrange("UPDATE release SET plan = jsonb_set(plan, '{votes_needed}', '1')")
    with pytest.raises(LedgerError, match="is not the one that was frozen"):
        permitted.train(begin=False)


@pytest.mark.parametrize("name", ["check_commits", "bump_version", "build_artefact"])
def test_a_step_that_the_ledger_does_not_know_is_no_step(permitted: Station, name: str) -> None:
    """Marked successful by hand in Airflow, it has left nothing here."""
    train = permitted.train(begin=False)
    permitted.arrange(f"DELETE FROM step WHERE name = '{name}'")
    decision = issue(train)
    assert decision.permit is None
    assert codes(decision)[0] == "content"
    assert "marked successful by hand counts for nothing" in decision.message


def test_asking_again_gives_the_same_permit(permitted: Station) -> None:
    train = permitted.train(begin=False)
    fence = permit_of(train)
    permitted.clock.now += timedelta(minutes=20)
    assert permit_of(train) == fence
    assert len(permitted.rows(schema.permit)) == 1


def test_asking_again_after_it_has_expired_gives_a_newer_one_and_closes_it(
    permitted: Station,
) -> None:
    train = permitted.train(begin=False)
    first = permit_of(train)
    permitted.arrange(f"UPDATE permit SET expires_at = '{IN_WINDOW}'")
    second = permit_of(train)
    assert second > first
    closed = {row.fence: row.closed_at is not None for row in permitted.rows(schema.permit)}
    assert closed == {first: True, second: False}


def test_a_refusal_after_a_permit_leaves_it_and_gives_no_other(permitted: Station) -> None:
    train = permitted.train(begin=False)
    fence = permit_of(train)
    permitted.arrange("DELETE FROM backup")
    assert issue(train).permit is None
    assert [row.fence for row in permitted.rows(schema.permit)] == [fence]


def test_two_who_ask_at_once_get_one_permit(permitted: Station) -> None:
    trains = [permitted.train(begin=False) for _ in range(4)]
    fences: list[int] = []
    threads = [
        threading.Thread(target=lambda train=train: fences.append(permit_of(train)))
        for train in trains
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fences) == 4
    assert len(set(fences)) == 1
    assert len(permitted.rows(schema.permit)) == 1


def test_before_the_switch_the_permit_is_confirmed_and_used_once(permitted: Station) -> None:
    train = permitted.train(begin=False)
    fence = permit_of(train)
    permitted.clock.now += timedelta(minutes=10)
    for _ in range(2):
        decision = check_again(train, needs=ROLLBACK)
        assert decision.permit is not None
        assert decision.permit.fence == fence
        permitted.clock.now += timedelta(minutes=1)
    (row,) = permitted.rows(schema.permit)
    assert row.used_at == IN_WINDOW + timedelta(minutes=10)
    assert len(permitted.bodies("permit.confirmed")) == 2


def test_a_deploy_slower_than_most_keeps_its_permit(permitted: Station) -> None:
    train = permitted.train(begin=False)
    fence = permit_of(train)
    permitted.clock.now += 2 * train.plan.needs - timedelta(minutes=10)
    assert permitted.clock.now < WINDOW_ENDS - ROLLBACK
    decision = check_again(train, needs=ROLLBACK)
    assert decision.permit is not None, decision.message
    assert decision.permit.fence == fence


def test_before_the_switch_only_the_way_back_has_to_fit(permitted: Station) -> None:
    permitted.clock.now = datetime(2026, 11, 28, 8, 5, tzinfo=UTC)
    train = permitted.train(begin=False)
    permit_of(train)
    permitted.clock.now = datetime(2026, 11, 28, 8, 45, tzinfo=UTC)
    assert check_again(train, needs=ROLLBACK).permit is not None
    permitted.clock.now = datetime(2026, 11, 28, 8, 50, 1, tzinfo=UTC)
    assert codes(check_again(train, needs=ROLLBACK)) == ["calendar"]


def test_once_traffic_moves_only_the_backup_may_grow_old(permitted: Station) -> None:
    train = permitted.train(begin=False)
    permit_of(train)
    permitted.arrange("UPDATE backup SET taken_at = taken_at - interval '5 hours'")
    assert codes(check_again(train, needs=ROLLBACK)) == ["backup"]
    assert check_again(train, needs=ROLLBACK, begun=True).permit is not None
    permitted.arrange(INCIDENT.format("P1", "api", "NULL"))
    assert codes(check_again(train, needs=ROLLBACK, begun=True)) == ["incidents"]


@pytest.mark.parametrize(
    "why",
    ["it was never issued", "it has expired", "another run's permit has closed it"],
)
def test_without_a_permit_in_force_there_is_no_switch(permitted: Station, why: str) -> None:
    train = permitted.train(begin=False)
    if why != "it was never issued":
        permit_of(train)
    if why == "it has expired":
        permitted.clock.now = WINDOW_ENDS - ROLLBACK
    if why == "another run's permit has closed it":
        permitted.arrange("UPDATE permit SET closed_at = now()")
    refused_for(permitted, check_again(train, needs=ROLLBACK), "permit.withdrawn", "permit")


def test_a_later_release_s_permit_closes_the_one_before(permitted: Station) -> None:
    first = permit_of(permitted.train(begin=False))
    permitted.clock.now = PLANNED_AT
    later: Train = permitted.permitted_at(
        datetime(2026, 12, 5, 7, tzinfo=UTC), "run-2", version="2.2.1", kind="patch"
    )
    second = permit_of(later)
    assert second > first
    closed = {row.fence: row.closed_at is not None for row in permitted.rows(schema.permit)}
    assert closed == {first: True, second: False}


def test_a_new_attempt_takes_over_and_the_old_run_gets_nothing_more(permitted: Station) -> None:
    old = permitted.train(begin=False)
    first = permit_of(old)
    permitted.clock.now = PLANNED_AT
    new = permitted.permitted("run-2", states={"run-1": None})
    assert new.plan.attempt == 2
    refused = issue(old)
    assert refused.permit is None
    assert codes(refused)[0] == "release"
    assert permit_of(new) > first
    assert codes(check_again(old, needs=ROLLBACK))[0] == "release"


def extend(station: Station, start: datetime, end: datetime) -> None:
    """Have more time granted to the release's change, by a second person."""
    change = station.change(station.train(begin=False)).id

    def unit(user: str) -> AbstractContextManager[Unit]:
        return station.ledger.write(person(user), DAG, station.clock())

    def found(user: str) -> Person:
        found = station.people.find(user)
        assert found is not None
        return found

    with unit("rita") as opened:
        asked = ask_extension(
            opened,
            found("rita"),
            load_calendar(calendar(station)),
            change,
            window="extended",
            span=Span(start, end),
            reason="The migration takes longer",
        )
    with unit("olga") as opened:
        given = decide_extension(
            opened,
            found("olga"),
            load_calendar(calendar(station)),
            str(asked.id),
            grant=True,
            reason="seen",
        )
    assert given.ok, given.message


@pytest.mark.parametrize("start", [OPENING, WINDOW_ENDS], ids=["around it", "right after it"])
def test_an_extension_that_is_granted_meanwhile_prolongs_the_permit(
    permitted: Station, start: datetime
) -> None:
    train = permitted.train(begin=False)
    fence = permit_of(train)
    permitted.clock.now = WINDOW_ENDS - ROLLBACK + timedelta(minutes=1)
    assert closing(train, permitted.clock()) is not None
    extend(permitted, start, WINDOW_ENDS + timedelta(hours=2))
    assert closing(train, permitted.clock()) is None
    for later in (timedelta(0), timedelta(minutes=30)):
        permitted.clock.now += later
        decision = check_again(train, needs=ROLLBACK)
        assert decision.permit is not None, decision.message
        assert decision.permit.fence == fence
    (row,) = permitted.rows(schema.permit)
    assert row.expires_at == WINDOW_ENDS + timedelta(hours=2) - needs_of(train).rollback
    (record,) = permitted.bodies("permit.prolonged")
    assert "EXT-" in record["message"]
    permitted.clock.now = WINDOW_ENDS + timedelta(hours=2) - timedelta(minutes=5)
    assert check_again(train, needs=ROLLBACK).permit is None


def test_an_extension_that_begins_after_a_gap_prolongs_nothing(permitted: Station) -> None:
    train = permitted.train(begin=False)
    permit_of(train)
    permitted.arrange(
        "INSERT INTO calendar_extension (id, change_id, content_hash, window_name, starts_at,"
        " ends_at, systems, reason, state, requested_by, requested_at, decided_by, decided_at)"
        f" SELECT 'EXT-000001', id, content_hash, 'extended', '{WINDOW_ENDS + ROLLBACK}',"
        f" '{WINDOW_ENDS + timedelta(hours=2)}', '{{api}}', 'x', 'granted', 'rita',"
        f" '{IN_WINDOW}', 'olga', '{IN_WINDOW + ROLLBACK}' FROM change",
        f"UPDATE slot SET during = tstzrange('{OPENING}', '{WINDOW_ENDS + timedelta(hours=2)}')"
        " WHERE released_at IS NULL",
    )
    permitted.clock.now = WINDOW_ENDS + ROLLBACK + timedelta(minutes=1)
    assert codes(check_again(train, needs=ROLLBACK)) == ["permit"]


def test_an_extension_from_before_the_permit_counts_once(permitted: Station) -> None:
    extend(permitted, OPENING, WINDOW_ENDS + timedelta(hours=1))
    train = permitted.train(begin=False)
    permit_of(train)
    (row,) = permitted.rows(schema.permit)
    assert row.expires_at == WINDOW_ENDS + timedelta(hours=1) - needs_of(train).rollback
    assert not permitted.bodies("permit.prolonged")
