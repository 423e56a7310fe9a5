"""Whether a standard model may be used now: approved as it is, fitting, not suspended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from include.changes.change import Change
from include.changes.condition import Condition, go, no, unknown
from include.changes.policy import ChangePolicy
from include.changes.standard import load_model, misfits, model_digest
from include.errors import InputError
from include.instants import format_instant
from include.ledger import Subject, Unit, schema
from include.ledger.record import time_text
from include.settings import Settings

BOARD = "the board, by a change that approves the model"


def standing(
    connection: Connection,
    settings: Settings,
    content: Mapping[str, Any],
    policy: ChangePolicy,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return what stands against using the model that a change names."""
    named = content.get("model") or {}
    name = named.get("name")
    if not name:
        return (no("model", "a standard change names its model", "the requester"),)
    try:
        model = load_model(settings, name)
        digest = model_digest(settings, model)
    except InputError as error:
        return (unknown("model", str(error), "the requester"),)
    if digest != named.get("digest"):
        message = f"{name} was changed since this was submitted; submit it again"
        return (no("model", message, "the requester"),)
    table = schema.model
    row = connection.execute(
        select(table).where(table.c.name == name, table.c.digest == digest)
    ).first()
    if row is None:
        message = f"the board has not approved {name} version {model.version} as it is now"
        return (no("model", message, BOARD),)
    if row.suspended_at is not None:
        return (no("model", f"{name} is suspended: {row.suspended_because}", BOARD),)
    if (harm := _harm(connection, name, row.approved_at)) is not None:
        message = f"{name} is suspended: {harm}; the board looks at it anew"
        return (no("model", message, BOARD),)
    if row.expires_at <= now:
        return (no("model", f"{name} was approved until {format_instant(row.expires_at)}", BOARD),)
    wrong = misfits(settings, model, content)
    if wrong:
        return tuple(no("model", f"{name}: {item}", "the requester") for item in wrong)
    message = f"fits {name} version {model.version}, approved until {row.expires_at:%Y-%m-%d}"
    return (go("model", message, BOARD),)


def _harm(connection: Connection, name: str, since: datetime) -> str | None:
    """Return which incident one of the model's changes has caused since it was approved."""
    record, change = schema.record, schema.change
    rows = connection.execute(
        select(record.c.event, record.c.change, record.c.body)
        .join(change, change.c.id == record.c.change)
        .where(
            change.c.model == name,
            record.c.event.in_(("incident.linked", "incident.unlinked")),
            record.c.time >= time_text(since),
        )
        .order_by(record.c.seq)
    )
    caused: dict[tuple[str, str], str] = {}
    for row in rows:
        body = json.loads(row.body)
        incident = str(body["subject"]["id"])
        if body["reason"] != "caused_by":
            continue
        if row.event == "incident.linked":
            caused[incident, row.change] = f"{row.change} has caused {incident}"
        else:
            caused.pop((incident, row.change), None)
    return next(iter(caused.values()), None)


def approve_model(unit: Unit, settings: Settings, change: Change, policy: ChangePolicy) -> None:
    """Enter the model that an authorised change proposes as approved, unless edited since."""
    work = change.content["implementation"]
    model = load_model(settings, str(work["model"]))
    digest = model_digest(settings, model)
    if digest != work["digest"]:
        return
    values: dict[str, Any] = {
        "version": model.version,
        "change_id": change.id,
        "approved_at": unit.now,
        "expires_at": unit.now + policy.models.approved_for,
        "suspended_at": None,
        "suspended_because": None,
    }
    statement = insert(schema.model).values(name=work["model"], digest=digest, **values)
    unit.execute(statement.on_conflict_do_update(index_elements=["name", "digest"], set_=values))
    unit.append(
        "model.approved",
        Subject(kind="model", id=work["model"], version=str(model.version), content_hash=digest),
        reason=change.id,
        message=f"{work['model']} version {model.version} may be used until "
        f"{format_instant(values['expires_at'])}",
        change=change.id,
    )


def watch_model(unit: Unit, change: Change, policy: ChangePolicy) -> None:
    """Suspend the model of a change that has just ended, if it has lost its credit.

    An incident or a failure that its newest changes add up to: fewer than `least_success` of the
    last `window` were successful. What failed before the board approved it anew was the board's
    to judge, and counts no more.
    """
    if change.model is None:
        return
    table, model = schema.change, schema.model
    approved = select(func.max(model.c.approved_at)).where(model.c.name == change.model)
    outcomes = list(
        unit.execute(
            select(table.c.outcome)
            .where(table.c.model == change.model, table.c.outcome.is_not(None))
            .where(func.coalesce(table.c.finished_at, unit.now) >= approved.scalar_subquery())
            .order_by(table.c.finished_at.desc().nulls_last(), table.c.id.desc())
            .limit(policy.models.window)
        ).scalars()
    )
    good = sum(outcome in ("successful", "successful_with_issues") for outcome in outcomes)
    share = good / len(outcomes) if outcomes else 1.0
    if share >= policy.models.least_success:
        return
    because = f"{good} of its last {len(outcomes)} changes were successful"
    suspend_model(unit, change.model, because, change=change.id)


def suspend_model(unit: Unit, name: str, because: str, *, change: str | None = None) -> None:
    """Suspend every approved version of a model; the board has to approve it anew."""
    table = schema.model
    done = unit.execute(
        update(table)
        .where(table.c.name == name, table.c.suspended_at.is_(None))
        .values(suspended_at=unit.now, suspended_because=because)
    )
    if done.rowcount:
        unit.append(
            "model.suspended",
            Subject(kind="model", id=name),
            reason="lost_its_credit",
            message=f"{name} is suspended: {because}",
            change=change,
        )
