"""Notices that policy has changed, at the moment when something is decided by it.

Whoever decides calls `note_policies` in the unit of work that records the decision. A file that is
not as the ledger last saw it becomes a record before the decision does: its hashes, what differs,
who wrote it. Delegations, waivers and roles that came or went are records of their own. The texts
themselves lie outside of the tree, under their hashes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from include.errors import ReleaseControlError
from include.ledger import Actor, Ledger, Outcome, Source, Subject, Unit, schema
from include.ledger.kept_text import keep_text, kept_text
from include.people import People, load_people
from include.policies.authorship import Authorship, authorship
from include.policies.files import PolicyFile, policy_files, policy_hash
from include.settings import Settings

# The space of the advisory lock under which a change of policy is noted.
_NOTING = 7306
_LONGEST = 4000


def note_policies(unit: Unit, settings: Settings) -> str:
    """Record whatever has changed under config/ since the ledger last looked; return the hash of
    all policy as it is now, which the unit's further records bear."""
    now = policy_files(settings)
    unit.policy_hash = policy_hash(now)
    if _differences(unit.connection, now):
        unit.execute(select(func.pg_advisory_xact_lock(_NOTING)))
        # Anew under the lock: somebody else may have noted it meanwhile.
        people = _people(settings)
        for name in _differences(unit.connection, now):
            _note(unit, settings, name, now.get(name), people)
    return unit.policy_hash


def _differences(connection: Connection, now: Mapping[str, PolicyFile]) -> list[str]:
    before = {row.name: row.sha256 for row in connection.execute(select(schema.policy_file))}
    after = {name: file.sha256 for name, file in now.items()}
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _note(
    unit: Unit, settings: Settings, name: str, file: PolicyFile | None, people: People | None
) -> None:
    table = schema.policy_file
    before = unit.row(select(table).where(table.c.name == name))
    known = before is not None and before.sha256 is not None
    old = (kept_text(unit.connection, before.sha256) or "") if before is not None and known else ""
    new = file.text if file is not None else ""
    values = {
        "name": name,
        "sha256": file.sha256 if file is not None else None,
        "noted_at": unit.now,
    }
    statement = insert(table).values(**values)
    unit.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
    if file is not None:
        keep_text(unit, new, digest=file.sha256)
    label = settings.label(name)
    event = "policy.removed" if file is None else "policy.changed" if known else "policy.loaded"
    by = authorship(settings.config_file(name), people)
    _append(unit, event, label, before.sha256 if before is not None else None, file, by, old, new)
    if not known:
        # What was there before we looked is in the file; nobody has just made it.
        return
    for note in (*_delegations(name, old, new), *_waivers(name, old, new), *_roles(name, old, new)):
        unit.append(
            note.event,
            Subject(kind=note.kind, id=note.id),
            outcome=_outcome(by),
            reason=by.reason,
            message=f"{note.message}, by {by.words}",
            difference=note.difference,
            details=_author(by),
            actor=_actor(by),
        )


def _append(
    unit: Unit,
    event: str,
    label: str,
    before: str | None,
    file: PolicyFile | None,
    by: Authorship,
    old: str,
    new: str,
) -> None:
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
    added = sum(line.startswith("+") for line in lines)
    removed = sum(line.startswith("-") for line in lines)
    verb = {"policy.loaded": "is in force", "policy.removed": "is gone"}.get(event, "has changed")
    details: dict[str, Any] = {"lines_added": added, "lines_removed": removed, **_author(by)}
    if event == "policy.changed":
        details["changed_lines"] = "\n".join(lines)[:_LONGEST]
    unit.append(
        event,
        Subject(kind="policy", id=label, content_hash=file.sha256 if file is not None else None),
        outcome=_outcome(by) if event != "policy.loaded" else Outcome.SUCCESS,
        reason=by.reason,
        message=f"{label} {verb} (+{added} −{removed} lines), by {by.words}",
        difference={"content": {"from": before, "to": file.sha256 if file is not None else None}},
        details=details,
        actor=_actor(by) if event != "policy.loaded" else None,
    )


def _actor(by: Authorship) -> Actor:
    """Return whoever wrote it: git says so, or nobody does."""
    if by.name is None or by.email is None:
        return Actor(user="unknown", name="unknown", auth="none")
    return Actor(user=by.user or by.email, name=by.name, auth="git")


