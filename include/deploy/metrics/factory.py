"""The source of metrics that config/ names for a service in an environment."""

from __future__ import annotations

from typing import Any, Protocol

import httpx

from include.deploy.metrics.balancer import BalancerMetrics
from include.deploy.metrics.cloudwatch import CloudWatchMetrics
from include.deploy.metrics.datadog import DatadogMetrics
from include.deploy.metrics.newrelic import NewRelicMetrics
from include.deploy.metrics.prometheus import PrometheusMetrics
from include.deploy.metrics.sentry import SentryMetrics
from include.deploy.metrics.source import MetricSource
from include.deploy.target import Colour, Target
from include.errors import MetricsLost, ReleaseControlError
from include.services.metrics import Metrics
from include.services.service import Service

_TIMEOUT = 10.0


class Clients(Protocol):
    """Who hands out ready-made clients and credentials, and knows the time: a train does."""

    def vendor(self, name: str) -> Any:
        """Return the client of a vendor, or its credentials as a mapping."""

    def clock(self) -> Any:
        """Return the current instant."""


def open_metrics(
    service: Service, environment: str, target: Target, clients: Clients
) -> MetricSource:
    """Return the source for a service; without a word in config/ its load balancer counts.

    A source that cannot even be opened is one that is lost, not a reason to stop: the watch holds.
    """
    declared = service.environments[environment].metrics
    if declared is None:
        return BalancerMetrics(target)
    try:
        return _open(declared, clients)
    except MetricsLost:
        raise
    except ReleaseControlError as error:
        return _Away(str(error))


def _open(declared: Metrics, clients: Clients) -> MetricSource:
    if declared.source == "cloudwatch":
        groups = {Colour.BLUE: declared.groups["blue"], Colour.GREEN: declared.groups["green"]}
        return CloudWatchMetrics(
            clients.vendor("cloudwatch"), groups, declared.balancer, clock=clients.clock
        )
    queries = {"requests": declared.requests, "errors": declared.errors}
    if declared.source == "prometheus":
        return PrometheusMetrics(_client(declared, {}), queries, clock=clients.clock)
    known = clients.vendor(declared.source)
    if declared.source == "datadog":
        headers = {"DD-API-KEY": known["api_key"], "DD-APPLICATION-KEY": known["app_key"]}
        return DatadogMetrics(_client(declared, headers), queries, clock=clients.clock)
    if declared.source == "newrelic":
        headers = {"API-Key": known["api_key"]}
        return NewRelicMetrics(
            _client(declared, headers),
            queries,
            account=int(known["account"]),
            clock=clients.clock,
        )
    headers = {"Authorization": f"Bearer {known['token']}"}
    return SentryMetrics(
        _client(declared, headers),
        queries,
        organisation=str(known["organisation"]),
        clock=clients.clock,
    )


def _client(declared: Metrics, headers: dict[str, str]) -> httpx.Client:
    return httpx.Client(base_url=declared.url, headers=headers, timeout=_TIMEOUT)


class _Away:
    """A source that could not be opened, and why."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def mark(self, slot: Colour) -> None:
        raise MetricsLost(self._reason)

    def counts(self, slot: Colour) -> Any:
        raise MetricsLost(self._reason)
