"""The ledger: appending against a plain INSERT per commit, verifying against hashlib, packs.

A PostgreSQL of its own, with the settings of `./hims up` (fsync on). Writers are processes; each
keeps its connection, ours as theirs. The
peer of an append is a plain INSERT of the same record into the same table, so that what is compared
is the unit of work and the tree.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import text

from include.audit.anchors.file import FileAnchor
from include.audit.desk import Desk
from include.audit.keys import Keyring, Trusted
from include.audit.pack import make_pack
from include.audit.policy import load_audit_policy
from include.audit.sealing import Sealer
from include.audit.selection import select_period
from include.audit.verification import verify_ledger
from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.heads import newest_head
from include.ledger.merkle import inclusion_proofs
from include.ledger.migrations import upgrade
from include.ledger.note import PrivateKey
from include.ledger.record import leaf_hash
from include.output import print_progress
from tests.bench.figures import Figure
from tests.integration.conftest import OwnServer, PostgresServer

WRITERS = (1, 4, 16)
SECONDS = 2.0
RECORDS = 1_000_000
AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
ROBOT = Actor.service("bench")
CLI = Source(kind="cli")
TOPIC = Subject(kind="release", id="hims-api-2.3.0", version="1", content_hash="sha256:" + "0" * 64)
MESSAGE = "votes approve for technical_lead, " * 6
KEY = PrivateKey(name="bench", seed=bytes(32))
KNOWN = Keyring((Trusted(key=KEY.public),))

Work = Callable[[str, Barrier, Any], None]


def figures(records: int = RECORDS, repeats: int = 6) -> list[Figure]:
    """Return every figure of the ledger; what depends on its size is measured on `records`, what
    depends on the moment `repeats` times."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as scratch:
        home = Path(scratch) / "postgres"
        home.mkdir()
        own = OwnServer(home, fsync="on", shared_buffers="128MB")
        try:
            own.start()
            for count in WRITERS:
                found += _appending(own.server, count, repeats)
            found += _verifying(own.server, records, Path(scratch))
        finally:
            own.remove()
    return found


def _appending(server: PostgresServer, writers: int, repeats: int) -> Iterator[Figure]:
    """Measure in turn, and each first as often as second, so that a busy moment falls upon both."""
    rates: dict[Work, list[float]] = {_append: [], _insert: []}
    for round_ in range(repeats):
        for work in sorted(rates, key=lambda one: one is _append, reverse=bool(round_ % 2)):
            with _ledger(server) as url:
                rates[work].append(_rate(url, writers, work))
    mine, peer = (statistics.median(rates[work]) for work in (_append, _insert))
    shares = [ours / plain for ours, plain in zip(rates[_append], rates[_insert], strict=True)]
    print_progress(f"{writers} writers: {mine:.0f} records/s, plain {peer:.0f}/s")
    yield Figure(
        name=f"a record, {writers} writers",
        ours=1000 / mine,
        peer=1000 / peer,
        unit="ms",
        times=1 / 0.7,
        note=f"{mine:.0f}/s against {peer:.0f}/s: {mine / peer:.0%} of a plain INSERT per commit "
        f"({min(shares):.0%} to {max(shares):.0%} in {repeats} rounds)",
    )


def _rate(url: str, writers: int, work: Work) -> float:
    """Return commits per second of all writers together, from when the last of them is ready."""
    fork = multiprocessing.get_context("fork")
    counts, ready = fork.Queue(), fork.Barrier(writers)
    processes = [fork.Process(target=work, args=(url, ready, counts)) for _ in range(writers)]
    for process in processes:
        process.start()
    total = sum(counts.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total / SECONDS)


def _append(url: str, ready: Barrier, counts: Any) -> None:
    ledger = Ledger(url, keep=1)
    counts.put(_count(ready, lambda: _unit(ledger)))


def _unit(ledger: Ledger) -> None:
    with ledger.write(ROBOT, CLI, datetime.now(UTC)) as unit:
        unit.append("vote.cast", TOPIC, message=MESSAGE)


def _insert(url: str, ready: Barrier, counts: Any) -> None:
    """The peer: the same record by a plain INSERT, committed by itself, into the same table without
    anything of the tree, written by psycopg2 alone."""
    with psycopg2.connect(url) as connection:
        cursor = connection.cursor()

        def insert() -> None:
            body = _body(0)
            cursor.execute(
                "INSERT INTO record (body, leaf_hash) VALUES (%s, %s)", [body, leaf_hash(body)]
            )
            connection.commit()

        counts.put(_count(ready, insert))


def _count(ready: Barrier, work: Callable[[], None]) -> int:
    work()
    ready.wait()
    end, done = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        work()
        done += 1
    return done


