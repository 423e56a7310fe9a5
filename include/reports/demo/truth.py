"""What was made up, as plain data: what anybody needs to recompute every figure without us."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from include.instants import format_instant
from include.reports.demo.history import MadeHistory, MadeRelease


def truth_document(history: MadeHistory, *, seed: int) -> dict[str, Any]:
    """Return the history; instants are UTC texts, None where something has not happened yet."""
    return {
        "seed": seed,
        "from": format_instant(history.start),
        "to": format_instant(history.end),
        "changes": [
            {
                "id": change.id,
                "type": change.type,
                "title": change.title,
                "systems": change.systems,
                "requester": change.requester,
                "service": change.service,
                "way": [[state, format_instant(at)] for state, at in change.way],
                "outcome": change.outcome,
                "rolled_back": change.rolled_back,
                "slot": None
                if change.slot is None or change.at("scheduled") is None
                else [format_instant(at) for at in change.slot],
                "votes": [[seat, format_instant(at)] for seat, at in change.votes],
                "release": None if change.release is None else _release(change.release),
            }
            for change in history.changes
        ],
        "incidents": [
            {
                "id": incident.id,
                "severity": incident.severity,
                "systems": incident.systems,
                "opened": format_instant(incident.opened_at),
                "closed": _text(incident.closed_at),
                "caused_by": incident.caused_by,
            }
            for incident in history.incidents
        ],
    }


def _release(made: MadeRelease) -> dict[str, Any]:
    return {
        "id": made.id,
        "service": made.service,
        "version": made.version,
        "type": made.type,
        "planned": format_instant(made.planned_at),
        "feature_freeze": format_instant(made.feature_freeze),
        "code_freeze": format_instant(made.code_freeze),
        "slot": [format_instant(at) for at in made.slot],
        "commits": [format_instant(at) for at in made.commits],
        "switched": _text(made.switched_at),
        "returned": _text(made.returned_at),
        "canary": made.canary,
        "ended": _text(made.ended_at),
        "measures": [
            {"gate": gate, "measure": name, "value": value, "at": format_instant(at)}
            for gate, name, value, at in made.measures
        ],
    }


def _text(value: datetime | None) -> str | None:
    return None if value is None else format_instant(value)
