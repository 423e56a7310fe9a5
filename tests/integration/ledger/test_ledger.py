"""The ledger in a real PostgreSQL: what is written stays, all of it or none of it."""

# ruff: noqa: PT012, S608, SIM117 - units of work are blocks, and what they raise comes at their end

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from itertools import chain

import psycopg
import pytest
from sqlalchemy import func, insert, select, text, update

from include.errors import LedgerAway, LedgerError
from include.ledger import Actor, Ledger, Outcome, Source, Subject, schema
from include.ledger.migrations import upgrade
from include.ledger.record import leaf_hash
from tests.integration.conftest import PostgresServer

AT = datetime(2026, 11, 28, 7, 0, 0, 123_456, tzinfo=UTC)
RITA = Actor(user="rita", name="Rita Moreno", auth="test")
CLI = Source(kind="cli")
TOPIC = Subject(kind="release", id="hims-api-2.3.0")


def append(ledger: Ledger, event: str = "a.thing", message: str = "it happened") -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.append(event, TOPIC, message=message)


def events(ledger: Ledger) -> list[str]:
    return [json.loads(row["body"])["event"] for row in ledger.records()]


def insert_incident(key: str) -> object:
    return insert(schema.incident).values(
        id=key, severity="P3", title="x", systems=["api"], opened_at=AT
    )


def incidents(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(schema.incident.c.id)).scalars())


def test_a_record_is_stored_as_its_canonical_text_with_its_leaf_hash(ledger: Ledger) -> None:
    append(ledger)
    (row,) = ledger.records()
    body = json.loads(row["body"])
    assert row["body"] == json.dumps(
        body, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert bytes(row["leaf_hash"]) == hashlib.sha256(b"\x00" + row["body"].encode()).digest()
    assert body["time"] == "2026-11-28T07:00:00.123Z"


def test_what_is_searched_by_is_taken_from_the_body_and_from_nowhere_else(
    ledger: Ledger, postgres: PostgresServer, ledger_url: str
) -> None:
    append(ledger)
    with psycopg.connect(ledger_url) as connection:
        for column in ("id", "time", "event", "outcome", "release", "change"):
            statement = f"INSERT INTO record (body, leaf_hash, {column}) VALUES ('{{}}', '', 'x')"
            with pytest.raises(psycopg.errors.GeneratedAlways), connection.transaction():
                connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.GeneratedAlways), connection.transaction():
            connection.execute("INSERT INTO record (seq, body, leaf_hash) VALUES (1, '{}', '')")


CHANGE = (
    "INSERT INTO change VALUES"
    " ('CHG-1', 'normal', 'draft', 't', 1, 'h', '{}', 'r', NULL, now(), now())"
)
VOTE = (
    "INSERT INTO vote (change_id, content_hash, seat, voter, choice, meaning, comment, cast_at,"
    " expires_at) VALUES ('CHG-1', 'h', 's', 'v', 'approve', 'm', '', now(), now())"
)
TAMPERING = {
    "record": [
        "UPDATE record SET body = body",
        "DELETE FROM record",
        "TRUNCATE record",
        "INSERT INTO record (seq, body, leaf_hash) OVERRIDING SYSTEM VALUE"
        " SELECT seq, body, leaf_hash FROM record"
        " ON CONFLICT (seq) DO UPDATE SET body = excluded.body",
        "MERGE INTO record r USING record s ON r.seq = s.seq WHEN MATCHED THEN DELETE",
    ],
    "vote": [
        "UPDATE vote SET choice = 'reject'",
        "DELETE FROM vote",
        "TRUNCATE vote",
        "INSERT INTO vote OVERRIDING SYSTEM VALUE SELECT * FROM vote"
        " ON CONFLICT (id) DO UPDATE SET choice = 'reject'",
        "WITH gone AS (DELETE FROM vote RETURNING *) SELECT * FROM gone",
    ],
    "tree": [
        f"{what} {table}"
        for table in ("leaf", "head", "gate", "revision")
        for what in ("DELETE FROM", "TRUNCATE")
    ]
    + ["UPDATE leaf SET position = position + 1", "UPDATE head SET note = ''"],
}
WRITTEN = (
    "INSERT INTO head VALUES (1, decode(repeat('00', 32), 'hex'), now(), 'n', 'e')",
    "INSERT INTO release VALUES ('r-1', 'r', '1', 'minor', 1, 'running', NULL, NULL, '{}', 'h',"
    " 'd', 'r', 'x', 'CHG-1', now(), now())",
    "INSERT INTO gate VALUES ('r-1', 1, 'uat', 'c', 'd', 'go', 'r', 'm', '[]', 'x', now())",
    "INSERT INTO revision VALUES ('CHG-1', 1, '{}', 'h', 'x', now())",
)


