"""The trigger form of an audit's answer."""

from __future__ import annotations

from airflow.sdk import Param

_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}.*(Z|[+-][0-9]{2}:[0-9]{2})$"


def audit_form() -> dict[str, Param]:
    """Return the form's fields."""
    return {
        "title": Param(
            type="string",
            title="What is audited",
            description="Like: HIPAA security rule, change management 2026. No patient data.",
            minLength=1,
            maxLength=200,
        ),
        "auditor": Param(
            type="string",
            title="Who audits",
            description="The firm or authority, and the person if there is one",
            minLength=1,
            maxLength=200,
        ),
        "since": Param(
            type="string",
            format="date-time",
            title="From",
            description="The beginning of the time that is looked at",
            pattern=_INSTANT,
        ),
        "until": Param(
            type="string",
            format="date-time",
            title="To",
            description="Its end",
            pattern=_INSTANT,
        ),
    }
