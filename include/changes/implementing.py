"""Doing what was approved: go/no-go, a permit, the declared steps, and what comes after (§3.3).

Every step is a row: done once, begun again if it was killed, and led back in reverse order when one
fails. Nothing starts without the machine's guards, and each step asks for the permit anew.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import insert as plain_insert
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from include.changes.change import Change, load_change
from include.changes.condition import plain, refusals
from include.changes.desk import Desk
from include.changes.ending import give_up, record_outcome
from include.changes.guards import GUARDS
from include.changes.implementation import described
from include.changes.machine import advance
from include.changes.other_dag import OtherDags
from include.changes.ruling import Ruling
from include.changes.runbook import command
from include.configuration.flags import flip, flips_of, record_configuration
from include.configuration.resolved import resolve
from include.errors import LedgerError
from include.instants import format_instant
from include.ledger import Outcome, Subject, Unit, schema
from include.ledger.number import next_number
from include.notices import change_texts
from include.notices.outbox import queue
from include.services.build import file_digest

# What still has to hold between the steps: production can change under a permit's feet.
_MEANWHILE = ("hold", "slot", "records", "alarm")
_RETROSPECTIVE = timedelta(days=7)


def start(desk: Desk, change_id: str, holder: str) -> Ruling:
    """Let the change be implemented: every guard anew, and a permit under a new fence."""
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id, lock=True)
        case = desk.case(unit, change)
        if change.state == "implementing":
            unit.append("permit.asked_again", change.subject, message="it is under way already")
            return Ruling(ok=True, reason="already_there", message="it is under way already")
        ruling = advance(
            unit, case, "implementing", reason="permitted",
            message=f"{change.id} begins: {described(change.content['implementation'])}",
        )  # fmt: skip
        if not ruling.ok:
            queue(unit, change_texts.refused(
                change=change.id, title=change.title, key=holder,
                reasons=[f"{item.code}: {item.message}" for item in refusals(ruling.conditions)],
            ))  # fmt: skip
            return ruling
        fence = next_number(unit, "permit")
        expires = unit.now + case.needs
        unit.execute(
            plain_insert(schema.permit).values(
                fence=fence, release_id=None, attempt=None, change_id=change.id,
                content_hash=change.content_hash, systems=list(change.systems),
                conditions=plain(ruling.conditions), holder=holder, issued_at=unit.now,
                expires_at=expires,
            )
        )  # fmt: skip
        unit.append(
            "permit.issued",
            Subject(kind="permit", id=str(fence), content_hash=change.content_hash),
            message=f"permit {fence} for {change.id}, until {expires:%H:%M}Z",
            change=change.id,
            details={"conditions": plain(ruling.conditions)},
        )
    return Ruling(ok=True, reason="permitted", message=f"permit {fence} is in force")


def implement(
    desk: Desk, change_id: str, holder: str, *, others: OtherDags | None = None
) -> Ruling:
    """Do the declared steps in order, each under the permit; lead back if one fails.

    `others` starts another Dag where that is what implements the change.
    """
    change = desk.load(change_id)
    if change.state == "validating":
        return Ruling(ok=True, reason="already_there", message=f"{change.id} is implemented")
    if change.state != "implementing":
        return Ruling(ok=False, reason="not_started", message=f"{change.id} is {change.state}")
    work = change.content["implementation"]
    done: list[str] = []
    steps = _steps(desk, change, work, others)
    for number, step in enumerate(steps):
        refused = _withdrawn(desk, change, holder)
        problem = refused or _once(desk, change, step.name, step.effect)
        if problem:
            # What may have been done half, and has no way back, is not as it was before.
            halfway = not refused and not step.whole
            _lead_back(desk, change, steps[:number], problem, halfway=halfway)
            return Ruling(ok=False, reason="failed", message=f"{step.name}: {problem}")
        done.append(step.name)
    with desk.unit() as unit:
        _write_work(unit, change, "implement", {"steps": done})
        at = format_instant(unit.now + _RETROSPECTIVE)
        _write_work(unit, change, "retrospective", {"at": at})
        record_outcome(unit, change, "successful")
        notice = change_texts.implemented(
            change=change.id, title=change.title, key=holder, outcome="it is in production"
        )
        queue(unit, notice)
        unit.append("change.implemented", change.subject,
                    message=f"{change.id}: {len(done)} steps are done")  # fmt: skip
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id)
        return advance(unit, desk.case(unit, change), "validating", reason="implemented",
                       message=f"{change.id} is implemented")  # fmt: skip


Effect = Callable[[], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One step: an effect returns what went wrong, or None; so does its way `back`, if it has one.

    With `whole` it is done or not done, and never half.
    """

    name: str
    effect: Effect
    back: Effect | None = None
    whole: bool = True


