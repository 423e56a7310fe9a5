"""Many gates that ask at the same time, mapped and not."""

from __future__ import annotations

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG

SINGLE = 20
MAPPED = 40
OPTIONS = ["Approve", "Reject", "Abstain"]

with DAG(
    "bench_gates",
    schedule=None,
    is_paused_upon_creation=False,
    catchup=False,
    # A gate that Airflow loses must show as failed, not be asked again.
    default_args={"retries": 0},
):
    for number in range(SINGLE):
        HITLOperator(task_id=f"gate_{number:02}", subject=f"Gate {number}", options=OPTIONS)
    HITLOperator.partial(task_id="mapped_gate", options=OPTIONS).expand(
        subject=[f"Mapped gate {number}" for number in range(MAPPED)]
    )
