"""New Relic: one NRQL query through NerdGraph, its GraphQL API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import httpx

from include.deploy.metrics.http_source import LONG, HttpSource
from include.deploy.metrics.nrql import controls
from include.deploy.metrics.source import whole
from include.deploy.target import Colour
from include.errors import MetricsLost

_QUESTION = (
    "query($account: Int!, $nrql: Nrql!) "
    "{ actor { account(id: $account) { nrql(query: $nrql) { results } } } }"
)


class NewRelicMetrics(HttpSource):
    """Queries end in one number, like SELECT count(*) FROM Transaction WHERE …; SINCE is added.

    NRQL counts to zero what nobody ever reported. Where errors come to zero, the data type has to
    have been there in the last 30 days, with each attribute that the query asks for; whether the
    attributes' values are right nobody can say.
    """

    name = "New Relic"
    remedy = "count by what every request has, like FROM Transaction WHERE error IS TRUE"

    def __init__(
        self,
        client: httpx.Client,
        queries: Mapping[str, str],
        *,
        account: int,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(client, queries, clock=clock)
        self._account = account

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        found = self._number(self._query(what, slot, since, until), what, since, until)
        return None if what == "errors" and found == 0 else found

    def _controls(self, query: str) -> tuple[str, ...]:
        return controls(query)

    def _knows(self, control: str, until: datetime) -> bool:
        return bool(self._number(control, "a control of errors", until - LONG, until))

    def _number(self, query: str, what: str, since: datetime, until: datetime) -> int | None:
        # Instants as milliseconds of the epoch, which NRQL takes without a zone.
        begin, end = round(since.timestamp() * 1000), round(until.timestamp() * 1000)
        nrql = f"{query} SINCE {begin} UNTIL {end}"
        answer = self._json(
            "POST",
            "/graphql",
            json={"query": _QUESTION, "variables": {"account": self._account, "nrql": nrql}},
        )
        try:
            if answer.get("errors"):
                first = answer["errors"][0].get("message")
                raise MetricsLost(f"New Relic refuses the query for {what}: {str(first)[:200]}")
            results = answer["data"]["actor"]["account"]["nrql"]["results"]
            if not results:
                return None
            if len(results) != 1 or len(results[0]) != 1:
                raise MetricsLost(f"the query for {what} does not come to one number")
            (value,) = results[0].values()
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise self._odd(what) from error
        return None if value is None else whole(value, f"New Relic, {what}")
