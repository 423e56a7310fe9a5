"""Sources of metrics, each with the genuine client against a server that answers as theirs does.

The servers are fakes: they hold one answer per query and say it over real HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import ValidationError

from include.deploy.metrics import datadog as datadog_source
from include.deploy.metrics import nrql
from include.deploy.metrics.balancer import BalancerMetrics
from include.deploy.metrics.cloudwatch import CloudWatchMetrics
from include.deploy.metrics.datadog import DatadogMetrics
from include.deploy.metrics.factory import open_metrics
from include.deploy.metrics.newrelic import NewRelicMetrics
from include.deploy.metrics.prometheus import PrometheusMetrics
from include.deploy.metrics.promql import controls
from include.deploy.metrics.sentry import SentryMetrics
from include.deploy.metrics.source import Counts, MetricSource
from include.deploy.target import Colour
from include.deploy.targets.ecs import EcsTarget
from include.errors import MetricsLost, TargetError
from include.services.cloud import Ecs, SlotNames
from include.services.metrics import Metrics
from include.settings import ROOT, load_settings
from tests.unit.deploy.hand_target import HandTarget, serving

GREEN = Colour.GREEN
NOW = datetime(2026, 11, 28, 7, 10, tzinfo=UTC)
QUERIES = {"requests": "all{slot}", "errors": "bad{slot} {seconds}"}

# What a source's server answers for a number of requests, of errors; None is no data.
Shape = Callable[[str, float | None], Any]


def prometheus(what: str, number: float | None) -> Any:
    result = [] if number is None else [{"metric": {}, "value": [1.0, str(number)]}]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def datadog(what: str, number: float | None) -> Any:
    if number is None:
        return {"status": "ok", "series": []}
    points = [[1.0, number - 1], [2.0, None], [3.0, 1]] if number else [[1.0, 0]]
    return {"status": "ok", "series": [{"pointlist": points}]}


def newrelic(what: str, number: float | None) -> Any:
    results = [] if number is None else [{"count": number}]
    return {"data": {"actor": {"account": {"nrql": {"results": results}}}}}


def sentry(what: str, number: float | None) -> Any:
    return {"data": [{"count()": number or 0}], "meta": {}}


class Answering:
    """A fake of one vendor's server; `numbers` is what it has counted."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.numbers: dict[str, float | None] = {"requests": 200, "errors": 3, "known": 1}
        self.status = 200
        self.raw: bytes | None = None
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length).decode()
        query = {**parse_qs(urlsplit(handler.path).query)}
        words = " ".join([*(word for each in query.values() for word in each), body])
        self.asked.append(words)
        self.headers = dict(handler.headers)
        what = "errors" if "bad" in words else "requests"
        if any(mark in words for mark in ("count(bad", "exclude_null", "IS NOT NULL")):
            what = "known"
        answer = self.raw
        if answer is None:
            answer = json.dumps(self.shape(what, self.numbers[what])).encode()
        handler.send_response(self.status)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


def clock() -> Callable[[], datetime]:
    """Return a clock that is marked once and asked five minutes later."""
    instants = iter([NOW, *[NOW + timedelta(minutes=5)] * 100])
    return lambda: next(instants)


def sources(client: httpx.Client, queries: dict[str, str]) -> dict[str, MetricSource]:
    return {
        "prometheus": PrometheusMetrics(client, queries, clock=clock()),
        "datadog": DatadogMetrics(client, queries, clock=clock()),
        "newrelic": NewRelicMetrics(client, queries, account=7, clock=clock()),
        "sentry": SentryMetrics(client, queries, organisation="a/b", clock=clock()),
    }


@contextmanager
def opened(
    name: str, queries: dict[str, str] = QUERIES
) -> Iterator[tuple[MetricSource, Answering]]:
    shapes: dict[str, Shape] = {
        "prometheus": prometheus, "datadog": datadog, "newrelic": newrelic, "sentry": sentry,
    }  # fmt: skip
    server = Answering(shapes[name])
    with serving(server) as url, httpx.Client(base_url=url, timeout=5) as client:
        source = sources(client, queries)[name]
        source.mark(GREEN)
        yield source, server


EVERY = pytest.mark.parametrize("name", ["prometheus", "datadog", "newrelic", "sentry"])


@EVERY
def test_counts_since_the_mark_are_read(name: str) -> None:
    with opened(name) as (source, server):
        assert source.counts(GREEN) == Counts(requests=200, errors=3)
        assert "allgreen" in server.asked[0]
        assert "badgreen 300" in server.asked[1]


