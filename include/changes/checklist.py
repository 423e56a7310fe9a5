"""The plan's checklists (§3.3) as gates with evidence: seven before, five after, and the tests.

An item is judged by a machine where a machine can know, and by a named person's word where not.
Words are kept for exactly the content that they were given for. Nothing defaults to done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from include.changes.case import Case
from include.changes.change import Change
from include.changes.condition import Condition, go, no, unknown
from include.errors import RequestError, did_you_mean
from include.instants import format_duration
from include.ledger import Outcome, Unit, schema
from include.ledger.record import storable

BEFORE = (
    "backup",
    "rollback_plan",
    "alerts",
    "communication",
    "team",
    "test_environment",
    "go_no_go",
)
AFTER = (
    "functional_testing",
    "performance_monitoring",
    "user_communication",
    "documentation",
    "retrospective",
)
TESTS = (
    "unit_tests",
    "integration_tests",
    "user_acceptance",
    "performance_tests",
    "security_tests",
)

TITLES = {
    "backup": "Pre-change backup completed",
    "rollback_plan": "Rollback plan documented and tested",
    "alerts": "Monitoring alerts configured",
    "communication": "Communication plan executed",
    "team": "Change team assembled",
    "test_environment": "Test environment validated",
    "go_no_go": "Go/no-go checkpoint completed",
    "functional_testing": "Functional testing completed",
    "performance_monitoring": "Performance monitoring active",
    "user_communication": "User communication sent",
    "documentation": "Documentation updated",
    "retrospective": "Retrospective scheduled",
    "unit_tests": "Unit tests passed",
    "integration_tests": "Integration tests passed",
    "user_acceptance": "Accepted by its users",
    "performance_tests": "Performance tests passed",
    "security_tests": "Security tests passed",
    "review": "Post-implementation review held",
}


def tests_of(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tests that a change requires."""
    testing = content.get("testing") or {}
    return tuple(name for name in TESTS if testing.get(name) == "required")


def conditions(case: Case, items: Iterable[str]) -> tuple[Condition, ...]:
    """Return what is known of each item for the change's present content."""
    table = schema.checklist
    words = {
        row.item: row
        for row in case.connection.execute(
            select(table).where(
                table.c.change_id == case.change.id,
                table.c.content_hash == case.change.content_hash,
            )
        )
    }
    found = []
    for item in items:
        code, title = f"checklist.{item}", TITLES[item]
        row = words.get(item)
        known = AUTOMATIC[item](case) if item in AUTOMATIC else None
        if row is not None and (known is None or row.verdict == "no_go"):
            found.append(
                Condition(
                    code=code,
                    verdict=row.verdict,
                    message=f"{title}: {row.message}",
                    who=row.decided_by,
                )
            )
        elif known is not None:
            found.append(known)
        else:
            found.append(unknown(code, f"{title}: nobody has said so", "change team"))
    return tuple(found)


def attest(
    unit: Unit,
    change: Change,
    item: str,
    *,
    verdict: Literal["go", "no_go"],
    comment: str,
    evidence: Iterable[Mapping[str, str]] = (),
) -> None:
    """Write a named person's word on an item, for exactly the change's present content.

    Raises RequestError for an item that no checklist has, and for one that only a machine judges.
    """
    if item not in TITLES:
        raise RequestError(f'"{item[:60]}" is on no checklist{did_you_mean(item[:60], TITLES)}')
    if item in AUTOMATIC and verdict == "go":
        raise RequestError(f"{TITLES[item]}: that is judged from the ledger, not by anybody's word")
    said = storable(comment.strip()[:2000]) or ("done" if verdict == "go" else "not done")
    values = {
        "verdict": verdict,
        "message": f"{said} ({unit.actor.name})",
        "evidence": [dict(part) for part in evidence],
        "decided_by": unit.actor.user,
        "decided_at": unit.now,
    }
    statement = insert(schema.checklist).values(
        change_id=change.id, content_hash=change.content_hash, item=item, **values
    )
    unit.execute(
        statement.on_conflict_do_update(
            index_elements=["change_id", "content_hash", "item"], set_=values
        )
    )
    unit.append(
        "checklist.said",
        change.subject,
        outcome=Outcome.SUCCESS if verdict == "go" else Outcome.FAILURE,
        reason=item,
        message=f"{TITLES[item]}: {unit.actor.name} says {verdict.replace('_', '-')}: {said}",
        meaning=f"{verdict} for {change.id} revision {change.revision}: {TITLES[item]}",
        evidence=[dict(part) for part in evidence],
    )


