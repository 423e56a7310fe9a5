"""The reports' Dags: when they are due, what a run makes, and what people add."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
import time_machine
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

import release_control.operators.report as operators
from include.cli import main
from include.errors import ReportError
from include.ledger import Ledger, schema
from include.reports.rendering import letters
from include.reports.s3_archive import S3Archive
from include.settings import load_settings
from release_control.operators.report import MakeReportOperator, ReportWordsOperator
from release_control.timetables.report_due import ReportDueTimetable
from tests.aws import empty_account
from tests.dags.airflow_parts import Instance, answer, context, timeout
from tests.dags.conftest import ROOT
from tests.integration.conftest import (  # noqa: F401 - fixtures
    ledger,
    ledger_template,
    ledger_url,
    lent,
    lent_once,
    postgres,
)
from tests.unit.config_copy import ConfigCopy

CALENDAR = """
timezone: America/New_York
windows:
  standard: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "04:00"}
holidays: {country: US, observed: true, policy: warn}
"""


def timetable(kind: str) -> ReportDueTimetable:
    return ReportDueTimetable(kind, text=CALENDAR)


def due(kind: str, start: str, number: int) -> Iterator[tuple[str, str, str]]:
    """Yield (due, from, to) of the first runs since `start`, in New York's time."""
    earliest = pendulum.instance(datetime.fromisoformat(start).replace(tzinfo=UTC))
    restriction = TimeRestriction(earliest, None, True)
    last: DataInterval | None = None
    for _ in range(number):
        info: DagRunInfo | None = timetable(kind).next_dagrun_info(
            last_automated_data_interval=last, restriction=restriction
        )
        assert info is not None
        last = info.data_interval
        yield tuple(
            at.in_timezone("America/New_York").format("YYYY-MM-DD HH:mm")
            for at in (info.run_after, last.start, last.end)
        )  # type: ignore[misc]


def test_the_weekly_report_is_due_mondays_at_seven_on_the_wall_whatever_the_clocks_do() -> None:
    assert list(due("weekly", "2026-10-24", 3)) == [
        ("2026-10-26 07:00", "2026-10-19 00:00", "2026-10-26 00:00"),
        ("2026-11-02 07:00", "2026-10-26 00:00", "2026-11-02 00:00"),
        ("2026-11-09 07:00", "2026-11-02 00:00", "2026-11-09 00:00"),
    ]


def test_the_monthly_report_is_due_on_the_first_working_day_by_the_holiday_calendar() -> None:
    assert list(due("monthly", "2026-07-31T12:00", 6)) == [
        ("2026-08-03 07:00", "2026-07-01 00:00", "2026-08-01 00:00"),
        ("2026-09-01 07:00", "2026-08-01 00:00", "2026-09-01 00:00"),
        ("2026-10-01 07:00", "2026-09-01 00:00", "2026-10-01 00:00"),
        ("2026-11-02 07:00", "2026-10-01 00:00", "2026-11-01 00:00"),
        ("2026-12-01 07:00", "2026-11-01 00:00", "2026-12-01 00:00"),
        # New Year's Day is a Friday, and a holiday.
        ("2027-01-04 07:00", "2026-12-01 00:00", "2027-01-01 00:00"),
    ]


def test_the_quarterly_review_is_due_on_the_first_working_day_of_the_next_quarter() -> None:
    assert next(due("quarterly", "2026-11-20", 1)) == (
        "2027-01-04 07:00", "2026-10-01 00:00", "2027-01-01 00:00",
    )  # fmt: skip


def test_of_missed_reports_the_newest_is_made_late_and_none_at_the_first_start() -> None:
    restriction = TimeRestriction(pendulum.datetime(2026, 1, 1), None, False)
    with time_machine.travel(datetime(2026, 11, 25, 12, tzinfo=UTC), tick=False):
        first = timetable("weekly").next_dagrun_info(
            last_automated_data_interval=None, restriction=restriction
        )
        assert first is not None
        assert first.run_after == pendulum.datetime(2026, 11, 30, 12)
        last = DataInterval(pendulum.datetime(2026, 10, 5, 4), pendulum.datetime(2026, 10, 12, 4))
        late = timetable("weekly").next_dagrun_info(
            last_automated_data_interval=last, restriction=restriction
        )
    assert late is not None
    assert late.run_after == pendulum.datetime(2026, 11, 23, 12)
    assert late.data_interval.start == pendulum.datetime(2026, 11, 16, 5)


