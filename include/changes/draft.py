"""From a request to a change's content: names become people, dates instants, files digests."""

from __future__ import annotations

from typing import Any

from include.changes.catalogue import Catalogue
from include.changes.implementation import ManualWork, ModelWork, RunbookWork
from include.changes.request import ChangeRequest
from include.changes.runbook import frozen_steps
from include.changes.standard import Model, filled, load_model, model_digest
from include.changes.words import begins, ends
from include.errors import RequestError
from include.instants import format_duration, format_instant
from include.people import People, Person
from include.privacy.content import objections


def draft(
    request: ChangeRequest, catalogue: Catalogue, *, by: Person, editors: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the content of the change that `request` asks for, in the name of `by`.

    What is implemented is frozen here: a runbook's steps, a model's digest. Raises RequestError
    for parameters that a runbook or a model does not take, ConfigError where its file is bad.
    """
    # What looks like a patient's data is refused before it gets anywhere.
    for path, message in objections(catalogue.known.guard, request.model_dump(mode="json")):
        raise RequestError(f"{'.'.join(str(step) for step in path)}: {message}")
    model = load_model(catalogue.settings, request.model) if request.model else None
    behalf, team = _asked_for(request, catalogue.people)
    impact = request.impact_assessment
    systems = tuple(dict.fromkeys(impact.affected_systems)) or (model.systems if model else ())
    return {
        "title": request.title,
        "type": request.type,
        "priority": request.priority,
        "requester": by.user,
        "team": team,
        "on_behalf_of": behalf if behalf != by.user else None,
        "description": request.description or (model.description if model else None),
        "justification": request.justification,
        "labels": list(request.labels),
        "scope": request.scope.model_dump(mode="json"),
        "affected_systems": list(systems),
        "risk": {
            "level": impact.risk_level or (model.risk_level if model else None),
            "downtime_required": (
                model.downtime_required
                if model and impact.downtime_required is None
                else impact.downtime_required
            ),
            "answers": impact.risks.model_dump(exclude_none=True),
            "controls": impact.controls.model_dump(exclude_none=True),
        },
        "rollback_plan": impact.rollback_plan or (model.rollback_plan if model else None),
        "slot": _slot(request, catalogue, model),
        "implementers": list(request.implementers) or [by.user],
        "implementation": _implementation(request, catalogue, model),
        # Said by nobody it is no part of what is signed: then it holds.
        **({"on_close": request.on_close} if request.on_close else {}),
        "testing": request.testing_requirements.model_dump(exclude_none=True),
        "approvals_required": list(request.approvals_required),
        "model": (
            {
                "name": request.model,
                "version": model.version,
                "digest": model_digest(catalogue.settings, model),
            }
            if model
            else None
        ),
        "parameters": dict(request.parameters),
        "incident": request.incident,
        "retroactive": _retroactive(request, catalogue),
        "editors": list(editors),
        "request": request.model_dump(mode="json", exclude_defaults=True),
    }


def _asked_for(request: ChangeRequest, people: People) -> tuple[str | None, str | None]:
    """Return for whom it is asked, a person or an account that is nobody's yet, and for which team.

    Raises RequestError where the words mean several people.
    """
    behalf: list[str] = []
    teams: list[str] = []
    for words in (request.requester, request.team):
        found = people.claimed(words) if words else None
        if words is None or found is None:
            continue
        meant = [*(person.user for person in found.people), *found.unknown]
        behalf += meant
        teams += [] if meant else [words]
    several = sorted(set(behalf))
    if len(several) > 1:
        raise RequestError(
            f"requester: means {' and '.join(several)}; one person asks for a change, and a team "
            "has a name of its own"
        )
    return (several[0] if several else None), (teams[-1] if teams else None)


def _slot(request: ChangeRequest, catalogue: Catalogue, model: Model | None) -> dict[str, Any]:
    schedule, defaults = request.schedule, catalogue.policy.defaults
    zone = catalogue.calendar.zone
    window = schedule.change_window
    duration = schedule.duration or (model.duration if model else defaults.duration)
    rollback = schedule.rollback or (model.rollback if model else defaults.rollback)
    return {
        "window": catalogue.calendar.window(window).name if window else None,
        "earliest": (
            format_instant(begins(schedule.planned_start, zone)) if schedule.planned_start else None
        ),
        "latest": format_instant(ends(schedule.planned_end, zone))
        if schedule.planned_end
        else None,
        "duration": format_duration(duration),
        "rollback": format_duration(rollback),
    }


def _implementation(
    request: ChangeRequest, catalogue: Catalogue, model: Model | None
) -> dict[str, Any]:
    if model is not None:
        return filled(catalogue.settings, model, request.parameters)
    work = request.implementation
    if work is None or (isinstance(work, ManualWork) and not work.steps):
        # What is done by hand is what is described: it is approved, and no label.
        return {"kind": "manual", "steps": [request.description] if request.description else []}
    content: dict[str, Any] = work.model_dump(mode="json")
    if isinstance(work, RunbookWork):
        content["steps"] = frozen_steps(catalogue.settings, work.runbook, work.parameters)
    if isinstance(work, ModelWork):
        proposed = load_model(catalogue.settings, work.model)
        digest = model_digest(catalogue.settings, proposed)
        content |= {"version": proposed.version, "digest": digest}
    return content


def _retroactive(request: ChangeRequest, catalogue: Catalogue) -> dict[str, Any] | None:
    found = request.retroactive
    if found is None:
        return None
    return {
        "happened_at": format_instant(begins(found.happened_at, catalogue.calendar.zone)),
        "done_by": found.done_by,
        "found_by": found.found_by,
    }
