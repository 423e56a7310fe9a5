"""Risk: deterministic, explained, and never lower than what was declared."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.changes.catalogue import Catalogue
from include.changes.risk import (
    CONTROLS,
    LEVELS,
    RISKS,
    answers_of,
    assess,
    load_risk_policy,
)
from include.errors import ConfigError
from tests.unit.config_copy import ConfigCopy

ANSWERS = st.dictionaries(
    st.sampled_from(RISKS), st.sampled_from(["none", "low", "medium", "high"])
)
EVIDENCE = st.dictionaries(st.sampled_from(CONTROLS), st.just("file (sha256:…)"))
DECLARED = st.sampled_from([None, *LEVELS])


@given(ANSWERS, EVIDENCE, DECLARED)
def test_the_higher_of_declared_and_computed_wins(
    catalogue: Catalogue, answers: dict[str, str], evidence: dict[str, str], declared: Any
) -> None:
    risk = assess(catalogue.risk, declared=declared, answers=answers, evidence=evidence)
    computed = LEVELS.index(risk.computed)
    assert LEVELS.index(risk.level) == max(computed, LEVELS.index(declared or "low"))
    assert 1 <= risk.likelihood <= 5
    assert 1 <= risk.impact <= 5


@given(ANSWERS, EVIDENCE)
def test_the_table_adds_up_to_the_score(
    catalogue: Catalogue, answers: dict[str, str], evidence: dict[str, str]
) -> None:
    risk = assess(catalogue.risk, declared=None, answers=answers, evidence=evidence)
    assert {line.name for line in risk.lines} == {*RISKS, *CONTROLS}
    likelihood = 1 + sum(line.counts for line in risk.lines if line.kind != "operational")
    impact = 1 + max(line.counts for line in risk.lines if line.kind == "operational")
    likelihood, impact = min(5, max(1, likelihood)), min(5, max(1, impact))
    assert risk.score == round(likelihood * impact, 2)
    bands = {"critical": 16, "high": 10, "medium": 5}
    expected = next((name for name, mark in bands.items() if likelihood * impact >= mark), "low")
    assert risk.computed == expected


@given(ANSWERS, EVIDENCE, st.sampled_from(CONTROLS))
def test_evidence_never_makes_it_riskier_and_a_promise_changes_nothing(
    catalogue: Catalogue, answers: dict[str, str], evidence: dict[str, str], control: str
) -> None:
    without = {name: proof for name, proof in evidence.items() if name != control}
    bare = assess(catalogue.risk, declared=None, answers=answers, evidence=without)
    promised = assess(
        catalogue.risk, declared=None, answers=answers, evidence={**without, control: ""}
    )
    shown = assess(
        catalogue.risk, declared=None, answers=answers, evidence={**without, control: "proof"}
    )
    assert promised.score == bare.score
    assert shown.score <= bare.score


def test_a_question_left_open_counts_and_says_so(catalogue: Catalogue) -> None:
    risk = assess(catalogue.risk, declared=None, answers={}, evidence={})
    line = next(line for line in risk.lines if line.name == "data_loss")
    assert line.answer == "low (not answered)"
    assert line.counts > 0


def test_downtime_that_is_required_is_no_low_risk() -> None:
    assert answers_of({"risk": {"downtime_required": True}})["downtime"] == "medium"
    said = {"risk": {"downtime_required": True, "answers": {"downtime": "high"}}}
    assert answers_of(said)["downtime"] == "high"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("{none: 0, low: 1, medium: 2}", "have to be exactly: none, low, medium, high"),
        ("{none: 0, low: 1, medium: 2, high: 3, severe: 4}", "have to be exactly"),
        ("{none: 3, low: 2, medium: 1, high: 0}", "rise from none to high"),
        ("{none: -9, low: 1, medium: 2, high: 3}", "none counts at least 0"),
    ],
)
def test_answers_that_a_request_may_give_all_count_and_none_lowers_the_risk(
    config: ConfigCopy, answers: str, said: str
) -> None:
    config.replace("risk.yaml", "{none: 0, low: 1, medium: 2, high: 3}", answers)
    with pytest.raises(ConfigError, match=said):
        load_risk_policy(config.settings)
