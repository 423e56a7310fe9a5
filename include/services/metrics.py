"""Where a service's figures come from: `metrics` of an environment in config/services/<name>.yaml.

    metrics:
      source: prometheus            # cloudwatch, datadog, newrelic, sentry
      url: http://prometheus.internal:9090
      requests: sum(increase(http_requests_total{slot="{slot}"}[{seconds}s]))
      errors: sum(increase(http_requests_total{slot="{slot}",code=~"5.."}[{seconds}s]))

{slot} and {seconds} are filled in. Credentials lie in the source's Airflow Connection.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from include.documents import Section

ADDRESSES = {
    "datadog": "https://api.datadoghq.com",
    "newrelic": "https://api.newrelic.com",
    "sentry": "https://sentry.io",
}


class Metrics(Section):
    """A source of metrics; CloudWatch goes by target groups, all others by two queries."""

    source: Literal["prometheus", "cloudwatch", "datadog", "newrelic", "sentry"]
    url: str = ""
    requests: str = ""
    errors: str = ""
    balancer: str = ""
    groups: dict[Literal["blue", "green"], str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _known_address(cls, given: object) -> object:
        if isinstance(given, dict) and not given.get("url"):
            address = ADDRESSES.get(str(given.get("source")))
            return {**given, "url": address} if address else given
        return given

    @model_validator(mode="after")
    def _complete(self) -> Metrics:
        if self.source == "cloudwatch":
            if not self.balancer or set(self.groups) != {"blue", "green"}:
                message = "cloudwatch needs balancer and groups: {blue, green}"
                raise ValueError(message)
        elif not self.url or not self.requests or not self.errors:
            message = f"{self.source} needs url, requests and errors"
            raise ValueError(message)
        return self