def _outcome(by: Authorship) -> Outcome:
    """Return how a change of policy stands: nobody knows who did it, or the wrong person did."""
    return {
        "by_policy_editor": Outcome.SUCCESS,
        "by_no_policy_editor": Outcome.FAILURE,
    }.get(by.reason, Outcome.UNKNOWN)


def _author(by: Authorship) -> dict[str, Any]:
    known = {"commit": by.commit, "author": by.name, "email": by.email, "user": by.user}
    return {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """What a difference in a file means."""

    event: str
    kind: str
    id: str
    message: str
    difference: Mapping[str, Any]


def _delegations(name: str, old: str, new: str) -> Iterator[_Note]:
    if name != "approvals.yaml":
        return
    before, after = _delegates(old), _delegates(new)
    for seat, person in sorted({*before, *after}):
        was, now = before.get((seat, person)), after.get((seat, person))
        if was == now:
            continue
        verb = "ended" if now is None else "changed" if was is not None else "made"
        days = now if now is not None else was
        yield _Note(
            event=f"delegation.{verb}",
            kind="seat",
            id=seat,
            message=f"{person} may speak for {seat} ({days}): delegation {verb}",
            difference={"days": {"from": was, "to": now}},
        )


def _delegates(text: str) -> dict[tuple[str, str], str]:
    seats = _section(text, "seats")
    return {
        (str(seat), str(item.get("person"))): f"{item.get('since') or 'always'} to "
        f"{item.get('until') or 'further notice'}"
        for seat, given in seats.items()
        if isinstance(given, dict)
        for item in given.get("delegates") or ()
        if isinstance(item, dict)
    }


def _waivers(name: str, old: str, new: str) -> Iterator[_Note]:
    if name != "releases.yaml":
        return
    before, after = _exceptions(old), _exceptions(new)
    for commit in sorted({*before, *after}):
        was, now = before.get(commit), after.get(commit)
        if was == now:
            continue
        verb = "withdrawn" if now is None else "changed" if was is not None else "granted"
        given = now or was or {}
        yield _Note(
            event=f"waiver.{verb}",
            kind="commit",
            id=commit,
            message=f"waiver {verb}: {commit[:12]} may enter in spite of a freeze "
            f"(owner {given.get('owner')}, until {given.get('expires')})",
            difference={"waiver": {"from": was, "to": now}},
        )


def _exceptions(text: str) -> dict[str, dict[str, str]]:
    listed = _section(text, "freeze").get("exceptions")
    return {
        str(item.get("commit")): {str(key): str(value) for key, value in item.items()}
        for item in (listed if isinstance(listed, list) else ())
        if isinstance(item, dict)
    }


def _roles(name: str, old: str, new: str) -> Iterator[_Note]:
    if name != "people.yaml":
        return
    before, after = _people_roles(old), _people_roles(new)
    for user in sorted({*before, *after}):
        was, now = before.get(user), after.get(user)
        if was == now:
            continue
        yield _Note(
            event="access.changed",
            kind="person",
            id=user,
            message=f"{user} had {', '.join(was or ()) or 'no roles'} "
            f"and has {', '.join(now or ()) or 'none'}",
            difference={"roles": {"from": was, "to": now}},
        )


def _people_roles(text: str) -> dict[str, list[str]]:
    return {
        str(user): [str(role) for role in given.get("roles") or ()]
        for user, given in _section(text, "people").items()
        if isinstance(given, dict)
    }


def _section(text: str, name: str) -> dict[Any, Any]:
    """Return a section of a file that may be anything: what cannot be read grants nothing."""
    try:
        found = yaml.safe_load(text).get(name)
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _people(settings: Settings) -> People | None:
    try:
        return load_people(settings)
    except ReleaseControlError:
        return None


def look(ledger: Ledger, settings: Settings, actor: Actor, source: Source, now: datetime) -> str:
    """Record what has changed, if anything has, and return the hash of all policy as it is."""
    files = policy_files(settings)
    with ledger.read() as connection:
        unchanged = not _differences(connection, files)
    if unchanged:
        return policy_hash(files)
    try:
        with ledger.write(actor, source, now) as unit:
            unit.execute(select(func.pg_advisory_xact_lock(_NOTING)))
            if not _differences(unit.connection, files):
                raise _NotedMeanwhileError  # noqa: TRY301
            return note_policies(unit, settings)
    except _NotedMeanwhileError:
        return policy_hash(files)


class _NotedMeanwhileError(Exception):
    """Leaves a unit of work in which there is nothing left to note."""
