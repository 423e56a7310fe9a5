"""Roles of config/people.yaml as Airflow permissions.

Airflow's own `user` role may force any task to success, edit XComs and clear runs. Here only an
administrator may; every such act is recorded (`access/api_writes.py`), and the permit stands
against it still.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

from release_control.access.directory import Directory


class ReleaseAuthManager(SimpleAuthManager):
    """Human tasks go to the groups of config/; forced outcomes to nobody but administrators."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._directory = Directory()

    def is_authorized_hitl_task(
        self, *, assigned_users: set[str], user: SimpleAuthManagerUser
    ) -> bool:
        """Return whether `user` is assigned, by sign-in or through `group:<name>`, today."""
        if self._directory.may(user.get_id(), "read_everything"):
            return False
        names = {user.get_id()}
        for group in self._directory.groups(user.get_id(), datetime.now(UTC)):
            names.add(f"group:{group}")
        return bool(names & set(assigned_users))

    def is_authorized_dag(
        self,
        *,
        method: Any,
        user: SimpleAuthManagerUser,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        """Return Airflow's own answer, except that writing to runs, task instances, XComs and the
        Dag itself is an administrator's; who may release, or roll back, starts the run of that,
        and whoever we know starts an incident's: it cannot wait for a release manager."""
        allowed = super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
        if self._directory.may(user.get_id(), "read_everything"):
            return allowed and method == "GET"
        if not allowed or method == "GET":
            return allowed
        if (user.role or "").upper() == "ADMIN":
            return True
        if access_entity is DagAccessEntity.HITL_DETAIL:
            return True
        if access_entity is DagAccessEntity.RUN and method == "POST":
            if details is not None and details.id == "incident":
                return self._directory.knows(user.get_id())
            back = details is not None and details.id == "rollback"
            return self._directory.may(user.get_id(), "roll_back" if back else "start_release")
        return False

    def is_authorized_configuration(self, **asked: Any) -> bool:
        """Return Airflow's own answer, except that auditors read it, too, and change nothing."""
        return self._for_auditors(super().is_authorized_configuration(**asked), **asked)

    def is_authorized_connection(self, **asked: Any) -> bool:
        """Return Airflow's own answer, except that auditors see which there are; Airflow shows
        nobody their secrets."""
        return self._for_auditors(super().is_authorized_connection(**asked), **asked)

    def is_authorized_pool(self, **asked: Any) -> bool:
        """Return Airflow's own answer, except that auditors read them, too, and change nothing."""
        return self._for_auditors(super().is_authorized_pool(**asked), **asked)

    def is_authorized_variable(self, **asked: Any) -> bool:
        """Return Airflow's own answer, except that auditors read them, too, and change nothing."""
        return self._for_auditors(super().is_authorized_variable(**asked), **asked)

    def is_authorized_asset(self, **asked: Any) -> bool:
        """Return Airflow's own answer, except that auditors read them, too, and change nothing."""
        return self._for_auditors(super().is_authorized_asset(**asked), **asked)

    def is_authorized_asset_alias(self, **asked: Any) -> bool:
        """Return Airflow's own answer, except that auditors read them, too, and change nothing."""
        return self._for_auditors(super().is_authorized_asset_alias(**asked), **asked)

    def is_authorized_custom_view(self, **asked: Any) -> bool:
        """Return Airflow's own answer to those who look; a viewer changes nothing in a view of a
        plugin either (Airflow itself would let them, whatever the method)."""
        allowed: bool = super().is_authorized_custom_view(**asked)
        viewer = (asked["user"].role or "").upper() == "VIEWER"
        if viewer and asked["method"] != "GET":
            return False
        return self._for_auditors(allowed, **asked)

    def get_fastapi_middlewares(self) -> list[Any]:
        """Return none: the mode in which everybody is an administrator does not exist here."""
        return []

    def _for_auditors(self, allowed: bool, **asked: Any) -> bool:
        if not self._directory.may(asked["user"].get_id(), "read_everything"):
            return allowed
        return bool(asked["method"] == "GET")
