"""A change request from a trigger form or a run's conf: a file under config/changes, or fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from include.changes.catalogue import Catalogue
from include.changes.request import ChangeRequest, load_request, read_request
from include.errors import RequestError, did_you_mean


def request_of(conf: Mapping[str, Any], catalogue: Catalogue) -> ChangeRequest:
    """Return the request; ConfigError with all that is wrong, RequestError for no such file.

    `file` names a file under config/changes. `request` is a whole request as JSON. Else the form's
    own fields make one.
    """
    settings = catalogue.settings
    name = conf.get("file")
    if name:
        known = sorted(path.name for path in settings.config_file("changes").glob("*.yaml"))
        if name not in known:
            raise RequestError(
                f'there is no file "{str(name)[:60]}" under config/changes'
                f"{did_you_mean(str(name)[:60], known)}"
            )
        relative = f"changes/{name}"
        return load_request(
            settings.config_file(relative), catalogue.known, name=settings.label(relative)
        )
    given = conf.get("request")
    data = dict(given) if isinstance(given, Mapping) and given else _fields(conf)
    # Half a character, which JSON can say and UTF-8 cannot, is told as any other wrong byte is.
    raw = json.dumps(data, ensure_ascii=False).encode(errors="surrogatepass")
    return read_request(raw, "form", catalogue.known)


def _fields(conf: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form's fields in the shape of the plan's template; empty ones are left out."""
    return _filled(
        {
            "title": conf.get("title"),
            "type": conf.get("type"),
            "priority": conf.get("priority"),
            "requester": conf.get("team"),
            "description": conf.get("description"),
            "justification": conf.get("justification"),
            "incident": conf.get("incident"),
            "impact_assessment": {
                "risk_level": conf.get("risk_level"),
                "affected_systems": conf.get("affected_systems"),
                "downtime_required": conf.get("downtime_required"),
                "rollback_plan": conf.get("rollback_plan"),
            },
            "schedule": {
                "planned_start": conf.get("planned_start"),
                "planned_end": conf.get("planned_end"),
                "change_window": conf.get("change_window"),
            },
            "approvals_required": conf.get("approvals_required"),
            "implementers": conf.get("implementers"),
            "implementation": conf.get("implementation"),
            "on_close": conf.get("on_close"),
        }
    )


def _filled(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        key: _filled(value) if isinstance(value, Mapping) and key != "implementation" else value
        for key, value in data.items()
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}
