"""Every metric of a known history, against an independent implementation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.reports.document import scorecard_document
from include.reports.facts import Facts
from include.reports.metrics.scorecard import score
from include.reports.reading import read_facts
from tests.integration.reports.conftest import END, Demo
from tests.integration.reports.figures_oracle import figures, instant

_QUARTERS = [
    (datetime(2025, month, 1, tzinfo=UTC), datetime(2025, month + 2, 28, tzinfo=UTC))
    for month in (1, 4, 7, 10)
]
_MONTHS = [
    (datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC))
    for month in range(1, 11)
]
_ALL = [(END - timedelta(days=730), END + timedelta(days=1))]


def facts(demo: Demo, start: datetime, end: datetime, **how: Any) -> Facts:
    return read_facts(demo.ledger, start, end, observed=timedelta(hours=72), **how)


@pytest.mark.parametrize(("start", "end"), _QUARTERS + _MONTHS + _ALL)
@pytest.mark.parametrize("service", [None, ("hims-api", ["api"]), ("hims-web", ["frontend"])])
def test_every_metric_is_what_another_implementation_makes_of_the_truth(
    demo: Demo, start: datetime, end: datetime, service: tuple[str, list[str]] | None
) -> None:
    name, systems = service or (None, [])
    card = score(facts(demo, start, end, service=name, systems=systems))
    expected = figures(demo.truth, start, end, service=service)
    # Window use goes by the calendar's file, not by the ledger alone.
    assert {metric.name for metric in card.metrics} == {*expected, "window_use"}
    for key, value in expected.items():
        assert card[key].value == (value if value is None else pytest.approx(value)), key


def test_defects_that_were_found_before_the_month_of_the_release_are_among_those_found_before_it(
    demo: Demo,
) -> None:
    start, end = _MONTHS[9]
    metric = score(facts(demo, start, end))["defect_leakage"]
    assert (metric.numerator, metric.denominator) == (3, 33)
    early = {
        change["release"]["id"]: item["value"]
        for change in demo.truth["changes"]
        if change["release"] and change["release"]["switched"]
        and start <= instant(change["release"]["switched"]) < end
        for item in change["release"]["measures"]
        if item["measure"] == "defects_found" and instant(item["at"]) < start
    }  # fmt: skip
    assert early == {"hims-api-9.1.0": 2, "hims-api-9.3.0": 4}
    assert early.items() <= {row.id: row.value for row in metric.rows}.items()


def test_the_history_has_what_the_metrics_have_to_tell_apart(demo: Demo) -> None:
    card = score(facts(demo, *_ALL[0]))
    assert len(card.facts.changes) == 3000
    assert all(metric.value for metric in card.metrics if metric.name != "window_use")
    several = [item for item in card.facts.changes if len(item.incidents) > 1]
    assert several
    assert card["change_fail_rate"].value <= 1


@pytest.mark.parametrize(("start", "end"), _ALL + _MONTHS[:3])
def test_canaries_that_were_led_back_are_flagged(
    demo: Demo, start: datetime, end: datetime
) -> None:
    rate = score(facts(demo, start, end))["rollback_rate"]
    expected = {
        change["id"]
        for change in demo.truth["changes"]
        if change["release"]
        and change["release"]["canary"]
        and start <= datetime.fromisoformat(change["way"][-1][1]) < end
        and change["way"][-1][0] == "closed"
    }
    assert {row.id for row in rate.rows if "canary" in row.why} == expected
    assert rate.parts["canary_count"] == len(expected)
    assert expected or (start, end) not in _ALL


def test_the_same_question_has_the_same_answer(demo: Demo) -> None:
    first, second = (scorecard_document(score(facts(demo, *_MONTHS[3]))) for _ in range(2))
    assert first == second


def test_what_the_ledger_learnt_later_is_left_out_as_of_an_earlier_instant(demo: Demo) -> None:
    start, end = _MONTHS[2]
    early = score(facts(demo, start, end, as_of=end))
    late = score(facts(demo, start, end))
    assert {item.id for item in early.facts.implemented} == {
        item.id for item in late.facts.implemented
    }
    assert early["change_success_rate"].value >= late["change_success_rate"].value
    cut = score(facts(demo, start, end, as_of=start + timedelta(days=10)))
    assert len(cut.facts.ended) < len(early.facts.ended)


def test_nothing_that_came_after_the_instant_asked_about_is_in_any_figure(demo: Demo) -> None:
    start, end = _MONTHS[2]
    half = start + timedelta(days=15)
    cut, whole = (facts(demo, start, stop, as_of=half) for stop in (end, half))
    assert whole.deployments
    assert whole.measures
    assert whole.votes
    for name in (
        "changes",
        "deployments",
        "incidents",
        "measures",
        "defects",
        "freezes",
        "votes",
        "refused",
    ):
        assert getattr(cut, name) == getattr(whole, name), name


def test_rows_say_what_is_counted(demo: Demo) -> None:
    for metric in score(facts(demo, *_MONTHS[4])).metrics:
        if metric.family == "process" and metric.denominator:
            assert sum(line.counted for line in metric.rows) in (
                metric.numerator,
                metric.denominator,
            )
