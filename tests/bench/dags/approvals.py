"""Airflow's own ApprovalOperator, each followed by a task that does nothing."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, BaseOperator, chain

APPROVALS = 4


class Nothing(BaseOperator):
    """Runs in a worker as any task does."""

    def execute(self, context: Any) -> None:
        """Do nothing."""


with DAG("bench_approvals", schedule=None, is_paused_upon_creation=False, catchup=False):
    tasks: list[BaseOperator] = []
    for number in range(APPROVALS):
        tasks += [
            ApprovalOperator(task_id=f"approve_{number}", subject="Go on?"),
            Nothing(task_id=f"after_{number}"),
        ]
    chain(*tasks)
