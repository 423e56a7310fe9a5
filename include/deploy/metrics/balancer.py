"""The target's own load balancer as a source of metrics: it counts every request there is."""

from __future__ import annotations

from include.deploy.metrics.source import Counts
from include.deploy.target import Colour, Target, Traffic
from include.errors import MetricsLost, TargetError


class BalancerMetrics:
    """Counts by the load balancer; a connection that failed is an error like any other."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before: dict[Colour, Traffic] = {}

    def mark(self, slot: Colour) -> None:
        """Let counting begin now."""
        self._before[slot] = self._read(slot)

    def counts(self, slot: Colour) -> Counts:
        """Return what was counted since the mark."""
        if slot not in self._before:
            self.mark(slot)
        before, now = self._before[slot], self._read(slot)
        if now.requests < before.requests:
            # A load balancer that was started anew counts from nothing, and so do we.
            before = Traffic(requests=0, server_errors=0, failed_connections=0)
            self._before[slot] = before
        errors = (now.server_errors - before.server_errors) + (
            now.failed_connections - before.failed_connections
        )
        return Counts(requests=now.requests - before.requests, errors=max(errors, 0))

    def _read(self, slot: Colour) -> Traffic:
        try:
            return self._target.traffic(slot)
        except MetricsLost:
            raise
        except TargetError as error:
            raise MetricsLost(str(error)) from error
