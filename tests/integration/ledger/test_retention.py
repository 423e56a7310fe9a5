"""What is kept six years, what a hold keeps longer, and what is left when it goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from include.audit.state_rows import unvouched_rows
from include.ledger import Ledger, Subject, Unit, schema
from include.ledger.hold import holds, lift_hold, place_hold
from include.ledger.kept_text import keep_text, kept_text
from include.ledger.pruning import ask, confirm
from include.ledger.retention import expired, plan_pruning, pruned_stubs, retain_until
from tests.integration.conftest import PostgresServer
from tests.integration.ledger.going import CLI, CORA, SAM, let_go

NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=365 * 7)
RELEASE = "hims-api-2.3.0"


def write(ledger: Ledger, at: datetime, event: str = "a.thing", **rest: Any) -> None:
    with ledger.write(CORA, CLI, at) as unit:
        unit.append(event, Subject(kind="thing", id="1"), message=event, **rest)


def seqs(ledger: Ledger, now: datetime = NOW) -> list[str]:
    with ledger.read() as connection:
        return [item.event for item in expired(connection, now)[0]]


def test_six_years_and_not_a_moment_less() -> None:
    for created, until in [
        ("2026-11-28T07:00:00", "2032-11-28T07:00:00"),
        ("2028-02-29T12:00:00", "2034-03-01T12:00:00"),
        ("2026-02-28T23:59:59", "2032-02-28T23:59:59"),
    ]:
        start = datetime.fromisoformat(created).replace(tzinfo=UTC)
        assert retain_until(start, None) == datetime.fromisoformat(until).replace(tzinfo=UTC)


INSTANTS = st.integers(0, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(INSTANTS, INSTANTS)
def test_the_later_of_creation_and_effect_counts(first: datetime, second: datetime) -> None:
    until = retain_until(first, second)
    assert until == max(retain_until(first, None), retain_until(second, None))
    assert until - max(first, second) >= timedelta(days=365 * 6)


def test_only_what_is_past_its_time_goes_and_leaves_its_hash_and_a_record(ledger: Ledger) -> None:
    write(ledger, LONG_AGO, "old.one", details={"secret": "long ago"})
    write(ledger, NOW - timedelta(days=365 * 5), "young.one")
    before = {row["seq"]: bytes(row["leaf_hash"]) for row in ledger.records()}
    done = let_go(ledger, NOW)
    assert [item.event for item in done.records] == ["old.one"]
    rows = ledger.records()
    assert {row["seq"]: bytes(row["leaf_hash"]) for row in rows if row["seq"] in before} == before
    old, young, asked, said = (json.loads(row["body"]) for row in rows)
    assert (old["event"], old["reason"]) == ("old.one", "pruned")
    assert "long ago" not in json.dumps(old)
    assert young["message"] == "young.one"
    assert said["event"] == "retention.pruned"
    (named,) = said["details"]["records"]
    assert named == {
        "seq": rows[0]["seq"],
        "leaf_hash": "sha256:" + before[rows[0]["seq"]].hex(),
        "stub": "sha256:" + hashlib.sha256(rows[0]["body"].encode()).hexdigest(),
    }
    assert (asked["event"], asked["actor"]["user"]) == ("retention.asked", "cora")
    assert asked["details"]["reason"] == "six years are over"
    assert (said["details"]["asked"], said["details"]["asked_by"]) == (rows[2]["seq"], "cora")
    with ledger.read() as connection:
        (stub,) = pruned_stubs(connection).values()
        assert stub.fits(rows[0]["body"], before[rows[0]["seq"]], old["time"], None)
        assert not stub.fits(rows[0]["body"], before[rows[0]["seq"]], young["time"], None)
        assert not plan_pruning(connection, NOW)


def test_asking_lets_nothing_go_and_one_person_alone_cannot(ledger: Ledger) -> None:
    write(ledger, LONG_AGO)
    before = ledger.records()
    asked = ask(ledger, CORA, CLI, NOW, "why not", allowed=True)
    assert asked.plan is not None
    digest = asked.plan.digest
    assert ledger.records()[:1] == before
    for reason, actor, at, allowed in [
        ("same_person", CORA, NOW, True),
        ("not_eligible", SAM, NOW, False),
        ("expired", SAM, NOW + timedelta(days=15), True),
    ]:
        answer = confirm(ledger, digest, actor, CLI, at, allowed=allowed)
        assert (answer.ok, answer.reason) == (False, reason)
    assert confirm(ledger, "sha256:0", SAM, CLI, NOW, allowed=True).reason == "not_asked"
    refused = [json.loads(row["body"]) for row in ledger.records(event="retention.refused")]
    assert [item["outcome"] for item in refused] == ["denied"] * 4
    assert ledger.records()[:1] == before
    assert confirm(ledger, digest, SAM, CLI, NOW + timedelta(days=13), allowed=True).ok
    assert ledger.records()[:1] != before
    assert confirm(ledger, digest, SAM, CLI, NOW, allowed=True).reason == "changed"


@pytest.mark.parametrize(
    ("allowed", "reason", "answer"),
    [(False, "why", "not_eligible"), (True, " ", "no_reason"), (True, "why", "nothing")],
)
def test_who_may_not_ask_and_what_cannot_be_asked(
    ledger: Ledger, allowed: bool, reason: str, answer: str
) -> None:
    write(ledger, NOW)
    assert ask(ledger, CORA, CLI, NOW, reason, allowed=allowed).reason == answer
    (record,) = ledger.records(event="retention")
    assert json.loads(record["body"])["reason"] == answer


def test_a_hold_that_comes_between_asking_and_confirming_wins(ledger: Ledger) -> None:
    write(ledger, LONG_AGO, release=RELEASE)
    write(ledger, LONG_AGO)
    asked = ask(ledger, CORA, CLI, NOW, "why not", allowed=True)
    assert asked.plan is not None
    with ledger.write(CORA, CLI, NOW) as unit:
        place_hold(unit, "release", RELEASE, "a case", allowed=True)
    assert confirm(ledger, asked.plan.digest, SAM, CLI, NOW, allowed=True).reason == "changed"
    assert len(let_go(ledger, NOW).records) == 1


def test_what_turns_old_between_asking_and_confirming_waits_for_the_next_time(
    ledger: Ledger,
) -> None:
    write(ledger, LONG_AGO)
    write(ledger, NOW - timedelta(days=365 * 6 - 3))
    asked = ask(ledger, CORA, CLI, NOW, "why not", allowed=True)
    assert asked.plan is not None
    done = confirm(ledger, asked.plan.digest, SAM, CLI, NOW + timedelta(days=9), allowed=True)
    assert (done.ok, done.plan) == (True, asked.plan)
    assert done.plan is not None
    assert len(done.plan.records) == 1


def test_what_a_release_says_is_in_effect_until_the_last_word_about_it(ledger: Ledger) -> None:
    write(ledger, LONG_AGO, "early.word", release=RELEASE)
    write(ledger, NOW - timedelta(days=100), "late.word", release=RELEASE)
    write(ledger, LONG_AGO, "other.word", release="hims-api-1.0.0")
    write(ledger, LONG_AGO, "change.word", change="CHG-000001")
    assert seqs(ledger) == ["other.word", "change.word"]
    assert "early.word" in seqs(ledger, NOW + timedelta(days=365 * 7))


def test_a_policy_is_in_effect_until_the_next(ledger: Ledger) -> None:
    def policy(at: datetime, old: str | None, new: str) -> None:
        with ledger.write(CORA, CLI, at) as unit:
            values = {"name": "a.yaml", "sha256": new, "noted_at": at}
            if old is None:
                unit.execute(insert(schema.policy_file).values(**values))
            else:
                unit.execute(schema.policy_file.update().values(**values))
            unit.append(
                "policy.changed" if old else "policy.loaded",
                Subject(kind="policy", id="a.yaml", content_hash=new),
                message=new,
                difference={"content": {"from": old, "to": new}},
            )

    policy(LONG_AGO, None, "sha256:a")
    assert seqs(ledger) == [], "in force still"
    policy(NOW - timedelta(days=100), "sha256:a", "sha256:b")
    assert seqs(ledger) == [], "superseded a hundred days ago"
    later = NOW + timedelta(days=365 * 6 + 10)
    assert seqs(ledger, later) == ["policy.loaded"], "the second is in force"


@pytest.mark.parametrize(
    ("kind", "subject", "kept"),
    [
        ("everything", None, ["of.release", "of.change", "of.nothing"]),
        ("release", RELEASE, ["of.release"]),
        ("change", "CHG-000007", ["of.change"]),
        ("release", "other-1.0.0", []),
    ],
)
def test_a_hold_wins_until_it_is_lifted(
    ledger: Ledger, kind: Any, subject: str | None, kept: list[str]
) -> None:
    write(ledger, LONG_AGO, "of.release", release=RELEASE)
    write(ledger, LONG_AGO, "of.change", change="CHG-000007")
    write(ledger, LONG_AGO, "of.nothing")
    with ledger.write(CORA, CLI, NOW) as unit:
        placed = place_hold(unit, kind, subject, "a case", allowed=True)
    assert (placed.ok, placed.id) == (True, "HLD-000001")
    done = let_go(ledger, NOW)
    everything = {"of.release", "of.change", "of.nothing"}
    # What the hold speaks of has been spoken of today, too, and stays for that alone.
    assert {item.event for item in done.records} == everything - set(kept)
    with ledger.write(CORA, CLI, NOW) as unit:
        assert lift_hold(unit, "HLD-000001", "the case is closed", allowed=True).ok
    with ledger.read() as connection:
        (hold,) = holds(connection)
    assert (hold.lifted_by, hold.lift_reason) == ("cora", "the case is closed")
    later = NOW + timedelta(days=365 * 7)
    assert set(seqs(ledger, later)) >= set(kept)


def refuse(unit: Unit, how: str) -> Any:
    if how == "not_eligible":
        return place_hold(unit, "everything", None, "why", allowed=False)
    if how == "no_reason":
        return place_hold(unit, "everything", None, " ", allowed=True)
    return lift_hold(unit, "HLD-000009", "why", allowed=True)


@pytest.mark.parametrize("how", ["not_eligible", "no_reason", "not_found"])
def test_a_refusal_is_on_record(ledger: Ledger, how: str) -> None:
    with ledger.write(CORA, CLI, NOW) as unit:
        answer = refuse(unit, how)
    assert (answer.ok, answer.reason) == (False, how)
    record = json.loads(ledger.records(event="hold.refused")[0]["body"])
    assert (record["outcome"], record["reason"]) == ("denied", how)
    with ledger.read() as connection:
        assert holds(connection) == []


def test_a_text_is_forgotten_with_the_last_record_that_speaks_of_it(ledger: Ledger) -> None:
    with ledger.write(CORA, CLI, LONG_AGO) as unit:
        name = keep_text(unit, "a comment")
        unit.append("vote.cast", Subject(kind="x", id="1"), message="x", details={"comment": name})
    with ledger.write(CORA, CLI, NOW - timedelta(days=9)) as unit:
        unit.append("vote.cast", Subject(kind="x", id="2"), message="x", details={"comment": name})
    let_go(ledger, NOW)
    with ledger.read() as connection:
        assert kept_text(connection, name) == "a comment"


def test_a_text_that_nothing_speaks_of_any_more_leaves_its_hash(ledger: Ledger) -> None:
    with ledger.write(CORA, CLI, LONG_AGO) as unit:
        name = keep_text(unit, "a comment")
        unit.append("vote.cast", Subject(kind="x", id="1"), message="x", details={"comment": name})
    done = let_go(ledger, NOW)
    assert done.texts == (name,)
    with ledger.read() as connection:
        assert kept_text(connection, name) is None
    (record,) = ledger.records(event="retention.forgotten")
    assert json.loads(record["body"])["details"]["texts"] == [name]


YOUNG, OLD = "young.one", "old.one"


@pytest.fixture(params=["ledger_app", "ledger_owner"])
def role(
    request: pytest.FixtureRequest, ledger: Ledger, ledger_url: str, postgres: PostgresServer
) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection as a role, to a ledger with an old and a young record and a hold."""
    write(ledger, LONG_AGO, OLD, release=RELEASE)
    write(ledger, NOW - timedelta(days=365 * 5), YOUNG)
    with ledger.write(CORA, CLI, NOW) as unit:
        keep_text(unit, "a comment")
        place_hold(unit, "release", RELEASE, "a case", allowed=True)
    name = ledger_url.rpartition("/")[2]
    with psycopg.connect(postgres.url(name, request.param), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT prune_records(ARRAY(SELECT seq FROM record WHERE event = 'young.one'))",
        "SELECT prune_records(ARRAY(SELECT seq FROM record WHERE event = 'old.one'))",
        "UPDATE record SET pruned = true WHERE event = 'young.one'",
        "UPDATE record SET pruned = true, body = stub(body) WHERE event = 'young.one'",
        "UPDATE record SET pruned = true, body = stub(body) WHERE event = 'old.one'",
        "UPDATE record SET body = '{}' WHERE event = 'old.one'",
        "UPDATE record SET leaf_hash = '\\x00', pruned = true WHERE event = 'old.one'",
        "DELETE FROM record",
        "TRUNCATE record",
        "SELECT forget_texts(ARRAY(SELECT digest FROM kept_text), now())",
        "UPDATE kept_text SET body = 'another'",
        "DELETE FROM kept_text",
        "DELETE FROM legal_hold",
        "UPDATE legal_hold SET subject = 'other-1.0.0'",
        "UPDATE legal_hold SET reason = 'none', lifted_by = 'x', lifted_at = now()",
    ],
)
def test_the_database_lets_nobody_prune_early_or_past_a_hold(
    role: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        role.execute(statement.encode())


CHANGE = "CHG-000007"


def bind(ledger: Ledger, at: datetime, *, by: str = "change") -> None:
    """Write a release, a change that is for it, and what few records say of both."""
    row = {"type": "minor", "state": "released", "created_at": at, "updated_at": at}
    with ledger.write(CORA, CLI, at) as unit:
        unit.execute(
            insert(schema.release).values(
                **row, id=RELEASE, service="hims-api", version="2.3.0", attempt=1, plan={},
                plan_hash="x", requested_by="cora",
            )
        )  # fmt: skip
        unit.execute(
            insert(schema.change).values(
                **row | {"type": "normal", "state": "closed"}, id=CHANGE, title="t", revision=1,
                content_hash="x", systems=["api"], requester="cora",
                release_id=RELEASE if by == "change" else None,
            )
        )  # fmt: skip
        if by == "release":
            unit.execute(schema.release.update().values(change_id=CHANGE))
        unit.append("both.bound", Subject(kind="thing", id="1"), message="bound")
    write(ledger, at, "of.change", change=CHANGE)
    write(ledger, at, "of.release", release=RELEASE)


@pytest.mark.parametrize("by", ["change", "release"])
@pytest.mark.parametrize(("kind", "subject"), [("release", RELEASE), ("change", CHANGE)])
def test_a_hold_on_a_release_keeps_its_change_and_the_other_way_round(
    ledger: Ledger, ledger_url: str, kind: Any, subject: str, by: str
) -> None:
    bind(ledger, LONG_AGO, by=by)
    with ledger.write(CORA, CLI, LONG_AGO) as unit:
        place_hold(unit, kind, subject, "a case", allowed=True)
    with ledger.read() as connection:
        found, held = expired(connection, NOW)
    # The two of them, and that the hold was placed.
    assert ([item.event for item in found], held) == (["both.bound"], 3)
    for event in ("of.change", "of.release"):
        (row,) = ledger.records(event=event)
        with (
            psycopg.connect(ledger_url, autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("SELECT prune_records(ARRAY[%s::bigint])", [row["seq"]])


def test_a_hold_on_another_release_keeps_neither(ledger: Ledger) -> None:
    bind(ledger, LONG_AGO)
    with ledger.write(CORA, CLI, NOW) as unit:
        place_hold(unit, "release", "other-1.0.0", "a case", allowed=True)
    done = let_go(ledger, NOW)
    assert {item.event for item in done.records} == {"both.bound", "of.change", "of.release"}


def test_a_change_is_in_effect_while_its_release_is_spoken_of_and_serves(ledger: Ledger) -> None:
    bind(ledger, LONG_AGO)
    write(ledger, NOW - timedelta(days=100), "late.word", release=RELEASE)
    assert seqs(ledger) == ["both.bound"]
    later = NOW + timedelta(days=365 * 6)
    assert "of.change" in seqs(ledger, later)
    with ledger.write(CORA, CLI, NOW) as unit:
        unit.execute(
            insert(schema.deployment).values(
                service="hims-api", environment="production", version="2.3.0", digest="x",
                colour="blue", state="live", release_id=RELEASE, fence=1, staged_at=LONG_AGO,
            )
        )  # fmt: skip
        unit.append("a.row", Subject(kind="thing", id="1"), message="it serves")
    assert "of.change" not in seqs(ledger, later)


@pytest.mark.parametrize("named", [False, True])
def test_a_text_that_is_said_again_is_kept_again(
    ledger: Ledger, ledger_url: str, named: bool
) -> None:
    digest = "sha256:" + hashlib.sha256(b"looks good").hexdigest() if named else None

    def say(at: datetime) -> str:
        with ledger.write(CORA, CLI, at) as unit:
            name = keep_text(unit, "looks good", digest=digest)
            unit.append("it.said", Subject(kind="x", id="1"), message="x", details={"text": name})
        return name

    name = say(LONG_AGO)
    assert let_go(ledger, NOW).texts == (name,)
    assert say(NOW) == name
    with ledger.read() as connection:
        assert kept_text(connection, name) == "looks good"
        assert list(unvouched_rows(connection, limit=9)) == []
    # With its time from then on.
    assert not let_go(ledger, NOW + timedelta(days=1)).texts
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT forget_texts(ARRAY[%s], now())", [name])
        connection.execute("SELECT keep_again(%s, 'another', now())", [name])
    with ledger.read() as connection:
        assert kept_text(connection, name) == "looks good"


def test_only_the_very_text_is_kept_again(ledger: Ledger, ledger_url: str) -> None:
    with ledger.write(CORA, CLI, LONG_AGO) as unit:
        name = keep_text(unit, "looks good")
        unit.append("it.said", Subject(kind="x", id="1"), message="x", details={"text": name})
    let_go(ledger, NOW)
    with (
        psycopg.connect(ledger_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT keep_again(%s, 'looks bad', now())", [name])
    with ledger.write(CORA, CLI, NOW) as unit:
        keep_text(unit, "looks\0bad", digest=name)
        unit.append("it.said", Subject(kind="x", id="2"), message="x", details={"text": name})
    with ledger.read() as connection:
        assert kept_text(connection, name) is None
