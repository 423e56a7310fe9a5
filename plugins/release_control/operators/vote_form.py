"""The form of a vote: the plan's six approval criteria, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from release_control.operators.checkpoint import human_task

CHOICES = {"Approve": "approve", "Reject": "reject", "Abstain": "abstain"}

# Plan section 3.2, in its words; the domain (include.changes.voting) knows them by these names.
CRITERIA = {
    "business_justification": "Clear business need",
    "technical_feasibility": "Technically sound implementation",
    "risk_assessment": "Acceptable risk level",
    "resource_availability": "Adequate resources allocated",
    "testing_coverage": "Comprehensive testing plan",
    "rollback_plan": "Viable rollback strategy",
}
JUDGEMENTS = ["not judged", "met", "not met"]


def vote_form(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a human task's arguments with the criteria and the comment."""
    asked = human_task(kwargs)
    criteria = {
        name: Param(
            JUDGEMENTS[0],
            type="string",
            enum=JUDGEMENTS,
            title=name.replace("_", " ").capitalize(),
            description=text,
            source="task",
        )
        for name, text in CRITERIA.items()
    }
    return {**asked, "params": {**criteria, **asked["params"]}}


def voted(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of a vote with exactly the form's fields, whatever the API was handed."""
    given = event.get("params_input") or {}
    comment = given.get("comment")
    form = {name: _judgement(given.get(name)) for name in CRITERIA}
    return {
        **event,
        "params_input": {**form, "comment": "" if comment is None else str(comment)},
    }


def criteria_of(form: Mapping[str, Any]) -> dict[str, str]:
    """Return what was judged."""
    return {name: str(form[name]) for name in CRITERIA if form[name] != JUDGEMENTS[0]}


def _judgement(value: Any) -> str:
    return value if value in JUDGEMENTS else JUDGEMENTS[0]
