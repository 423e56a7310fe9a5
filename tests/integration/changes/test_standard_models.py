"""Standard models: what fits one needs no vote, and whatever leaves its bounds does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from include.changes.change import Change
from include.changes.ruling import Ruling
from include.changes.standing import watch_model
from include.errors import ConfigError
from include.ledger import schema
from tests.integration.changes.office import Office, merged
from tests.integration.train.paper import spoil

FLAG: dict[str, Any] = {
    "type": "standard", "model": "telemedicine-flag", "parameters": {"value": True},
    "approvals_required": None,
    "impact_assessment": {
        "affected_systems": ["api"], "risk_level": None, "rollback_plan": None,
        "downtime_required": None,
    },
}  # fmt: skip
CACHE = """\
title: Restart one node of the cache
version: 1
description: Restarts it.
systems: [cache]
risk_level: low
rollback_plan: The old process is started again.
duration: 5m
rollback: 5m
parameters:
  node1: {description: the node, pattern: "cache-[0-9]{1,2}"}
implementation: {kind: runbook, runbook: restart-cache, parameters: {node: "{node1}"}}
"""


def approve(office: Office, model: str) -> None:
    proposal = {"kind": "model", "model": model}
    change, _ = office.submit(
        implementation=proposal, impact_assessment={"affected_systems": ["network"]}
    )
    assert office.approve(change).state == "scheduled"


def standard(office: Office, **changed: Any) -> tuple[Change, Ruling]:
    return office.submit(**merged(FLAG, changed))


@pytest.fixture
def cache(office: Office) -> Office:
    """Return an office whose board has approved a model that follows a runbook."""
    office.settings.config_file("models/cache.yaml").write_text(CACHE)
    approve(office, "cache")
    return office


def of_cache(office: Office) -> tuple[Change, Ruling]:
    asked = merged(FLAG, {"model": "cache", "impact_assessment": {"affected_systems": ["cache"]}})
    return office.submit(**{**asked, "parameters": {"node1": "cache-7"}})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"impact_assessment": {"risk_level": "critical"}}, "is of critical risk"),
        (
            {"impact_assessment": {"risks": {"data_loss": "high"}}},
            "is of critical risk by its own answers, and the model of low",
        ),
        ({"schedule": {"duration": "1h"}}, "plans 1h for the work, and the model 5m"),
        ({"schedule": {"rollback": "1s"}}, "plans 1s for the way back, and the model 5m"),
        (
            {"scope": {"commits": ["a" * 40], "authors": ["mei@tan.example"]}},
            "brings code (scope)",
        ),
        ({"approvals_required": ["security_officer"]}, "asks for the approval of security officer"),
    ],
)
def test_what_leaves_the_bounds_of_its_model_does_not_go_without_a_vote(
    office: Office, changed: dict[str, Any], said: str
) -> None:
    approve(office, "telemedicine-flag")
    assert standard(office)[0].state == "scheduled"
    change, ruling = standard(office, **changed)
    assert (change.state, ruling.reason) == ("assessing", "model")
    assert said in ruling.message


def test_answering_as_silence_would_be_read_is_no_reason_for_a_vote(office: Office) -> None:
    approve(office, "telemedicine-flag")
    risks = dict.fromkeys(("data_loss", "user_impact", "breaking_changes"), "low")
    assert standard(office, impact_assessment={"risks": risks})[0].state == "scheduled"


def test_a_model_that_follows_a_runbook_is_implemented_by_its_frozen_steps(cache: Office) -> None:
    change, _ = of_cache(cache)
    assert change.state == "scheduled"
    steps = change.content["implementation"]["steps"]
    assert steps[1]["run"][-1] == "print('restarting', 'cache-7')"
    assert steps[1]["undo"] is not None


def test_whoever_edits_the_runbook_of_a_model_asks_the_board_anew(cache: Office) -> None:
    spoil(cache.settings.config_file("runbooks/restart-cache.yaml"), "restarting", "removing")
    change, ruling = of_cache(cache)
    assert change.state == "assessing"
    assert "the board has not approved cache version 1 as it is now" in ruling.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("runbook: restart-cache", "runbook: restart-cash", 'did you mean "restart-cache"?'),
        ("{node: ", "{nod: ", "parameters.node: is missing"),
        ("{node1}", "{node}", "nothing in it takes node1"),
        ("systems: [cache]", "systems: [cahce]", 'did you mean "cache"?'),
        ('pattern: "cache-[0-9]{1,2}"', "least: 5, most: 1", "no number is from 5 to 1"),
        ('pattern: "cache-[0-9]{1,2}"', "least: 5", "bound it by exactly one of"),
        (
            'kind: runbook, runbook: restart-cache, parameters: {node: "{node1}"}',
            'kind: model, model: "{node1}"',
            "approved by the board, never by a model",
        ),
    ],
)
def test_a_model_that_nothing_could_follow_is_not_put_before_the_board(
    office: Office, old: str, new: str, said: str
) -> None:
    office.settings.config_file("models/cache.yaml").write_text(CACHE.replace(old, new))
    with pytest.raises(ConfigError) as refused:
        office.submit(implementation={"kind": "model", "model": "cache"})
    (problem,) = refused.value.problems
    assert problem.key == "implementation.model"
    assert said in problem.message


def test_no_smaller_quorum_approves_a_model(office: Office) -> None:
    office.incident("INC-1", "P1", "frontend")
    with pytest.raises(ConfigError, match=r"kind: a model is approved by the board"):
        office.submit(
            type="emergency", incident="INC-1",
            implementation={"kind": "model", "model": "telemedicine-flag"},
        )  # fmt: skip


def test_what_a_standard_change_would_do_besides_its_model_is_told(office: Office) -> None:
    with pytest.raises(ConfigError, match="is what the standard model says"):
        standard(office, implementation={"kind": "dag", "dag_id": "x", "conf": {}})


def ended(office: Office, outcome: str) -> Change:
    """Let one more standard change have ended, at the present."""
    change, ruling = standard(office)
    assert change.state == "scheduled", ruling.message
    desk = office.desk("olga")
    with desk.unit() as unit:
        unit.execute(
            update(schema.change)
            .where(schema.change.c.id == change.id)
            .values(outcome=outcome, finished_at=unit.now)
        )
        watch_model(unit, desk.load(change.id), desk.catalogue.policy)
        unit.append("test.ended", change.subject, message=outcome)
    return change


def test_what_failed_before_the_board_approved_a_model_anew_is_not_held_against_it(
    office: Office,
) -> None:
    approve(office, "telemedicine-flag")
    ended(office, "failed")
    _, ruling = standard(office)
    assert "is suspended: 0 of its last 1 changes were successful" in ruling.message
    office.clock.now += timedelta(hours=1)
    approve(office, "telemedicine-flag")
    ended(office, "successful")
    assert standard(office)[0].state == "scheduled"
