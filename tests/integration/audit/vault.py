"""A ledger with records, keys, and a file anchor, and somebody with every right in its database."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from sqlalchemy import insert

from include.audit.anchors.file import FileAnchor
from include.audit.keys import Keyring, Trusted
from include.audit.sealing import Sealed, Sealer
from include.audit.verification import Verification, verify_ledger
from include.ledger import Actor, Ledger, Source, Subject, schema
from include.ledger.note import Checkpoint, PrivateKey
from tests.integration.conftest import PostgresServer

AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
RITA = Actor(user="rita", name="Rita Moreno", auth="test")
CLI = Source(kind="cli")
TOPIC = Subject(kind="release", id="hims-api-2.3.0")
KEY = PrivateKey(name="vault-1", seed=bytes(range(32)))
ORIGIN = "vault/ledger"
TOLERANCE = timedelta(minutes=10)
CONSTRAINTS = (
    ("record", "record_leaf_hash_check"),
    ("record", "record_id_key"),
    ("leaf", "leaf_position_check"),
)


@dataclass
class Vault:
    """`now` is the instant that records and heads bear."""

    server: PostgresServer
    database: str
    ledger: Ledger
    directory: Path
    keys: list[PrivateKey] = field(default_factory=lambda: [KEY])
    now: datetime = AT
    # The keys that are believed, where these are not simply those that sign.
    ring: list[Trusted] = field(default_factory=list)

    @property
    def anchor(self) -> FileAnchor:
        return FileAnchor(self.directory)

    @property
    def evidence(self) -> Path:
        return self.directory.with_name("evidence")

    @property
    def known(self) -> Keyring:
        return Keyring(tuple(self.ring or (Trusted(key=key.public) for key in self.keys)))

    def write(self, count: int = 1) -> None:
        """Append records, each with a row of state that it vouches for."""
        for _ in range(count):
            self.now += timedelta(seconds=1)
            with self.ledger.write(RITA, CLI, self.now) as unit:
                unit.execute(
                    insert(schema.incident).values(
                        id=f"INC-{self.now.timestamp():.0f}",
                        severity="P4",
                        title="x",
                        systems=["api"],
                        opened_at=self.now,
                    )
                )
                unit.append("incident.opened", TOPIC, message=f"it happened at {self.now}")

    def file(self, name: str, content: bytes) -> Path:
        """Write an evidence file and a record that names it."""
        path = self.evidence / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.now += timedelta(seconds=1)
        with self.ledger.write(RITA, CLI, self.now) as unit:
            named = [{"uri": path.as_uri(), "sha256": digest}]
            unit.append("release.tested", TOPIC, message="tested", evidence=named)
        return path

    def seal(self, origin: str = ORIGIN) -> Sealed:
        """Sign and anchor what there is."""
        return Sealer(self.ledger, origin, self.keys, self.known, [self.anchor]).seal(self.now)

    def verify(
        self,
        against: Checkpoint | None = None,
        *,
        sealed_within: timedelta | None = None,
        origin: str = ORIGIN,
    ) -> Verification:
        """Verify everything, a moment later."""
        return verify_ledger(
            self.ledger,
            origin,
            self.known,
            [self.anchor],
            self.now + timedelta(seconds=5),
            tolerance=TOLERANCE,
            evidence=self.evidence,
            against=against,
            sealed_within=sealed_within,
        )

    def attack(self, *statements: str) -> None:
        """Do as somebody who owns the server: past grants, triggers and constraints."""
        drop = "ALTER TABLE {0} DROP CONSTRAINT IF EXISTS {1}"
        self.command(*(drop.format(*item) for item in CONSTRAINTS), *statements)

    def command(self, *statements: str) -> None:
        """Do as somebody who owns the server, past grants and triggers; constraints stay."""
        with psycopg.connect(self.server.url(self.database), autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                connection.execute(statement.encode())
