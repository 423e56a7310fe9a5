"""The trigger form of a rollback."""

from __future__ import annotations

from airflow.sdk import Param

from release_control.forms.release import meant
from release_control.services import service_names


def rollback_form() -> dict[str, Param]:
    """Return the form's fields; whether this way back exists is the ledger's word."""
    return {
        "service": Param(
            "hims-api",
            type="string",
            enum=service_names(),
            title="Service",
            description="What to take back: a service of config/services",
        ),
        "version": Param(
            None,
            type=["string", "null"],
            title="Version",
            description="Three numbers like 2.2.0, of a version that has served people. Empty: the "
            "one that served before, or what serves where a failed release has migrated its "
            "database.",
            pattern=r"^(0|[1-9][0-9]{0,5})([.](0|[1-9][0-9]{0,5})){2}$",
            **meant("A version is three numbers like 2.2.0, without a v"),
        ),
        "reason": Param(
            type="string",
            minLength=1,
            maxLength=2000,
            format="multiline",
            title="Reason",
            description="Why. It is kept, and told to all who follow the release: no patient data.",
        ),
        "restore_database": Param(
            False,
            type="boolean",
            title="Restore the database",
            description="Only where migrations leave no other way. Two people other than you vote "
            "on the writes that it costs.",
        ),
    }
