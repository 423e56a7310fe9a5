"""Datadog: its timeseries query, added up over all points and series."""

from __future__ import annotations

import re
from datetime import datetime

from include.deploy.metrics.http_source import LONG, HttpSource
from include.deploy.metrics.source import amount
from include.deploy.target import Colour
from include.errors import MetricsLost

# A metric and what it is filtered by; `by {…}` behind it groups.
_SCOPED = re.compile(r"(?<![\w.])([A-Za-z][\w.]*)\s*\{([^{}]*)\}")
_TAG = re.compile(r"(?<![\w.:/!-])(?<!NOT )([A-Za-z][\w./-]*?)\s*(?::|\bIN\s*\()", re.IGNORECASE)


class DatadogMetrics(HttpSource):
    """Asks `/api/v1/query`; queries are counts, like sum:trace.http.request.hits{…}.as_count().

    A metric that nobody ever sent has no series, as one of errors has that did not happen. Where
    errors have none, each metric of the query has to have been there in the last 30 days, with each
    tag that it is filtered by; whether the tags' values are right nobody can say.
    """

    name = "Datadog"
    remedy = (
        "let the service count its errors from its start, with zero, or tag what it counts anyway"
    )

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        return self._sum(self._query(what, slot, since, until), what, since, until)

    def _controls(self, query: str) -> tuple[str, ...]:
        return controls(query)

    def _knows(self, control: str, until: datetime) -> bool:
        return self._sum(control, "a control of errors", until - LONG, until) is not None

    def _sum(self, query: str, what: str, since: datetime, until: datetime) -> int | None:
        answer = self._json(
            "GET",
            "/api/v1/query",
            params={
                "from": int(since.timestamp()),
                "to": int(until.timestamp()),
                "query": query,
            },
        )
        try:
            if answer.get("status") == "error" or answer.get("error"):
                raise MetricsLost(f"Datadog refuses the query for {what}: {answer.get('error')}")
            points = [point[1] for series in answer["series"] for point in series["pointlist"]]
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise self._odd(what) from error
        known = [amount(point, f"Datadog, {what}") for point in points if point is not None]
        # Points are seldom whole, and many small ones come to something.
        return round(sum(known)) if known else None


def controls(query: str) -> tuple[str, ...]:
    """Return queries for each metric of `query` and each tag that it is filtered by, whatever its
    value; `exclude_null` takes away what has no such tag."""
    found: dict[str, None] = {}
    for metric, scope in _SCOPED.findall(query):
        if metric.lower() == "by":
            continue
        tags = dict.fromkeys(tag for tag in _TAG.findall(scope) if tag.upper() != "NOT")
        for tag in tags:
            found[f"exclude_null(sum:{metric}{{*}} by {{{tag}}})"] = None
        if not tags:
            found[f"sum:{metric}{{*}}"] = None
    return tuple(found)
