"""Prometheus. A query without a matching series gives an empty vector, which is not zero."""

from __future__ import annotations

from datetime import datetime

from include.deploy.metrics.http_source import HttpSource
from include.deploy.metrics.promql import controls
from include.deploy.metrics.source import whole
from include.deploy.target import Colour
from include.errors import MetricsLost


class PrometheusMetrics(HttpSource):
    """Asks `/api/v1/query`; each query has to come to one number, like sum(increase(…))."""

    name = "Prometheus"
    remedy = 'write "or vector(0)" behind the query'
    # A series that nobody scrapes any more is gone after minutes.
    remembers = False

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        return self._value(self._query(what, slot, since, until), what, until)

    def _controls(self, query: str) -> tuple[str, ...]:
        return controls(query)

    def _knows(self, control: str, until: datetime) -> bool:
        return bool(self._value(control, "errors", until))

    def _value(self, query: str, what: str, at: datetime) -> int | None:
        answer = self._json(
            "GET", "/api/v1/query", params={"query": query, "time": f"{at.timestamp():.3f}"}
        )
        try:
            if answer["status"] != "success":
                raise MetricsLost(f"Prometheus refuses the query for {what}: {answer}"[:300])
            kind, result = answer["data"]["resultType"], answer["data"]["result"]
            if kind == "scalar":
                return whole(result[1], f"Prometheus, {what}")
            if kind != "vector":
                raise MetricsLost(f"the query for {what} gives a {kind}, not one number")
            if not result:
                return None
            if len(result) > 1:
                raise MetricsLost(f"the query for {what} gives {len(result)} series; sum them up")
            return whole(result[0]["value"][1], f"Prometheus, {what}")
        except (KeyError, TypeError, IndexError) as error:
            raise self._odd(what) from error
