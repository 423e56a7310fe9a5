"""Items of the checklist that a machine can know: alerts by their rules, staging by the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, text

from include.changes import checkpoint
from include.changes.change import Change
from include.errors import RequestError
from include.ledger import Subject, schema
from tests.integration.changes.office import Office

FLAG = {"kind": "flag", "service": "hims-api", "flag": "telemedicine", "value": True}
API: dict[str, Any] = {
    "implementation": FLAG,
    "impact_assessment": {"affected_systems": ["api"]},
}
RULES = """\
groups:
  - name: hims
    interval: 30s
    rules:
      - record: job:errors:rate5m
        expr: sum(rate(errors_total[5m]))
      - alert: ApiErrors
        expr: job:errors:rate5m > 0.01
        for: 5m
        labels: {severity: page, system: "api, cache"}
        annotations: {summary: "errors"}
"""


def said(office: Office, change: Change, item: str) -> dict[str, Any]:
    (found,) = [
        each for each in office.view(change)["checklist"] if each["code"] == f"checklist.{item}"
    ]
    return found


def rules(office: Office, content: str | None, name: str = "hims-api.yaml") -> None:
    """Put rules in the place of those that are shipped."""
    path = office.settings.config_file("alerts") / name
    path.unlink() if content is None else path.write_text(content)


def test_alerts_of_the_sample_are_known_as_it_is_shipped(office: Office) -> None:
    change, _ = office.submit(**API)
    known = said(office, change, "alerts")
    assert known["verdict"] == "go"
    assert "api: HimsApiDown, HimsApiErrors, HimsApiSlow, HimsApiUnseen" in known["message"]
    both, _ = office.submit(impact_assessment={"affected_systems": ["api", "frontend"]})
    assert "no rule of config/alerts watches frontend" in said(office, both, "alerts")["message"]


def test_alerts_are_known_where_rules_watch_every_system(office: Office) -> None:
    rules(office, None)
    change, _ = office.submit(**API)
    assert said(office, change, "alerts")["message"].endswith("nobody has said so")
    rules(office, RULES)
    known = said(office, change, "alerts")
    assert known["verdict"] == "go"
    assert "api: ApiErrors" in known["message"]
    assert "monitoring" in str(office.view(change)["risk"])
    with pytest.raises(RequestError, match="judged from the ledger"):
        office.desk("olga").attest(change.id, "alerts", verdict="go", comment="yes")
    # Who knows better says so, and that counts.
    office.desk("olga").attest(change.id, "alerts", verdict="no_go", comment="the pager is down")
    assert said(office, change, "alerts")["verdict"] == "no_go"


def test_what_no_rule_watches_is_somebody_s_word_and_they_are_told(office: Office) -> None:
    rules(office, RULES)
    change, _ = office.submit(impact_assessment={"affected_systems": ["api", "frontend"]})
    open_ = said(office, change, "alerts")
    assert open_["verdict"] == "inconclusive"
    assert "no rule of config/alerts watches frontend" in open_["message"]
    assert office.desk("olga").attest(change.id, "alerts", verdict="go", comment="seen").ok
    assert said(office, change, "alerts")["verdict"] == "go"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (RULES.replace('"api, cache"', "apii"), '"apii" is no system'),
        (RULES.replace("system: ", "service: "), "is no service of config/services"),
        (RULES.replace("expr: job:errors:rate5m > 0.01", "expr: []"), "expr"),
        ("groups: &a [*a]", "alias"),
        ("groups: {}", "groups"),
        ("[" * 400, "config/alerts/hims-api.yaml"),
    ],
)
def test_rules_that_cannot_be_read_are_no_alerts_and_no_word_replaces_them(
    office: Office, content: str, problem: str
) -> None:
    change, _ = office.submit(**API)
    rules(office, content)
    found = said(office, change, "alerts")
    assert found["verdict"] == "inconclusive"
    assert problem in found["message"]


@pytest.mark.parametrize("content", ["groups: [{name: x}]", RULES.replace("alert: ", "record: ")])
def test_rules_that_watch_nothing_prove_nothing(office: Office, content: str) -> None:
    change, _ = office.submit(**API)
    rules(office, content)
    assert said(office, change, "alerts")["verdict"] == "inconclusive"


def runs(
    office: Office, environment: str, digest: str = "sha256:one", *, tested: bool | None = None
) -> None:
    """Let a train have put a version into an environment; `tested` says how its tests ended."""
    with office.desk().unit() as unit:
        release = unit.execute(
            insert(schema.deployment)
            .values(
                service="hims-api", environment=environment, version="2.3.0", digest=digest,
                colour="blue", state="live", release_id="REL-1", attempt=1, fence=1,
                staged_at=unit.now, live_at=unit.now,
            )
            .returning(schema.deployment.c.release_id)
        ).scalar_one()  # fmt: skip
        if tested:
            unit.execute(
                insert(schema.gate).values(
                    release_id=release, attempt=1, name="staging_tests", commit="c" * 40,
                    digest=digest, verdict="go", reason="passed", message="3 tests", evidence=[],
                    decided_by="service:release_train", decided_at=unit.now,
                )
            )  # fmt: skip
        if tested is False:
            unit.execute(
                insert(schema.step).values(
                    release_id=release, attempt=1, name="test_staging", state="failed", tries=1,
                    result={}, started_at=unit.now,
                )
            )  # fmt: skip
        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")


@pytest.fixture
def release(office: Office) -> None:
    """Let the ledger know of a release."""
    with office.desk().unit() as unit:
        unit.execute(
            insert(schema.release).values(
                id="REL-1", service="hims-api", version="2.3.0", type="minor", attempt=1,
                state="released", plan={}, plan_hash="sha256:x", requested_by="rita",
                created_at=unit.now, updated_at=unit.now,
            )
        )  # fmt: skip
        unit.append("test.arranged", Subject(kind="change", id="x"), message="arranged")


@pytest.mark.usefixtures("release")
def test_staging_that_runs_what_production_runs_and_passed_its_tests_is_validated(
    office: Office,
) -> None:
    change, _ = office.submit(**API)
    assert (
        "the ledger knows of nothing of hims-api in staging"
        in (said(office, change, "test_environment")["message"])
    )
    runs(office, "staging", tested=True)
    open_ = said(office, change, "test_environment")
    assert "nothing in production to compare it with" in open_["message"]
    runs(office, "production")
    known = said(office, change, "test_environment")
    assert known["verdict"] == "go"
    assert "its tests passed there" in known["message"]
    office.clock.now += timedelta(days=31)
    old = said(office, change, "test_environment")
    assert old["verdict"] == "inconclusive"
    assert "at most 30d count" in old["message"]


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (API, "2.3.0 runs in staging, and 2.3.0 in production"),
        ({**API, "scope": {"artefact": f"sha256:{'a' * 64}"}}, "not the artefact sha256:aaaa"),
        (
            {**API, "scope": {"commits": ["b" * 40], "authors": ["mei@tan.example"]}},
            "names commits but no artefact (scope.artefact), so whether",
        ),
        ({"impact_assessment": {"affected_systems": ["api", "cache"]}}, "brings cache"),
        ({"impact_assessment": {"affected_systems": ["api"]}}, "nothing of hims-web in staging"),
    ],
)
def test_what_else_runs_in_staging_is_no_test_of_the_change(
    office: Office, change: dict[str, Any], words: str
) -> None:
    runs(office, "staging", "sha256:two", tested=True)
    runs(office, "production", "sha256:one")
    submitted, _ = office.submit(**change)
    found = said(office, submitted, "test_environment")
    assert found["verdict"] == "inconclusive"
    assert words in found["message"]
    assert (
        office.desk("olga")
        .attest(submitted.id, "test_environment", verdict="go", comment="tried it there")
        .ok
    )
    assert said(office, submitted, "test_environment")["verdict"] == "go"


@pytest.mark.usefixtures("release")
def test_tests_that_failed_in_staging_are_a_no_whoever_says_what(office: Office) -> None:
    change, _ = office.submit(**API)
    assert (
        office.desk("olga")
        .attest(change.id, "test_environment", verdict="go", comment="looks fine")
        .ok
    )
    runs(office, "staging", tested=False)
    runs(office, "production")
    found = said(office, change, "test_environment")
    assert found["verdict"] == "no_go"
    assert "its tests there have failed" in found["message"]


@pytest.mark.usefixtures("release")
def test_staging_of_which_no_tests_are_recorded_is_somebody_s_word(office: Office) -> None:
    change, _ = office.submit(**API)
    runs(office, "staging")
    runs(office, "production")
    found = said(office, change, "test_environment")
    assert found["verdict"] == "inconclusive"
    assert "no tests of it are recorded" in found["message"]


@pytest.mark.usefixtures("release")
def test_a_deployment_that_no_record_vouches_for_proves_nothing(office: Office) -> None:
    change, _ = office.submit(**API)
    runs(office, "staging", tested=True)
    runs(office, "production")
    engine = create_engine(office.ledger._engine.url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE deployment SET version = '9.9.9'"))
    engine.dispose()
    found = said(office, change, "test_environment")
    assert found["verdict"] == "inconclusive"
    assert "no record vouches" in found["message"]


@pytest.mark.usefixtures("release")
def test_whoever_is_asked_for_a_word_is_told_why_nothing_else_knows(office: Office) -> None:
    runs(office, "staging", tested=True)
    change, _ = office.submit(**API, scope={"commits": ["b" * 40], "authors": ["mei@tan.example"]})
    office.approve(change)
    asked = checkpoint.ask(office.desk(), change.id, "before", key="run-1")
    assert asked is not None
    assert "only somebody who has tried it there can say" in asked.lacking["test_environment"]
    (notice,) = [row for row in office.rows(schema.notice) if row.event == "checklist.asks"]
    assert "Test environment validated: hims-api 2.3.0 runs in staging" in notice.text
    assert "names commits but no artefact" in notice.text