def _body(number: int) -> str:
    from include.ledger.record import Outcome, Record

    return Record(
        time=AT + timedelta(milliseconds=number),
        event="vote.cast",
        outcome=Outcome.SUCCESS,
        reason="approve",
        message=MESSAGE,
        actor=ROBOT,
        source=CLI,
        subject=TOPIC,
        release=TOPIC.id,
    ).body()


@contextmanager
def _ledger(server: PostgresServer) -> Iterator[str]:
    server.create_role("ledger_owner")
    server.create_role("ledger_app")
    name = server.create_database(owner="ledger_owner")
    upgrade(server.url(name, "ledger_owner"), app_role="ledger_app")
    yield server.url(name, "ledger_app")
    server.drop_database(name)


def _fill(url: str, records: int) -> None:
    """Write records as fast as the server takes them; they are placed and sealed as always."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        pattern = _body(0)
        identity = pattern.partition('"id":"')[2].partition('"')[0]
        cursor.execute(
            "INSERT INTO record (body, leaf_hash)"
            " SELECT body, sha256('\\x00' || convert_to(body, 'UTF8')) FROM ("
            "   SELECT replace(%s, %s, lpad(number::text, 36, '0')) AS body"
            "   FROM generate_series(1, %s) AS number) AS made",
            [pattern, identity, records],
        )
    connection.close()


def _verifying(server: PostgresServer, records: int, scratch: Path) -> Iterator[Figure]:
    with _ledger(server) as url:
        print_progress(f"writing {records:,} records")
        _fill(url, records)
        ledger = Ledger(url)
        sealer = Sealer(ledger, "bench/ledger", [KEY], KNOWN, [FileAnchor(scratch / "anchors")])
        begin = time.perf_counter()
        sealer.seal(AT)
        sealing = time.perf_counter() - begin
        print_progress(f"verifying {records:,} records")
        begin = time.perf_counter()
        found = verify_ledger(
            ledger, sealer.origin, KNOWN, sealer.anchors, AT + timedelta(days=1),
            tolerance=timedelta(minutes=10), evidence=scratch / "evidence",
        )  # fmt: skip
        taken = time.perf_counter() - begin
        if not found.ok or found.size != records:
            raise RuntimeError(f"the bench's ledger does not verify: {found.findings[:3]}")
        floor = _hashing(ledger)
        scale = 1_000_000 / records
        yield Figure(
            name="verify a million records",
            ours=taken * scale,
            peer=floor * scale,
            note=f"the peer is hashlib on the same bytes; sealing took {sealing * scale:.1f} s",
        )
        yield from _proofs(ledger, records)
    yield from _packing(server, scratch)


def _hashing(ledger: Ledger) -> float:
    with ledger.read() as connection:
        some = [
            body.encode()
            for body in connection.execute(text("SELECT body FROM record LIMIT 20000")).scalars()
        ]
        count = int(connection.execute(text("SELECT count(*) FROM record")).scalar_one())
    begin = time.perf_counter()
    for body in some:
        hashlib.sha256(b"\x00" + body).digest()
    return (time.perf_counter() - begin) * count / len(some)


def _proofs(ledger: Ledger, records: int) -> Iterator[Figure]:
    with ledger.read() as connection:
        leaves = [
            bytes(leaf)
            for leaf in connection.execute(
                text("SELECT leaf_hash FROM leaf ORDER BY position")
            ).scalars()
        ]
    _, proofs = inclusion_proofs(leaves, records, [0, records // 3, records - 1])
    size = max(len(proof) for proof in proofs.values()) * 32
    yield Figure(
        name="inclusion proof", ours=float(size), unit="B", most=32.0 * records.bit_length()
    )


def _packing(server: PostgresServer, scratch: Path) -> Iterator[Figure]:
    """A pack of 200 records, as a release has them, out of a ledger of 20 000."""
    from include.settings import ROOT, load_settings

    settings = load_settings(ROOT / "config")
    with _ledger(server) as url:
        _fill(url, 20_000)
        ledger = Ledger(url)
        for number in range(200):
            with ledger.write(ROBOT, CLI, AT + timedelta(days=9, seconds=number)) as unit:
                unit.append("vote.cast", TOPIC, message=MESSAGE)
        desk = Desk(settings, load_audit_policy(settings), (KEY,))
        desk.sealer(ledger, [FileAnchor(scratch / "packs")]).seal(AT)
        begin = time.perf_counter()
        with ledger.read() as connection:
            chosen = select_period(connection, AT + timedelta(days=9), AT + timedelta(days=10))
            head = newest_head(connection)
            if head is None:
                raise RuntimeError("nothing was sealed")
            pack = make_pack(connection, settings, chosen, head, keys=[KEY], known=KNOWN)
        yield Figure(
            name="pack of 200 records",
            ours=time.perf_counter() - begin,
            note=f"{len(pack.content):,} bytes",
        )
