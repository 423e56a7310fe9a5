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

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        query = self._query(what, slot, since, until)
        found = self._value(query, what, until)
        # Where requests were counted, no series of errors means none; one that nobody has ever seen
        # means that the query is wrong.
        for control in controls(query) if found is None and what == "errors" else ():
            if not self._value(control, what, until):
                raise MetricsLost(
                    f"the query for {what} finds nothing, and neither does {control}: a name in it "
                    "is misspelt, or nobody scrapes it; mend metrics.errors of the service. Is it "
                    'there from the first error on only, write "or vector(0)" behind the query'
                )
        return found

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
