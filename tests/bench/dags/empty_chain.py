"""Tasks that do nothing, one after the other: what Airflow itself needs from task to task."""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import DAG, BaseOperator, chain

TASKS = 20


class Nothing(BaseOperator):
    """Runs in a worker as any task does (an EmptyOperator never leaves the scheduler)."""

    def execute(self, context: Any) -> float:
        """Return when it was, in seconds since the epoch."""
        return time.time()


with DAG("bench_empty_chain", schedule=None, is_paused_upon_creation=False, catchup=False):
    chain(*[Nothing(task_id=f"nothing_{number:02}") for number in range(TASKS)])
