"""Whether staging is a place in which a change of these systems could have been tested.

It is where what runs there is what runs in production, or the artefact that the change brings, and
its tests in staging have passed not long ago: the ledger knows that of what trains have put there.
What it does not know it says, for whoever gives their word instead; a test that failed there is a
no, whoever says what.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select

from include.calendar.wall_time import local_text
from include.changes.case import Case
from include.changes.condition import Condition, go, no, unknown
from include.changes.items import TITLES
from include.deploy.deployment import live_deployment
from include.instants import format_duration
from include.ledger import schema
from include.ledger.rows import keys_where, strangers

CODE, TITLE = "checklist.test_environment", TITLES["test_environment"]
STAGING, PRODUCTION, GATE, STEP = "staging", "production", "staging_tests", "test_staging"


def staging_proof(case: Case) -> Condition | str:
    """Return what the ledger knows of staging, or the words that say what it does not know."""
    services = _services(case)
    brought = {system for name in services for system in case.settings.service(name).systems}
    foreign = sorted(set(case.change.systems) - brought)
    if foreign or not services:
        return f"no service of config/services brings {', '.join(foreign) or 'its systems'}"
    said = [_of(case, name) for name in services]
    for condition in said:
        if isinstance(condition, Condition) and condition.verdict != "go":
            return condition
    unsure = [words for words in said if isinstance(words, str)]
    if unsure:
        return "; ".join(unsure)
    proven = "; ".join(item.message for item in said if isinstance(item, Condition))
    return go(CODE, f"{TITLE}: {proven}", "QA lead")


def _services(case: Case) -> list[str]:
    """Return the service that the change names, if that brings all it touches, else all that do."""
    touched, content = set(case.change.systems), case.content
    work, scope = content.get("implementation") or {}, content.get("scope") or {}
    named = scope.get("service") or work.get("service")
    bringing = {name: set(case.settings.service(name).systems) for name in case.settings.services}
    if named in bringing and touched <= bringing[named]:
        return [named]
    return [name for name, systems in bringing.items() if touched & systems]


def _of(case: Case, service: str) -> Condition | str:
    if STAGING not in case.settings.service(service).environments:
        return f"{service} has no staging"
    there = live_deployment(case.connection, service, STAGING)
    if there is None:
        return f"the ledger knows of nothing of {service} in staging"
    runs = f"{service} {there.version} runs in staging"
    if STEP in _failed(case, there):
        return no(CODE, f"{TITLE}: {runs}, and its tests there have failed", "QA lead")
    passed = _gate(case, there)
    if passed is None:
        return f"{runs}, and no tests of it are recorded there"
    if alien := strangers(case.connection, _keys(case, there)):
        message = f"{TITLE}: no record vouches for {alien[0]}: changed behind the ledger"
        return unknown(CODE, message, "security officer")
    other = _other(case, service, there)
    if other is not None:
        return f"{runs}, {other}"
    age, limit = case.now - passed, case.catalogue.policy.test_environment_max_age
    if age > limit:
        return (
            f"{runs}, and was tested {format_duration(age)} ago, at most {format_duration(limit)} "
            "count"
        )
    when = local_text(passed, case.calendar.zone)
    return go(CODE, f"{runs}, and its tests passed there {when}", "QA lead")


def _other(case: Case, service: str, there: Any) -> str | None:
    """Return what else than what matters for the change runs in staging, None where it does not."""
    scope = case.content.get("scope") or {}
    if scope.get("artefact"):
        same = scope["artefact"] == there.digest
        return None if same else f"not the artefact {scope['artefact'][:19]}… of this change"
    if scope.get("commits"):
        return (
            "and this change names commits but no artefact (scope.artefact), so whether that is in "
            "it only somebody who has tried it there can say"
        )
    live = live_deployment(case.connection, service, PRODUCTION)
    if live is None:
        return "and the ledger knows of nothing in production to compare it with"
    return None if live.digest == there.digest else f"and {live.version} in production"


def _failed(case: Case, there: Any) -> set[str]:
    step = schema.step
    rows = case.connection.execute(
        select(step.c.name).where(
            step.c.release_id == there.release_id,
            step.c.attempt == there.attempt,
            step.c.state == "failed",
        )
    )
    return set(rows.scalars())


def _gate(case: Case, there: Any) -> datetime | None:
    gate = schema.gate
    found: datetime | None = case.connection.execute(
        select(gate.c.decided_at)
        .where(
            gate.c.release_id == there.release_id,
            gate.c.attempt == there.attempt,
            gate.c.name == GATE,
            gate.c.digest == there.digest,
            gate.c.verdict == "go",
        )
        .order_by(gate.c.decided_at.desc())
        .limit(1)
    ).scalar()
    return found


def _keys(case: Case, there: Any) -> list[str]:
    gate, deployment = schema.gate, schema.deployment
    spoken = (gate.c.release_id == there.release_id) & (gate.c.name == GATE)
    placed = (deployment.c.service == there.service) & (deployment.c.state == "live")
    return [
        *keys_where(case.connection, gate, spoken),
        *keys_where(case.connection, deployment, placed),
    ]