def _steps(
    desk: Desk, change: Change, work: dict[str, Any], others: OtherDags | None
) -> list[_Step]:
    match work.get("kind"):
        case "runbook":
            return [
                _Step(
                    name=f"{number}. {step['name']}",
                    effect=partial(_run, step["run"], step["timeout"]),
                    back=partial(_run, step["undo"], step["timeout"]) if step["undo"] else None,
                )
                for number, step in enumerate(work["steps"], start=1)
            ]
        case "flag":
            return [_Step(name="set the flag", effect=partial(_flip, desk, change, work))]
        case "terraform":
            effect = partial(_terraform, desk, work)
            return [_Step(name="apply the plan", effect=effect, whole=False)]
        case "dag":
            effect = partial(_other_dag, desk, change, work, others)
            return [_Step(name=f"run {work['dag_id']}", effect=effect, whole=False)]
        case _:
            # By hand, or a model's approval: that it is done is the word asked for afterwards.
            return [_Step(name="by hand", effect=lambda: None)]


def _once(desk: Desk, change: Change, name: str, effect: Effect) -> str | None:
    """Run an effect that is not done yet; return what went wrong."""
    with desk.ledger.exclusive(f"{change.id}/{name}", wait=timedelta(hours=2)):
        with desk.ledger.read() as connection:
            table = schema.work
            row = connection.execute(
                select(table.c.state).where(table.c.change_id == change.id, table.c.name == name)
            ).first()
        if row is not None and row.state == "done":
            return None
        with desk.unit() as unit:
            _write_work(unit, change, name, None, state="started")
            unit.append("work.began", change.subject, reason=name, message=f"{name} begins")
        problem = effect()
        with desk.unit() as unit:
            _write_work(unit, change, name, {"problem": problem} if problem else {},
                        state="failed" if problem else "done")  # fmt: skip
            unit.append(
                "work.ended",
                change.subject,
                outcome=Outcome.FAILURE if problem else Outcome.SUCCESS,
                reason=name,
                message=f"{name}: {problem or 'done'}"[:2000],
            )
        return problem


def _withdrawn(desk: Desk, change: Change, holder: str) -> str | None:
    """Look again before a step: permit in force, nothing held, no alarm, the slot still ours."""
    table = schema.permit
    with desk.unit() as unit:
        now = load_change(unit.connection, change.id)
        case = desk.case(unit, now)
        found = refusals([item for name in _MEANWHILE for item in GUARDS[name](case)])
        permit = unit.row(
            select(table.c.fence).where(
                table.c.change_id == change.id,
                table.c.content_hash == now.content_hash,
                table.c.holder == holder,
                table.c.closed_at.is_(None),
                table.c.expires_at > unit.now,
            )
        )
        said = [f"{item.code}: {item.message}" for item in found]
        if permit is None:
            said.append("no permit of this run is in force")
        unit.append(
            "permit.withdrawn" if said else "permit.confirmed",
            now.subject,
            outcome=Outcome.DENIED if said else Outcome.SUCCESS,
            reason="permit",
            message="; ".join(said)[:2000] or "the permit stands",
        )
    return "; ".join(said) or None


