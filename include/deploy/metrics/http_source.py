"""What sources that are asked over HTTP share: one question, one JSON answer, or MetricsLost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx

from include.deploy.metrics.source import Counts, paired
from include.deploy.target import Colour
from include.errors import MetricsLost


class HttpSource:
    """Keeps the mark of each slot and asks for requests and errors since then.

    `queries` are the source's own words for `requests` and `errors`, in which {slot} and {seconds}
    are filled in. `client` knows the address and bears the credentials.
    """

    name = ""

    def __init__(
        self, client: httpx.Client, queries: Mapping[str, str], *, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._queries = queries
        self._clock = clock
        self._marks: dict[Colour, datetime] = {}

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
        # Requests are there, so the source works: no error events then means no errors.
        errors = self._ask("errors", slot, since, now) or 0
        return paired(requests, errors)

    def _ask(self, what: str, slot: Colour, since: datetime, until: datetime) -> int | None:
        """Return a count, None for no data."""
        raise NotImplementedError

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
