"""The conditions of a permit (design §5): all are evaluated, all are recorded.

Each says what it found and who can change it. What cannot be established is `inconclusive`, which
refuses as surely as `no_go` does.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.changes.change import Change
from include.changes.condition import Condition, go, no, unknown
from include.changes.content import signed_hash
from include.deploy.deployment import live_deployment
from include.entries.whole_calendar import whole_calendar
from include.errors import ConfigError, ReleaseControlError, RequestError
from include.gates.gate import verdicts
from include.instants import format_duration
from include.ledger import schema
from include.ledger.alarm import standing_alarm
from include.permits.vouching import unvouched
from include.releases.phases.cab import count_votes, current_content, release_change
from include.releases.phases.code_freeze import artefact
from include.releases.train import Train
from include.releases.versions import Version
from include.releases.window_clock import closes_in
from include.services.build import file_digest


def evaluate(
    train: Train, connection: Connection, *, needs: timedelta, now: datetime
) -> tuple[Condition, ...]:
    """Return every condition for deploying this train's artefact at `now`."""
    change, content_hash, found = _content(train)
    return (
        _release(train, connection),
        found,
        _votes(train, connection, change, content_hash, now),
        *_calendar(train, connection, change, needs, now),
        _incidents(train, connection),
        _backup(train, connection, now),
        *_gates(train, connection),
        _lock(train, connection),
        _superseded(train, connection),
        _way_back(train, connection),
        _slot(train, connection, change, now),
        _records(train, connection),
        _ledger(connection),
    )


def _release(train: Train, connection: Connection) -> Condition:
    table = schema.release
    row = connection.execute(
        select(table.c.state, table.c.run_id).where(table.c.id == train.release)
    ).one()
    if row.state != "running":
        return no("release", f"{train.release} has ended: {row.state}", "release manager")
    if row.run_id != train.run_id:
        return no("release", f"run {row.run_id} drives this release now", "release manager")
    return go("release", f"{train.release} is under way", "release manager")


def _content(train: Train) -> tuple[Change | None, str, Condition]:
    """Recompute the signed hash from what is about to be deployed (design §1.2)."""
    who = "release manager"
    try:
        change = release_change(train)
        actual = signed_hash(current_content(train))
        built = artefact(train)
        stored = file_digest(built.path)
    except ReleaseControlError as error:
        return None, "", unknown("content", str(error), who)
    except OSError as error:
        message = f"the artefact {built.path} cannot be read: {error.strerror}"
        return change, actual, unknown("content", message, who)
    if stored != built.digest:
        message = f"{built.path.name} is {stored[:19]}… now; it was built as {built.digest[:19]}…"
        return change, actual, no("content", message, who)
    if actual != change.content_hash:
        message = (
            f"what would be deployed ({actual[:19]}…) is not what {change.id} says "
            f"({change.content_hash[:19]}…)"
        )
        return change, actual, no("content", message, who)
    return change, actual, go("content", f"{change.id} describes exactly this artefact", who)


def _votes(
    train: Train, connection: Connection, change: Change | None, content_hash: str, now: datetime
) -> Condition:
    who = ", ".join(seat.title for seat in train.plan.seats)
    if change is None or content_hash != change.content_hash:
        return unknown("votes", "there is no change whose votes could be counted", who)
    found = count_votes(connection, train.plan, change, now)
    missing = [seat.title for seat in train.plan.seats if seat.name in found.missing]
    return Condition(
        code="votes",
        verdict=found.verdict,
        message=found.message,
        who=", ".join(missing) or who,
    )