@pytest.mark.parametrize("role", ["ledger_app", "ledger_owner"])
def test_nothing_that_was_written_can_be_changed_or_removed(
    ledger: Ledger, postgres: PostgresServer, ledger_url: str, role: str
) -> None:
    database = ledger_url.rpartition("/")[2]
    append(ledger)
    postgres.execute(CHANGE, VOTE, *WRITTEN, database=database)
    # The owner has the right and meets the trigger; the application has not even the right.
    said = "permission denied" if role == "ledger_app" else "the ledger is append-only"
    with psycopg.connect(postgres.url(database, role), autocommit=True) as connection:
        for statement in chain.from_iterable(TAMPERING.values()):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=said):
                connection.execute(statement.encode())
        votes = connection.execute("SELECT choice FROM vote ORDER BY id").fetchall()
    assert votes == [("approve",)]
    assert events(ledger) == ["a.thing"]


def test_the_application_has_the_rights_that_it_needs_and_no_other(ledger_url: str) -> None:
    function = "FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for statement in [
            "ALTER TABLE record DISABLE TRIGGER ALL",
            "DROP TABLE record",
            "CREATE TABLE mine (x int)",
            "SET session_replication_role = replica",
            "UPDATE revision SET author = 'x'",
            "UPDATE gate SET verdict = 'go'",
            "INSERT INTO leaf VALUES (0, 1, decode(repeat('00', 32), 'hex'))",
            "UPDATE sequencer SET size = 0",
            "SELECT * FROM sequencer",
            "ALTER FUNCTION sequence_records OWNER TO ledger_app",
            *(f"DELETE FROM {table}" for table in ("release", "permit", "notice", "gate", "step")),
            "ALTER TABLE gate OWNER TO ledger_app",
            f"CREATE OR REPLACE {function}",
        ]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def insert_record(
    connection: psycopg.Connection[tuple[object, ...]], body: str, leaf: bytes | None = None
) -> None:
    """Write a record past the ledger, with the right hash or the one given."""
    statement = "INSERT INTO record (body, leaf_hash) VALUES (%s, %s)"
    connection.execute(statement, [body, leaf_hash(body) if leaf is None else leaf])


def test_a_record_whose_hash_is_not_that_of_its_body_is_refused(ledger_url: str) -> None:
    body = '{"id":"1","time":"t","event":"e","outcome":"success"}'
    plain = hashlib.sha256(body.encode()).digest()
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for wrong in (b"", b"\x00" * 32, leaf_hash(body + " "), plain):
            with pytest.raises(psycopg.errors.CheckViolation):
                insert_record(connection, body, wrong)
        insert_record(connection, body)


def test_a_record_that_is_none_is_refused(ledger_url: str) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        for body in [
            "no json",
            '{"id":"1","time":"t","event":"e"}',
            '{"id":"1","time":"t","event":"e","outcome":"great"}',
            '{"time":"t","event":"e","outcome":"success"}',
            '{"id":"1","event":"e","outcome":"success"}',
        ]:
            with pytest.raises(psycopg.Error):
                insert_record(connection, body)


def test_a_unit_without_a_record_is_refused_and_undone(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="ended without a record; nothing was written"):
        with ledger.write(RITA, CLI, AT) as unit:
            unit.execute(insert_incident("INC-1"))  # type: ignore[arg-type]
    assert incidents(ledger) == []


def test_a_unit_that_raises_leaves_nothing(ledger: Ledger) -> None:
    class Stop(Exception):
        pass

    with pytest.raises(Stop):
        with ledger.write(RITA, CLI, AT) as unit:
            unit.execute(insert_incident("INC-1"))  # type: ignore[arg-type]
            unit.append("incident.opened", TOPIC, message="x")
            raise Stop
    assert incidents(ledger) == []
    assert ledger.records() == []


def test_what_the_database_refuses_undoes_the_unit_and_says_so_in_a_line(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="the ledger refuses: duplicate key") as refused:
        with ledger.write(RITA, CLI, AT) as unit:
            unit.append("incident.opened", TOPIC, message="x")
            for _ in range(2):
                unit.execute(insert_incident("INC-1"))  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert ledger.records() == []


