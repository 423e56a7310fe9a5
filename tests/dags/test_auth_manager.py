"""Who may do what in Airflow: roles of config/people.yaml, and the day's seats."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import time_machine
from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

from release_control.auth_manager import ReleaseAuthManager
from tests.unit.config_copy import ConfigCopy

METHODS: tuple[str, ...] = get_args(ResourceMethod)
ENTITIES = (None, *DagAccessEntity)
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigCopy:
    made = ConfigCopy(tmp_path / "config")
    monkeypatch.setenv("HIMS_CONFIG", str(made.directory))
    return made


@pytest.fixture
def manager(config: ConfigCopy) -> ReleaseAuthManager:
    return ReleaseAuthManager()


def somebody(user: str, role: str) -> SimpleAuthManagerUser:
    return SimpleAuthManagerUser(username=user, role=role, teams=None)


def may(
    manager: ReleaseAuthManager,
    user: str,
    role: str,
    method: str,
    entity: DagAccessEntity | None,
    dag_id: str = "release_train",
) -> bool:
    allowed: Any = manager.is_authorized_dag(
        method=method,
        user=somebody(user, role),
        access_entity=entity,
        details=DagDetails(id=dag_id),
    )
    assert allowed is True or allowed is False
    return allowed


def expected(user: str, role: str, method: str, entity: DagAccessEntity | None) -> bool:
    """Say what the design says: everybody reads; whoever is asked answers; release managers start
    runs; only administrators write anything else."""
    if method == "GET" or role == "admin":
        return True
    if role == "viewer":
        return False
    if entity is DagAccessEntity.HITL_DETAIL:
        return True
    return user == "rita" and entity is DagAccessEntity.RUN and method == "POST"


@pytest.mark.parametrize(
    ("user", "role"),
    [
        ("admin", "admin"),
        ("rita", "user"),
        ("sam", "user"),
        ("olga", "op"),
        ("dana", "user"),
        ("devi", "viewer"),
        ("audra", "viewer"),
        ("stranger", "user"),
        ("stranger", "op"),
    ],
)
def test_every_method_on_every_part_of_a_dag(
    manager: ReleaseAuthManager, user: str, role: str
) -> None:
    for spelled in (role, role.upper()):
        for entity in ENTITIES:
            for method in METHODS:
                allowed = may(manager, user, spelled, method, entity)
                assert allowed is expected(user, role, method, entity), (user, role, method, entity)


def test_an_incident_waits_for_no_release_manager(manager: ReleaseAuthManager) -> None:
    def starts(user: str, role: str, entity: DagAccessEntity = DagAccessEntity.RUN) -> bool:
        return may(manager, user, role, "POST", entity, "incident")

    assert starts("dana", "user")
    assert starts("olga", "op")
    assert not starts("devi", "viewer")
    assert not starts("audra", "viewer")
    assert not starts("stranger", "user")
    assert not starts("dana", "user", DagAccessEntity.TASK_INSTANCE)


def test_a_role_that_is_none_may_nothing(manager: ReleaseAuthManager) -> None:
    for entity in ENTITIES:
        assert not may(manager, "rita", "", "POST", entity)
        assert not may(manager, "rita", "", "GET", entity)


@pytest.mark.parametrize(
    ("user", "role", "allowed"),
    [
        ("admin", "admin", True),
        ("olga", "op", True),
        ("rita", "user", False),
        ("devi", "viewer", False),
    ],
)
def test_connections_and_variables_are_for_operators(
    manager: ReleaseAuthManager, user: str, role: str, allowed: bool
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        person: Any = somebody(user, role)
        assert manager.is_authorized_connection(method=method, user=person) is allowed
        assert manager.is_authorized_variable(method=method, user=person) is allowed


def answers(manager: ReleaseAuthManager, user: str, *assigned: str) -> bool:
    return manager.is_authorized_hitl_task(
        assigned_users=set(assigned), user=somebody(user, "user")
    )


@pytest.mark.parametrize(
    ("user", "assigned", "allowed"),
    [
        ("sam", ("group:security_officer",), True),
        ("oscar", ("group:security_officer",), True),
        ("priya", ("group:security_officer",), False),
        ("rita", ("group:release_manager", "group:operations_manager"), True),
        ("olga", ("group:release_manager", "group:operations_manager"), True),
        ("quinn", ("group:release_manager", "group:operations_manager"), False),
        ("oscar", ("oscar",), True),
        ("sam", ("oscar",), False),
        ("admin", ("group:security_officer",), False),
        ("admin", ("nobody",), False),
        ("stranger", ("group:security_officer",), False),
        ("group:security_officer", ("security_officer",), False),
        ("sam", ("security_officer",), False),
        ("sam", (), False),
    ],
)
def test_a_human_task_is_for_its_groups_and_names(
    manager: ReleaseAuthManager, user: str, assigned: tuple[str, ...], allowed: bool
) -> None:
    with time_machine.travel(NOW, tick=False):
        assert answers(manager, user, *assigned) is allowed


def test_a_delegate_is_in_the_group_on_their_days(config: ConfigCopy) -> None:
    seat = "delegates: [{person: oscar}]}\n  operations_manager"
    dated = "oscar, since: 2026-12-01, until: 2026-12-02"
    config.replace("approvals.yaml", seat, seat.replace("oscar", dated))
    manager = ReleaseAuthManager()
    for instant, allowed in [
        (datetime(2026, 12, 1, 4, 59, tzinfo=UTC), False),
        (datetime(2026, 12, 1, 5, 0, tzinfo=UTC), True),
        (datetime(2026, 12, 3, 4, 59, tzinfo=UTC), True),
        (datetime(2026, 12, 3, 5, 0, tzinfo=UTC), False),
    ]:
        with time_machine.travel(instant, tick=False):
            assert answers(manager, "oscar", "group:security_officer") is allowed, instant
            assert answers(manager, "sam", "group:security_officer")


def test_a_delegate_who_is_entered_today_counts_without_a_restart(
    config: ConfigCopy, manager: ReleaseAuthManager
) -> None:
    assert not answers(manager, "mei", "group:security_officer")
    config.replace("approvals.yaml", "holder: sam", "holder: mei")
    assert answers(manager, "mei", "group:security_officer")
    assert not answers(manager, "sam", "group:security_officer")


@pytest.mark.parametrize("how", ["broken approvals", "broken people", "gone", "no directory"])
def test_configuration_that_cannot_be_used_grants_nothing_until_it_is_put_right(
    config: ConfigCopy, manager: ReleaseAuthManager, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    assert answers(manager, "sam", "group:security_officer")
    before = {
        name: (config.directory / name).read_text() for name in ("people.yaml", "approvals.yaml")
    }
    if how == "broken approvals":
        config.write("approvals.yaml", "seats: [")
    elif how == "broken people":
        config.write("people.yaml", "people: {}\n")
    elif how == "gone":
        (config.directory / "people.yaml").unlink()
    else:
        monkeypatch.setenv("HIMS_CONFIG", str(config.directory / "gone"))
    assert not answers(manager, "sam", "group:security_officer")
    assert not may(manager, "rita", "user", "POST", DagAccessEntity.RUN)
    assert may(manager, "audra", "viewer", "GET", DagAccessEntity.RUN)
    monkeypatch.setenv("HIMS_CONFIG", str(config.directory))
    for name, text in before.items():
        config.write(name, text)
    assert answers(manager, "sam", "group:security_officer")
    assert may(manager, "rita", "user", "POST", DagAccessEntity.RUN)


def questions(manager: ReleaseAuthManager, user: Any, method: str) -> dict[str, bool]:
    """Ask everything that Airflow may ask about one method."""
    entities = {
        f"dag {entity}": manager.is_authorized_dag(
            method=method, user=user, access_entity=entity, details=DagDetails(id="release_train")
        )
        for entity in ENTITIES
    }
    asked: Any = {"method": method, "user": user}
    return {
        **entities,
        "configuration": manager.is_authorized_configuration(**asked),
        "connection": manager.is_authorized_connection(**asked),
        "asset": manager.is_authorized_asset(**asked),
        "alias": manager.is_authorized_asset_alias(**asked),
        "pool": manager.is_authorized_pool(**asked),
        "variable": manager.is_authorized_variable(**asked),
        "custom": manager.is_authorized_custom_view(resource_name="console", **asked),
    }


@pytest.mark.parametrize("role", ["viewer", "user", "op", "admin"])
def test_an_auditor_reads_everything_and_changes_nothing(
    manager: ReleaseAuthManager, role: str
) -> None:
    """Also with a wider access level than the matrix gives: a token of last week may bear one."""
    auditor = somebody("audra", role)
    for method in METHODS:
        answers = questions(manager, auditor, method)
        assert set(answers.values()) == {method == "GET"}, (method, answers)
    for view in AccessView:
        assert manager.is_authorized_view(access_view=view, user=auditor)
    assert not manager.is_authorized_hitl_task(assigned_users={"audra"}, user=auditor)
    assert not manager.is_authorized_hitl_task(assigned_users={"group:auditor"}, user=auditor)


def test_nothing_that_airflow_may_ask_is_left_to_its_own_opinion_of_auditors() -> None:
    """A new kind of question in a new Airflow has to be answered for auditors, too."""
    asked = {name for name in dir(SimpleAuthManager) if name.startswith("is_authorized_")}
    assert asked - set(vars(ReleaseAuthManager)) == {
        "is_authorized_view",  # reading only
        "is_authorized_team",  # which teams somebody is in
    }


@pytest.mark.parametrize("user", ["devi", "steve"])
def test_other_viewers_change_nothing_either(manager: ReleaseAuthManager, user: str) -> None:
    for method in set(METHODS) - {"GET"}:
        assert set(questions(manager, somebody(user, "viewer"), method).values()) == {False}


def test_there_is_no_mode_in_which_everybody_is_an_administrator(
    manager: ReleaseAuthManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    assert manager.get_fastapi_middlewares() == []
    assert not answers(manager, "rita", "group:security_officer")
