"""Doing what was approved: go/no-go, a permit, the declared steps, and what comes after (§3.3).

Every step is a row: done once, begun again if it was killed, and led back in reverse order when one
fails. Nothing starts without the machine's guards, and each step asks for the permit anew.
"""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select

from include.changes.change import Change, book_slot, driven_by_train, load_change
from include.changes.closing import hold_at_closing, order_at_closing
from include.changes.condition import plain, refusals
from include.changes.desk import Desk
from include.changes.ending import record_outcome
from include.changes.implementation import described
from include.changes.leading_back import LONGEST_STEP, Effect, Step, lead_back, lock_of
from include.changes.machine import advance
from include.changes.other_dag import OtherDags
from include.changes.permit import another_run, issue_permit, withdrawn
from include.changes.ruling import Ruling, refuse
from include.changes.runbook import command
from include.changes.work import BACK, asked_back, work_state, write_work
from include.configuration.flags import flip, flips_of, record_configuration
from include.configuration.resolved import resolve
from include.errors import LedgerError
from include.instants import format_instant
from include.ledger import Outcome, schema
from include.notices import change_texts
from include.notices.outbox import queue
from include.services.build import file_digest
from include.windows.closing import OnClose, declared

_RETROSPECTIVE = timedelta(days=7)
# How long another Dag may take to finish after the permit of a change that is to finish.
_TO_FINISH = timedelta(days=1)


def start(desk: Desk, change_id: str, holder: str) -> Ruling:
    """Let the change be implemented: every guard anew, and a permit under a new fence."""
    before = desk.load(change_id)
    if (before.type, before.state) == ("emergency", "scheduled"):
        _move_slot(desk, change_id)
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id, lock=True)
        case = desk.case(unit, change)
        if change.state in ("implementing", "validating") and change.release_id is None:
            if other := another_run(unit.connection, change, holder):
                unit.append("permit.refused", change.subject, outcome=Outcome.DENIED,
                            reason="another_run", message=other)  # fmt: skip
                return Ruling(ok=False, reason="another_run", message=other)
            message = "it is under way already" if change.state == "implementing" else "it is done"
            unit.append("permit.asked_again", change.subject, message=message)
            return Ruling(ok=True, reason="already_there", message=message)
        problem = driven_by_train(change)
        if not problem and change.state != "scheduled":
            problem = f"it is {change.state}; only what is scheduled begins"
        if problem:
            return refuse(unit, change, "permit.refused", "not_scheduled", problem)
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
        fence = issue_permit(unit, change, holder, unit.now + case.needs, plain(ruling.conditions))
    return Ruling(ok=True, reason="permitted", message=f"permit {fence} is in force")


def _move_slot(desk: Desk, change_id: str) -> None:
    """Book an emergency's slot anew, from now on: it was booked when the board approved it, and the
    go may have taken its time. Where somebody else is in the way, the old slot is what it has."""
    # A unit of its own: the guards trust no row that no record vouches for yet.
    with desk.unit() as unit:
        change = load_change(unit.connection, change_id, lock=True)
        end = unit.now + desk.case(unit, change).needs
        other = book_slot(unit, change, start=unit.now, end=end, window="emergency")
        if other is None:
            when = f"{format_instant(unit.now)} to {format_instant(end)}"
            unit.append("slot.moved", change.subject, reason="emergency",
                        message=f"{change.id} works {when}")  # fmt: skip
        else:
            said = f"{change.id} keeps its slot: {other} has booked the present"
            unit.append("slot.kept", change.subject, reason="emergency", message=said)


def implement(
    desk: Desk, change_id: str, holder: str, *, others: OtherDags | None = None
) -> Ruling:
    """Do the declared steps in order, each under the permit; lead back if one fails.

    `others` starts another Dag where that is what implements the change.
    """
    change = desk.load(change_id)
    if of_release := driven_by_train(change):
        return Ruling(ok=False, reason="release", message=f"{change.id}: {of_release}")
    if change.state not in ("implementing", "validating"):
        return Ruling(ok=False, reason="not_started", message=f"{change.id} is {change.state}")
    work = change.content["implementation"]
    done: list[str] = []
    steps = _steps(desk, change, work, others)
    with desk.ledger.read() as connection:
        other = another_run(connection, change, holder)
        states = {step.name: work_state(connection, change, step.name) for step in steps}
        wanted_back = asked_back(connection, change)
    if other:
        # Somebody else's work is left alone: that run leads it on, or back.
        return Ruling(ok=False, reason="another_run", message=other)
    if wanted_back:
        return lead_back(desk, change, steps, wanted_back)
    if change.state == "validating":
        return Ruling(ok=True, reason="already_there", message=f"{change.id} is implemented")
    for number, step in enumerate(steps):
        if states[step.name] == "done":
            done.append(step.name)
            continue
        order = order_at_closing(desk, change, holder)
        if isinstance(order, Ruling):
            return order
        if order is OnClose.HOLD:
            return hold_at_closing(desk, change, step.name, number)
        if order is OnClose.ROLL_BACK:
            refused: str | None = "its window closed on it, and it is led back, as declared"
        else:
            refused = withdrawn(desk, change, holder, finishing=order is OnClose.FINISH)
        problem = refused or _once(desk, change, step.name, step.effect)
        if problem:
            lead_back(desk, change, steps, problem)
            return Ruling(ok=False, reason="failed", message=f"{step.name}: {problem}")
        done.append(step.name)
    with desk.ledger.exclusive(lock_of(change, BACK), wait=LONGEST_STEP):
        with desk.ledger.read() as connection:
            wanted_back = asked_back(connection, change)
            now = load_change(connection, change.id)
        if not wanted_back and now.state == "implementing":
            return _done(desk, change, done, holder)
    return lead_back(desk, change, steps, wanted_back or f"{change.id} is {now.state}")


