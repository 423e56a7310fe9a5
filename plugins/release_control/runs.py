"""Starting a run of another Dag from within a task, as often as need be, once.

`TriggerDagRunOperator` starts one run per task and fails on one that is there already. This is the
message that it sends, for as many as a task has to start.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from release_control.boarding import now

# Seconds between two looks at a run that is waited for.
LOOK_AGAIN = 5.0


def start_run(dag_id: str, run_id: str, conf: Mapping[str, Any], *, anew: bool = False) -> bool:
    """Start a run; return False where Airflow knows one by that id already.

    With `anew` that one is begun again: all of its tasks are cleared.
    Raises AirflowRuntimeError where it cannot be started: no such Dag, one with import errors, an
    API server that does not answer.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(
        TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf), reset_dag_run=anew)
    )
    if isinstance(answer, ErrorResponse):
        if answer.error == ErrorType.DAGRUN_ALREADY_EXISTS:
            return False
        raise AirflowRuntimeError(answer)
    return True


# The state of a run that Airflow does not know any more: it was deleted, or cleaned away.
GONE = "gone"


def run_state(dag_id: str, run_id: str) -> str:
    """Return the state of a run, like `running`, GONE where there is none by that id.

    Raises AirflowRuntimeError where it cannot be told.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import ErrorResponse, GetDagRunState
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer: Any = SUPERVISOR_COMMS.send(GetDagRunState(dag_id=dag_id, run_id=run_id))
    if isinstance(answer, ErrorResponse):
        if (answer.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return GONE
        raise AirflowRuntimeError(answer)
    return str(answer.state.value)


class AirflowDags:
    """Other Dags, started and waited for by the task that runs now."""

    def run(
        self, dag_id: str, run_id: str, conf: Mapping[str, Any], *, until: datetime
    ) -> str | None:
        """Start the run unless it is there and wait for its end; return what went wrong."""
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            start_run(dag_id, run_id, conf)
            while (state := run_state(dag_id, run_id)) not in ("success", "failed", GONE):
                if now() >= until:
                    return f"{dag_id} ({run_id}) is still {state}, and the permit has ended"
                time.sleep(LOOK_AGAIN)
        except AirflowRuntimeError as error:
            return f"{dag_id} ({run_id}) cannot be started or followed: {error}"[:1000]
        if state == GONE:
            return f"{dag_id} ({run_id}) was deleted while it ran; nobody knows how far it got"
        return None if state == "success" else f"{dag_id} ({run_id}) has failed; its log says why"
