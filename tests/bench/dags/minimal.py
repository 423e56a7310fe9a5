"""The least that a Dag file can be."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("bench_minimal", schedule=None):
    EmptyOperator(task_id="nothing")
