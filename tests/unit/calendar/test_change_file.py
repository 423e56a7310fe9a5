"""A change file put to the calendar: the plan's template as it stands there, and wrong ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.calendar import ChangeCalendar
from include.calendar.change_file import read_work
from include.cli import main
from include.errors import ConfigError
from tests.unit.calendar.conftest import STANDARD, Load

TEMPLATE = """\
title: "Implement Patient Portal Redesign"
type: normal
priority: high
requester: "UI/UX Team"
description: "Redesign patient portal for improved usability"
impact_assessment:
  risk_level: medium
  affected_systems: ["frontend", "api"]
  downtime_required: false
  rollback_plan: "Revert to previous version"
testing_requirements:
  unit_tests: required
  integration_tests: required
  user_acceptance: required
schedule:
  planned_start: "2025-02-03"
  planned_end: "2025-02-15"
  change_window: "Saturday 2-4 AM"
approvals_required:
  - technical_lead
  - product_manager
  - security_officer
"""


@pytest.fixture
def calendar(load: Load) -> ChangeCalendar:
    return load(STANDARD)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "portal.yaml"
    path.write_text(TEMPLATE)
    return path


def test_the_plans_template_starts_where_it_first_fits_into_its_window(
    calendar: ChangeCalendar, file: Path
) -> None:
    work = read_work(file, calendar)
    assert (work.id, work.title) == ("portal", "Implement Patient Portal Redesign")
    assert work.systems == ("frontend", "api")
    assert work.start == datetime(2025, 2, 8, 7, tzinfo=UTC)


def test_the_last_planned_day_is_whole(calendar: ChangeCalendar, file: Path) -> None:
    file.write_text(
        TEMPLATE.replace("2025-02-03", "2025-02-08").replace("2025-02-15", "2025-02-08")
    )
    assert read_work(file, calendar).start == datetime(2025, 2, 8, 7, tzinfo=UTC)


def test_a_plan_without_an_opening_begins_where_it_says(
    calendar: ChangeCalendar, file: Path
) -> None:
    file.write_text(TEMPLATE.replace("2025-02-15", "2025-02-07"))
    assert read_work(file, calendar).start == datetime(2025, 2, 3, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "start"),
    [
        ("2025-01-20T00:00", "2025-02-08T07:00"),
        ("2025-02-08T08:00", "2025-02-08T08:00"),
        ("2025-02-08T12:00", "2025-02-15T07:00"),
        ("2025-03-01T00:00", "2025-02-08T07:00"),
    ],
)
def test_while_its_time_lasts_a_plan_looks_ahead(
    calendar: ChangeCalendar, file: Path, now: str, start: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    begins = read_work(file, calendar, now=moment).start
    assert begins == datetime.fromisoformat(start).replace(tzinfo=UTC)


def test_work_that_does_not_fit_and_its_way_back_is_told_by_the_file(
    calendar: ChangeCalendar, file: Path
) -> None:
    file.write_text(TEMPLATE.replace("schedule:", "schedule:\n  duration: 1h\n  rollback: 40m"))
    work = read_work(file, calendar)
    assert (work.needs, work.rollback) == (timedelta(hours=1), timedelta(minutes=40))
    assert read_work(file, calendar, needs=timedelta(minutes=5)).needs == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2-4 AM", "2-5 AM", ":18: schedule.change_window: there is no window"),
        ("2025-02-03", "2025-02-30", ":16: schedule.planned_start: 2025-02-30 is not a date"),
        ("2025-02-03", "02:00", ":16: schedule.planned_start: needs its date"),
        ("2025-02-03", "2025-03-03", ":17: schedule.planned_end: lies before planned_start"),
        ('["frontend", "api"]', "5", ":8: impact_assessment.affected_systems: "),
        ("schedule:", "schedule:\n  duration: 0s", ":16: schedule.duration: 0s: must be more"),
        ("schedule:", "schedule:\n  rollback: 99d", ":16: schedule.rollback: 99d: must be"),
        ("title:", "titel:", '"title" is required'),
        ("type: normal", "type: &a normal\npriority2: *a", "aliases"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_key(
    calendar: ChangeCalendar, file: Path, old: str, new: str, said: str
) -> None:
    file.write_text(TEMPLATE.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        read_work(file, calendar)
    assert said in str(caught.value)


def test_explain_takes_a_change_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calendar", "explain", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["id"], said["at"]) == ("portal", "2025-02-08T07:00:00Z")
    file.write_text(TEMPLATE.replace("2025-02-15", "2025-02-07"))
    assert main(["calendar", "explain", str(file), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert {item["code"]: item["verdict"] for item in said["conditions"]}[
        "outside_window"
    ] == "block"
    assert main(["calendar", "conflicts", str(file), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "outside_window"
