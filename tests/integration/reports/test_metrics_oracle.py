"""Every metric of a known history, against an independent implementation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from include.calendar.spans import clip
from include.calendar.wall_time import Span
from include.reports.document import scorecard_document
from include.reports.facts import Facts
from include.reports.metrics.scorecard import score
from include.reports.reading import read_facts
from tests.integration.reports.conftest import END, Demo
from tests.integration.reports.figures_oracle import figures, instant

Service = tuple[str, list[str]] | None

_QUARTERS = [
    (datetime(2025, month, 1, tzinfo=UTC), datetime(2025, month + 2, 28, tzinfo=UTC))
    for month in (1, 4, 7, 10)
]
_MONTHS = [
    (datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC))
    for month in range(1, 11)
]
_SERVICES: list[Service] = [None, ("hims-api", ["api"]), ("hims-web", ["frontend"])]
_ALL = [(END - timedelta(days=730), END + timedelta(days=1))]


_ZONE = ZoneInfo("America/New_York")
_FIRST = datetime(2024, 11, 23, 2, tzinfo=_ZONE)
# Saturdays 02:00 to 04:00 by the wall, and as long as an emergency may take on each Tuesday.
_OPENINGS = [
    (opens.astimezone(UTC), (opens + length).astimezone(UTC))
    for week in range(106)
    for opens, length in (
        (_FIRST + timedelta(weeks=week), timedelta(hours=2)),
        (_FIRST + timedelta(weeks=week, days=3), timedelta(hours=24)),
    )
]


def facts(demo: Demo, start: datetime, end: datetime, **how: Any) -> Facts:
    return read_facts(
        demo.ledger,
        start,
        end,
        observed=timedelta(hours=72),
        openings=lambda begin, over: clip([Span(*pair) for pair in _OPENINGS], [Span(begin, over)]),
        **how,
    )


def compare(demo: Demo, start: datetime, end: datetime, service: Service) -> None:
    name, systems = service or (None, [])
    card = score(facts(demo, start, end, service=name, systems=systems))
    expected = figures(demo.truth, start, end, service=service, openings=_OPENINGS)
    assert {metric.name for metric in card.metrics} == set(expected)
    for key, value in expected.items():
        told = f"{key} of {start} to {end}"
        assert card[key].value == (value if value is None else pytest.approx(value)), told


@pytest.mark.parametrize(("start", "end"), _QUARTERS + _MONTHS + _ALL)
@pytest.mark.parametrize("service", _SERVICES)
def test_every_metric_is_what_another_implementation_makes_of_the_truth(
    demo: Demo, start: datetime, end: datetime, service: Service
) -> None:
    compare(demo, start, end, service)


@pytest.mark.parametrize("service", _SERVICES)
def test_every_metric_is_right_of_a_stretch_in_which_nothing_but_a_switch_is_written_down(
    demo: Demo, service: Service
) -> None:
    minute = timedelta(minutes=1)
    switched = [
        instant(change["release"]["switched"])
        for change in demo.truth["changes"]
        if change["release"]
        and change["release"]["switched"]
        and service in (None, (change["service"], change["systems"]))
    ]
    for at in switched[::12]:
        compare(demo, at - minute, at + minute, service)
        compare(demo, at + minute, at + 2 * minute, service)


def test_work_that_began_before_a_stretch_and_lasts_beyond_it_is_work_in_it(demo: Demo) -> None:
    minute = timedelta(minutes=1)
    ways = [(change, dict(change["way"])) for change in demo.truth["changes"]]
    halves = [
        instant(way["implementing"]) + (instant(over) - instant(way["implementing"])) / 2
        for change, way in ways
        if "implementing" in way and (over := way.get("validating") or way.get("rolling_back"))
        and not (change["release"] and change["release"]["returned"])
    ]  # fmt: skip
    whole = 0
    for at in halves[::60]:
        compare(demo, at - minute, at + minute, None)
        whole += score(facts(demo, at - minute, at + minute))["window_use"].value == 1
    assert whole > 10


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
    assert all(metric.value for metric in card.metrics)
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


@pytest.mark.parametrize("service", _SERVICES)
def test_a_part_of_a_longer_stretch_tells_what_the_same_stretch_by_itself_does(
    demo: Demo, service: Service
) -> None:
    name, systems = service or (None, [])
    known = END - timedelta(days=20)
    ends = (_MONTHS[0][0], _MONTHS[-1][1])
    year = facts(demo, *ends, as_of=known, service=name, systems=systems)
    for start, end in [*_MONTHS, (_FIRST + timedelta(days=600), _FIRST + timedelta(days=600.1))]:
        alone = facts(demo, start, end, as_of=known, service=name, systems=systems)
        part = year.between(start, end)
        assert part.incidents == alone.incidents
        assert [metric.value for metric in score(part).metrics] == [
            metric.value for metric in score(alone).metrics
        ]


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
        "changes", "deployments", "incidents", "measures", "defects", "freezes", "votes", "refused",
    ):  # fmt: skip
        assert getattr(cut, name) == getattr(whole, name), name


def test_rows_say_what_is_counted(demo: Demo) -> None:
    for metric in score(facts(demo, *_MONTHS[4])).metrics:
        if metric.family == "process" and metric.denominator:
            assert sum(line.counted for line in metric.rows) in (
                metric.numerator,
                metric.denominator,
            )
