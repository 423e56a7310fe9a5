"""The plan's checklists (§3.3) as gates with evidence: seven before, five after, and the tests.

An item is judged by a machine where a machine can know, and by a named person's word where not.
Words are kept for exactly the content that they were given for. Nothing defaults to done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from include.changes.alert_rules import alerts_by_system
from include.changes.case import Case
from include.changes.change import Change
from include.changes.condition import Condition, go, no, unknown
from include.changes.items import BEFORE, TESTS, TITLES
from include.changes.staging_proof import staging_proof
from include.changes.work import rebooked_at
from include.errors import ConfigError, RequestError, did_you_mean
from include.instants import format_duration
from include.ledger import Outcome, Unit, schema
from include.ledger.record import storable


def tests_of(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tests that a change requires."""
    testing = content.get("testing") or {}
    return tuple(name for name in TESTS if testing.get(name) == "required")


def conditions(case: Case, items: Iterable[str]) -> tuple[Condition, ...]:
    """Return what is known of each item for the change's present content."""
    words = {row.item: row for row in _words(case)}
    found = []
    for item in items:
        code, title = f"checklist.{item}", TITLES[item]
        row = words.get(item)
        said = AUTOMATIC[item](case) if item in AUTOMATIC else None
        judgement = said if isinstance(said, Condition) else None
        if row is not None and (judgement is None or row.verdict == "no_go"):
            found.append(
                Condition(
                    code=code,
                    verdict=row.verdict,
                    message=f"{title}: {row.message}",
                    who=row.decided_by,
                )
            )
        elif judgement is not None:
            found.append(judgement)
        else:
            who = ", ".join(case.catalogue.board.speakers(item)).replace("_", " ")
            because = f" ({said})" if isinstance(said, str) else ""
            found.append(unknown(code, f"{title}: nobody has said so{because}", who))
    return tuple(found)


def _words(case: Case) -> list[Row[Any]]:
    """Return people's words on exactly this content; for another slot those before it are void."""
    table = schema.checklist
    rows = case.connection.execute(
        select(table).where(
            table.c.change_id == case.change.id,
            table.c.content_hash == case.change.content_hash,
        )
    )
    moved = rebooked_at(case.connection, case.change)
    return [
        row for row in rows if moved is None or row.item not in BEFORE or row.decided_at >= moved
    ]


Verdict = Literal["go", "no_go"]


def word(*, good: bool) -> Verdict:
    """Return the verdict that a yes or a no is."""
    return "go" if good else "no_go"


def attest(
    unit: Unit,
    change: Change,
    item: str,
    *,
    verdict: Verdict,
    comment: str,
    evidence: Iterable[Mapping[str, str]] = (),
) -> None:
    """Write a named person's word on an item, for exactly the change's present content.

    Raises RequestError for an item that no checklist has.
    """
    if item not in TITLES:
        raise RequestError(f'"{item[:60]}" is on no checklist{did_you_mean(item[:60], TITLES)}')
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


def known(case: Case, item: str) -> Condition | None:
    """Return what the ledger or the configuration knows of an item, None where neither does."""
    said = AUTOMATIC[item](case) if item in AUTOMATIC else None
    return said if isinstance(said, Condition) else None


def lacking(case: Case, item: str) -> str:
    """Return what is lacking for a judgement on an item that waits for a word, "" for nothing."""
    said = AUTOMATIC[item](case) if item in AUTOMATIC else None
    return said if isinstance(said, str) else ""


def judged(case: Case, item: str) -> bool:
    """Return whether the ledger itself judges an item of this change, so that no word counts."""
    return known(case, item) is not None


def outstanding(case: Case, items: Iterable[str]) -> list[str]:
    """Return the items that wait for a person's word."""
    return [
        item
        for condition in conditions(case, items)
        if condition.verdict == "inconclusive"
        and not judged(case, item := condition.code.partition(".")[2])
    ]


# -- what a machine can know ---------------------------------------------------------------------


def _backup(case: Case) -> Condition | None:
    """A proven, fresh backup of every database that services on these systems keep."""
    code, title = "checklist.backup", TITLES["backup"]
    settings, touched = case.catalogue.settings, set(case.change.systems)
    kept = {
        name: placement
        for name in settings.services
        if touched & set((service := settings.service(name)).systems)
        and (placement := service.environments.get("production")) is not None
        and placement.database is not None
    }
    wanted = {
        name: str(placement.database)
        for name, placement in kept.items()
        if placement.target == "local"
    }
    # What keeps data where we take no backups of it was saved by somebody, who says so.
    elsewhere = len(kept) > len(wanted)
    if not wanted:
        # Data of systems that no service of ours keeps: somebody has to have saved it.
        if elsewhere or touched & case.catalogue.systems.data:
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
    if elsewhere:
        return None
    return go(code, f"{title}: {', '.join(wanted.values())} proven by a restore", "operations")


def _alerts(case: Case) -> Condition | str | None:
    """A rule that watches it for every system that the change touches."""
    code, title = "checklist.alerts", TITLES["alerts"]
    try:
        found = alerts_by_system(case.settings, case.catalogue.systems)
    except ConfigError as error:
        return unknown(code, f"{title}: the rules cannot be read: {error}"[:1000], "operations")
    if not found:
        return None
    bare = [system for system in case.change.systems if system not in found]
    if bare or not case.change.systems:
        return f"no rule of config/alerts watches {', '.join(bare) or 'what it touches'}"
    watched = "; ".join(f"{name}: {', '.join(found[name][:5])}" for name in case.change.systems)
    return go(code, f"{title}, by config/alerts: {watched}", "operations")


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


# A condition where the ledger or the configuration judges; else somebody's word is asked for, with
# what is lacking for a judgement, if there is something to say.
AUTOMATIC: Mapping[str, Callable[[Case], Condition | str | None]] = {
    "backup": _backup,
    "alerts": _alerts,
    "test_environment": staging_proof,
    "communication": _told("communication", "change.scheduled"),
    "user_communication": _told("user_communication", "change.implemented"),
    "retrospective": _retrospective,
}
