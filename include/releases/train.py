"""A release train at work: one release, its frozen plan, and the journal of its steps.

Every step runs through `step`: what was done already is not done again, what was begun and killed
is begun again (its effect reads back what is there), and each ends with a record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import cast, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import Connection, Row

from include.errors import LedgerError, LedgerTampered, RecordMissing, TargetError
from include.ledger import Actor, Ledger, Outcome, Source, Subject, Unit, schema
from include.ledger.record import content_hash, storable
from include.ledger.rows import row_key, strangers
from include.notices.notice import Notice
from include.notices.outbox import queue
from include.privacy.notices import screened
from include.releases.plan import ReleasePlan, read_plan
from include.releases.repository import Repository
from include.settings import Settings

log = logging.getLogger(__name__)

# How long a step waits for its own other self: longer than any step may take.
STEP_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How a step ended. `ok=False` is a well-formed no: the train stops, with this reason.

    `write` changes state in the same unit of work that records the step.
    """

    message: str
    ok: bool = True
    reason: str = "done"
    result: Mapping[str, Any] = field(default_factory=dict)
    evidence: Sequence[Mapping[str, str]] = ()
    notices: Sequence[Notice] = ()
    write: Callable[[Unit], None] | None = None


class Withdrawn(Exception):
    """Raised by a step's `write` that finds its moment gone: its unit is undone, and the step is
    neither done nor failed. Whoever called the step knows what to do instead."""


def no_vendor(name: str) -> Any:
    """Refuse: whoever opened this train has no clients of vendors."""
    raise TargetError(f"this command has no connection to {name}; ask from a task in Airflow")


@dataclass(frozen=True, kw_only=True)
class Train:
    """One run of the train. `clock` gives the current instant, `secrets` the URL of a database,
    `vendor` a vendor's ready-made client, or its credentials."""

    ledger: Ledger
    settings: Settings
    plan: ReleasePlan
    run_id: str
    actor: Actor
    source: Source
    clock: Callable[[], datetime]
    secrets: Callable[[str], str]
    vendor: Callable[[str], Any] = no_vendor

    @property
    def release(self) -> str:
        """Return the release's id."""
        return self.plan.release

    @property
    def subject(self) -> Subject:
        """Return the release as the subject of a record."""
        return Subject(
            kind="release",
            id=self.release,
            version=str(self.plan.attempt),
            content_hash=self.plan.digest(),
        )

    @property
    def repository(self) -> Repository:
        """Return the service's git repository."""
        return Repository(self.settings.path(self.plan.service.repository.path))

    @property
    def run_url(self) -> str:
        """Return the page of this run in Airflow."""
        return self.settings.run_url("release_train", self.run_id)

    def evidence(self, name: str) -> Path:
        """Return where a file of this attempt's evidence belongs."""
        root = self.settings.state_dir / "evidence" / self.release
        return root / f"{self.plan.attempt}-{name}"

    def task_url(self, task_id: str, map_index: int = -1) -> str:
        """Return the page on which a human task is answered."""
        return self.settings.task_url("release_train", self.run_id, task_id, map_index)

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """Open a unit of work in the name of this train's task."""
        with self.ledger.write(self.actor, self.source, self.clock()) as unit:
            yield unit

    def step(self, name: str, event: str, effect: Callable[[], Done]) -> Done:
        """Run `effect` once for this release and attempt, and record how it ended.

        A step that is done already returns what it returned then. An effect that raises is
        recorded as failed and raised again, so that Airflow may retry it. Of two that ask for the
        same step at once, one waits for the other: a task whose process was given up for dead may
        still be at work when its retry begins.
        """
        with self.ledger.exclusive(f"{self.release}/{self.plan.attempt}/{name}", wait=STEP_WAIT):
            if not self._begin(name):
                return self.done(name)
            try:
                done = effect()
                self._end(name, event, done)
            except Withdrawn:
                raise
            except Exception as error:
                self._failed(name, event, error)
                raise
        return done

    def result(self, name: str) -> Mapping[str, Any]:
        """Return what an earlier step returned; RecordMissing if it is not done.

        This is what stops a train whose earlier task was marked successful by hand.
        """
        row = self._step_row(name)
        if row is None or row.state != "done":
            raise RecordMissing(
                f"{self.release}: the ledger has no completed step {name}; a task marked "
                "successful by hand counts for nothing"
            )
        found: Mapping[str, Any] = row.result
        return found

    def done(self, name: str) -> Done:
        """Return a step that is done as `step` returns it; RecordMissing if it is not."""
        return Done(message="already done", reason="already_done", result=self.result(name))

    def has(self, name: str) -> bool:
        """Return whether an earlier step is done."""
        row = self._step_row(name)
        return row is not None and row.state == "done"

    def begun(self, name: str) -> bool:
        """Return whether a step was begun, however it ended."""
        return self._step_row(name) is not None

    def tell(self, unit: Unit, notice: Notice) -> None:
        """Queue a notice in the unit's transaction; told already, it is not queued again."""
        queue(unit, screened(self.settings, notice))

    def _step_row(self, name: str) -> Row[Any] | None:
        table = schema.step
        with self.ledger.read() as connection:
            row = connection.execute(
                select(table).where(
                    table.c.release_id == self.release,
                    table.c.attempt == self.plan.attempt,
                    table.c.name == name,
                )
            ).first()
            key = row_key(table, release_id=self.release, attempt=self.plan.attempt, name=name)
            if row is not None and strangers(connection, [key]):
                raise LedgerError(
                    f"{self.release}: the step {name} is not what its record says; its row was "
                    "changed behind the ledger's back. See `./hims audit verify`"
                )
            return row

    def _begin(self, name: str) -> bool:
        row = self._step_row(name)
        if row is not None and row.state == "done":
            return False
        table = schema.step
        with self.unit() as unit:
            statement = insert(table).values(
                release_id=self.release,
                attempt=self.plan.attempt,
                name=name,
                state="started",
                tries=1,
                started_at=unit.now,
            )
            unit.execute(
                statement.on_conflict_do_update(
                    index_elements=["release_id", "attempt", "name"],
                    set_={"state": "started", "tries": table.c.tries + 1, "started_at": unit.now},
                )
            )
            tries = 1 if row is None else row.tries + 1
            unit.append(
                "step.began",
                self.subject,
                reason=name,
                message=f"{name} begins" + (f" again (try {tries})" if tries > 1 else ""),
            )
        return True

    def _failed(self, name: str, event: str, error: Exception) -> None:
        message = str(error)[:2000] or type(error).__name__
        try:
            self._end(name, event, Done(ok=False, reason=type(error).__name__, message=message))
        except LedgerError:
            # What happened says more than that it could not be written down.
            log.warning("that %s failed was not recorded", name, exc_info=True)

    def _end(self, name: str, event: str, done: Done) -> None:
        table = schema.step
        result = storable(done.result)
        with self.unit() as unit:
            if done.ok and done.write is not None:
                done.write(unit)
            unit.execute(
                update(table)
                .where(
                    table.c.release_id == self.release,
                    table.c.attempt == self.plan.attempt,
                    table.c.name == name,
                )
                .values(
                    state="done" if done.ok else "failed",
                    result=result,
                    finished_at=unit.now,
                )
            )
            for notice in done.notices:
                self.tell(unit, notice)
            unit.append(
                event,
                self.subject,
                outcome=Outcome.SUCCESS if done.ok else Outcome.FAILURE,
                reason=done.reason,
                message=done.message,
                evidence=done.evidence,
                details={"step": name, **result},
            )