@EVERY
def test_no_data_about_requests_is_lost_and_never_zero(name: str) -> None:
    with opened(name) as (source, server):
        server.numbers = {"requests": None, "errors": None}
        with pytest.raises(MetricsLost, match="no data"):
            source.counts(GREEN)


@EVERY
def test_no_data_about_errors_beside_requests_is_no_errors(name: str) -> None:
    with opened(name) as (source, server):
        server.numbers["errors"] = None
        assert source.counts(GREEN) == Counts(requests=200, errors=0)


@EVERY
@pytest.mark.parametrize(
    ("status", "raw"),
    [(500, b"oops"), (401, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b"null"), (200, b"{}")],
)
def test_an_answer_that_is_none_is_lost_whatever_it_is(name: str, status: int, raw: bytes) -> None:
    with opened(name) as (source, server):
        server.status, server.raw = status, raw
        with pytest.raises(MetricsLost):
            source.counts(GREEN)


@EVERY
def test_a_server_that_is_away_is_lost(name: str) -> None:
    with httpx.Client(base_url="http://127.0.0.1:1", timeout=1) as client:
        source = sources(client, QUERIES)[name]
        source.mark(GREEN)
        with pytest.raises(MetricsLost, match="does not answer"):
            source.counts(GREEN)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "many"])
def test_what_is_no_number_of_requests_is_lost(value: str) -> None:
    with opened("prometheus") as (source, server):
        server.raw = json.dumps(prometheus("requests", None)).encode()
        answer = prometheus("requests", 1)
        answer["data"]["result"][0]["value"][1] = value
        server.raw = json.dumps(answer).encode()
        with pytest.raises(MetricsLost, match="no number"):
            source.counts(GREEN)


def test_errors_of_a_series_that_nobody_has_seen_are_lost() -> None:
    with opened("prometheus") as (source, server):
        server.numbers |= {"errors": None, "known": None}
        with pytest.raises(MetricsLost, match=r"neither does count\(badgreen\{\}\).*misspelt"):
            source.counts(GREEN)
        # A count that is there says enough.
        server.numbers["errors"] = 0
        assert source.counts(GREEN).errors == 0


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (
            'sum(increase(http_total{slot="green",code=~"5..",path!="}"}[60s]))',
            ['count(http_total{slot!="",code!=""})'],
        ),
        (
            "sum by (slot) (rate(a:errors[5m] offset 1h)) / on(slot) group_left(x) b > bool 1e3",
            ["count(a:errors{})", "count(b{})"],
        ),
        (
            "sum({__name__='x', job='a{b}'}) or vector(0) # note{a='b'}",
            ['count({job!=""})'],
        ),
        ("sum(x{}) - x", ["count(x{})"]),
        ('sum(x{a="b"} or y)', ['count(x{a!=""}) or count(y{})']),
        ("vector(0)", []),
    ],
)
def test_a_query_s_selectors_are_asked_for_whatever_their_values(
    query: str, asked: list[str]
) -> None:
    assert list(controls(query)) == asked


def test_small_parts_of_errors_come_to_something() -> None:
    """A hundred points of 0.4 errors, beside ten requests each."""
    with opened("datadog") as (source, server):

        def shape(what: str, number: float | None) -> Any:
            value = 10 if what == "requests" else 0.4
            return {"series": [{"pointlist": [[float(at), value] for at in range(100)]}]}

        server.shape = shape
        assert source.counts(GREEN) == Counts(requests=1000, errors=40)


@pytest.mark.parametrize(
    ("name", "errors", "nothing"),
    [
        ("datadog", "sum:bad.errors{service:hims,version:{slot}}.as_count()", None),
        ("newrelic", "SELECT count(*) FROM bad WHERE slot = '{slot}'", 0),
    ],
)
def test_errors_of_a_name_that_nobody_ever_reported_are_lost(
    name: str, errors: str, nothing: float | None
) -> None:
    with opened(name, QUERIES | {"errors": errors}) as (source, server):
        server.numbers |= {"errors": nothing, "known": nothing}
        with pytest.raises(MetricsLost, match=r"neither does .*misspelt.*metrics\.errors"):
            source.counts(GREEN)
        server.numbers["known"] = 7
        assert source.counts(GREEN) == Counts(requests=200, errors=0)
        # What is known stays so: thirty days are not looked through at every look.
        asked = len(server.asked)
        source.counts(GREEN)
        assert len(server.asked) == asked + 2


