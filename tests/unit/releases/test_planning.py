"""Finding the slot of a release: dates backwards from a change window."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.calendar import ChangeCalendar, load_calendar
from include.cli import main
from include.errors import RequestError
from include.releases.plan import PlannedSlot
from include.releases.planning import (
    APPROVAL_LASTS,
    find_slot,
    local_time,
    refuse_unmeasured_ceiling,
)
from include.releases.policy import Leads
from include.settings import ROOT, load_settings
from tests.unit.config_copy import ConfigCopy

LEADS = Leads(feature_freeze=timedelta(days=14), code_freeze=timedelta(days=7))
NEEDS = timedelta(minutes=55)
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)

CALENDAR = """
timezone: America/New_York
windows:
  standard:
    rrule: FREQ=WEEKLY;BYDAY=SA
    start: "02:00"
    end: "04:00"
    cutoff: 20m
  night:
    systems: [reports]
    rrule: FREQ=DAILY
    start: "05:00"
    end: "06:00"
blackouts:
  year-end:
    start: 2026-12-19T00:00
    end: 2027-01-04T00:00
    systems: ["*"]
    reason: Year-end reporting
  audit:
    start: 2026-11-21T02:30
    end: 2026-11-21T04:00
    systems: ["*"]
    reason: Audit
"""


@pytest.fixture(scope="module")
def calendar(tmp_path_factory: pytest.TempPathFactory) -> ChangeCalendar:
    path: Path = tmp_path_factory.mktemp("calendar") / "calendar.yaml"
    path.write_text(CALENDAR)
    return load_calendar(path)


def find(
    calendar: ChangeCalendar,
    target: str | None = None,
    *,
    now: datetime = NOW,
    needs: timedelta = NEEDS,
    systems: tuple[str, ...] = ("api",),
    leads: Leads = LEADS,
) -> PlannedSlot:
    wanted = datetime.fromisoformat(target) if target else None
    return find_slot(calendar, systems, leads, needs=needs, target=wanted, now=now)


def test_without_a_target_it_is_the_first_that_leaves_the_freeze_its_lead(
    calendar: ChangeCalendar,
) -> None:
    # The 21st is 14 days and more ahead as well, but an audit leaves it only half an hour.
    slot = find(calendar)
    assert slot.start == datetime(2026, 11, 28, 7, tzinfo=UTC)
    assert slot.end == datetime(2026, 11, 28, 9, tzinfo=UTC)
    assert slot.latest_start == slot.end - NEEDS
    assert slot.latest == slot.start + APPROVAL_LASTS
    assert slot.local.startswith("Sat 28 Nov 2026 02:00–04:00")
    assert slot.window == "standard"


def test_less_work_fits_into_what_an_audit_leaves(calendar: ChangeCalendar) -> None:
    slot = find(calendar, needs=timedelta(minutes=10))
    assert slot.start == datetime(2026, 11, 21, 7, tzinfo=UTC)


def test_the_lead_is_counted_to_the_second(calendar: ChangeCalendar) -> None:
    start = datetime(2026, 11, 28, 7, tzinfo=UTC)
    needs = timedelta(hours=2) - timedelta(minutes=20)
    assert find(calendar, now=start - timedelta(days=14), needs=needs).start == start
    late = find(calendar, now=start - timedelta(days=14) + timedelta(minutes=21), needs=needs)
    assert late.start == start + timedelta(days=7)


def test_a_target_inside_a_window_aims_for_that_window(calendar: ChangeCalendar) -> None:
    slot = find(calendar, "2026-12-05T02:00:00-05:00")
    assert slot.start == datetime(2026, 12, 5, 7, tzinfo=UTC)
    # Also where the work would not fit any more from then on.
    for later in ("02:30", "03:30"):
        assert find(calendar, f"2026-12-05T{later}:00-05:00") == slot


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("2026-10-31T02:00:00-04:00", "is in the past"),
        ("2026-11-02T12:00:00+00:00", "is in the past"),
        ("2026-11-07T02:00:00-05:00", "is inside the freeze lead"),
        ("2026-11-16T11:59:59+00:00", "is inside the freeze lead"),
        ("2026-11-25T02:00:00-05:00", "no window is open"),
        ("2026-11-28T01:59:59-05:00", "no window is open"),
        ("2026-11-28T04:00:00-05:00", "no window is open"),
        ("2026-11-21T02:00:00-05:00", "with 55m left"),
        ("2026-12-19T02:00:00-05:00", "no window is open"),
    ],
)
def test_a_target_that_cannot_be_met_says_why_and_what_can(
    calendar: ChangeCalendar, target: str, said: str
) -> None:
    with pytest.raises(RequestError, match=r"^target_window: ") as refused:
        find(calendar, target)
    assert said in str(refused.value)


def test_after_a_blackout_the_next_one_is_offered(calendar: ChangeCalendar) -> None:
    with pytest.raises(RequestError, match=r"the next one is Sat 9 Jan 2027|Sat 09 Jan 2027"):
        find(calendar, "2026-12-19T02:00:00-05:00")


def test_work_that_fits_into_no_window_is_refused(calendar: ChangeCalendar) -> None:
    with pytest.raises(RequestError, match="no opening in which 3h fits"):
        find(calendar, needs=timedelta(hours=3))


def test_two_systems_go_where_both_may(calendar: ChangeCalendar) -> None:
    slot = find(calendar, systems=("api", "reports"), needs=timedelta(minutes=30))
    assert slot.start.astimezone(UTC).weekday() == 5
    alone = find(calendar, systems=("reports",), needs=timedelta(minutes=30))
    assert alone.start < slot.start


def test_local_time_names_the_zone_in_force() -> None:
    zone = "America/New_York"
    assert local_time(datetime(2026, 11, 28, 7, tzinfo=UTC), zone) == "Sat 28 Nov 2026 02:00 EST"
    assert local_time(datetime(2026, 7, 4, 6, tzinfo=UTC), zone) == "Sat 4 Jul 2026 02:00 EDT"


@pytest.mark.parametrize(
    ("opens", "freezes"),
    [
        # Clocks go forward on Sunday 14 March 2027 and back on Sunday 7 November 2027.
        ("2027-03-20T02:00:00-04:00", "2027-03-06T02:00:00-05:00"),
        ("2027-11-13T02:00:00-05:00", "2027-10-30T02:00:00-04:00"),
    ],
)
def test_two_weeks_before_a_slot_is_the_same_time_on_the_wall(
    calendar: ChangeCalendar, opens: str, freezes: str
) -> None:
    now = datetime.fromisoformat(freezes)
    slot = find(calendar, now=now)
    assert slot.start == datetime.fromisoformat(opens)
    aimed = find(calendar, opens, now=now)
    assert aimed.start == slot.start
    late = now + timedelta(seconds=1)
    with pytest.raises(RequestError, match="inside the freeze lead"):
        find(calendar, opens, now=late)
    needs = timedelta(hours=2)
    assert find(calendar, now=late, needs=needs).start == slot.start + timedelta(days=7)


def test_a_plan_from_the_shell_tells_what_its_train_meets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ["release", "plan", "hims-api", "2.3.0", "--type", "minor", "--json",
             "--at", "2026-11-20T00:00:00Z", "--target"]  # fmt: skip
    assert main([*asked, "2027-01-09T07:00:00Z"]) == 1
    plan = json.loads(capsys.readouterr().out)
    assert (plan["feature_freeze"], plan["code_freeze"], plan["testing"]) == (
        "2026-12-26T07:00:00Z",
        "2027-01-02T07:00:00Z",
        "7d",
    )
    assert plan["slot"]["local"] == "Sat 9 Jan 2027 02:00–04:00 EST"
    met = {item["code"]: item for item in plan["collisions"] if "start" in item}
    assert met.keys() == {"blackout", "holiday"}
    assert met["blackout"]["end"] == "2027-01-04T05:00:00Z"
    assert met["holiday"]["message"].startswith("New Year's Day")


def test_a_plan_that_nothing_stands_against_is_a_yes_though_its_repository_is_elsewhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ConfigCopy(tmp_path / "config")
    config.replace("services/hims-api.yaml", ".run/repositories", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("HIMS_CONFIG", str(config.directory))
    asked = ["release", "plan", "hims-api", "2.3.0", "--type", "minor", "--json"]
    assert main([*asked, "--at", "2026-06-01T00:00:00Z"]) == 0
    codes = [item["code"] for item in json.loads(capsys.readouterr().out)["collisions"]]
    assert "version_unchecked" in codes


def plan_at(config: Path, *more: str) -> list[str]:
    return ["release", "plan", "hims-api", "2.3.0", "--type", "minor", "--json",
            "--at", "2026-11-20T00:00:00Z", "--config", str(config), *more]  # fmt: skip


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    path = tmp_path / "quiet.yaml"
    path.write_text(QUIET)
    return path


QUIET = """
timezone: America/New_York
windows: {standard: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "04:00", cutoff: 20m}}
"""


@pytest.mark.parametrize(
    ("target", "codes", "slot"),
    [
        ("2026-12-19T07:30:00Z", ["moved", "blackout"], "2026-12-26T07:00:00Z"),
        ("2026-11-21T07:00:00Z", ["lead_passed", "lead_passed"], "2026-11-21T07:00:00Z"),
        ("2026-12-12T09:00:00Z", ["moved", "blackout"], "2026-12-26T07:00:00Z"),
    ],
)
def test_a_target_that_does_not_do_is_a_plan_with_what_stands_against_it(
    quiet: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    codes: list[str],
    slot: str,
) -> None:
    quiet.write_text(
        QUIET + "blackouts: {audit: {start: 2026-12-18, end: 2026-12-21, reason: Audit}}\n"
    )
    assert main(plan_at(quiet, "--target", target)) == 1
    plan = json.loads(capsys.readouterr().out)
    assert [item["code"] for item in plan["collisions"] if "start" in item] == codes
    assert plan["slot"]["start"] == slot
    if "lead_passed" in codes:
        assert plan["earliest"]["start"] == "2026-12-05T07:00:00Z"


def test_work_that_fits_into_no_slot_is_a_no_and_a_past_target_misuse(
    quiet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(plan_at(quiet, "--target", "2026-11-14T07:00:00Z")) == 2
    assert "is in the past" in capsys.readouterr().err
    quiet.write_text(QUIET.replace("04:00", "02:30"))
    assert main(plan_at(quiet)) == 1
    plan = json.loads(capsys.readouterr().out)
    assert (plan["slot"], plan["feature_freeze"]) == (None, None)
    assert "no_slot" in [item["code"] for item in plan["collisions"]]


def test_of_blackouts_that_recur_a_plan_tells_those_of_a_day_and_more(
    quiet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet.write_text(
        QUIET
        + """
