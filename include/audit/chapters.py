"""The readable chapters of a pack, each plain data taken from records and from vouched rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.engine import Connection

from include.audit.selection import PackRecord, Selection
from include.documents import Section, load_section
from include.instants import format_instant
from include.ledger import schema
from include.ledger.rows import digests, row_key, state_tables, strangers
from include.settings import Settings

PRODUCTION = "production"
_BATCH = 2000


class _Control(Section):
    feature: str
    events: tuple[str, ...] = Field(min_length=1)
    hipaa: tuple[str, ...] = ()
    nist: tuple[str, ...] = ()
    soc2: tuple[str, ...] = ()
    part11: tuple[str, ...] = ()


class _Controls(Section):
    controls: tuple[_Control, ...] = Field(min_length=1)


def population(connection: Connection, chosen: Selection) -> list[dict[str, Any]]:
    """Return every production deployment of the time, or of the releases, from the deployments'
    side: what has no change, no permit or no vouching record shows as an exception."""
    table, permit = schema.deployment, schema.permit
    services = select(schema.release.c.service).where(schema.release.c.id.in_(chosen.releases))
    staged = table.c.staged_at.between(chosen.since, chosen.until)
    within = staged if chosen.kind == "period" else staged & table.c.service.in_(services)
    rows = connection.execute(
        select(table, schema.release.c.change_id, permit.c.change_id.label("permitted"))
        .outerjoin(schema.release, schema.release.c.id == table.c.release_id)
        .outerjoin(
            permit,
            (permit.c.fence == table.c.fence) & (permit.c.release_id == table.c.release_id),
        )
        .where(table.c.environment == PRODUCTION, within | table.c.release_id.in_(chosen.releases))
        .order_by(table.c.id)
    ).all()
    keys = [row_key(table, id=row.id) for row in rows]
    releases = [
        None if row.release_id is None else row_key(schema.release, id=row.release_id)
        for row in rows
    ]
    permits = [row_key(permit, fence=row.fence) if row.permitted else None for row in rows]
    named = [key for key in (*keys, *releases, *permits) if key is not None]
    alien = set(strangers(connection, named))
    return [
        {
            "row": key,
            "id": row.id,
            "service": row.service,
            "version": row.version,
            "artefact": row.digest,
            "staged_at": format_instant(row.staged_at),
            "release": row.release_id,
            "attempt": row.attempt,
            "change": row.permitted or row.change_id,
            "permit": row.fence if row.permitted else None,
            "exceptions": [
                *(["no_change"] if row.release_id is None or not row.change_id else []),
                *(["no_permit"] if not row.permitted else []),
                *(["not_recorded"] if key in alien else []),
                *(["release_not_recorded"] if of_release in alien else []),
                *(["permit_not_recorded"] if of_permit in alien else []),
            ],
        }
        for key, of_release, of_permit, row in zip(keys, releases, permits, rows, strict=True)
    ]


def changes(connection: Connection, chosen: Selection) -> list[dict[str, Any]]:
    """Return every change with its revisions and what each differs in from the one before; one
    that no record vouches for shows as an exception."""
    change, revision = schema.change, schema.revision
    found = []
    for row in connection.execute(
        select(change).where(change.c.id.in_(chosen.changes)).order_by(change.c.id)
    ).all():
        revisions = connection.execute(
            select(revision).where(revision.c.change_id == row.id).order_by(revision.c.number)
        ).all()
        key = row_key(change, id=row.id)
        keys = [row_key(revision, change_id=row.id, number=item.number) for item in revisions]
        alien = set(strangers(connection, [key, *keys]))
        before: Mapping[str, Any] = {}
        listed = []
        for key_of, item in zip(keys, revisions, strict=True):
            listed.append(
                {
                    "row": key_of,
                    "number": item.number,
                    "content_hash": item.content_hash,
                    "author": item.author,
                    "created_at": format_instant(item.created_at),
                    "content": item.content,
                    "difference": _difference(before, item.content),
                    "exceptions": _stranger(key_of, alien),
                }
            )
            before = item.content
        found.append(
            {
                "row": key,
                "id": row.id,
                "type": row.type,
                "title": row.title,
                "requester": row.requester,
                "release": row.release_id,
                "content_hash": row.content_hash,
                "revisions": listed,
                "exceptions": _stranger(key, alien),
            }
        )
    return found


def notices(connection: Connection, chosen: Selection) -> list[dict[str, Any]]:
    """Return what was said to people; what no record vouches for shows as an exception."""
    table = schema.notice
    threads = [*chosen.releases, *chosen.changes]
    rows = connection.execute(
        select(table)
        .where(table.c.thread.in_(threads), table.c.created_at <= chosen.until)
        .order_by(table.c.id)
    ).all()
    keys = [row_key(table, id=row.id) for row in rows]
    alien = set(strangers(connection, keys))
    return [
        {
            "row": key,
            "id": row.id,
            "event": row.event,
            "thread": row.thread,
            "severity": row.severity,
            "title": row.title,
            "text": row.text,
            "created_at": format_instant(row.created_at),
            "exceptions": _stranger(key, alien),
        }
        for key, row in zip(keys, rows, strict=True)
    ]


def unvouched(connection: Connection, chosen: Selection) -> list[dict[str, Any]]:
    """Return the rows of state that these records vouch for and that are not what their newest
    record says, or are gone: such a row may be missing from the chapter to which it belongs."""
    known = {table.name for table in state_tables()}
    said: dict[str, int] = {}
    for item in chosen.records:
        listed = item.content.get("rows")
        for key, value in listed.items() if isinstance(listed, dict) else ():
            if value is not None and key.partition(" ")[0] in known:
                said[key] = item.seq
    found: list[str] = []
    keys = list(said)
    for start in range(0, len(keys), _BATCH):
        found += strangers(connection, keys[start : start + _BATCH])
    now = digests(connection, found)
    return [
        {
            "row": key,
            "seq": said[key],
            "exceptions": ["gone" if now[key] is None else "not_recorded"],
        }
        for key in found
    ]


def votes(records: Sequence[PackRecord]) -> list[dict[str, Any]]:
    """Return votes and checkpoints with who signed, when, and what it means (21 CFR 11.50)."""
    return [
        {
            **_line(item),
            "meaning": item.content.get("meaning"),
            "auth": item.content["actor"]["auth"],
            "content_hash": item.content["subject"].get("content_hash"),
            "details": item.content.get("details", {}),
        }
        for item in _of(records, "vote", "cab", "checkpoint", "change")
    ]


def gates(records: Sequence[PackRecord]) -> list[dict[str, Any]]:
    """Return every gate's verdict, and what the permit's conditions were."""
    return [
        {**_line(item), "details": item.content.get("details", {})}
        for item in _of(records, "gate", "permit", "backup")
    ]


def deployment_log(records: Sequence[PackRecord]) -> list[dict[str, Any]]:
    """Return every step of building, deploying and going back."""
    return [
        _line(item)
        for item in _of(records, "release", "staging", "window", "deploy", "rollback", "service")
    ]


def controls(settings: Settings, records: Sequence[PackRecord]) -> list[dict[str, Any]]:
    """Return config/controls.yaml with the number of records that speak for each row."""
    label = settings.label("controls.yaml")
    file = load_section(settings.config_file("controls.yaml"), _Controls, name=label)
    return [
        {
            **row.model_dump(mode="json"),
            "records": sum(1 for item in records if _speaks(item.content["event"], row.events)),
        }
        for row in file.controls
    ]


def _speaks(event: str, patterns: Sequence[str]) -> bool:
    return any(
        pattern == "*" or event == pattern or event.startswith(f"{pattern}.")
        for pattern in patterns
    )


def _of(records: Sequence[PackRecord], *families: str) -> Iterator[PackRecord]:
    return (item for item in records if item.content["event"].partition(".")[0] in families)


def _line(item: PackRecord) -> dict[str, Any]:
    content = item.content
    return {
        "seq": item.seq,
        "time": content["time"],
        "event": content["event"],
        "outcome": content["outcome"],
        "reason": content["reason"],
        "by": content["actor"]["name"],
        "user": content["actor"]["user"],
        "message": content["message"],
    }


def _stranger(key: str, alien: Collection[str]) -> list[str]:
    return ["not_recorded"] if key in alien else []


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {"from": before.get(key), "to": after.get(key)}
        for key in sorted({*before, *after})
        if before and before.get(key) != after.get(key)
    }
