"""The trigger form of a change request: the plan's template as fields."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param


def change_form() -> dict[str, Param]:
    """Return the form's fields; whether the values make sense is the request's word."""
    return {
        "title": _text("Title", "What is to be done, in one line"),
        "type": Param(
            "normal",
            type="string",
            enum=["standard", "normal", "major", "emergency", "retroactive"],
            title="Type",
        ),
        "priority": Param(
            "normal", type="string", enum=["critical", "high", "normal", "low"], title="Priority"
        ),
        "team": _text("Team", "Who asks, beside yourself"),
        "description": _text("Description", "What and why; no patient data", long=True),
        "justification": _text("Justification", "The business need; for major changes", long=True),
        "affected_systems": _list("Affected systems", "One per line, of config/systems.yaml"),
        "risk_level": Param(
            None,
            type=["string", "null"],
            enum=["low", "medium", "high", "critical", None],
            title="Risk level",
            description="As you see it; the higher of this and the computed one holds",
        ),
        "downtime_required": Param(False, type="boolean", title="Downtime required"),
        "rollback_plan": _text("Rollback plan", "The way back", long=True),
        "planned_start": _text("Planned start", "A date like 2026-12-05, or an instant"),
        "planned_end": _text("Planned end", "A date is the whole day"),
        "change_window": _text("Change window", "Like Saturday 2-4 AM; empty: any"),
        "approvals_required": _list("Approvals required", "Seats of the board, one per line"),
        "implementers": _list("Implementers", "Sign-ins, one per line; empty: yourself"),
        "incident": _text("Incident", "For emergencies, like INC-7"),
        "implementation": Param(
            None,
            type=["object", "null"],
            title="Implementation",
            description="What implements it, like {kind: runbook, runbook: restart-cache, …}",
        ),
        "on_close": Param(
            None,
            type=["string", "null"],
            enum=["finish", "hold", "roll_back", None],
            title="If its window closes on it",
            description="Finish after it, hold before its next step, or lead it back; empty: hold",
        ),
        "file": _text("File", "A file under config/changes, instead of all the fields above"),
        "request": Param(
            None,
            type=["object", "null"],
            title="Request",
            description="A whole request as JSON, instead of all the fields above",
        ),
    }


def _text(title: str, description: str, *, long: bool = False) -> Param:
    extra: dict[str, Any] = {"format": "multiline"} if long else {}
    return Param(None, type=["string", "null"], title=title, description=description, **extra)


def _list(title: str, description: str) -> Param:
    return Param(None, type=["array", "null"], title=title, description=description)