def test_sixteen_writers_at_once_lose_nothing(ledger: Ledger) -> None:
    gate = threading.Barrier(16)
    raised: list[BaseException] = []

    def write(number: int) -> None:
        gate.wait()
        try:
            for turn in range(5):
                with ledger.write(RITA, CLI, AT) as unit:
                    unit.append("a.thing", TOPIC, message=f"{number}/{turn}")
                    unit.execute(insert_incident(f"INC-{number}-{turn}"))  # type: ignore[arg-type]
                    unit.append("another.thing", TOPIC, message=f"{number}/{turn}")
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []
    rows = ledger.records()
    said = sorted(
        (json.loads(row["body"])["event"], json.loads(row["body"])["message"]) for row in rows
    )
    expected = [f"{number}/{turn}" for number in range(16) for turn in range(5)]
    assert said == sorted(
        (event, message) for event in ("a.thing", "another.thing") for message in expected
    )
    assert len({row["seq"] for row in rows}) == 160
    assert len(incidents(ledger)) == 80


def test_readers_see_one_moment(ledger: Ledger) -> None:
    append(ledger, "first")
    with ledger.read() as connection:
        seen = connection.execute(select(schema.record.c.event)).scalars().all()
        append(ledger, "second")
        again = connection.execute(select(schema.record.c.event)).scalars().all()
    assert seen == again == ["first"]


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="read-only transaction"), ledger.read() as connection:
        connection.execute(insert_incident("INC-1"))  # type: ignore[call-overload]


def test_records_are_found_by_release_change_and_event(ledger: Ledger) -> None:
    append(ledger, "a")
    with ledger.write(RITA, CLI, AT) as unit:
        unit.append(
            "b", Subject(kind="change", id="CHG-000001"), message="x", release="other-1.0.0"
        )
        unit.append("c", Subject(kind="permit", id="1"), message="x", change="CHG-000001")
    found = [
        [json.loads(row["body"])["event"] for row in ledger.records(**by)]
        for by in (
            {"release": "hims-api-2.3.0"},
            {"change": "CHG-000001"},
            {"event": "c"},
            {"release": "other-1.0.0", "event": "c"},
        )
    ]
    assert found == [["a"], ["b", "c"], ["c"], []]


def test_a_server_that_is_not_there_is_a_ledger_error_with_a_remedy() -> None:
    away = Ledger("postgresql://x:secret-word@127.0.0.1:1/ledger")
    for call in (lambda: append(away), away.records):
        with pytest.raises(LedgerError, match=r"does not answer .*see `./hims status`") as refused:
            call()  # type: ignore[no-untyped-call]
        assert "secret-word" not in str(refused.value)
    with pytest.raises(LedgerError, match="does not answer"):
        with away.exclusive("x", wait=timedelta(seconds=1)):
            raise AssertionError


def test_a_server_that_goes_away_in_the_middle_leaves_nothing(
    ledger: Ledger, postgres: PostgresServer, ledger_url: str
) -> None:
    name = ledger_url.rpartition("/")[2]
    with pytest.raises(LedgerError, match="does not answer"):
        with ledger.write(RITA, CLI, AT) as unit:
            unit.append("a.thing", TOPIC, message="x")
            postgres.disconnect(name)
            unit.append("another.thing", TOPIC, message="x")
    assert ledger.records() == []
    append(ledger)
    assert events(ledger) == ["a.thing"]


