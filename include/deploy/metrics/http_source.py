"""What sources that are asked over HTTP share: one question, one JSON answer, or MetricsLost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from include.deploy.metrics.source import Counts, paired
from include.deploy.target import Colour
from include.errors import MetricsLost

# How far back a control looks for what a query of errors reads.
LONG = timedelta(days=30)


class HttpSource:
    """Keeps the mark of each slot and asks for requests and errors since then.

    `queries` are the source's own words for `requests` and `errors`, in which {slot} and {seconds}
    are filled in. `client` knows the address and bears the credentials.

    Where requests were counted, no data about errors means none; but of what the source has never
    heard, it means that the query is wrong, which is MetricsLost. `remedy` is what else to do about
    a name that is right and was never heard of.
    """

    name = ""
    remedy = ""
    # Whether what a control has found once is known from then on.
    remembers = True

    def __init__(
        self, client: httpx.Client, queries: Mapping[str, str], *, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._queries = queries
        self._clock = clock
        self._marks: dict[Colour, datetime] = {}
        self._known: set[str] = set()

    def mark(self, slot: Colour) -> None:
        """Let counting begin now."""
        self._marks[slot] = self._clock()

    def counts(self, slot: Colour) -> Counts:
        """Return what was counted since the mark."""
        if slot not in self._marks:
            self.mark(slot)
        now = self._clock()
        since = self._marks[slot]
        requests = self._ask("requests", slot, since, now)
        if requests is None:
            raise MetricsLost(
                f"{self.name} has no data about requests to {slot} since {since:%H:%M:%S}Z; "
                "that is not the same as none"
            )
        errors = self._ask("errors", slot, since, now)
        if errors is None:
            self._refuse_unknown(self._query("errors", slot, since, now), now)
        return paired(requests, errors or 0)

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        """Return a count, None for no data."""
        raise NotImplementedError

    def _controls(self, query: str) -> tuple[str, ...]:
        """Return what has to be known where `query` finds nothing; none where that can't be said.

        By default the source offers no way to tell a word that nobody uses from a wrong one.
        """
        return ()

    def _knows(self, control: str, until: datetime) -> bool:
        """Tell whether a control finds anything."""
        raise NotImplementedError

    def _refuse_unknown(self, query: str, until: datetime) -> None:
        for control in self._controls(query):
            if control in self._known:
                continue
            if not self._knows(control, until):
                raise MetricsLost(
                    f"the query for errors finds nothing, and neither does {control}: a name in it "
                    "is misspelt, or nobody reports it; mend metrics.errors of the service. Is it "
                    f"there from the first error on only, {self.remedy}"
                )
            if self.remembers:
                self._known.add(control)

    def _query(self, what: str, slot: Colour, since: datetime, until: datetime) -> str:
        seconds = max(1, round((until - since).total_seconds()))
        # Not str.format: query languages have braces of their own.
        return self._queries[what].replace("{slot}", str(slot)).replace("{seconds}", str(seconds))

    def _json(self, method: str, path: str, **given: Any) -> Any:
        try:
            response = self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            # Not the URL: some sources want their key in it.
            raise MetricsLost(f"{self.name} does not answer ({type(error).__name__})") from error
        if response.status_code != 200:
            said = " ".join(response.text.split())[:200]
            raise MetricsLost(f"{self.name} answers {response.status_code}: {said}")
        try:
            return response.json()
        except ValueError as error:
            raise MetricsLost(f"{self.name} answers what is no JSON") from error

    def _odd(self, what: str) -> MetricsLost:
        return MetricsLost(f"{self.name} answers about {what} in a form that it never had")
