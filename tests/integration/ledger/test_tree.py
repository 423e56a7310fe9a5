"""Records in the tree: everyone gets one place, whoever writes, waits or dies meanwhile."""

# ruff: noqa: PT012 - units of work are blocks; dice decide who dies

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from pymerkle import InmemoryTree
from sqlalchemy import insert, select, text, update

from include.errors import LedgerAway, LedgerError
from include.ledger import Actor, Ledger, Source, Subject, rows, schema
from include.ledger.merkle import root_of
from include.ledger.migrations import upgrade
from tests.integration.conftest import PostgresServer

AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
RITA = Actor(user="rita", name="Rita Moreno", auth="test")
CLI = Source(kind="cli")
TOPIC = Subject(kind="release", id="hims-api-2.3.0")


def append(ledger: Ledger, message: str = "it happened") -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.append("a.thing", TOPIC, message=message)


def leaves(ledger: Ledger) -> list[tuple[int, int, bytes]]:
    table = schema.leaf
    with ledger.read() as connection:
        return [
            (row.position, row.seq, bytes(row.leaf_hash))
            for row in connection.execute(select(table).order_by(table.c.position))
        ]


def record_hashes(ledger: Ledger) -> dict[int, bytes]:
    return {row["seq"]: bytes(row["leaf_hash"]) for row in ledger.records()}


def is_sound(ledger: Ledger) -> bool:
    """Every record has one place, the places have no gap, and each has its record's hash."""
    found = leaves(ledger)
    return [position for position, _, _ in found] == list(range(len(found))) and {
        seq: leaf for _, seq, leaf in found
    } == record_hashes(ledger)


def test_a_record_is_in_the_tree_as_soon_as_it_is_written(ledger: Ledger) -> None:
    for number in range(5):
        append(ledger)
        assert len(leaves(ledger)) == number + 1
    assert is_sound(ledger)


def test_the_tree_is_what_another_implementation_makes_of_the_same_records(ledger: Ledger) -> None:
    theirs = InmemoryTree(algorithm="sha256")
    for number in range(7):
        append(ledger, f"number {number}")
    for row in ledger.records():
        theirs.append(row["body"].encode())
    assert root_of(leaf for _, _, leaf in leaves(ledger)) == theirs.get_state()


def raw_insert(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    body = f'{{"event":"e","id":"{name}","outcome":"success","time":"t"}}'
    connection.execute(
        "INSERT INTO record (body, leaf_hash) SELECT %s, sha256('\\x00' || convert_to(%s, 'UTF8'))"
        " FROM pg_current_xact_id()",
        [body, body],
    )


def test_who_commits_late_gets_a_place_then_and_moves_nobody(
    ledger: Ledger, ledger_url: str
) -> None:
    with psycopg.connect(ledger_url) as slow:
        raw_insert(slow, "slow")
        for _ in range(5):
            append(ledger)
        before = leaves(ledger)
        assert [seq for _, seq, _ in before] == [2, 3, 4, 5, 6]
        slow.commit()
    append(ledger)
    after = leaves(ledger)
    assert after[:5] == before
    assert [seq for _, seq, _ in after[5:]] == [1, 7]
    assert is_sound(ledger)


def test_a_writer_does_not_wait_for_one_that_is_placing(ledger: Ledger, ledger_url: str) -> None:
    append(ledger)
    with psycopg.connect(ledger_url) as placing:
        placing.execute("SELECT sequence_records(true)")
        started = time.monotonic()
        append(ledger)
        assert time.monotonic() - started < 5
        assert len(leaves(ledger)) == 1
    assert ledger.sequence_new() == 1
    assert is_sound(ledger)


def test_a_transaction_that_is_undone_leaves_no_gap(ledger: Ledger, ledger_url: str) -> None:
    append(ledger)
    with psycopg.connect(ledger_url) as connection:
        raw_insert(connection, "undone")
        connection.rollback()
    append(ledger)
    assert [seq for _, seq, _ in leaves(ledger)] == [1, 3]
    assert is_sound(ledger)


def test_a_process_that_writes_all_the_time_has_its_records_placed_within_a_second(
    ledger: Ledger, ledger_url: str
) -> None:
    busy = Ledger(ledger_url, keep=2)
    for _ in range(50):
        append(busy)
    time.sleep(1)
    assert len(leaves(ledger)) == 50
    assert is_sound(ledger)
    busy.close()


def test_a_connection_that_was_lost_costs_one_unit_and_is_made_anew(
    ledger: Ledger, ledger_url: str, postgres: PostgresServer
) -> None:
    busy = Ledger(ledger_url, keep=1)
    append(busy)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as owner:
        owner.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE usename = 'ledger_app'"
        )
    with pytest.raises(LedgerAway):
        append(busy)
    append(busy)
    busy.close()
    assert len(ledger.records()) == 2


