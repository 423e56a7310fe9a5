"""Another Dag that implements a change: whoever starts it, as the domain sees them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol


class OtherDags(Protocol):
    """Starts runs of other Dags."""

    def run(
        self, dag_id: str, run_id: str, conf: Mapping[str, Any], *, until: datetime
    ) -> str | None:
        """Start the run unless it is there, and wait for its end, at most `until`.

        Returns None where it succeeded, else what went wrong.
        """
