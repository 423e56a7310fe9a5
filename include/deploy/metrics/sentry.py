"""Sentry: numbers of events from its Discover endpoint; transactions are the requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote

import httpx

from include.deploy.metrics.http_source import HttpSource
from include.deploy.metrics.source import whole
from include.deploy.target import Colour

_DATASETS = {"requests": "transactions", "errors": "errors"}


class SentryMetrics(HttpSource):
    """Queries are Sentry's search words, like release:hims-api@2.3.0 environment:production.

    Sentry takes any key for a tag and counts to zero those that nobody has: a misspelt word in the
    query for errors can't be told from none.
    """

    name = "Sentry"

    def __init__(
        self,
        client: httpx.Client,
        queries: Mapping[str, str],
        *,
        organisation: str,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(client, queries, clock=clock)
        self._path = f"/api/0/organizations/{quote(organisation, safe='')}/events/"

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        answer = self._json(
            "GET",
            self._path,
            params={
                "dataset": _DATASETS[what],
                "field": "count()",
                "query": self._query(what, slot, since, until),
                "start": f"{since:%Y-%m-%dT%H:%M:%S}",
                "end": f"{until:%Y-%m-%dT%H:%M:%S}",
            },
        )
        try:
            rows = answer["data"]
            if not rows:
                return None
            count = whole(rows[0]["count()"], f"Sentry, {what}")
        except (KeyError, TypeError, IndexError) as error:
            raise self._odd(what) from error
        # Sentry counts to zero where it has heard nothing at all.
        return count if count or what == "errors" else None
