"""What waits for an instant: a train for its window with our sensor, and Airflow's own sensor."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, BaseOperator

from release_control.sensors.change_window import ChangeWindowSensor


class Nothing(BaseOperator):
    """Runs in a worker as any task does."""

    def execute(self, context: Any) -> None:
        """Do nothing."""


# The train is the one that the ledger knows under the run's id.
with DAG(
    "bench_waiting_train",
    schedule=None,
    is_paused_upon_creation=False,
    catchup=False,
    max_active_runs=50,
    # As the train's own Dag.
    default_args={"weight_rule": "upstream"},
):
    ChangeWindowSensor(task_id="wait") >> Nothing(task_id="first")

with DAG(
    "bench_waiting_stock",
    schedule=None,
    is_paused_upon_creation=False,
    catchup=False,
    max_active_runs=50,
):
    at = "{{ dag_run.conf['at'] }}"
    DateTimeSensorAsync(task_id="wait", target_time=at) >> Nothing(task_id="first")