def _lead_back(
    desk: Desk, change: Change, done: Sequence[_Step], problem: str, *, halfway: bool
) -> None:
    failed = halfway
    for step in reversed(done):
        trouble = step.back() if step.back is not None else None
        said = "was led back" if step.back is not None else "has nothing to lead back"
        with desk.unit() as unit:
            unit.append(
                "work.undone",
                change.subject,
                outcome=Outcome.FAILURE if trouble else Outcome.SUCCESS,
                reason=step.name,
                message=f"{step.name} {said}{f': {trouble}' if trouble else ''}"[:2000],
            )
        failed = failed or trouble is not None
    ending = "has failed, and is not as it was before" if failed else "was led back"
    with desk.unit() as unit:
        if failed:
            record_outcome(unit, change, "failed")
        give_up(unit, desk.settings, load_change(unit.connection, change.id),
                reason="failed", message=f"{change.id} {ending}: {problem}"[:1500])  # fmt: skip


def _run(argv: list[str], timeout: int) -> str | None:
    try:
        done = subprocess.run(
            command(argv), capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:500]
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return f"ended with {done.returncode}: {(last or ['no output'])[0][:300]}"
    return None


def _other_dag(
    desk: Desk, change: Change, work: dict[str, Any], others: OtherDags | None
) -> str | None:
    table = schema.permit
    with desk.ledger.read() as connection:
        permit = connection.execute(
            select(table.c.fence, table.c.expires_at)
            .where(table.c.change_id == change.id, table.c.closed_at.is_(None))
            .order_by(table.c.fence.desc())
        ).first()
    if permit is None:
        return "no permit is in force"
    if others is None:
        return "only a task of change_implementation can start another Dag"
    # One run for each permit: begun again, a step meets the run that it has started.
    run_id = f"{change.id}-{permit.fence}"
    return others.run(work["dag_id"], run_id, work["conf"], until=permit.expires_at)


def _flip(desk: Desk, change: Change, work: dict[str, Any]) -> str | None:
    service, environment = work["service"], work["environment"]
    with desk.unit() as unit:
        before = resolve(desk.settings, service, environment,
                         flips=flips_of(unit.connection, service, environment))  # fmt: skip
        fence = unit.execute(
            select(schema.permit.c.fence)
            .where(schema.permit.c.change_id == change.id, schema.permit.c.closed_at.is_(None))
            .order_by(schema.permit.c.fence.desc())
        ).scalar()
        if fence is None:
            return "no permit is in force"
        try:
            flip(unit, service=service, environment=environment, name=work["flag"],
                 value=work["value"], change=change.id, fence=int(fence))  # fmt: skip
        except LedgerError as error:
            return str(error)
        after = record_configuration(unit, desk.settings, service, environment, change=change.id)
        key = f"features.{work['flag']}"
        was = before.origins[key][-1].value if key in before.origins else None
        unit.append(
            "flag.flipped",
            change.subject,
            reason=work["flag"],
            message=f"{work['flag']}: {was} → {work['value']}",
            difference={key: {"from": was, "to": work["value"]}},
            details={"before": before.digest, "after": after.digest},
        )
    return None


def _terraform(desk: Desk, work: dict[str, Any]) -> str | None:
    directory = desk.settings.path(work["directory"]).resolve()
    plan = (directory / work["plan"]).resolve()
    if not plan.is_relative_to(directory):
        return "the plan lies outside of its directory"
    try:
        found = file_digest(Path(plan))
    except OSError as error:
        return f"the plan cannot be read: {error.strerror}"
    if found != work["plan_sha256"]:
        return f"the plan is {found[:19]}…, and {work['plan_sha256'][:19]}… was approved"
    return _run(["terraform", f"-chdir={directory}", "apply", "-input=false", str(plan)], 3600)


def _write_work(
    unit: Unit, change: Change, name: str, result: dict[str, Any] | None, *, state: str = "done"
) -> None:
    table = schema.work
    ended: datetime | None = None if state == "started" else unit.now
    statement = insert(table).values(
        change_id=change.id, name=name, state=state, tries=1, result=result,
        started_at=unit.now, finished_at=ended,
    )  # fmt: skip
    unit.execute(
        statement.on_conflict_do_update(
            index_elements=["change_id", "name"],
            set_={
                "state": state,
                "result": result,
                "finished_at": ended,
                "tries": table.c.tries + (1 if state == "started" else 0),
            },
        )
    )
