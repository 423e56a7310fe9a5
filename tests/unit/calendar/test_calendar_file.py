"""What is wrong in a calendar file is refused with its file, line, key and remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.calendar import WindowKind, load_calendar
from include.errors import ConfigError
from tests.unit.calendar.conftest import STANDARD, Load

ROOT = Path(__file__).parents[3]
BLACKOUT = """
blackouts:
  year-end:
    start: 2026-12-19T00:00
    end: 2027-01-04T00:00
    reason: Year-end
"""


def refused(load: Load, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("America/New_York", "EST", 'calendar.yaml:2: timezone: "EST" is not an IANA zone: EST is '
         "UTC-5 all year, also in summer; write America/New_York"),
        ("America/New_York", "-05:00", "a fixed offset follows the clocks of no place"),
        ("America/New_York", "Etc/GMT+5", "a fixed offset follows the clocks of no place"),
        ("America/New_York", "America/NewYork", 'did you mean "America/New_York"'),
        ("America/New_York", "Japan", '"Japan" is a link name that the time zone database keeps '
         "for old programs; write Asia/Tokyo"),
        ("America/New_York", "EST5EDT", "write America/New_York"),
        ("America/New_York", "../../etc/passwd", "is not an IANA zone"),
        ("America/New_York", "5", "is not an IANA zone"),
        ("FREQ=WEEKLY;BYDAY=SA", "FREQ=WEEKLY;BYDAY=SAT", "calendar.yaml:6: windows.standard"
         '.rrule: BYDAY: "SAT" is not a weekday'),
        ('start: "02:00"', "start: 22:00", "calendar.yaml:7: windows.standard.start: write "
         'the time in quotes, like "22:00"'),
        ('start: "02:00"', 'start: "2:00"', 'write it like "02:00"'),
        ('start: "02:00"', 'start: "25:00"', "is not a time of day"),
        ('end: "04:00"', 'end: "24:00"', 'write "00:00"'),
        ('    start: "02:00"\n', "", 'calendar.yaml:4: windows.standard: "start" is required'),
        ("    rrule: FREQ=WEEKLY;BYDAY=SA\n", "", 'one of "rrule"'),
        ("rrule: FREQ=WEEKLY;BYDAY=SA", "dates: []", "windows.standard.dates"),
        ("rrule: FREQ=WEEKLY;BYDAY=SA", "dates: [2026-02-30]", "windows.standard.dates.0"),
        ("rrule: FREQ=WEEKLY;BYDAY=SA", "dates: [2026-12-05, 2026-12-05]", "given twice"),
        ("cutoff: 20m", "cutof: 20m", 'unknown key; did you mean "cutoff"'),
        ("cutoff: 20m", "kind: standart", "windows.standard.kind: must be 'standard', 'extended' "
         "or 'emergency' (given: 'standart'); did you mean \"standard\"?"),
        ("cutoff: 20m", "cutoff: 20", "windows.standard.cutoff"),
        ("cutoff: 20m", "cutoff: 2h", "2h leaves no time to start in a window of 2h"),
        ("cutoff: 20m", "every: 10m", 'needs "open_for" beside it'),
        ("cutoff: 20m", "open_for: 10m", 'needs "every" beside it'),
        ("cutoff: 20m", "every: 10m\n    open_for: 11m", "11m is not shorter than every 10m"),
        ("cutoff: 20m", "every: 10m\n    open_for: 10m", "it would never close"),
        ("cutoff: 20m", "every: 10m\n    open_for: 0s", "must be longer than 0s"),
        ("cutoff: 20m", "every: 2m\n    open_for: 10s\n    cutoff: 10s", "leaves no time to start"),
        ("cutoff: 20m", "end_day: 0\n    start: x", "given twice"),
        ("cutoff: 20m", "end_day: -1", "windows.standard.end_day"),
        ("cutoff: 20m", "end_day: 7", "the hours of 2024-01-06 run into those of 2024-01-13"),
        ("cutoff: 20m", "dst_gap: jump", "windows.standard.dst_gap"),
        ("cutoff: 20m", "max_changes: 0", "windows.standard.max_changes"),
        ("cutoff: 20m", "systems: []", "windows.standard.systems"),
        ("cutoff: 20m", 'systems: ["hims-*"]', "is not a name"),
        ("cutoff: 20m", "longest: 8h", "goes with kind extended only"),
        ("cutoff: 20m", "kind: special", "windows.standard.kind"),
        ("cutoff: 20m", "kind: emergency", "standard.rrule: does not go with kind emergency"),
        ("cutoff: 20m", "from: 2026-12-01\n    until: 2026-12-01", "is not after from"),
        ("windows:", "windows: 5\nwindow:", 'did you mean "windows"'),
    ],
)  # fmt: skip
def test_a_wrong_window_is_refused(load: Load, old: str, new: str, said: str) -> None:
    assert said in refused(load, STANDARD.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    reason: Year-end\n", "", '"reason" is required'),
        ("reason: Year-end", 'reason: " "', "reason: is blank"),
        ("reason: Year-end", 'reason: Year-end\n    exceptions: [{owner: " ", reason: Tax, '
         "control: Two people, end: 2026-12-20}]", "exceptions.0.owner: is blank"),
        ("2027-01-04T00:00", "2026-12-19T00:00", "calendar.yaml:14: blackouts.year-end.end: is not "
         "after start (the end is exclusive)"),
        ("2027-01-04T00:00", '"04:00"', "add its date"),
        ("2027-01-04T00:00", "soon", "is not a time"),
        ("2027-01-04T00:00", "2027-01-04T00:00 EST", "is not a time"),
        ("2027-01-04T00:00", "2027-13-04T00:00", "is not a time"),
        ("2027-01-04T00:00", "9999-12-31T23:59", "knows the years 1800 to 2200"),
        ("2027-01-04T00:00", "9999-12-31", "knows the years 1800 to 2200"),
        ("2026-12-19T00:00", "0001-01-01T00:00:00", "knows the years 1800 to 2200"),
        ("reason: Year-end", "reason: Year-end\n    until: 2027-01-01", "goes with rrule or dates"),
        ("reason: Year-end", "reason: Year-end\n    rrule: FREQ=DAILY", "is a time of day"),
        ("reason: Year-end", "reason: Year-end\n    exceptions: [{owner: cfo, reason: Tax}]",
         'calendar.yaml:16: blackouts.year-end.exceptions.0.end: "end" is required'),
        ("reason: Year-end", "reason: Year-end\n    exceptions: [{owner: cfo, reason: Tax, "
         "control: Watch, end: 2026-12-20, start: 2026-12-21}]", "is not after start"),
    ],
)  # fmt: skip
def test_a_wrong_blackout_is_refused(load: Load, old: str, new: str, said: str) -> None:
    assert said in refused(load, STANDARD + BLACKOUT.replace(old, new))


def test_all_problems_of_a_file_are_told_at_once(load: Load) -> None:
    text = STANDARD.replace("FREQ=WEEKLY;BYDAY=SA", "FREQ=WEEKLY") + BLACKOUT.replace(
        "2027", "2025"
    )
    said = refused(load, text).splitlines()
    assert [line.split(": ")[1] for line in said] == [
        "windows.standard.rrule", "blackouts.year-end.end",
    ]  # fmt: skip


def test_windows_that_overlap_for_one_system_are_refused_with_the_first_night(load: Load) -> None:
    second = '  late: {rrule: FREQ=MONTHLY;BYDAY=2SA, start: "03:30", end: "05:00"}\n'
    said = refused(load, STANDARD + second)
    assert said == (
        "calendar.yaml:10: windows.late: overlaps windows.standard for the same systems on "
        "Sat 13 Jan 2024 03:30–04:00 EST; give one of them other hours, dates or systems"
    )


@pytest.mark.parametrize(
    "second",
    [
        '{rrule: FREQ=WEEKLY;BYDAY=SA, start: "04:00", end: "05:00"}',
        '{rrule: FREQ=WEEKLY;BYDAY=SU, start: "02:00", end: "04:00"}',
        '{rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "04:00", timezone: Europe/London}',
        '{dates: [2019-11-29], start: "02:00", end: "04:00"}',
        "{kind: extended, longest: 8h}",
        "{kind: emergency}",
    ],
)
def test_windows_that_adjoin_or_lie_elsewhere_are_accepted(load: Load, second: str) -> None:
    assert len(load(STANDARD + f"  second: {second}\n").windows) == 2


def test_overlapping_dates_are_found_in_every_year_they_are_given_for(load: Load) -> None:
    second = '  second: {dates: [2011-12-03], start: "03:00", end: "05:00"}\n'
    assert "Sat 3 Dec 2011 03:00–04:00" in refused(load, STANDARD + second)


def test_windows_for_different_systems_may_overlap(load: Load) -> None:
    text = STANDARD.replace("cutoff: 20m", "systems: [api]")
    second = (
        '  second: {rrule: FREQ=WEEKLY;BYDAY=SA, start: "03:00", end: "05:00", systems: [%s]}\n'
    )
    assert len(load(text + second % "db").windows) == 2
    assert "overlaps" in refused(load, text + second % "db, api")


def test_a_name_or_alias_names_one_window(load: Load) -> None:
    second = '  second: {aliases: ["SATURDAY 2-4 am"], kind: emergency}\n'
    said = refused(load, STANDARD + second)
    assert 'windows.second.aliases: "SATURDAY 2-4 am" already names the window standard' in said


def test_an_unreadable_or_empty_file_is_refused(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read"):
        load_calendar(tmp_path / "gone.yaml", name="gone.yaml")
    assert '"timezone" is required' in refused(load, "")
    assert "given twice" in refused(load, STANDARD + "timezone: UTC\n")
    assert "not YAML" in refused(load, "timezone: [")


def test_blackouts_are_wall_time_unless_they_bear_an_offset(load: Load) -> None:
    forms = {
        "2026-12-19T00:00": datetime(2026, 12, 19, 5, tzinfo=UTC),
        "2026-12-19": datetime(2026, 12, 19, 5, tzinfo=UTC),
        '"2026-12-19 00:00"': datetime(2026, 12, 19, 5, tzinfo=UTC),
        "2026-12-19T00:00:00": datetime(2026, 12, 19, 5, tzinfo=UTC),
        "2026-12-19T00:00Z": datetime(2026, 12, 19, tzinfo=UTC),
        "2026-12-19T00:00:00Z": datetime(2026, 12, 19, tzinfo=UTC),
        "2026-12-19T00:00+01:00": datetime(2026, 12, 18, 23, tzinfo=UTC),
    }
    for written, meant in forms.items():
        [blackout] = load(STANDARD + BLACKOUT.replace("2026-12-19T00:00", written)).blackouts
        assert blackout.span is not None
        assert blackout.span.start == meant, written


def test_empty_sections_are_empty(load: Load) -> None:
    assert load(STANDARD + "blackouts:\n").blackouts == ()


def test_a_calendar_with_two_thousand_freezes_and_ten_years_to_go_still_answers_at_once(
    load: Load,
) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    hour, form = timedelta(hours=1), "%Y-%m-%dT%H:%M"
    freezes = "".join(
        f"  f{index}: {{start: {(begin + 43 * index * hour).strftime(form)}, "
        f"end: {(begin + (43 * index + 44) * hour).strftime(form)}, reason: Freeze {index}}}\n"
        for index in range(2000)
    )
    calendar = load(STANDARD + "blackouts:\n" + freezes)
    opening = calendar.next(needs=timedelta(minutes=55), not_before=begin)
    assert opening is not None
    assert opening.local == "Sat 27 Oct 2035 02:00–04:00 EDT"


def test_the_calendar_of_the_project_is_the_plan_s_one() -> None:
    calendar = load_calendar(ROOT / "config/calendar.yaml")
    assert str(calendar.zone) == "America/New_York"
    assert calendar.window("Saturday 2-4 AM").name == "standard"
    kinds = {window.kind for window in calendar.windows}
    assert kinds == {WindowKind.STANDARD, WindowKind.EXTENDED, WindowKind.EMERGENCY}
    assert [blackout.name for blackout in calendar.blackouts] == ["year-end"]


def test_the_calendar_of_rehearsals_opens_every_two_minutes() -> None:
    calendar = load_calendar(ROOT / "config/rehearsal-calendar.yaml")
    at = datetime(2026, 11, 28, 7, 30, tzinfo=UTC)
    slots = calendar.slots(at, at + timedelta(minutes=10))
    assert [slot.end - slot.start for slot in slots] == [timedelta(seconds=105)] * 5


def many(count: int, entry: str, key: str = "windows") -> str:
    """Return a calendar with that many windows or blackouts; `{n}` in an entry is its number."""
    head = "timezone: America/New_York\n" + ("" if key == "windows" else "windows: {}\n")
    return (
        head
        + f"{key}:\n"
        + "".join(f"  x{n}: {{{entry.replace('%n', str(n))}}}\n" for n in range(count))
    )


WEEKLY = 'rrule: FREQ=WEEKLY;BYDAY=SA, start: "02:00", end: "04:00", systems: [s%n]'
ONCE = "start: 2026-01-01T00:00, end: 2026-01-02T00:00, reason: Audit"
NIGHTLY = 'rrule: FREQ=DAILY, start: "02:00", end: "04:00", reason: Batch run'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (many(201, WEEKLY), "calendar.yaml:2: windows: holds 201, and may hold at most 200"),
        (many(5001, ONCE, "blackouts"), "calendar.yaml:3: blackouts: may hold at most 5,000"),
        (many(101, NIGHTLY, "blackouts"), "blackouts: 101 of them recur; there may be 100"),
    ],
)
def test_more_windows_and_blackouts_than_a_person_reads_are_refused(
    load: Load, text: str, said: str
) -> None:
    assert said in refused(load, text)
    assert load(many(200, WEEKLY)).windows


def test_windows_that_meet_only_after_years_are_found(load: Load) -> None:
    """5 March falls on a Saturday in 2033 for the first time after 2022."""
    yearly = """
  yearly:
    rrule: FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=5
    start: "03:00"
    end: "05:00"
"""
    assert "on Sat 5 Mar 2033 03:00–04:00 EST" in refused(load, STANDARD + yearly)


def test_a_blackout_of_an_environment_in_which_nothing_runs_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            STANDARD
            + """
blackouts:
  audit: {start: 2026-11-27T00:00, end: 2026-11-30T00:00, reason: Audit, environments: [staging]}
  close:
    start: 2026-12-27T00:00
    end: 2026-12-30T00:00
    reason: Year-end
    environments:
      - staging
      - prodution
      - "*"
      - moon
"""
        )
    line = STANDARD.count("\n") + 10
    assert [str(problem) for problem in caught.value.problems] == [
        f'calendar.yaml:{line}: blackouts.close.environments.1: there is no environment "prodution"'
        '; did you mean "production"? Known: production, staging',
        f'calendar.yaml:{line + 2}: blackouts.close.environments.3: there is no environment "moon"'
        "; known: production, staging",
    ]
