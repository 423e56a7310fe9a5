"""A train on paper: its plan and decisions are real, its builds and deploys are journal entries.

Everything goes through the doors that the tasks use; only what would need a compiler, a load
balancer or a night's waiting is written down as done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import func, insert, select, text

from include.approvals import Board, load_board
from include.changes.change import Change
from include.gates.gate import decide
from include.ledger import Actor, Ledger, Source, Subject, Unit, rows, schema
from include.people import People, load_people
from include.permits.permit import Decision, issue
from include.releases.phases import cab, checkpoint, window
from include.releases.plan import ReleasePlan
from include.releases.release import Run, begin_release
from include.releases.request import read_request
from include.releases.train import Done, Train, open_train
from include.settings import Settings
from tests.integration.conftest import PostgresServer

PLANNED_AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
OPENING = datetime(2026, 11, 28, 7, tzinfo=UTC)
IN_WINDOW = OPENING + timedelta(minutes=5)

DAG = Source(kind="dag", dag_id="release_train", run_id="r", task_id="t", try_number=1)
SEATS = {
    "technical_lead": "tomas",
    "product_manager": "priya",
    "security_officer": "sam",
    "operations_manager": "olga",
}
AUTHORS = ("devi.anand@arocord.example", "mei.tan@arocord.example")


@dataclass
class Clock:
    """The instant that tasks are told."""

    now: datetime = PLANNED_AT

    def __call__(self) -> datetime:
        return self.now


def person(user: str) -> Actor:
    """Return somebody as Airflow's API authenticated them."""
    return Actor(user=user, name=user.title(), auth="airflow-hitl")


