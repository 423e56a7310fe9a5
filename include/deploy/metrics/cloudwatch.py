"""Amazon CloudWatch: request counts of an Application Load Balancer's target groups.

The metric of 5xx answers has data points only where there were some (ELB user guide, "CloudWatch
metrics"); the one of requests says whether anything was counted at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from include.deploy.metrics.source import Counts, paired, whole
from include.deploy.target import Colour
from include.errors import MetricsLost

NAMESPACE = "AWS/ApplicationELB"
REQUESTS = "RequestCount"
ERRORS = ("HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount")
_MINUTE = timedelta(minutes=1)


class CloudWatchMetrics:
    """Counts by whole minutes since the mark. `client` is boto3's cloudwatch client.

    `groups` names each slot's target group and `balancer` the load balancer, both as CloudWatch's
    dimensions do: the last part of their ARN.
    """

    def __init__(
        self,
        client: Any,
        groups: Mapping[Colour, str],
        balancer: str,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._groups = groups
        self._balancer = balancer
        self._clock = clock
        self._marks: dict[Colour, datetime] = {}

    def mark(self, slot: Colour) -> None:
        """Let counting begin at the next whole minute: the running one holds what was before."""
        now = self._clock()
        begin = now.replace(second=0, microsecond=0)
        self._marks[slot] = begin if begin == now else begin + _MINUTE

    def counts(self, slot: Colour) -> Counts:
        """Return what was counted since the mark."""
        if slot not in self._marks:
            self.mark(slot)
        since, until = self._marks[slot], self._clock()
        if until - since < _MINUTE:
            raise MetricsLost("CloudWatch counts by the minute, and none is full yet")
        names = (REQUESTS, *ERRORS)
        queries = [
            {
                "Id": f"m{number}",
                "ReturnData": True,
                "MetricStat": {
                    "Stat": "Sum",
                    "Period": 60,
                    "Metric": {
                        "Namespace": NAMESPACE,
                        "MetricName": name,
                        "Dimensions": [
                            {"Name": "LoadBalancer", "Value": self._balancer},
                            {"Name": "TargetGroup", "Value": self._groups[slot]},
                        ],
                    },
                },
            }
            for number, name in enumerate(names)
        ]
        sums = self._sums(queries, since, until)
        requests = sums.get("m0")
        if requests is None:
            raise MetricsLost(f"CloudWatch has no data about requests to {slot}")
        errors = sum(sums.get(f"m{number}") or 0 for number in range(1, len(names)))
        return paired(requests, errors)

    def _sums(self, queries: Any, since: datetime, until: datetime) -> dict[str, int | None]:
        found: dict[str, list[float]] = {}
        token: dict[str, str] = {}
        while True:
            try:
                answer = self._client.get_metric_data(
                    MetricDataQueries=queries, StartTime=since, EndTime=until, **token
                )
            except Exception as error:
                # Not botocore's own classes: the domain does not know the SDK.
                raise MetricsLost(f"CloudWatch does not answer: {str(error)[:200]}") from error
            # A page is told to be partial where another follows; the last one is whole or none.
            fine = ("Complete", "PartialData") if answer.get("NextToken") else ("Complete",)
            for result in answer["MetricDataResults"]:
                if result.get("StatusCode") not in fine:
                    raise MetricsLost(f"CloudWatch gives no whole answer: {result.get('Messages')}")
                found.setdefault(result["Id"], []).extend(result["Values"])
            if not answer.get("NextToken"):
                break
            token = {"NextToken": answer["NextToken"]}
        return {
            key: whole(sum(values), "CloudWatch") if values else None
            for key, values in found.items()
        }