def test_threads_share_what_is_kept_and_a_unit_that_fails_gives_it_back(ledger_url: str) -> None:
    busy = Ledger(ledger_url, keep=2)
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                with suppress(ZeroDivisionError), busy.write(RITA, CLI, AT) as unit:
                    if turn % 3 == 0:
                        unit.execute(select(1))
                    unit.append("a.thing", TOPIC, message=f"{number} of {10 // (4 - turn % 5)}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(busy.records()) == 6 * 16
    # Two lines, and the pool's: two, one for the placer. What was closed beyond these takes the
    # server a moment to see.
    deadline = time.monotonic() + 10
    while len(kept := _signed_in(ledger_url)) > 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(kept) <= 5, kept
    busy.close()


def test_closing_places_what_is_new_and_nobody_signs_in_after_it(ledger_url: str) -> None:
    busy = Ledger(ledger_url, keep=1)
    with busy.write(RITA, CLI, AT) as unit:
        unit.append("a.thing", TOPIC, message="x")
    busy.close()
    with psycopg.connect(ledger_url) as connection:
        assert connection.execute("SELECT count(*) FROM leaf").fetchone() == (1,)
    # The placing that was due in less than a second comes no more.
    time.sleep(1)
    assert _signed_in(ledger_url) == []


def _signed_in(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT state, now() - backend_start, now() - state_change, query FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'release-control'"
        ).fetchall()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_order_of_writers_nobody_is_passed_over(
    ledger: Ledger, ledger_url: str, seed: int
) -> None:
    """Transactions of several writers in a random order, the sequencer in between."""
    dice = random.Random(seed)
    writers = [psycopg.connect(ledger_url) for _ in range(5)]
    written = 0
    for _ in range(120):
        writer = dice.choice(writers)
        act = dice.random()
        if act < 0.4:
            raw_insert(writer, f"{seed}-{written}")
            written += 1
        elif act < 0.6:
            writer.commit()
        elif act < 0.7:
            writer.rollback()
        elif act < 0.75:
            ledger.sequence()
        else:
            ledger.sequence_new()
    for writer in writers:
        writer.commit()
        writer.close()
    # Twice, since the bound below which all have a place may lag by one; but not `thorough`.
    ledger.sequence_new()
    ledger.sequence_new()
    assert is_sound(ledger)


def _write_until_killed(url: str, diary: Path, number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Half of them keep their connections.
    ledger = Ledger(url, keep=number % 2)
    out = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for turn in range(10_000):
        name = f"{number}/{turn}"
        os.write(out, f"begin {name}\n".encode())
        try:
            with ledger.write(RITA, CLI, AT) as unit:
                unit.append("a.thing", TOPIC, message=name)
                if turn % 3 == 0:
                    unit.append("a.second", TOPIC, message=name)
        except LedgerError:
            # The server may end a connection, too; whether it was written is then unknown.
            continue
        os.write(out, f"done {name}\n".encode())


def test_fifty_writers_that_are_killed_at_random_lose_and_double_nothing(
    ledger: Ledger, ledger_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    dice = random.Random(7304)
    fork = multiprocessing.get_context("fork")
    number = 0

    def start() -> multiprocessing.process.BaseProcess:
        nonlocal number
        number += 1
        child = fork.Process(
            target=_write_until_killed, args=(ledger_url, tmp_path / f"{number}", number)
        )
        child.start()
        return child

    writers = [start() for _ in range(50)]
    try:
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline:
            time.sleep(0.1)
            victim = dice.randrange(len(writers))
            writers[victim].kill()
            writers[victim].join()
            writers[victim] = start()
            if dice.random() < 0.1:
                _end_a_connection(postgres, ledger_url.rpartition("/")[2])
    finally:
        for child in writers:
            child.kill()
        for child in writers:
            child.join()
    diary = "".join(path.read_text() for path in tmp_path.iterdir())
    begun = {line.split()[1] for line in diary.splitlines() if line.startswith("begin")}
    done = {line.split()[1] for line in diary.splitlines() if line.startswith("done")}
    _wait_for_silence(postgres, ledger_url.rpartition("/")[2])
    ledger.sequence_new()
    ledger.sequence_new()
    assert is_sound(ledger)
    with ledger.read() as connection:
        found = Counter(
            (str(event), str(message))
            for event, message in connection.execute(
                text("SELECT event, body::jsonb ->> 'message' FROM record")
            )
        )
    assert len(done) > 100
    assert set(found.values()) == {1}
    first = {message for event, message in found if event == "a.thing"}
    second = {message for event, message in found if event == "a.second"}
    assert done <= first <= begun
    assert second == {name for name in first if int(name.split("/")[1]) % 3 == 0}


def _end_a_connection(postgres: PostgresServer, database: str) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            " ORDER BY random() LIMIT 1",
            [database],
        )


def _wait_for_silence(postgres: PostgresServer, database: str) -> None:
    """Wait until the server has noticed that its clients are dead."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for _ in range(200):
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database]
            ).fetchone()
            if row == (0,):
                return
            time.sleep(0.05)
    raise AssertionError("somebody is still writing")


def incident(key: str) -> object:
    return insert(schema.incident).values(
        id=key, severity="P3", title="x", systems=["api"], opened_at=AT
    )


def said(ledger: Ledger) -> dict[str, str | None]:
    import json

    found: dict[str, str | None] = {}
    for row in ledger.records():
        found |= json.loads(row["body"]).get("rows", {})
    return found


def test_a_record_vouches_for_the_rows_of_its_unit(ledger: Ledger) -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.execute(incident("INC-1"))  # type: ignore[arg-type]
        unit.append("incident.opened", TOPIC, message="x")
        unit.append("something.else", TOPIC, message="x")
    first = said(ledger)
    assert list(first) == ['incident ["INC-1"]']
    with ledger.write(RITA, CLI, AT) as unit:
        unit.execute(update(schema.incident).values(closed_at=AT))
        unit.append("incident.closed", TOPIC, message="x")
    with ledger.read() as connection:
        assert said(ledger) == rows.digests(connection, first) != first
        assert rows.strangers(connection, first) == []


def test_what_a_savepoint_undoes_is_vouched_for_as_it_is(ledger: Ledger) -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.execute(incident("INC-1"))  # type: ignore[arg-type]
        with pytest.raises(KeyError), unit.connection.begin_nested():
            unit.execute(incident("INC-2"))  # type: ignore[arg-type]
            raise KeyError
        unit.append("incident.opened", TOPIC, message="x")
    assert list(said(ledger)) == ['incident ["INC-1"]']


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE incident SET severity = 'P4'",
        "DELETE FROM incident",
        "INSERT INTO incident VALUES ('INC-2', 'P1', 'x', '{}', now(), NULL)",
    ],
)
def test_a_row_that_was_changed_behind_its_record_is_a_stranger(
    ledger: Ledger, postgres: PostgresServer, ledger_url: str, statement: str
) -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.execute(incident("INC-1"))  # type: ignore[arg-type]
        unit.append("incident.opened", TOPIC, message="x")
    postgres.execute(statement, database=ledger_url.rpartition("/")[2])
    keys = ['incident ["INC-1"]', 'incident ["INC-2"]']
    with ledger.read() as connection:
        found = rows.strangers(connection, keys)
    # One that never was and that no record names is a stranger as well.
    assert set(found) == (set(keys) if "INSERT" not in statement else {keys[1]})


def test_two_writers_of_one_row_end_with_the_later_ones_digest(ledger: Ledger) -> None:
    with ledger.write(RITA, CLI, AT) as unit:
        unit.execute(incident("INC-1"))  # type: ignore[arg-type]
        unit.append("incident.opened", TOPIC, message="x")

    def write(number: int) -> None:
        for turn in range(5):
            with ledger.write(RITA, CLI, AT) as unit:
                unit.execute(update(schema.incident).values(title=f"{number}/{turn}"))
                unit.append("incident.edited", TOPIC, message="x")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.read() as connection:
        assert rows.strangers(connection, ['incident ["INC-1"]']) == []


def test_rows_from_before_there_was_a_tree_are_adopted_with_a_record(
    postgres: PostgresServer, ledger_url: str, ledger: Ledger
) -> None:
    database = ledger_url.rpartition("/")[2]
    postgres.execute(
        "INSERT INTO incident VALUES ('INC-1', 'P1', 'x', '{}', now(), NULL)",
        "DROP TRIGGER note_row ON incident",
        database=database,
    )
    upgrade(postgres.url(database, "ledger_owner"), app_role="ledger_app")
    upgrade(postgres.url(database, "ledger_owner"), app_role="ledger_app")
    assert [row["event"] for row in map(_body, ledger.records())] == ["ledger.rows_adopted"]
    with ledger.read() as connection:
        assert rows.strangers(connection, ['incident ["INC-1"]']) == []


def _body(row: object) -> dict[str, object]:
    import json

    return dict(json.loads(row["body"]))  # type: ignore[index]