def test_a_control_looks_thirty_days_back_and_at_both_slots() -> None:
    errors = "sum:bad.errors{version:{slot}}.as_count()"
    with opened("datadog", QUERIES | {"errors": errors}) as (source, server):
        server.numbers["errors"] = None
        source.counts(GREEN)
        begin, end, query = server.asked[-1].strip().split(maxsplit=2)
        assert int(end) - int(begin) == 30 * 24 * 3600
        assert query == "exclude_null(sum:bad.errors{*} by {version})"


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (
            "sum:a.b{service:x:1,!env:dev} by {host}.as_count()",
            ["exclude_null(sum:a.b{*} by {service})"],
        ),
        (
            "sum:a{*} + sum:c{x:1 AND y IN (p,q) AND NOT z:2 AND w NOT IN (r)}",
            [
                "sum:a{*}",
                "exclude_null(sum:c{*} by {x})",
                "exclude_null(sum:c{*} by {y})",
            ],
        ),
        ("0", []),
    ],
)
def test_a_datadog_query_s_metrics_are_asked_for_by_each_tag(query: str, asked: list[str]) -> None:
    assert list(datadog_source.controls(query)) == asked


@pytest.mark.parametrize(
    ("query", "of", "asked"),
    [
        ("SELECT count(*) FROM T WHERE a = 'x' AND b.c IS TRUE", "T", ["a", "b.c"]),
        ("FROM T SELECT filter(count(*), WHERE bad) WHERE a LIKE 'FROM x--y'", "T", ["a", "bad"]),
        (
            "select sum(n) from `My T`, B where numeric(code) >= 500 and NOT (x = 1) and y != 'a' "
            "and z NOT IN (1) and w IS NULL // v = 1",
            "`My T`, B",
            ["n", "code"],
        ),
    ],
)
def test_an_nrql_query_s_attributes_are_asked_for_whatever_their_values(
    query: str, of: str, asked: list[str]
) -> None:
    found = [control.removeprefix("SELECT count(*) FROM ") for control in nrql.controls(query)]
    assert found == [f"{of} WHERE {name} IS NOT NULL" for name in asked]


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("SELECT count(*) FROM T", ["SELECT count(*) FROM T"]),
        (
            "SELECT sum(a.errors) FROM Metric",
            ["SELECT count(*) FROM Metric WHERE metricName = 'a.errors'"],
        ),
        (
            "SELECT count(*) FROM Metric WHERE metricName = 'a.b'",
            ["SELECT count(*) FROM Metric WHERE metricName = 'a.b'"],
        ),
        (
            "SELECT count(*) FROM T WHERE httpResponseCode >= 500 OR http.statusCode >= 500",
            [
                "SELECT count(*) FROM T WHERE httpResponseCode IS NOT NULL"
                " OR http.statusCode IS NOT NULL"
            ],
        ),
        ("SELECT sum(n) FROM (SELECT count(*) AS n FROM T)", []),
        ("SELECT count(*) FROM lookup(t) WHERE a = 1", []),
    ],
)
def test_an_nrql_query_s_data_are_asked_for_as_far_as_they_can_be_told(
    query: str, asked: list[str]
) -> None:
    assert list(nrql.controls(query)) == asked


def test_more_than_one_series_is_refused() -> None:
    with opened("prometheus") as (source, server):
        answer = prometheus("requests", 1)
        answer["data"]["result"] *= 2
        server.raw = json.dumps(answer).encode()
        with pytest.raises(MetricsLost, match="sum them up"):
            source.counts(GREEN)


class FakeCloudWatch:
    """Answers `get_metric_data` as the genuine client would hand it on, in two pages."""

    def __init__(self, sums: dict[str, list[float]], status: str = "Complete") -> None:
        self.sums, self.status = sums, status
        self.asked: list[dict[str, Any]] = []

    def get_metric_data(self, **given: Any) -> dict[str, Any]:
        self.asked.append(given)
        second = "NextToken" in given
        results = [
            {
                "Id": query["Id"],
                "StatusCode": self.status,
                "Values": self.sums.get(query["MetricStat"]["Metric"]["MetricName"], [])[
                    1 if second else 0 :: 2
                ],
            }
            for query in given["MetricDataQueries"]
        ]
        return {"MetricDataResults": results, **({} if second else {"NextToken": "more"})}


def cloudwatch(fake: FakeCloudWatch) -> CloudWatchMetrics:
    groups = {Colour.BLUE: "targetgroup/b/1", GREEN: "targetgroup/g/2"}
    source = CloudWatchMetrics(fake, groups, "app/hims/3", clock=clock())
    source.mark(GREEN)
    return source


