"""Guards: what each way of the machine asks, answered with reasons and with who can help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, select

from include.calendar import Span
from include.calendar.conflict import Severity, find_conflicts
from include.calendar.wall_time import local_text
from include.changes import checklist, items
from include.changes.case import Case
from include.changes.condition import Condition, go, no, unknown
from include.changes.openings import (
    closed_in,
    closed_while_planned,
    first_free,
    first_open,
    opens_after,
    opens_in,
    state_now,
    window_gone,
)
from include.changes.parties import unknown_message
from include.changes.standing import standing
from include.changes.vote_guards import OPERATIONS, REQUESTER, authors, rejected, votes
from include.errors import ConfigError
from include.instants import format_duration, format_instant, parse_instant
from include.ledger import schema
from include.ledger.alarm import standing_alarm
from include.ledger.rows import keys_where, strangers

Guard = Callable[[Case], tuple[Condition, ...]]

_REQUIRED = {
    "description": "what is to be done, and why",
    "affected_systems": "impact_assessment.affected_systems: what it touches",
    "risk.level": "impact_assessment.risk_level: low, medium, high or critical",
    "risk.downtime_required": "impact_assessment.downtime_required: true or false",
    "rollback_plan": "impact_assessment.rollback_plan: the way back",
}
_SLOT = {
    "slot.earliest": "schedule.planned_start: from when on",
    "slot.latest": "schedule.planned_end: until when",
}


def _requester(case: Case) -> tuple[Condition, ...]:
    name = case.change.requester
    if name.startswith("service:") and case.change.type == "retroactive":
        return (go("requester", f"{name} has found it", REQUESTER),)
    if case.people.find(name) is None:
        message = (
            f'"{name}" is nobody whom config/people.yaml knows; submit it as yourself (--user)'
        )
        return (unknown("requester", message, REQUESTER),)
    behalf = case.content.get("on_behalf_of")
    if behalf and case.people.by_identity(behalf) is None:
        return (unknown("requester", unknown_message([behalf]), OPERATIONS),)
    return (go("requester", f"{name} asks for it, and has no vote on it", REQUESTER),)


def _complete(case: Case) -> tuple[Condition, ...]:
    wanted: dict[str, str] = dict(_REQUIRED)
    if case.change.type == "retroactive":
        # What was done is done: what is left to say is what it was.
        del wanted["rollback_plan"], wanted["risk.downtime_required"]
    elif case.change.type != "emergency":
        wanted |= _SLOT
    if case.change.type == "major":
        wanted["justification"] = "justification: the business need"
    if case.change.type == "standard":
        wanted["model"] = "model: the standard model that it follows"
    # Whom the repository knows nobody has to name; who wrote the rest has to be.
    if case.written.missing:
        wanted["scope.authors"] = "scope.authors: who wrote the commits, and so has no vote on them"
    missing = [
        no("complete", f"missing: {meaning}", REQUESTER)
        for path, meaning in wanted.items()
        if _at(case.content, path) in (None, "", [], ())
    ]
    return tuple(missing) or (go("complete", "says all that it has to say here", REQUESTER),)


def _time(case: Case) -> tuple[Condition, ...]:
    if case.planned is None:
        return (no("time", "no time is planned for it", REQUESTER),)
    zone = case.calendar.zone
    if case.planned[1] <= case.now:
        message = f"the planned time ended {local_text(case.planned[1], zone)}"
        return (no("time", message, REQUESTER),)
    if gone := window_gone(case):
        return (no("time", f"{gone}: edit schedule.change_window", REQUESTER),)
    found = first_open(case)
    if found is None:
        message = (
            f"no window that holds {format_duration(case.needs)} (work and way back) opens before "
            f"{local_text(case.planned[1], zone)}"
            + (f" ({closed})" if (closed := closed_while_planned(case)) else "")
            + f"; {opens_after(case, case.planned[1])}"
        )
        return (no("time", message, "the requester, or the board by an extended window"),)
    return (go("time", f"{found.window}, {local_text(found.start, zone)}", REQUESTER),)


def _conflicts(case: Case) -> tuple[Condition, ...]:
    """Ask the eight rules; before it is scheduled about the best time, then about now."""
    if case.change.state == "scheduled":
        start = case.now
    else:
        best = first_free(case) or first_open(case)
        if best is None:
            return (unknown("conflicts", "no time, so nothing to compare", REQUESTER),)
        start = best.start
    around = case.around(start, start + case.needs)
    found = find_conflicts(case.calendar, case.proposal(start), around)
    conditions = [
        no(f"conflict.{item.code}", item.message, item.waiver)
        if item.severity is Severity.BLOCK
        else go(f"conflict.{item.code}", f"to know: {item.message}", item.waiver)
        for item in found
    ]
    stale = case.catalogue.systems.stale(start.astimezone(case.calendar.zone).date())
    if stale:
        conditions.append(go("conflict.dependencies", f"to know: {stale}", OPERATIONS))
    when = local_text(start, case.calendar.zone)
    return tuple(conditions) or (go("conflicts", f"nothing stands against {when}", REQUESTER),)


def _bookable(case: Case) -> tuple[Condition, ...]:
    if first_open(case) is None:
        return (no("slot", "nothing is open in the planned time to be booked", REQUESTER),)
    if first_free(case) is None:
        message = f"every opening in the planned time is booked on {_systems(case)}"
        return (no("slot", message, "the change manager, by moving one of the two changes"),)
    return (go("slot", f"free on {_systems(case)}", REQUESTER),)


def _slot(case: Case) -> tuple[Condition, ...]:
    table = schema.slot
    booked = set(
        case.connection.execute(
            select(table.c.system).where(
                table.c.change_id == case.change.id,
                table.c.released_at.is_(None),
                table.c.during.contains(case.now),
            )
        ).scalars()
    )
    missing = [system for system in case.change.systems if system not in booked]
    if missing or not case.change.systems:
        message = f"no slot is booked now on: {', '.join(missing)}"
        return (no("slot", message + _where_it_is(case), "change manager"),)
    return (go("slot", f"booked on {_systems(case)}, by nobody else", "change manager"),)


def _where_it_is(case: Case) -> str:
    """Return the words that say that the change's slot is over, or is kept closed by what was
    entered since it was booked, and by which door it gets another; none where it is still ahead."""
    table, change = schema.slot, case.change
    slot = case.connection.execute(
        select(
            func.min(func.lower(table.c.during)).label("starts"),
            func.max(func.upper(table.c.during)).label("ends"),
        ).where(table.c.change_id == change.id, table.c.released_at.is_(None))
    ).one()
    if change.state != "scheduled" or change.release_id or slot.ends is None or case.emergency:
        return ""
    booked = Span(slot.starts, slot.ends)
    another = f"and ./hims change again {change.id} finds another"
    if slot.ends <= case.now:
        return f"; its own ended {local_text(slot.ends, case.calendar.zone)}, {another}"
    starts = local_text(slot.starts, case.calendar.zone)
    if opens_in(case, booked) is None:
        return f"; its own, {starts}, is kept closed ({closed_in(case, booked)}), {another}"
    return f"; its own begins {starts}" if case.now < slot.starts else ""


def _booked(case: Case) -> tuple[Condition, ...]:
    table = schema.slot
    booked = set(
        case.connection.execute(
            select(table.c.system).where(
                table.c.change_id == case.change.id, table.c.released_at.is_(None)
            )
        ).scalars()
    )
    missing = [system for system in case.change.systems if system not in booked]
    if missing:
        return (no("slot", f"no slot is booked on: {', '.join(missing)}", "release manager"),)
    return (go("slot", f"booked on {_systems(case)}", "release manager"),)


def _calendar(case: Case) -> tuple[Condition, ...]:
    try:
        state = state_now(case)
    except ConfigError as error:
        message = f"the calendar cannot be read, so it is closed: {error}"
        return (unknown("calendar", message, OPERATIONS),)
    if not state.open or state.closes is None:
        said = "; ".join(reason.message for reason in state.reasons) or "closed"
        return (no("calendar", f"no change window is open: {said}", OPERATIONS),)
    left = state.closes - case.now
    if left < case.needs:
        message = f"{format_duration(left)} are left, {format_duration(case.needs)} are needed"
        return (no("calendar", message, OPERATIONS),)
    return (go("calendar", f"open for another {format_duration(left)}", OPERATIONS),)


def _blackout(case: Case) -> tuple[Condition, ...]:
    state = case.calendar.state(
        case.now, systems=case.change.systems, incident=case.change.incident_id or "?"
    )
    if not state.open:
        said = "; ".join(reason.message for reason in state.reasons) or "closed"
        return (no("blackout", said, "the freeze approvers"),)
    return (go("blackout", "no hard blackout holds", "the freeze approvers"),)


def _incident(case: Case) -> tuple[Condition, ...]:
    who = "incident commander"
    name = case.change.incident_id
    if not name:
        return (no("incident", "an emergency needs its incident (incident: INC-…)", REQUESTER),)
    table = schema.incident
    row = case.connection.execute(select(table).where(table.c.id == name)).first()
    if row is None:
        return (no("incident", f"the ledger knows no incident {name}", who),)
    if row.severity not in ("P1", "P2"):
        message = f"{name} is a {row.severity}: only P1 and P2 make an emergency"
        return (no("incident", message, REQUESTER),)
    if row.closed_at is not None:
        return (no("incident", f"{name} was closed {format_instant(row.closed_at)}", who),)
    if row.systems and not set(row.systems) & set(case.change.systems):
        message = f"{name} is about {', '.join(row.systems)}, not about {_systems(case)}"
        return (no("incident", message, REQUESTER),)
    return (go("incident", f"{row.severity} {name} is open: {row.title}", who),)


def _model(case: Case) -> tuple[Condition, ...]:
    return standing(
        case.connection, case.catalogue.settings, case.content, case.catalogue.policy, case.now
    )


def _records(case: Case) -> tuple[Condition, ...]:
    """State is trusted nowhere without the record that vouches for it."""
    who, change = "security officer", case.change.id
    keys = [
        key
        for table, column in (
            (schema.change, schema.change.c.id),
            (schema.revision, schema.revision.c.change_id),
            (schema.ballot, schema.ballot.c.change_id),
            (schema.vote, schema.vote.c.change_id),
            (schema.slot, schema.slot.c.change_id),
            (schema.checklist, schema.checklist.c.change_id),
        )
        for key in keys_where(case.connection, table, column == change)
    ]
    if case.change.model is not None:
        keys += keys_where(case.connection, schema.model, schema.model.c.name == case.change.model)
    alien = strangers(case.connection, keys)
    if alien:
        message = f"no record vouches for {', '.join(alien[:3])}: changed behind the ledger"
        return (no("records", message, who),)
    return (go("records", "every row that this rests on is what its record says", who),)


def _alarm(case: Case) -> tuple[Condition, ...]:
    who = "security officer, by ./hims audit acknowledge"
    alarm = standing_alarm(case.connection)
    if alarm is not None:
        return (no("ledger", f"changes are frozen: {alarm.message}"[:1000], who),)
    return (go("ledger", "no verification of the ledger has failed and stands", who),)


def _rehearsed(case: Case) -> tuple[Condition, ...]:
    proof = _at(case.content, "risk.controls.rollback_planning")
    if not proof:
        message = (
            "a major change needs its way back rehearsed: give the evidence as "
            "impact_assessment.controls.rollback_planning"
        )
        return (no("rehearsed", message, REQUESTER),)
    return (go("rehearsed", f"the way back was rehearsed: {proof['uri']}", REQUESTER),)


def _happened(case: Case) -> tuple[Condition, ...]:
    at = _at(case.content, "retroactive.happened_at")
    if not at:
        return (no("happened", "retroactive.happened_at is missing: when was it done", REQUESTER),)
    if parse_instant(at) > case.now:
        return (
            no(
                "happened",
                f"{at} has not come yet; what is ahead is no retroactive change",
                REQUESTER,
            ),
        )
    return (go("happened", f"it happened {at}", REQUESTER),)


def _hold(case: Case) -> tuple[Condition, ...]:
    if case.change.held_because:
        return (no("hold", f"on hold: {case.change.held_because}", "whoever put it there"),)
    return (go("hold", "not on hold", "operations"),)


def _testing(case: Case) -> tuple[Condition, ...]:
    return checklist.conditions(case, checklist.tests_of(case.content))


def _checklist(case: Case) -> tuple[Condition, ...]:
    return checklist.conditions(case, items.BEFORE)


def _post_implementation(case: Case) -> tuple[Condition, ...]:
    return checklist.conditions(case, items.AFTER)


def _implemented(case: Case) -> tuple[Condition, ...]:
    table = schema.work
    row = case.connection.execute(
        select(table).where(table.c.change_id == case.change.id, table.c.name == "implement")
    ).first()
    if row is None or row.state != "done":
        message = (
            "the ledger has no completed implementation; if its run has stopped: ./hims change "
            f"again {case.change.id}, or lead-back"
        )
        return (unknown("implemented", message, OPERATIONS),)
    return (go("implemented", "every declared step is done", OPERATIONS),)


def _reviewed(case: Case) -> tuple[Condition, ...]:
    change = case.change
    needed = change.type in ("emergency", "retroactive") or change.outcome != "successful"
    if not needed:
        return (go("reviewed", "it went as planned; no review is asked for", OPERATIONS),)
    return checklist.conditions(case, ("review",))


GUARDS: Mapping[str, Guard] = {
    "requester": _requester,
    "complete": _complete,
    "authors": authors,
    "time": _time,
    "conflicts": _conflicts,
    "votes": votes,
    "rejected": rejected,
    "bookable": _bookable,
    "booked": _booked,
    "slot": _slot,
    "calendar": _calendar,
    "blackout": _blackout,
    "incident": _incident,
    "model": _model,
    "records": _records,
    "alarm": _alarm,
    "rehearsed": _rehearsed,
    "happened": _happened,
    "hold": _hold,
    "testing": _testing,
    "checklist": _checklist,
    "implemented": _implemented,
    "post_implementation": _post_implementation,
    "reviewed": _reviewed,
}


def _systems(case: Case) -> str:
    return ", ".join(case.change.systems)


def _at(content: Any, path: str) -> Any:
    here: Any = content
    for step in path.split("."):
        here = here.get(step) if isinstance(here, Mapping) else None
    return here