def _done(desk: Desk, change: Change, steps: list[str], holder: str) -> Ruling:
    with desk.unit() as unit:
        write_work(unit, change, "implement", {"steps": steps})
        at = format_instant(unit.now + _RETROSPECTIVE)
        write_work(unit, change, "retrospective", {"at": at})
        record_outcome(unit, change, "successful")
        notice = change_texts.implemented(
            change=change.id, title=change.title, key=holder, outcome="it is in production"
        )
        queue(unit, notice)
        unit.append("change.implemented", change.subject,
                    message=f"{change.id}: {len(steps)} steps are done")  # fmt: skip
    with desk.unit() as unit:
        change = load_change(unit.connection, change.id)
        return advance(unit, desk.case(unit, change), "validating", reason="implemented",
                       message=f"{change.id} is implemented")  # fmt: skip


def _steps(
    desk: Desk, change: Change, work: dict[str, Any], others: OtherDags | None
) -> list[Step]:
    match work.get("kind"):
        case "runbook":
            return [
                Step(
                    name=f"{number}. {step['name']}",
                    effect=partial(_run, step["run"], step["timeout"]),
                    back=partial(_run, step["undo"], step["timeout"]) if step["undo"] else None,
                )
                for number, step in enumerate(work["steps"], start=1)
            ]
        case "flag":
            effect = partial(_flip, desk, change, work)
            return [Step(name="set the flag", effect=effect, back=partial(_unflip, desk, change))]
        case "terraform":
            effect = partial(_terraform, desk, work)
            return [Step(name="apply the plan", effect=effect, whole=False, lasting=True)]
        case "dag":
            effect = partial(_other_dag, desk, change, work, others)
            name = f"run {work['dag_id']}"
            return [Step(name=name, effect=effect, whole=False, lasting=True)]
        case _:
            # By hand, or a model's approval: that it is done is the word asked for afterwards.
            return [Step(name="by hand", effect=lambda: None, lasting=True)]


def _once(desk: Desk, change: Change, name: str, effect: Effect) -> str | None:
    """Run an effect that is not done yet; return what went wrong."""
    with desk.ledger.exclusive(lock_of(change, name), wait=LONGEST_STEP):
        with desk.ledger.read() as connection:
            if work_state(connection, change, name) == "done":
                return None
            # Asked for, or decided by another process of this run, since it was looked at last.
            if because := asked_back(connection, change):
                return because
        with desk.unit() as unit:
            write_work(unit, change, name, None, state="started")
            unit.append("work.began", change.subject, reason=name, message=f"{name} begins")
        problem = effect()
        with desk.unit() as unit:
            write_work(unit, change, name, {"problem": problem} if problem else {},
                        state="failed" if problem else "done")  # fmt: skip
            unit.append(
                "work.ended",
                change.subject,
                outcome=Outcome.FAILURE if problem else Outcome.SUCCESS,
                reason=name,
                message=f"{name}: {problem or 'done'}"[:2000],
            )
        return problem


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
    until = permit.expires_at
    if declared(change.content) is OnClose.FINISH:
        until += _TO_FINISH
    return others.run(work["dag_id"], run_id, work["conf"], until=until)


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


def _unflip(desk: Desk, change: Change) -> str | None:
    """Set the flag to what it was before the change, as the record of that says."""
    records = desk.ledger.records(event="flag.flipped", change=change.id)
    if not records:
        return None
    # The first: led back twice, it is still what was there before the change.
    (was,) = json.loads(records[0]["body"])["difference"].values()
    if was["from"] is None:
        return "the flag had no value before; take it out of config/values by hand"
    return _flip(desk, change, {**change.content["implementation"], "value": was["from"]})


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