def test_cloudwatch_adds_up_minutes_and_failed_connections() -> None:
    fake = FakeCloudWatch(
        {
            "RequestCount": [100, 60, 40],
            "HTTPCode_Target_5XX_Count": [2],
            "TargetConnectionErrorCount": [1, 1],
        }
    )
    assert cloudwatch(fake).counts(GREEN) == Counts(requests=200, errors=4)
    dimensions = fake.asked[0]["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"]
    assert {item["Value"] for item in dimensions} == {"app/hims/3", "targetgroup/g/2"}


@pytest.mark.parametrize(
    "fake",
    [
        FakeCloudWatch({}),
        FakeCloudWatch({"RequestCount": [1]}, "InternalError"),
        FakeCloudWatch({"RequestCount": [1]}, "PartialData"),
    ],
)
def test_cloudwatch_without_data_or_with_half_an_answer_is_lost(fake: FakeCloudWatch) -> None:
    with pytest.raises(MetricsLost):
        cloudwatch(fake).counts(GREEN)


def test_cloudwatch_counts_nothing_before_a_minute_is_full() -> None:
    source = CloudWatchMetrics(
        FakeCloudWatch({"RequestCount": [1]}), {GREEN: "g"}, "b", clock=lambda: NOW
    )
    with pytest.raises(MetricsLost, match="none is full"):
        source.counts(GREEN)


class Minutes:
    """Answers `get_metric_statistics` as the genuine client would hand it on: a sum per minute."""

    def __init__(self) -> None:
        self.requests: dict[datetime, float] = {}

    def get_metric_statistics(self, **given: Any) -> dict[str, Any]:
        points = [
            {"Sum": count}
            for minute, count in self.requests.items()
            if given["StartTime"] <= minute < given["EndTime"]
        ]
        return {"Datapoints": points if given["MetricName"] == "RequestCount" else []}


def test_what_an_ecs_target_counted_never_shrinks_while_hours_pass() -> None:
    service = load_settings(ROOT / "config").service("hims-api")
    slots = SlotNames(blue="b", green="g")
    where = Ecs(
        cluster="c", services=slots, target_groups=slots, listener="l", container="c", image="i",
        addresses=slots, frontend="http://127.0.0.1:1",
    )  # fmt: skip
    placement = service.environments["production"].model_copy(update={"ecs": where})
    service = service.model_copy(update={"environments": {"production": placement}})
    now = [NOW]
    watch = Minutes()
    watch.requests = {NOW - timedelta(minutes=n): 100.0 for n in range(1, 61)}
    target = EcsTarget(service, "production", None, None, watch, clock=lambda: now[0])
    source = BalancerMetrics(target)
    source.mark(GREEN)
    for minute in range(5):
        watch.requests[NOW + timedelta(minutes=minute)] = 10.0
    now[0] += timedelta(minutes=5)
    assert source.counts(GREEN) == Counts(requests=50, errors=0)


def test_a_load_balancer_that_starts_anew_is_counted_from_nothing() -> None:
    with HandTarget().open() as target:
        source = BalancerMetrics(target)
        target.people(GREEN, requests=50, errors=5)
        source.mark(GREEN)
        target.people(GREEN, requests=10, errors=1)
        assert source.counts(GREEN) == Counts(requests=10, errors=1)
        target.slots[GREEN].requests = target.slots[GREEN].errors = 0
        target.people(GREEN, requests=4, errors=2)
        assert source.counts(GREEN) == Counts(requests=4, errors=2)


@pytest.mark.parametrize(
    "declared",
    [
        {"source": "prometheus"},
        {"source": "prometheus", "url": "http://p", "requests": "a"},
        {"source": "cloudwatch", "balancer": "b", "groups": {"blue": "x"}},
        {"source": "graphite", "url": "http://p", "requests": "a", "errors": "b"},
    ],
)
def test_half_a_declaration_is_refused(declared: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Metrics.model_validate(declared)


def test_a_source_whose_credentials_are_missing_is_lost_and_stops_nothing() -> None:
    service = load_settings(ROOT / "config").service("hims-api")
    declared = Metrics.model_validate({"source": "datadog", "requests": "a", "errors": "b"})
    placement = service.environments["production"].model_copy(update={"metrics": declared})
    service = service.model_copy(update={"environments": {"production": placement}})

    class NoClients:
        def vendor(self, name: str) -> Any:
            raise TargetError(f"the Connection {name}_default is not defined")

        def clock(self) -> datetime:
            return NOW

    with HandTarget().open() as target:
        source = open_metrics(service, "production", target, NoClients())
        with pytest.raises(MetricsLost, match="datadog_default"):
            source.counts(GREEN)