def _calendar(
    train: Train,
    connection: Connection,
    change: Change | None,
    needs: timedelta,
    now: datetime,
) -> tuple[Condition, ...]:
    """Ask the calendar as it is now: a freeze entered a second ago counts, the plan's does not."""
    settings, plan = train.settings, train.plan
    who = "operations manager"
    name = plan.profile.calendar
    try:
        calendar = whole_calendar(settings.config_file(name), connection, name=settings.label(name))
    except ConfigError as error:
        closed = unknown("calendar", f"the calendar cannot be read, so it is closed: {error}", who)
        return (closed,)
    state = calendar.state(
        now, systems=plan.service.systems, change=None if change is None else change.id
    )
    reasons = "; ".join(reason.message for reason in state.reasons)
    closes = closes_in(calendar, now, plan.service.systems, None if change is None else change.id)
    if closes is None:
        return (no("calendar", f"no change window is open: {reasons or 'closed'}", who),)
    left = closes - now
    if left < needs:
        message = f"{format_duration(left)} are left of the window, {format_duration(needs)} needed"
        return (no("calendar", message, who),)
    if change is not None:
        latest = str(change.content["slot"]["latest"])
        if f"{now:%Y-%m-%dT%H:%M:%SZ}" > latest:
            return (no("calendar", f"the change was approved until {latest}", "the CAB"),)
    return (go("calendar", f"open for another {format_duration(left)}", who),)


def _incidents(train: Train, connection: Connection) -> Condition:
    table = schema.incident
    row = connection.execute(
        select(table.c.id, table.c.severity, table.c.title).where(
            table.c.severity.in_(("P1", "P2")),
            table.c.closed_at.is_(None),
            table.c.systems.overlap(list(train.plan.service.systems)),
        )
    ).first()
    if row is not None:
        return no("incidents", f"{row.severity} {row.id} is open: {row.title}", "on call")
    return go("incidents", "no open P1 or P2 on these systems", "on call")


def _backup(train: Train, connection: Connection, now: datetime) -> Condition:
    who = "operations"
    placement = train.plan.service.environments["production"]
    if placement.database is None:
        return go("backup", "the service keeps no data of its own", who)
    table = schema.backup
    row = connection.execute(
        select(table)
        .where(table.c.release_id == train.release, table.c.attempt == train.plan.attempt)
        .order_by(table.c.taken_at.desc())
    ).first()
    if row is None:
        return unknown("backup", f"no backup of {placement.database} was taken", who)
    if row.proven_at is None:
        return unknown("backup", f"{row.id} was taken and never proven by a restore", who)
    age = now - row.taken_at
    limit = train.plan.profile.backup_max_age
    if age > limit:
        message = (
            f"{row.id} is {format_duration(age)} old, at most {format_duration(limit)} allowed"
        )
        return no("backup", message, who)
    return go("backup", f"{row.id} was restored and checked, {format_duration(age)} ago", who)


def _gates(train: Train, connection: Connection) -> tuple[Condition, ...]:
    try:
        commit = str(train.result("bump_version")["commit"])
        digest = str(train.result("build_artefact")["digest"])
    except ReleaseControlError as error:
        return (unknown("gates", str(error), "release manager"),)
    found = verdicts(connection, train.release, train.plan.attempt, commit, digest)
    owners = {name: ", ".join(roles) for name, roles in train.plan.checkpoints.items()}
    conditions = []
    for name in train.plan.gates:
        row = found.get(name)
        who = owners.get(name, "developers").replace("_", " ")
        if row is None:
            message = "has not spoken on this commit and artefact"
            conditions.append(unknown(f"gate.{name}", message, who))
        else:
            conditions.append(
                Condition(code=f"gate.{name}", verdict=row.verdict, message=row.message, who=who)
            )
    return tuple(conditions)


def _lock(train: Train, connection: Connection) -> Condition:
    table = schema.release_lock
    row = connection.execute(
        select(table).where(
            table.c.service == train.plan.service.name, table.c.unlocked_at.is_(None)
        )
    ).first()
    if row is not None:
        by = row.release_id or row.locked_by
        message = f"locked since {row.locked_at:%Y-%m-%d %H:%M}Z by {by}: {row.reason}"
        if row.commits:
            message += f"; its {len(row.commits)} commits are in quarantine"
        return no("lock", message, "a second person, by ./hims unlock")
    return go("lock", f"{train.plan.service.name} is not locked", "operations")