def outstanding(case: Case, items: Iterable[str]) -> list[str]:
    """Return the items that wait for a person's word."""
    return [
        condition.code.partition(".")[2]
        for condition in conditions(case, items)
        if condition.verdict == "inconclusive" and condition.code.partition(".")[2] not in AUTOMATIC
    ]


# -- what a machine can know ---------------------------------------------------------------------


def _backup(case: Case) -> Condition | None:
    """A proven, fresh backup of every database that services on these systems keep."""
    code, title = "checklist.backup", TITLES["backup"]
    settings, touched = case.catalogue.settings, set(case.change.systems)
    wanted = {
        name: placement.database
        for name in settings.services
        if touched & set((service := settings.service(name)).systems)
        and (placement := service.environments.get("production")) is not None
        and placement.database is not None
        and placement.target == "local"
    }
    if not wanted:
        # Data of systems that no service of ours keeps: somebody has to have saved it.
        if touched & case.catalogue.systems.data:
            return None
        return go(
            code, f"{title}: nothing on {', '.join(sorted(touched))} keeps data", "operations"
        )
    limit, table = case.catalogue.policy.backup_max_age, schema.backup
    for keeper, database in wanted.items():
        row = case.connection.execute(
            select(table)
            .where(table.c.service == keeper, table.c.database == database)
            .where(table.c.proven_at.is_not(None))
            .order_by(table.c.taken_at.desc())
            .limit(1)
        ).first()
        if row is None:
            return unknown(code, f"{title}: no proven backup of {database}", "operations")
        age = case.now - row.taken_at
        if age > limit:
            message = (
                f"{title}: the newest proven backup of {database} is {format_duration(age)} old, "
                f"at most {format_duration(limit)} allowed"
            )
            return no(code, message, "operations")
    return go(code, f"{title}: {', '.join(wanted.values())} proven by a restore", "operations")


def _told(item: str, event: str) -> Callable[[Case], Condition]:
    def told(case: Case) -> Condition:
        code, title = f"checklist.{item}", TITLES[item]
        notice, delivery = schema.notice, schema.notice_delivery
        newest = case.connection.execute(
            select(notice.c.id)
            .where(notice.c.thread == case.change.id, notice.c.event == event)
            .order_by(notice.c.id.desc())
            .limit(1)
        ).scalar()
        if newest is None:
            return unknown(code, f"{title}: nothing has been said yet", "operations")
        channels = list(
            case.connection.execute(
                select(delivery.c.channel).where(
                    delivery.c.notice_id == newest, delivery.c.state == "delivered"
                )
            ).scalars()
        )
        if not channels:
            return unknown(code, f"{title}: the notice is not delivered yet", "operations")
        return go(code, f"{title}: delivered by {', '.join(channels)}", "operations")

    return told


def _retrospective(case: Case) -> Condition:
    code, title, table = "checklist.retrospective", TITLES["retrospective"], schema.work
    row = case.connection.execute(
        select(table.c.result).where(
            table.c.change_id == case.change.id, table.c.name == "retrospective"
        )
    ).first()
    if row is None or not row.result:
        return unknown(code, f"{title}: no date is set", "change manager")
    return go(code, f"{title}: {row.result['at']}", "change manager")


AUTOMATIC: Mapping[str, Callable[[Case], Condition | None]] = {
    "backup": _backup,
    "communication": _told("communication", "change.scheduled"),
    "user_communication": _told("user_communication", "change.implemented"),
    "retrospective": _retrospective,
}