blackouts:
  clinic: {rrule: "FREQ=DAILY", start: "08:00", end: "18:00", reason: Clinic hours}
  closing: {rrule: "FREQ=MONTHLY;BYMONTHDAY=-1", start: "00:00", end: "00:00", end_day: 2,
            reason: Books are closed}
"""
    )
    assert main(plan_at(quiet)) == 1
    plan = json.loads(capsys.readouterr().out)
    met = [(item["code"], item["start"]) for item in plan["collisions"] if "start" in item]
    assert met == [("blackout", "2026-11-30T05:00:00Z")]


def test_a_ceiling_for_p95_needs_paths_whose_answers_are_timed() -> None:
    settings = load_settings(ROOT / "config")
    profile = settings.environment("production")
    files = {"service_file": "services/x.yaml", "profile_file": "environments/production.yaml"}
    for name in settings.services:
        refuse_unmeasured_ceiling(settings.service(name), profile, **files)
    service = settings.service("hims-api")
    untimed = service.model_copy(
        update={"checks": service.checks.model_copy(update={"warm_up": ()})}
    )
    with pytest.raises(RequestError, match=r"checks\.warm_up.*services/x\.yaml"):
        refuse_unmeasured_ceiling(untimed, profile, **files)
    lenient = profile.model_copy(
        update={"watch": profile.watch.model_copy(update={"max_p95": None})}
    )
    refuse_unmeasured_ceiling(untimed, lenient, **files)
