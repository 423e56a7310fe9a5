"""The trigger form of an incident."""

from __future__ import annotations

from airflow.sdk import Param


def incident_form() -> dict[str, Param]:
    """Return the form's fields."""
    return {
        "title": Param(
            type="string",
            title="What is wrong",
            description="In one line. No patient data.",
            minLength=1,
            maxLength=200,
        ),
        "severity": Param(
            "P2",
            type="string",
            enum=["P1", "P2", "P3", "P4"],
            title="Severity",
            description="P1 down, data lost or breached; P2 major function broken; P3 minor; "
            "P4 cosmetic",
        ),
        "systems": Param(
            type="array",
            items={"type": "string"},
            minItems=1,
            title="Systems",
            description="By their names in config/systems.yaml, one a line",
        ),
    }
