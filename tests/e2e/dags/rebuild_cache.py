"""Another Dag, as a team has them: a change may be implemented by a run of it."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

with DAG(
    "rebuild_cache",
    schedule=None,
    catchup=False,
    is_paused_upon_creation=False,
    params={"node": Param(type="string"), "shards": Param(1, type="integer")},
):

    @task
    def rebuild(params: dict[str, object] | None = None) -> str:
        """Say what was asked for."""
        given = params or {}
        return f"{given['node']} in {given['shards']} shards"

    rebuild()
