"""A release's row in the ledger: how it begins, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from include.approvals import Board
from include.changes.change import load_change
from include.changes.ending import give_up
from include.errors import RequestError
from include.ledger import Actor, Ledger, Outcome, Source, Subject, Unit, schema
from include.notices import texts
from include.notices.outbox import queue
from include.policies import note_policies
from include.privacy.notices import screened
from include.releases.plan import ReleasePlan, read_plan
from include.releases.planning import draw_plan
from include.releases.request import ReleaseRequest
from include.settings import Settings

# A run in one of these states will not go on by itself.
ENDED_RUNS = ("success", "failed", None)

# The space of the advisory locks under which releases begin.
_BEGINNING = 7305


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The Airflow run that asks, and its page."""

    dag_id: str
    run_id: str
    url: str


def begin_release(
    ledger: Ledger,
    settings: Settings,
    board: Board,
    request: ReleaseRequest,
    run: Run,
    *,
    actor: Actor,
    source: Source,
    now: datetime,
    run_state: Callable[[str, str], Any],
) -> ReleasePlan:
    """Freeze the release plan of a new train and record it; asked again by the same run, return it.

    `run_state(dag_id, run_id)` says how another run fares: a train whose run has ended without a
    word (deleted, failed by hand) is taken over as the next attempt.
    What that run had taken is given back. Raises RequestError when the same release is under way,
    or was released; of two that begin at the same instant one gets it.
    """
    table = schema.release
    with ledger.read() as connection:
        row = connection.execute(select(table).where(table.c.id == request.release_id)).first()
        other = connection.execute(
            select(table.c.id).where(
                table.c.dag_id == run.dag_id,
                table.c.run_id == run.run_id,
                table.c.id != request.release_id,
            )
        ).scalar()
    if other is not None:
        # Every task finds its train by its run: it would drive the other release.
        raise RequestError(
            f"run id {run.run_id} belongs to {other}, whose run was deleted: trigger under another "
            "run id, or without any"
        )
    attempt = 1
    if row is not None:
        if row.run_id == run.run_id:
            return read_plan(row.plan)
        if row.state == "released":
            raise RequestError(f"version: {request.release_id} has been released already")
        if row.state == "running" and run_state(row.dag_id, row.run_id) not in ENDED_RUNS:
            raise RequestError(
                f"version: {request.release_id} is under way in run {row.run_id}; "
                "wait for its end, or answer its checkpoint with a no"
            )
        attempt = row.attempt + 1
    with ledger.read() as connection:
        plan = draw_plan(request, settings, board, connection, attempt=attempt, now=now)
    values = {
        "id": plan.release,
        "service": plan.service.name,
        "version": plan.version,
        "type": str(plan.release_type),
        "attempt": attempt,
        "state": "running",
        "reason": None,
        "message": None,
        "plan": plan.content(),
        "plan_hash": plan.digest(),
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "requested_by": request.requester,
        "change_id": None,
        "created_at": now,
        "updated_at": now,
    }
    with ledger.write(actor, source, now) as unit:
        unit.execute(select(func.pg_advisory_xact_lock(_BEGINNING, func.hashtext(plan.release))))
        present = unit.row(select(table).where(table.c.id == plan.release).with_for_update())
        if _journey(present) != _journey(row):
            raise RequestError(
                f"version: {plan.release} has just begun in run "
                f"{present.run_id if present is not None else '?'}; one train is enough"
            )
        note_policies(unit, settings)
        if present is not None:
            _let_go(unit, settings, present)
        statement = insert(table).values(**values)
        unit.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
        unit.append(
            "release.planned",
            Subject(
                kind="release", id=plan.release, version=str(attempt), content_hash=plan.digest()
            ),
            message=(
                f"{plan.title}: feature freeze {_text(plan.feature_freeze)}, "
                f"code freeze {_text(plan.code_freeze)}, slot {plan.slot.local}"
            ),
            details={
                "feature_freeze": _text(plan.feature_freeze),
                "code_freeze": _text(plan.code_freeze),
                "slot": plan.slot.model_dump(mode="json"),
                "policy": plan.policy.model_dump(mode="json"),
                "strategy": plan.strategy,
                "profile": plan.profile_name,
            },
        )
        queue(
            unit,
            screened(
                settings,
                texts.release_planned(
                    release=plan.release,
                    attempt=attempt,
                    title=plan.service.title,
                    version=plan.version,
                    type=str(plan.release_type),
                    feature_freeze=plan.feature_freeze,
                    code_freeze=plan.code_freeze,
                    slot_start=plan.slot.start,
                    slot_end=plan.slot.end,
                    zone=plan.zone,
                    requester=plan.requester.name,
                    link=run.url,
                ),
            ),
        )
    return plan


def _journey(row: Row[Any] | None) -> tuple[Any, ...] | None:
    return None if row is None else (row.run_id, row.attempt, row.state)


def _let_go(unit: Unit, settings: Settings, row: Row[Any]) -> None:
    """Give back what an earlier attempt still holds: its permits, its slot, its change."""
    permit = schema.permit
    unit.execute(
        update(permit)
        .where(permit.c.release_id == row.id, permit.c.closed_at.is_(None))
        .values(closed_at=unit.now)
    )
    if row.change_id is None:
        return
    change = load_change(unit.connection, row.change_id)
    message = f"another run takes {row.id} over from {change.id}"
    give_up(unit, settings, change, reason="taken_over", message=message)


def refuse_release(
    ledger: Ledger, actor: Actor, source: Source, now: datetime, service: str, reason: str
) -> None:
    """Record that a train was not started, and why."""
    with ledger.write(actor, source, now) as unit:
        unit.append(
            "release.refused",
            Subject(kind="service", id=service[:80] or "?"),
            outcome=Outcome.DENIED,
            reason="bad_request",
            message=reason[:2000],
        )


def end_release(
    ledger: Ledger, plan: ReleasePlan, state: str, reason: str, message: str, now: datetime
) -> Callable[[Any], None]:
    """Return what writes the end of a release into a unit of work; the first word stands."""

    def write(unit: Any) -> None:
        unit.execute(
            update(schema.release)
            .where(
                schema.release.c.id == plan.release,
                schema.release.c.attempt == plan.attempt,
                schema.release.c.state == "running",
            )
            .values(state=state, reason=reason, message=message, updated_at=now)
        )

    return write


def _text(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"