def _superseded(train: Train, connection: Connection) -> Condition:
    live = live_deployment(connection, train.plan.service.name, "production")
    try:
        newer = live is not None and Version.parse(live.version) > train.plan.number
    except RequestError as error:
        return unknown("superseded", f"what production runs is unclear: {error}", "operations")
    if live is not None and newer:
        return no("superseded", f"production runs {live.version} already", "release manager")
    return go("superseded", "no newer version is in production", "release manager")


def _way_back(train: Train, connection: Connection) -> Condition:
    """What serves now is what a rollback would lead to, so it must have been released."""
    who = "release manager, by the Dag rollback"
    service = train.plan.service.name
    live = live_deployment(connection, service, "production")
    if live is None:
        return go("way_back", f"{service} has never served anybody; there is nothing to lose", who)
    if live.release_id is None:
        return go("way_back", f"{live.version} served before any release train", who)
    table = schema.release
    row = connection.execute(select(table).where(table.c.id == live.release_id)).first()
    own = (live.release_id, live.attempt) == (train.release, train.plan.attempt)
    if own or (row is not None and row.state == "released" and row.attempt == live.attempt):
        return go("way_back", f"{live.version} is released", who)
    again = connection.execute(
        select(schema.rollback.c.id).where(
            schema.rollback.c.service == service,
            schema.rollback.c.state == "done",
            schema.rollback.c.to_digest == live.digest,
        )
    ).first()
    if again is not None:
        return go("way_back", f"{live.version} was gone back to on purpose ({again.id})", who)
    locks = schema.release_lock
    left = connection.execute(
        select(locks)
        .where(locks.c.release_id == live.release_id, locks.c.unlocked_at.is_not(None))
        .order_by(locks.c.id.desc())
    ).first()
    if left is not None and left.locked_at >= live.staged_at:
        message = f"{live.version} was left to serve by {left.unlocked_by}: {left.unlock_reason}"
        return go("way_back", message, who)
    message = (
        f"production serves {live.version}, whose train (attempt {live.attempt}) was never seen "
        "through; it can't be a way back"
    )
    return no("way_back", message, who)


def _slot(train: Train, connection: Connection, change: Change | None, now: datetime) -> Condition:
    who = "release manager"
    if change is None:
        return unknown("slot", "no change, so no slot", who)
    table = schema.slot
    booked = set(
        connection.execute(
            select(table.c.system).where(
                table.c.change_id == change.id,
                table.c.released_at.is_(None),
                table.c.during.contains(now),
            )
        ).scalars()
    )
    missing = [system for system in change.systems if system not in booked]
    if missing:
        return no("slot", f"no slot is booked now on: {', '.join(missing)}", who)
    return go("slot", f"booked on {', '.join(change.systems)}, by nobody else", who)


def _records(train: Train, connection: Connection) -> Condition:
    """State is trusted nowhere without the record that vouches for it."""
    who = "security officer"
    alien = sorted(unvouched(connection, train.release, train.plan.service.name))
    if alien:
        more = f" and {len(alien) - 3} more" if len(alien) > 3 else ""
        message = f"no record vouches for {', '.join(alien[:3])}{more}: changed behind the ledger"
        return no("records", message, who)
    return go("records", "every row that this rests on is what its record says", who)


def _ledger(connection: Connection) -> Condition:
    who = "security officer, by ./hims audit acknowledge"
    alarm = standing_alarm(connection)
    if alarm is not None:
        message = f"releases are frozen since {alarm.time:%Y-%m-%d %H:%M}Z: {alarm.message}"
        return no("ledger", message[:1000], who)
    return go("ledger", "no verification of the ledger has failed and stands", who)