def test_a_deadlock_is_said_to_be_one_and_leaves_nothing_of_the_one_that_was_ended(
    ledger: Ledger,
) -> None:
    both = threading.Barrier(2, timeout=30)
    ended: list[LedgerError] = []

    def work(event: str, first: int, second: int) -> None:
        try:
            with ledger.write(RITA, CLI, AT) as unit:
                unit.append(event, TOPIC, message="x")
                unit.execute(select(func.pg_advisory_xact_lock(first)))
                both.wait()
                unit.execute(select(func.pg_advisory_xact_lock(second)))
        except LedgerError as error:
            ended.append(error)

    threads = [
        threading.Thread(target=work, args=words) for words in (("a.one", 1, 2), ("a.two", 2, 1))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    (error,) = ended
    # What waits for a ledger that is away tries this again, too.
    assert isinstance(error, LedgerAway)
    assert "in each other's way" in str(error)
    assert "deadlock detected" in str(error)
    assert "does not answer" not in str(error)
    assert "\n" not in str(error)
    assert len(events(ledger)) == 1


def test_a_password_that_is_wrong_is_said_without_the_password(
    postgres: PostgresServer, ledger_url: str
) -> None:
    with pytest.raises(LedgerError, match="password authentication failed") as refused:
        append(Ledger(ledger_url.replace(":integration@", ":wr0ng-w0rd@")))
    assert "wr0ng-w0rd" not in str(refused.value)


def test_an_upgrade_that_is_run_again_changes_nothing(
    ledger: Ledger, postgres: PostgresServer, ledger_url: str
) -> None:
    append(ledger)
    owner = postgres.url(ledger_url.rpartition("/")[2], "ledger_owner")
    threads = [
        threading.Thread(target=upgrade, args=(owner,), kwargs={"app_role": "ledger_app"})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert events(ledger) == ["a.thing"]


def test_two_upgrades_of_an_empty_database_at_once_make_one_schema(
    postgres: PostgresServer, ledger_template: str
) -> None:
    name = postgres.create_database(owner="ledger_owner")
    raised: list[BaseException] = []

    def run() -> None:
        try:
            upgrade(postgres.url(name, "ledger_owner"), app_role="ledger_app")
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert raised == []
        append(Ledger(postgres.url(name, "ledger_app")))
    finally:
        postgres.drop_database(name)


def test_a_connection_serves_again_and_a_lost_one_is_replaced(
    ledger: Ledger, postgres: PostgresServer, ledger_url: str
) -> None:
    def backend() -> int:
        with ledger.read() as connection:
            return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    first = backend()
    with ledger.write(RITA, CLI, AT) as unit:
        unit.append("a.thing", TOPIC, message="written by the same session")
        assert unit.execute(text("SELECT pg_backend_pid()")).scalar_one() == first
    assert backend() == first
    postgres.disconnect(ledger_url.rpartition("/")[2])
    assert backend() != first


def test_the_lock_is_held_by_one_and_freed_at_its_end(ledger: Ledger) -> None:
    other = Ledger(str(ledger._engine.url.render_as_string(hide_password=False)))
    with ledger.exclusive("a/step", wait=timedelta(seconds=5)):
        with other.exclusive("another/step", wait=timedelta(seconds=5)):
            pass
        with pytest.raises(
            LedgerError, match="a/step has been under way in another process for 1s"
        ):
            with other.exclusive("a/step", wait=timedelta(seconds=1)):
                raise AssertionError
    with other.exclusive("a/step", wait=timedelta(seconds=1)):
        pass


def test_the_lock_is_free_after_its_holder_raised(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        with ledger.exclusive("a/step", wait=timedelta(seconds=5)):
            raise KeyError
    with ledger.exclusive("a/step", wait=timedelta(seconds=1)):
        pass


def test_outcomes_and_differences_are_kept(ledger: Ledger) -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.append(
            "a.thing",
            TOPIC,
            message="x",
            outcome=Outcome.DENIED,
            reason="no",
            difference={"state": {"from": "a", "to": "b"}},
            evidence=[{"uri": "file:///x", "sha256": "sha256:1"}],
            actor=Actor.service("courier"),
        )
    body = json.loads(ledger.records()[0]["body"])
    assert (body["outcome"], body["reason"]) == ("denied", "no")
    assert body["difference"] == {"state": {"from": "a", "to": "b"}}
    assert body["evidence"] == [{"sha256": "sha256:1", "uri": "file:///x"}]
    assert body["actor"]["user"] == "service:courier"


def test_the_state_tables_of_the_code_are_those_of_the_database(ledger: Ledger) -> None:
    with ledger.read() as connection:
        rows = connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
            )
        ).all()
    declared = {
        (table.name, column.name)
        for table in schema.metadata.tables.values()
        for column in table.columns
    }
    assert {(row.table_name, row.column_name) for row in rows} == declared


def test_an_update_of_state_without_a_record_does_not_get_through(ledger: Ledger) -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.execute(insert_incident("INC-1"))  # type: ignore[arg-type]
        unit.append("incident.opened", TOPIC, message="x")
    with pytest.raises(LedgerError, match="without a record"):
        with ledger.write(RITA, CLI, AT) as unit:
            unit.execute(update(schema.incident).values(closed_at=AT))
    with ledger.read() as connection:
        assert connection.execute(select(schema.incident.c.closed_at)).scalar() is None
