"""Leading back what was done of a change, the last step first, however often that is interrupted.

That it is led back is a row before anything is: whoever comes after a process that was killed in it
goes on leading back, never forward. What was undone is a row too, and is undone once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from include.changes.change import Change, load_change
from include.changes.desk import Desk
from include.changes.ending import give_up, record_outcome
from include.changes.ruling import Ruling
from include.changes.work import BACK, asked_back, work_state, write_work
from include.ledger import Outcome
from include.notices import change_texts
from include.notices.outbox import queue

# How long another process of the same run may take for what it is doing.
LONGEST_STEP = timedelta(hours=2)

Effect = Callable[[], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: an effect returns what went wrong, or None; so does its way `back`, if it has one.

    With `whole` it is done or not done, and never half. What is `lasting` leaves something behind
    that only people can lead back, by the change's rollback plan.
    """

    name: str
    effect: Effect
    back: Effect | None = None
    whole: bool = True
    lasting: bool = False


def lock_of(change: Change, name: str) -> str:
    """Return the key under which a step is done or undone, by one process at a time."""
    return f"{change.id}/{name}"


def lead_back(desk: Desk, change: Change, steps: Sequence[Step], because: str) -> Ruling:
    """Undo every step that was begun and put the change into review, as what that came to."""
    with desk.ledger.exclusive(lock_of(change, BACK), wait=LONGEST_STEP):
        with desk.unit() as unit:
            now = load_change(unit.connection, change.id, lock=True)
            if now.state not in ("implementing", "validating"):
                message = f"{change.id} is {now.state}: it was led back already"
                unit.append("work.led_back", now.subject, reason="already_there", message=message)
                return Ruling(ok=False, reason="led_back", message=message)
            if asked_back(unit.connection, change) is None:
                write_work(unit, change, BACK, {"because": because}, state="started")
            message = f"{change.id} is led back: {because}"[:2000]
            unit.append("work.leads_back", now.subject, message=message)
        undone = [_undo(desk, change, step) for step in reversed(steps)]
        _end(desk, change, because, whole=all(undone))
    return Ruling(ok=False, reason="led_back", message=f"{change.id} was led back: {because}")


def _undo(desk: Desk, change: Change, step: Step) -> bool:
    """Undo a step, if it was begun and not undone before; return whether nothing of it is left."""
    name = f"{step.name}: back"
    with desk.ledger.exclusive(lock_of(change, step.name), wait=LONGEST_STEP):
        with desk.ledger.read() as connection:
            reached = work_state(connection, change, step.name)
            undone = work_state(connection, change, name)
        if undone in ("done", "failed"):
            return undone == "done"
        if reached is None:
            return True
        if reached != "done" and step.back is None:
            # Begun and not done: what is whole has left nothing, and what is not, anything.
            return step.whole
        trouble = step.back() if step.back is not None else None
        said = "was led back" if step.back is not None else "has nothing to lead back"
        if step.lasting:
            said = "has no way back of its own"
            trouble = f"the rollback plan: {change.content.get('rollback_plan') or 'none'}"
        with desk.unit() as unit:
            state = "failed" if trouble else "done"
            write_work(unit, change, name, {"problem": trouble} if trouble else {}, state=state)
            unit.append(
                "work.undone",
                change.subject,
                outcome=Outcome.FAILURE if trouble else Outcome.SUCCESS,
                reason=step.name,
                message=f"{step.name} {said}{f': {trouble}' if trouble else ''}"[:2000],
            )
    return trouble is None and (reached == "done" or step.whole)


def _end(desk: Desk, change: Change, because: str, *, whole: bool) -> None:
    ending = "was led back" if whole else "has failed, and is not as it was before"
    with desk.unit() as unit:
        now = load_change(unit.connection, change.id, lock=True)
        if now.state == "validating":
            # It had been told as done.
            record_outcome(unit, now, "rolled_back" if whole else "failed", anew=True)
        elif not whole:
            record_outcome(unit, now, "failed")
        queue(unit, change_texts.led_back(
            change=change.id, title=change.title, key=f"{now.revision}", why=because, whole=whole,
            plan=str(change.content.get("rollback_plan") or ""),
        ))  # fmt: skip
        write_work(unit, change, BACK, {"because": because})
        message = f"{change.id} {ending}: {because}"[:1500]
        give_up(unit, desk.settings, now, reason="failed", message=message)
