"""Datadog: its timeseries query, added up over all points and series."""

from __future__ import annotations

from datetime import datetime

from include.deploy.metrics.http_source import HttpSource
from include.deploy.metrics.source import whole
from include.deploy.target import Colour
from include.errors import MetricsLost


class DatadogMetrics(HttpSource):
    """Asks `/api/v1/query`; queries are counts, like sum:trace.http.request.hits{…}.as_count()."""

    name = "Datadog"

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        answer = self._json(
            "GET",
            "/api/v1/query",
            params={
                "from": int(since.timestamp()),
                "to": int(until.timestamp()),
                "query": self._query(what, slot, since, until),
            },
        )
        try:
            if answer.get("status") == "error" or answer.get("error"):
                raise MetricsLost(f"Datadog refuses the query for {what}: {answer.get('error')}")
            points = [point[1] for series in answer["series"] for point in series["pointlist"]]
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise self._odd(what) from error
        known = [whole(point, f"Datadog, {what}") for point in points if point is not None]
        return sum(known) if known else None