@dataclass
class Station:
    """Where trains start: a ledger, a configuration, and a clock that tests set."""

    ledger: Ledger
    settings: Settings
    clock: Clock = field(default_factory=Clock)
    database: str = ""
    server: PostgresServer | None = None

    def arrange(self, *statements: str) -> None:
        """Make the ledger say something else, past its own protections, and let a record vouch
        for it: what a test is about is then the state, not how it came to be."""
        self.bend(*statements)
        vouch(self.ledger)

    def bend(self, *statements: str) -> None:
        """Change rows past the ledger's protections, as only a server's superuser can."""
        assert self.server is not None
        with psycopg.connect(self.server.url(self.database), autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                assert connection.execute(statement.encode()).rowcount != 0, statement

    @property
    def people(self) -> People:
        """Return config/people.yaml as it is now."""
        return load_people(self.settings)

    @property
    def board(self) -> Board:
        """Return config/approvals.yaml as it is now."""
        return load_board(self.settings, self.people)

    def begin(
        self,
        run_id: str = "run-1",
        *,
        version: str = "2.3.0",
        kind: str = "minor",
        requester: str = "rita",
        states: dict[str, str | None] | None = None,
        **conf: Any,
    ) -> ReleasePlan:
        """Freeze a plan; `states` says how other runs fare."""
        given = {
            "service": "hims-api",
            "version": version,
            "release_type": kind,
            "target_window": "2026-11-28T07:00:00Z",
            "strategy": "blue_green",
            "rehearsal": False,
            **conf,
        }
        request = read_request(given, requester=requester, requester_name=requester.title())
        return begin_release(
            self.ledger,
            self.settings,
            self.board,
            request,
            Run(dag_id="release_train", run_id=run_id, url="http://ui/run"),
            actor=person(requester),
            source=DAG,
            now=self.clock(),
            run_state=lambda _, other: (states or {}).get(other, "running"),
        )

    def train(self, run_id: str = "run-1", *, begin: bool = True, **conf: Any) -> Train:
        """Return the train of a run, begun if it is not yet."""
        if begin:
            self.begin(run_id, **conf)
        return open_train(
            self.ledger,
            self.settings,
            run_id=run_id,
            actor=Actor.service("release_train"),
            source=DAG,
            clock=self.clock,
            secrets=lambda name: f"postgresql://nowhere/{name}",
        )

    # What a train does on its way, in order.

    def build(self, train: Train) -> None:
        """Write down everything from the feature freeze to the candidate's tests in staging."""
        commit, pin = "c" * 40, "b" * 40
        file = self.settings.state_dir / f"artefact-{train.plan.attempt}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"hims-api " + train.plan.version.encode())
        digest = "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
        note(train, "cut_release_branch", branch="release/v2.3.0", commit="a" * 40)
        note(train, "pin_commit", commit=pin)
        note(train, "check_commits", commit=pin, commits=[pin, "a" * 40], authors=list(AUTHORS))
        note(train, "bump_version", commit=commit, files=["VERSION"])
        note(train, "run_release_tests", commit=commit)
        note(train, "build_artefact", digest=digest, path=str(file), commit=commit)
        tag = {"tag": "v2.3.0-rc.1", "commit": commit, "digest": digest}
        note(train, "tag_candidate", gates=("commits", "release_tests"), **tag)
        note(train, "deploy_staging", slot="green", url="http://staging")
        note(train, "test_staging", gates=("staging_tests",), tests=["smoke"])

    def answer(
        self, train: Train, name: str, by: str, *, approved: bool = True, comment: str = ""
    ) -> Done:
        """Answer a checkpoint."""
        return checkpoint.answer(
            train,
            self.board,
            self.people,
            name,
            approved=approved,
            comment=comment,
            by=person(by),
        )

    def vote(
        self,
        train: Train,
        seat: str,
        by: str,
        choice: str = "approve",
        *,
        content_hash: str | None = None,
        comment: str = "seen",
    ) -> Done:
        """Cast a vote on the content that the change has now, or on another one."""
        return cab.cast_vote(
            train,
            self.board,
            self.people,
            seat=seat,
            choice=choice,
            comment=comment,
            content_hash=content_hash or cab.release_change(train).content_hash,
            voter=person(by),
            cast_at=self.clock(),
        )

    def decide(self, train: Train) -> None:
        """Take the train through UAT, the CAB and go/no-go, all in favour."""
        assert self.answer(train, "uat", "quinn").ok
        assert cab.open_release_change(train).ok
        for seat, user in SEATS.items():
            assert self.vote(train, seat, user).ok
        assert cab.tally_votes(train).ok
        assert self.answer(train, "go_no_go", "olga").ok

    def enter(self, train: Train, at: datetime = IN_WINDOW) -> None:
        """Let the window open and enter it."""
        self.clock.now = at
        outcome = window.enter_window(train)
        assert isinstance(outcome, Done)
        assert outcome.ok

    def back_up(self, train: Train, *, taken: datetime | None = None, proven: bool = True) -> None:
        """Write a backup down."""
        at = taken or self.clock()
        key = f"BKP-{train.release}-{train.plan.attempt}"

        def write(unit: Unit) -> None:
            unit.execute(
                insert(schema.backup).values(
                    id=key, release_id=train.release, attempt=train.plan.attempt,
                    service="hims-api", database="hims_api", path="/nowhere", digest="sha256:0",
                    size=1, counts={}, taken_at=at, proven_at=at if proven else None,
                )
            )  # fmt: skip

        train.step("take_backup", "backup.taken", lambda: Done(message="taken", write=write))

    def permitted(self, run_id: str = "run-1", **conf: Any) -> Train:
        """Return a train of which every condition holds, at an instant inside its window."""
        return self.permitted_at(OPENING, run_id, **conf)

    def permitted_at(self, opening: datetime, run_id: str, **conf: Any) -> Train:
        """Return a train of which every condition holds just after `opening`."""
        train = self.train(run_id, target_window=opening.isoformat(), **conf)
        self.build(train)
        self.decide(train)
        self.enter(train, opening + timedelta(minutes=5))
        self.back_up(train)
        return train

    # What the ledger says.

    def bodies(self, event: str | None = None) -> list[dict[str, Any]]:
        """Return records, oldest first."""
        import json

        return [json.loads(row["body"]) for row in self.ledger.records(event=event)]

    def rows(self, table: Any) -> list[Any]:
        """Return all rows of a table."""
        with self.ledger.read() as connection:
            return list(connection.execute(select(table).order_by(*table.primary_key)))

    def change(self, train: Train) -> Change:
        """Return the release's change."""
        return cab.release_change(train)


def vouch(ledger: Ledger) -> None:
    """Append a record that vouches for every row as it is now."""
    with ledger.read() as connection:
        keys = {
            key for table in rows.state_tables() for key, _ in rows.every_digest(connection, table)
        }
        said = "SELECT DISTINCT jsonb_object_keys((body::jsonb) -> 'rows') FROM record"
        keys |= set(connection.execute(text(said)).scalars())
        changed = rows.strangers(connection, keys)
    with ledger.write(Actor.service("test"), DAG, PLANNED_AT) as unit:
        noted = "".join(f"{key}\n" for key in changed)
        unit.execute(select(func.set_config("hims.rows", noted, True)))
        unit.append("test.arranged", Subject(kind="test", id="test"), message="arranged")


def note(train: Train, name: str, *, gates: Iterable[str] = (), **result: Any) -> None:
    """Write a step down as done, with the gates that it lets say go."""

    def write(unit: Unit) -> None:
        for gate in gates:
            decide(
                unit,
                train.subject,
                train.plan.attempt,
                gate,
                commit=result.get("commit") or str(train.result("bump_version")["commit"]),
                digest=str(train.result("build_artefact")["digest"]),
                verdict="go",
                reason="passed",
                message=f"{gate} passed",
            )

    train.step(name, f"paper.{name}", lambda: Done(message=name, result=result, write=write))


def codes(decision: Decision) -> list[str]:
    """Return the codes of the conditions that stand in the way."""
    return [item.code for item in decision.conditions if item.verdict != "go"]


def permit_of(train: Train) -> int:
    """Issue a permit that must be given, and return its fence."""
    decision = issue(train)
    assert decision.permit is not None, decision.message
    return decision.permit.fence


def spoil(path: Path, old: str, new: str) -> None:
    """Change a file of the configuration."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old, text.count(old))
    path.write_text(text.replace(old, new), encoding="utf-8")