def open_train(
    ledger: Ledger,
    settings: Settings,
    *,
    run_id: str,
    actor: Actor,
    source: Source,
    clock: Callable[[], datetime],
    secrets: Callable[[str], str],
    vendor: Callable[[str], Any] = no_vendor,
) -> Train:
    """Return the train that the Airflow run `run_id` drives.

    Raises RecordMissing when the ledger knows none (never planned, or taken over by another run),
    and LedgerTampered when its plan is not the one that was frozen, by its
    own hash and by the record of its freezing.
    """
    table = schema.release
    with ledger.read() as connection:
        row = connection.execute(
            select(table.c.id, table.c.attempt, table.c.plan, table.c.plan_hash).where(
                table.c.run_id == run_id
            )
        ).first()
        recorded = _recorded_plan(connection, row) if row is not None else None
    if row is None:
        raise RecordMissing(
            f"the ledger knows no release that run {run_id} drives: it was never planned, or "
            "another run has taken it over"
        )
    return Train(
        ledger=ledger,
        settings=settings,
        plan=_frozen(row, recorded),
        run_id=run_id,
        actor=actor,
        source=source,
        clock=clock,
        secrets=secrets,
        vendor=vendor,
    )


def _recorded_plan(connection: Connection, row: Any) -> str | None:
    """Return the hash of the plan as the record says that it was frozen for this attempt."""
    record = schema.record
    subject = cast(record.c.body, JSONB)["subject"]
    found: str | None = connection.execute(
        select(subject["content_hash"].astext)
        .where(
            record.c.release == row.id,
            record.c.event == "release.planned",
            subject["version"].astext == str(row.attempt),
        )
        .order_by(record.c.seq)
        .limit(1)
    ).scalar()
    return found


def _frozen(row: Any, recorded: str | None) -> ReleasePlan:
    """Return the plan of a release's row, if it is the one that was frozen."""
    wrong = (
        f"{row.id}: the plan in the ledger is not the one that was frozen "
        f"({recorded or 'there is no record of it'}); it was changed behind the ledger's back, and "
        "nothing is done by it"
    )
    try:
        plan = read_plan(row.plan)
    except ValueError as error:
        raise LedgerTampered(wrong) from error
    # Over what was stored: a plan that was frozen before its schema grew is still the same plan.
    if not content_hash(row.plan) == row.plan_hash == recorded:
        raise LedgerTampered(wrong)
    return plan