def test_a_schedule_survives_its_serialization() -> None:
    for kind in ("weekly", "monthly", "quarterly"):
        assert decode_timetable(encode_timetable(timetable(kind))) == timetable(kind)


@pytest.mark.parametrize(
    ("dag_id", "tasks"),
    [
        ("weekly_change_report", ["make_report"]),
        ("monthly_quality_report", ["make_report"]),
        ("quarterly_review", ["make_report", "decide_words", "make_review"]),
    ],
)
def test_each_report_has_its_dag(dag_id: str, tasks: list[str]) -> None:
    bag = DagBag(str(ROOT / "dags" / "reports.py"))
    assert bag.import_errors == {}
    assert [task.task_id for task in bag.dags[dag_id].tasks] == tasks
    if dag_id == "quarterly_review":
        # A first report that lacks its PDF keeps nobody from being asked.
        assert bag.dags[dag_id].task_dict["decide_words"].trigger_rule == "all_done"
    # A report that could not be made is told, not missed in silence.
    for task in bag.dags[dag_id].tasks:
        assert [type(tell).__name__ for tell in task.on_failure_callback] == ["RunFailedNotifier"]


@pytest.fixture
def place(
    ledger_url: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Let tasks see an empty ledger and a configuration whose state is under tmp_path."""
    config = ConfigCopy(tmp_path / "config")
    config.replace("global.yaml", "state_dir: .run ", f"state_dir: {tmp_path}/state ")
    config.replace(
        "global.yaml",
        "# reports_bucket: s3://hims-reports/release-control",
        "reports_bucket: s3://hims-reports/copies",
    )
    monkeypatch.setenv("HIMS_CONFIG", str(config.directory))
    monkeypatch.setenv(
        "AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url.replace("postgresql", "postgres", 1)
    )
    return tmp_path / "state"


def run_of(dag_id: str, task_id: str, **params: Any) -> dict[str, Any]:
    found = context(Instance(task_id=task_id, dag_id=dag_id), **params)
    found["dag_run"] = SimpleNamespace(
        triggering_user_name="rita", data_interval_start=pendulum.datetime(2026, 10, 1, 4)
    )
    return found


def notices(ledger: Ledger) -> list[Any]:  # noqa: F811
    with ledger.read() as connection:
        return list(connection.execute(schema.notice.select().order_by(schema.notice.c.id)))


def stored(client: Any) -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket="hims-reports")["Contents"]]


def test_a_report_is_made_recorded_and_told_though_its_copy_cannot_be_stored(
    ledger: Ledger,  # noqa: F811
    place: Path,
) -> None:
    task = MakeReportOperator(task_id="make_report", kind="monthly")
    # There is no Connection aws_default here.
    with pytest.raises(ReportError, match="aws_default is not defined; create it"):
        task.execute(run_of("monthly_quality_report", "make_report"))
    assert (place / "reports" / "monthly" / "monthly-2026-10.html").is_file()
    (row,) = ledger.records(event="report.made")
    assert json.loads(row["body"])["source"]["dag_id"] == "monthly_quality_report"
    (notice,) = notices(ledger)
    assert (notice.event, notice.severity) == ("report.ready", "info")
    assert "/dags/monthly_quality_report/runs/" in notice.link
    # A retry makes the same report, records it once and tells of it once.
    with pytest.raises(ReportError):
        task.execute(run_of("monthly_quality_report", "make_report"))
    assert len(ledger.records(event="report.made")) == 1
    assert len(notices(ledger)) == 1


def test_a_report_that_was_made_by_hand_before_is_told_all_the_same(
    ledger: Ledger,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operators, "_archive", lambda settings: None)
    assert main(["report", "weekly", "--period", "2026-W30", "--format", "md"]) == 0
    assert notices(ledger) == []
    task = MakeReportOperator(task_id="make_report", kind="weekly")
    made = task.execute(run_of("weekly_change_report", "make_report", period="2026-W30"))
    assert [notice.event for notice in notices(ledger)] == ["report.ready"]
    by_hand, by_dag = (json.loads(row["body"]) for row in ledger.records(event="report.made"))
    assert [item["uri"] for item in by_hand["evidence"]] == ["report:weekly-2026-W30.md"]
    assert len(by_dag["evidence"]) == len(made["files"]) == 4
    # Both have said it all by now.
    assert task.execute(run_of("weekly_change_report", "make_report", period="2026-W30")) == made
    assert main(["report", "weekly", "--period", "2026-W30"]) == 0
    assert len(ledger.records(event="report.made")) == 2
    assert len(notices(ledger)) == 1
    assert place.is_dir()


@pytest.mark.usefixtures("place")
def test_what_is_told_says_about_which_service_it_is_and_whether_its_time_is_over(
    ledger: Ledger,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operators, "_archive", lambda settings: None)
    task = MakeReportOperator(task_id="make_report", kind="monthly")
    with time_machine.travel(datetime(2026, 11, 20, 12, tzinfo=UTC), tick=False):
        for service in (None, "hims-web"):
            run = run_of("monthly_quality_report", "make_report", period="2026-11", service=service)
            task.execute(run)
    assert [notice.title for notice in notices(ledger)] == [
        "Monthly quality report: November 2026 (provisional)",
        "Monthly quality report, hims-web: November 2026 (provisional)",
    ]


def test_a_pdf_that_cannot_be_made_costs_nothing_else_and_the_next_try_brings_it(
    ledger: Ledger,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with empty_account() as session:
        client = session.client("s3")
        client.create_bucket(Bucket="hims-reports")
        archive = S3Archive(client, "s3://hims-reports/copies")
        monkeypatch.setattr(operators, "_archive", lambda settings: archive)
        task = MakeReportOperator(task_id="make_report", kind="weekly")
        run = run_of("weekly_change_report", "make_report", period="2026-W31")
        files = place / "reports" / "weekly"
        files.mkdir(parents=True)
        # Of another edition: nobody may take it for this one's.
        (files / "weekly-2026-W31.pdf").write_bytes(b"%PDF-old")
        archive.put("reports/weekly/weekly-2026-W31.pdf", b"%PDF-old", "application/pdf")
        with monkeypatch.context() as broken:
            broken.setattr(letters, "myfont", lambda name: b"no font")
            for _ in range(2):
                with pytest.raises(ReportError, match=r"stored and told, but .*W31\.pdf could not"):
                    task.execute(run)
        kept = {"weekly-2026-W31.html", "weekly-2026-W31.md", "weekly-2026-W31.json"}
        assert {path.name for path in files.iterdir()} == kept
        assert {name.rpartition("/")[2] for name in stored(client)} == kept
        (row,) = ledger.records(event="report.made")
        body = json.loads(row["body"])
        assert (body["outcome"], body["reason"]) == ("failure", "incomplete")
        assert body["details"]["missing"]["pdf"].startswith("its fonts: ")
        assert not any("pdf" in item["uri"] for item in body["evidence"])
        (notice,) = notices(ledger)
        assert notice.severity == "warning"
        assert notice.title.endswith("(without its PDF)")
        assert dict(notice.fields)["No PDF"].startswith("its fonts: ")
        made = task.execute(run)
        assert set(made["files"]) == {"html", "pdf", "md", "json"}
        assert len(stored(client)) == 4
    *_, whole = (json.loads(row["body"]) for row in ledger.records(event="report.made"))
    assert (whole["outcome"], whole["reason"]) == ("success", "done")
    assert len(whole["evidence"]) == 4
    assert [item.severity for item in notices(ledger)] == ["warning", "info"]
    # The same edition, which had it: what is lacking now is said again.
    monkeypatch.setattr(letters, "myfont", lambda name: b"no font")
    monkeypatch.setattr(operators, "_archive", lambda settings: None)
    with pytest.raises(ReportError):
        task.execute(run)
    assert json.loads(ledger.records(event="report.made")[-1]["body"])["outcome"] == "failure"


def test_copies_go_to_the_bucket_and_a_bucket_that_refuses_costs_no_report(
    ledger: Ledger,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with empty_account() as session:
        client = session.client("s3")
        archive = S3Archive(client, "s3://hims-reports/copies")
        monkeypatch.setattr(operators, "_archive", lambda settings: archive)
        task = MakeReportOperator(task_id="make_report", kind="weekly")
        run = run_of("weekly_change_report", "make_report", period="2026-W31")
        with pytest.raises(ReportError, match=r"no copy of .*NoSuchBucket"):
            task.execute(run)
        client.create_bucket(Bucket="hims-reports")
        made = task.execute(run)
        key = "copies/reports/weekly/weekly-2026-W31.pdf"
        assert f"s3://hims-reports/{key}" in made["copies"]
        stored = client.get_object(Bucket="hims-reports", Key=key)
        assert stored["Body"].read() == Path(made["files"]["pdf"]).read_bytes()
    bodies = [json.loads(row["body"]) for row in ledger.records(event="report.made")]
    assert [len(body["details"]["lost"]) for body in bodies] == [4, 0]
    assert [len(body["details"]["copies"]) for body in bodies] == [0, 4]
    assert len(notices(ledger)) == 1
    assert place.is_dir()


def test_people_write_the_quarters_words_and_the_review_has_them(
    ledger: Ledger,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ReportWordsOperator(task_id="decide_words")
    event = answer(
        "Add to the review",
        user="rita",
        params_input={"strategic_alignment": "Portal first.", "technology_improvements": None},
    )
    said = words.execute_complete(run_of("quarterly_review", "decide_words"), event)
    assert said == {"report": "quarterly-2026-Q4", "by": "rita"}
    monkeypatch.setattr(operators, "_archive", lambda settings: None)
    task = MakeReportOperator(task_id="make_review", kind="quarterly")
    made = task.execute(run_of("quarterly_review", "make_review"))
    text = Path(made["files"]["html"]).read_text()
    assert "Portal first." in text
    assert "Rita Moreno" in text
    assert "Nobody has written about this quarter yet." in text
    assert json.loads(ledger.records(event="report.worded")[0]["body"])["actor"]["user"] == "rita"
    assert place.is_dir()


@pytest.mark.usefixtures("place")
def test_nobody_writes_by_silence_or_by_default(
    ledger: Ledger,  # noqa: F811
) -> None:
    words = ReportWordsOperator(task_id="decide_words")
    for event in (timeout(), answer("Add to the review", user=None)):
        with pytest.raises(AirflowFailException, match="nobody wrote"):
            words.execute_complete(run_of("quarterly_review", "decide_words"), event)
    assert ledger.records(event="report.worded") == []


@pytest.mark.usefixtures("place")
def test_a_period_that_makes_no_sense_ends_the_run_and_says_why() -> None:
    task = MakeReportOperator(task_id="make_report", kind="weekly")
    with pytest.raises(AirflowFailException, match="write it like 2026-W47"):
        task.execute(run_of("weekly_change_report", "make_report", period="last week"))


@pytest.mark.usefixtures("place")
def test_nobody_is_told_of_a_period_that_has_not_begun(
    ledger: Ledger,  # noqa: F811
) -> None:
    task = MakeReportOperator(task_id="make_report", kind="monthly")
    with pytest.raises(AirflowFailException, match="still to come"):
        task.execute(run_of("monthly_quality_report", "make_report", period="2199-01"))
    assert ledger.records(event="report.made") == []


@pytest.mark.usefixtures("place")
def test_a_bucket_is_named_as_s3_names_it() -> None:
    assert load_settings().overall.reports_bucket == "s3://hims-reports/copies"
