"""Metrics at the edges: nothing, one change, several incidents on one deployment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.calendar.wall_time import Span
from include.reports.facts import ChangeFact, DeploymentFact, Facts, IncidentFact
from include.reports.metrics.metric import quantile
from include.reports.metrics.scorecard import score

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
AT = datetime(2026, 11, 7, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOTHING = Facts(start=START, end=END, as_of=None, service=None, observed=72 * HOUR)


def change(**changed: object) -> ChangeFact:
    made = ChangeFact(
        id="CHG-000001",
        type="normal",
        title="Renew certificates",
        service=None,
        systems=("api",),
        requester="sam",
        release=None,
        opened_at=AT - timedelta(days=3),
        started_at=AT,
        finished_at=AT + HOUR,
        ended_at=AT + 3 * HOUR,
        ended="closed",
        outcome="successful",
        rolled_back=False,
        slot=Span(AT, AT + 2 * HOUR),
        window="standard",
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def incident(number: int, severity: str = "P2") -> IncidentFact:
    return IncidentFact(
        id=f"INC-{number:06d}",
        severity=severity,
        title="slow",
        systems=("api",),
        opened_at=AT + 2 * HOUR,
        closed_at=AT + 5 * HOUR,
        changes=("CHG-000001",),
    )


def with_changes(*changes: ChangeFact) -> Facts:
    return replace(NOTHING, changes=changes)


def test_nothing_is_told_in_words_and_never_as_a_hundred_percent() -> None:
    card = score(NOTHING)
    for metric in card.metrics:
        assert metric.value in (None, 0), metric.name
        assert metric.said
    assert card["change_success_rate"].value is None
    assert "no change moved" in card["change_success_rate"].said


def test_one_change_that_went_well_is_all_of_them() -> None:
    card = score(with_changes(change()))
    rate = card["change_success_rate"]
    assert (rate.value, rate.numerator, rate.denominator) == (1.0, 1, 1)
    assert card["mean_time_to_complete"].value == 3600


@pytest.mark.parametrize("ended", ["cancelled", "rejected"])
def test_a_change_that_never_touched_production_is_neither_success_nor_failure(ended: str) -> None:
    never = change(started_at=None, finished_at=None, outcome=None, ended=ended)
    rate = score(with_changes(never))["change_success_rate"]
    assert rate.value is None
    assert rate.parts[f"{ended}_count"] == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"rolled_back": True, "outcome": "rolled_back"}, "was rolled back"),
        ({"outcome": "failed"}, "its review says failed"),
        ({"outcome": "successful_with_issues"}, "succeeded with issues"),
        ({"outcome": None}, "was closed without a word on how it went"),
        ({"finished_at": AT + 2 * HOUR + timedelta(seconds=1)}, "overran its slot"),
        ({"started_at": AT - timedelta(seconds=1)}, "began before its slot"),
        ({"ended": "cancelled", "outcome": None}, "was given up after it had begun"),
        ({"type": "retroactive", "started_at": None}, "was never authorised beforehand"),
        ({"incidents": (incident(1, "P3"),)}, "caused INC-000001 (P3)"),
    ],
)
def test_whatever_was_not_as_planned_is_no_success_and_says_why(
    changed: dict[str, object], why: str
) -> None:
    rate = score(with_changes(change(**changed)))["change_success_rate"]
    assert (rate.value, rate.denominator) == (0.0, 1)
    assert rate.rows[0].why == why


def test_the_slots_own_end_is_inside_and_a_p4_or_a_late_incident_counts_for_nothing() -> None:
    late = replace(incident(2), opened_at=AT + HOUR + timedelta(hours=72))
    fine = change(finished_at=AT + 2 * HOUR, incidents=(incident(1, "P4"),))
    assert score(with_changes(fine))["change_success_rate"].value == 1.0
    assert score(with_changes(change(incidents=(late,))))["change_success_rate"].value == 1.0


def test_how_long_a_change_is_observed_is_said_and_kept_to() -> None:
    late = replace(incident(3), opened_at=AT + HOUR + timedelta(hours=80))
    deployed = DeploymentFact(
        id=1, service="hims-api", version="2.3.0", release="hims-api-2.3.0", type="minor",
        change="CHG-000001", at=AT, returned_at=None, incidents=(late,),
    )  # fmt: skip
    facts = replace(with_changes(change(incidents=(late,))), deployments=[deployed])
    short, long = score(facts), score(replace(facts, observed=timedelta(days=4)))
    assert (short["change_success_rate"].value, long["change_success_rate"].value) == (1.0, 0.0)
    assert (short["change_fail_rate"].value, long["change_fail_rate"].value) == (0.0, 1.0)
    assert "until 3d after its end" in short["change_success_rate"].formula
    assert "within 4d" in long["change_fail_rate"].formula


def test_a_success_that_is_still_observed_is_told_as_such_until_it_is_not() -> None:
    deployed = DeploymentFact(
        id=1, service="hims-api", version="2.3.0", release="hims-api-2.3.0", type="minor",
        change="CHG-000001", at=AT, returned_at=None,
    )  # fmt: skip
    facts = replace(with_changes(change()), deployments=[deployed])
    soon = score(replace(facts, asked_at=AT + 72 * HOUR))
    rate, fails = soon["change_success_rate"], soon["change_fail_rate"]
    assert rate.value == 1.0
    assert rate.said.endswith("succeeded; 1 of these not yet observed for 3d")
    assert rate.parts["still_observed_count"] == 1
    assert rate.rows[0].why == "as planned, observed until 2026-11-10T08:00:00Z"
    assert fails.parts["still_observed_count"] == 0
    assert "1 deployment not yet observed for 30 days" in soon["defect_leakage"].said
    sooner = score(replace(facts, as_of=AT + 71 * HOUR))["change_fail_rate"]
    assert sooner.said == "0 of 1 deployment; 1 not yet observed for 3d"
    late = score(replace(facts, asked_at=AT + 73 * HOUR))["change_success_rate"]
    assert late.said.endswith("succeeded")
    assert (late.parts["still_observed_count"], late.rows[0].why) == (0, "as planned")


def test_an_incident_during_the_work_counts_and_one_before_it_does_not() -> None:
    in_it = replace(incident(1), opened_at=AT)
    before = replace(incident(1), opened_at=AT - timedelta(seconds=1))
    assert score(with_changes(change(incidents=(in_it,))))["change_success_rate"].value == 0.0
    assert score(with_changes(change(incidents=(before,))))["change_success_rate"].value == 1.0


def test_a_commit_from_the_future_is_left_out_and_said() -> None:
    deployed = DeploymentFact(
        id=1, service="hims-api", version="2.3.0", release="hims-api-2.3.0", type="minor",
        change=None, at=AT, returned_at=None,
        commits=(AT - HOUR, AT - 3 * HOUR, AT + timedelta(days=4000)),
    )  # fmt: skip
    lead = score(replace(NOTHING, deployments=[deployed]))["change_lead_time"]
    assert (lead.value, lead.denominator) == (2 * 3600, 2)
    assert lead.said.endswith("over 2 commits in 1 deployment; 1 commit left out, dated after the "
                              "deployment")  # fmt: skip
    wrong = replace(deployed, commits=(AT + HOUR,))
    assert score(replace(NOTHING, deployments=[wrong]))["change_lead_time"].value is None


def test_several_incidents_on_one_deployment_are_one_failure() -> None:
    found = tuple(incident(number) for number in range(1, 6))
    deployed = DeploymentFact(
        id=1, service="hims-api", version="2.3.0", release="hims-api-2.3.0", type="minor",
        change="CHG-000001", at=AT, returned_at=None, incidents=found,
    )  # fmt: skip
    card = score(
        replace(NOTHING, changes=[change(incidents=found)], deployments=[deployed], incidents=found)
    )
    assert card["change_fail_rate"].value == 1.0
    assert card["failed_deployment_recovery_time"].value == 5 * 3600
    still = replace(found[0], closed_at=None)
    open_ = replace(deployed, incidents=(still, *found[1:]))
    recovery = score(replace(NOTHING, deployments=[open_]))["failed_deployment_recovery_time"]
    assert recovery.value is None
    assert "none recovered yet" in recovery.said


def test_what_was_led_back_as_a_canary_or_in_part_counts_and_is_flagged() -> None:
    back = {"rolled_back": True, "outcome": "rolled_back"}
    changes = [
        change(id="CHG-000001", **back),
        change(id="CHG-000002", canary=True, **back),
        change(id="CHG-000003", rolled_back=True, outcome="failed"),
        change(id="CHG-000004"),
    ]
    rate = score(replace(NOTHING, changes=changes))["rollback_rate"]
    assert (rate.value, rate.numerator) == (0.75, 3)
    assert (rate.parts["canary_count"], rate.parts["partial_count"]) == (1, 1)
    assert rate.said == (
        "3 of 4 implemented changes were rolled back; 1 of these before all traffic was on it; "
        "1 of these in part"
    )
    assert [row.why for row in rate.rows] == [
        "rolled back",
        "led back as a canary, before all traffic was on it",
        "rolled back in part, and failed",
        "stayed",
    ]


def test_emergencies_and_retroactive_changes_are_told_apart() -> None:
    changes = [
        change(id="CHG-000001", type="emergency"),
        change(id="CHG-000002", type="retroactive", requester="service:reconcile"),
        change(id="CHG-000003"),
        change(id="CHG-000004"),
    ]
    card = score(replace(NOTHING, changes=changes))
    rate = card["emergency_change_rate"]
    assert rate.value == 0.5
    assert (rate.parts["emergency"], rate.parts["retroactive"]) == (0.25, 0.25)


@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_between_its_neighbours(values: list[float], q: float) -> None:
    found = quantile(values, q)
    assert found is not None
    below = sum(value <= found * (1 + 1e-12) for value in values)
    assert min(values) <= found <= max(values) * (1 + 1e-12)
    assert below >= int(q * (len(values) - 1))
