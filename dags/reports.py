"""# Reports

The plan's section 10.2, from the ledger: the weekly change report, the monthly quality report and
the quarterly review. Each is made when it is due by the zone's clocks and the holiday calendar, or
by hand for any period. The review is made at once, and again when people have written what no
ledger knows.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from release_control.notifiers.run_failed import RunFailedNotifier
from release_control.operators.report import MakeReportOperator, ReportWordsOperator
from release_control.services import service_names
from release_control.timetables.report_due import ReportDueTimetable


def report_dag(dag_id: str, title: str, kind: str, example: str) -> DAG:
    """Return the Dag of one kind of report, without its tasks."""
    period = Param(
        None,
        type=["null", "string"],
        title="Period",
        description=f"Like {example}; empty for the newest one that is complete.",
    )
    service = Param(
        None,
        type=["null", "string"],
        enum=[None, *service_names()],
        title="Service",
        description="One service alone; empty for all.",
    )
    return DAG(
        dag_id=dag_id,
        dag_display_name=title,
        schedule=ReportDueTimetable(kind),
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        allowed_run_types=["manual", "scheduled", "operator_triggered"],
        max_active_runs=4,
        is_paused_upon_creation=False,
        params={"period": period, "service": service},
        tags=["reports"],
        doc_md=__doc__,
        default_args={
            "owner": "release-control",
            "retries": 5,
            "retry_delay": timedelta(minutes=1),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(minutes=30),
            "on_failure_callback": RunFailedNotifier(),
        },
    )


with report_dag("weekly_change_report", "Weekly change report", "weekly", "2026-W47"):
    MakeReportOperator(task_id="make_report", kind="weekly")

with report_dag("monthly_quality_report", "Monthly quality report", "monthly", "2026-11"):
    MakeReportOperator(task_id="make_report", kind="monthly")

with report_dag("quarterly_review", "Quarterly review", "quarterly", "2026-Q4"):
    first = MakeReportOperator(task_id="make_report", kind="quarterly")
    # People are asked though a form or a copy of the first report is still missing.
    words = ReportWordsOperator(task_id="decide_words", trigger_rule="all_done")
    final = MakeReportOperator(
        task_id="make_review", kind="quarterly", task_display_name="Make review with words"
    )
    first >> words >> final
