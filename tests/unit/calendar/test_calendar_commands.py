"""`./hims calendar …` as scripts use it: one JSON document, exit status, no Airflow, no wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import icalendar
import pytest

from include.calendar import ChangeCalendar, load_calendar
from include.cli import main
from tests.unit.calendar.conftest import STANDARD
from tests.unit.config_copy import ConfigCopy

ROOT = Path(__file__).parents[3]


def hims(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    more = ("--config", str(config)) if config else ()
    return subprocess.run(
        [sys.executable, "-m", "include.cli", "calendar", *arguments, *more],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def answer(*arguments: str, config: Path | None = None) -> Any:
    return json.loads(hims(*arguments, "--json", config=config).stdout)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "calendar.yaml"
    path.write_text(
        STANDARD
        + """
blackouts:
  year-end:
    start: 2026-12-19T00:00
    end: 2027-01-04T00:00
    reason: Year-end reporting
"""
    )
    return path


def test_state_says_open_with_status_zero(config: Path) -> None:
    done = hims("state", "--at", "2026-11-28T02:30:00-05:00", "--json", config=config)
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert said["open"] is True
    assert said["windows"] == ["standard"]
    assert said["reasons"] == []
    assert said["next_transition"] == "2026-11-28T09:00:00Z"


def test_state_says_closed_with_status_one_and_why(config: Path) -> None:
    done = hims("state", "--at", "2026-12-26T07:30:00Z", "--json", config=config)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["open"] is False
    assert [reason["code"] for reason in said["reasons"]] == ["blackout"]
    assert said["next_transition"] == "2027-01-09T07:00:00Z"


def test_list_gives_true_ends_local_text_and_what_is_left(config: Path) -> None:
    said = answer(
        "list", "--from", "2026-12-12T08:00:00Z", "--to", "2026-12-20T00:00:00Z", config=config
    )
    first, second = said["slots"]
    assert first == {
        "window": "standard",
        "start": "2026-12-12T07:00:00Z",
        "end": "2026-12-12T09:00:00Z",
        "local": "Sat 12 Dec 2026 02:00–04:00 EST",
        "state": "open",
        "open": [["2026-12-12T07:00:00Z", "2026-12-12T09:00:00Z"]],
        "reasons": [],
    }
    assert (second["state"], second["open"]) == ("blocked", [])


def test_next_gives_the_opening_or_null(config: Path) -> None:
    at = ("--not-before", "2026-12-13T00:00:00Z")
    assert answer("next", "--needs", "55m", *at, config=config) == {
        "window": "standard",
        "start": "2027-01-09T07:00:00Z",
        "latest_start": "2027-01-09T08:05:00Z",
        "end": "2027-01-09T09:00:00Z",
        "local": "Sat 9 Jan 2027 02:00–04:00 EST",
    }
    none = hims("next", "--needs", "3h", *at, "--json", config=config)
    assert (none.returncode, none.stdout) == (1, "null\n")


@pytest.mark.parametrize(
    ("window", "said"), [("extended", "an approval grants it"), ("emergency", "--incident ID")]
)
def test_a_window_without_hours_is_told_from_one_too_short(window: str, said: str) -> None:
    none = hims("next", "--needs", "1h", "--window", window)
    assert none.returncode == 1
    assert f"{window} has no hours of its own" in none.stdout
    assert said in none.stdout


def test_what_is_left_of_a_slot_is_told_on_both_clocks(config: Path) -> None:
    cut = config.read_text().replace("2026-12-19T00:00", "2026-12-19T03:00")
    config.write_text(cut)
    days = ("--from", "2026-12-18T00:00:00Z", "--to", "2026-12-20T00:00:00Z")
    said = hims("list", *days, config=config).stdout
    left = "Sat 19 Dec 2026 02:00–03:00 EST (2026-12-19T07:00:00Z – 2026-12-19T08:00:00Z)"
    assert f"  open {left}\n" in said


def test_ics_is_the_feed_itself_with_the_line_ends_it_must_have(config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "include.cli", "calendar", "ics", "--config", str(config),
         "--from", "2026-11-01T00:00:00Z", "--to", "2027-02-01T00:00:00Z"],
        cwd=ROOT, capture_output=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.startswith(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert done.stdout.endswith(b"END:VCALENDAR\r\n")
    parsed = icalendar.Calendar.from_ical(done.stdout)
    assert len(parsed.walk("VEVENT")) == 13 + 1


def test_explain_and_conflicts_give_each_rule_and_each_finding(config: Path) -> None:
    around = config.with_name("around.yaml")
    around.write_text("""
changes: [{id: CHG-8, start: 2026-11-28T07:30:00Z, end: 2026-11-28T08:00:00Z, systems: [api]}]
incidents: [{id: INC-3, severity: P1, start: 2026-11-27T00:00:00Z}]
freezes: [{release: hims-2.4.0, start: 2026-11-27T00:00:00Z, refused: [feat]}]
dependencies: {portal: [api]}
""")
    done = hims("explain", "CHG-9", "--at", "2026-11-28T07:00:00Z", "--needs", "55m", "--json",
                "--system", "portal", "--commit-type", "fix", "--with", str(around),
                config=config)  # fmt: skip
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert (said["id"], said["allowed"]) == ("CHG-9", False)
    verdicts = {item["code"]: item["verdict"] for item in said["conditions"]}
    assert verdicts == {
        "blackout": "pass", "outside_window": "pass", "system_busy": "warn",
        "people_busy": "pass", "release_freeze": "pass", "open_incident": "block",
        "cutoff": "pass", "holiday": "pass",
    }  # fmt: skip
    found = answer("conflicts", "CHG-9", "--from", "2026-11-28T07:00:00Z",
                   "--to", "2026-11-28T07:55:00Z", "--system", "portal", "--with", str(around),
                   config=config)  # fmt: skip
    assert [(item["code"], item["severity"], item["other"]) for item in found["findings"]] == [
        ("system_busy", "warn", "CHG-8"),
        ("release_freeze", "block", "hims-2.4.0"),
        ("open_incident", "block", "INC-3"),
    ]
    around.write_text("changes: [{id: CHG-8, start: 2026-11-28T07:30:00Z}]")
    broken = hims("conflicts", "--with", str(around), config=config)
    assert broken.returncode == 2
    assert "around.yaml:1: changes.0.end" in broken.stderr


def test_year_lays_twelve_months_of_trains_on_the_calendar(config: Path) -> None:
    said = answer("year", "--from", "2027-01", config=config)
    assert (said["from"], said["to"]) == ("2027-01-01T05:00:00Z", "2028-01-01T05:00:00Z")
    assert [train["type"] for train in said["trains"]] == ["major", "minor", "minor"] * 4
    assert said["trains"][0]["slot"]["local"] == "Sat 9 Jan 2027 02:00–04:00 EST"
    assert said["trains"][0]["collisions"][0]["code"] == "blackout"
    assert said["frozen"]["days"] == 365
    assert [train["month"] for train in said["neighbours"]] == ["2028-01"]
    assert (
        "major of 2028-01, of another year" in hims("year", "--from", "2027", config=config).stdout
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["state", "--at", "2026-11-28T02:30"], "is not an instant"),
        (["state", "--at", "yesterday"], "is not an instant"),
        (["next", "--needs", "long"], "is not a duration"),
        (["next"], "--needs"),
        (["state", "--incident", ""], "an emergency needs its incident"),
        (["explain", "--incident", " "], "an emergency needs its incident"),
        (["next", "--needs", "1h", "--window", "standart"], 'did you mean "standard"'),
        (["list", "--from", "2026-12-02T00:00:00Z", "--to", "2026-12-01T00:00:00Z"], "before"),
        (["year", "--from", "2027-13"], "is not a month"),
        (["explain", "--needs", "0s"], "must take some time"),
        (["ics", "--from", "2026-01-01T00:00:00Z", "--to", "2099-01-01T00:00:00Z"], "ten years"),
        ([], "QUESTION"),
    ],
)
def test_misuse_is_told_in_words_with_status_two(arguments: list[str], said: str) -> None:
    done = hims(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unusable_calendar_is_told_with_file_line_and_remedy(config: Path) -> None:
    config.write_text(config.read_text().replace("America/New_York", "EST"))
    done = hims("state", "--at", "2026-11-28T07:30:00Z", "--json", config=config)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{config}:2: timezone:" in done.stderr
    assert "write America/New_York" in done.stderr


def test_a_list_too_long_to_read_is_refused() -> None:
    done = hims("list", "--from", "2026-01-01T00:00:00Z", "--to", "2027-01-01T00:00:00Z",
                config=ROOT / "config/rehearsal-calendar.yaml")  # fmt: skip
    assert done.returncode == 2
    assert "more than 50,000 slots" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "strangers"),
    [
        (["state", "--at", "2026-11-28T07:30:00Z"], ["airflow", "sqlalchemy"]),
        (["list"], ["airflow", "sqlalchemy"]),
        (["next", "--needs", "55m"], ["airflow", "sqlalchemy"]),
        (["ics"], ["airflow", "sqlalchemy"]),
        (["year"], ["airflow"]),
        (["conflicts"], ["airflow", "sqlalchemy"]),
        (["explain"], ["airflow", "sqlalchemy"]),
        (["explain", "CHG-000001"], ["airflow"]),
    ],
)
def test_the_calendar_is_asked_without_airflow_and_without_a_service(
    arguments: list[str], strangers: list[str]
) -> None:
    strangers = [*strangers, "release_control", "pendulum"]
    script = (
        "import sys; from include.cli import main; main(['calendar', *sys.argv[1:], '--json']); "
        f"print(sorted({{name.split('.')[0] for name in sys.modules}} & {set(strangers)!r}), "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONPATH": str(ROOT), "HIMS_CONFIG": str(ROOT / "config"),
                         "AIRFLOW_CONN_RELEASE_CONTROL_DB": "postgresql://x:y@127.0.0.1:1/ledger"},
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "[]"
    json.loads(done.stdout)


def test_the_calendar_is_read_once_for_a_question(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path, *, name: str | None = None) -> ChangeCalendar:
        read.append(path)
        return load_calendar(path, name=name)

    monkeypatch.setattr("include.calendar.command_line.load_calendar", counted)
    main(["calendar", "state", "--system", "hims-api", "--config", str(config)])
    assert read == [config]


@pytest.mark.parametrize("year", ["0001", "1799", "2201", "9999"])
@pytest.mark.parametrize(
    "arguments",
    [["state", "--at"], ["list", "--from"], ["next", "--needs", "1m", "--not-before"],
     ["ics", "--from"], ["explain", "--at"], ["conflicts", "--from"]],
)  # fmt: skip
def test_an_instant_beyond_the_calendars_years_is_refused_in_words(
    arguments: list[str], year: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["calendar", *arguments, f"{year}-06-01T00:00:00Z"])
    assert ended.value.code == 2
    assert "the calendar answers for 1800 to 2200" in capsys.readouterr().err


def test_every_question_takes_the_instant_that_counts_as_now(config: Path) -> None:
    at = ("--at", "2026-12-13T00:00:00Z")
    assert answer("list", *at, config=config)["slots"][0]["start"] == "2026-12-19T07:00:00Z"
    assert answer("next", "--needs", "55m", *at, config=config)["start"] == "2027-01-09T07:00:00Z"
    assert "DTSTAMP:20261213T000000Z" in answer("ics", *at, config=config)["ics"]
    assert answer("year", *at, config=config)["from"] == "2026-12-01T05:00:00Z"
    found = answer("conflicts", *at, config=config)["findings"]
    assert {item["start"] for item in found} == {"2026-12-13T00:00:00Z"}


@pytest.mark.parametrize(
    "question",
    [["state"], ["list"], ["next", "--needs", "55m"], ["ics"], ["explain"], ["conflicts"], ["year"],
     ["plan", "hims-api", "9.9.9", "--type", "minor"]],
)  # fmt: skip
@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("prodution", 'did you mean "production"? Known: production, staging'),
        ("moon", "known: production, staging"),
        ("*", "known: production, staging"),
        ("", "known: production, staging"),
        ("rehearsal", "known: production, staging"),
    ],
)
def test_an_environment_in_which_nothing_runs_is_misuse_and_never_open(
    question: list[str], wrong: str, remedy: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["calendar", *question, "--environment", wrong, "--config", str(config)])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert f'there is no environment "{wrong}"' in told.err
    assert remedy in told.err
    assert told.out == ""


def test_a_freeze_of_an_environment_in_which_nothing_runs_is_misuse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["freeze", "add", "--user", "x", "--reason", "x", "--for", "1h",
              "--environment", "*", "--environment", "stagin"])  # fmt: skip
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert 'there is no environment "stagin"; did you mean "staging"? Known: production' in said


def test_the_environments_that_are_known_are_those_of_the_services(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = ConfigCopy(tmp_path / "config")
    monkeypatch.setenv("HIMS_CONFIG", str(copy.directory))
    copy.replace("services/hims-api.yaml", "  staging:", "  acceptance:")
    (copy.directory / "values/environments/staging.yaml").unlink()
    (copy.directory / "services/hims-web.yaml").unlink()
    asked = ["calendar", "list", "--config", str(config), "--environment"]
    assert main([*asked, "acceptance"]) == 0
    assert main([*asked, "production"]) == 0
    with pytest.raises(SystemExit):
        main([*asked, "staging"])


@pytest.mark.parametrize("wrong", [("--system", "api,portal"), ("--system", "")])
def test_a_name_that_no_calendar_could_know_is_misuse_and_never_open(
    wrong: tuple[str, str], config: Path
) -> None:
    done = hims("state", "--at", "2026-11-28T07:30:00Z", *wrong, "--json", config=config)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{wrong[1]!r} is not a name" in done.stderr


def test_a_list_holds_the_windows_of_single_systems_as_those_see_them(config: Path) -> None:
    config.write_text(
        STANDARD
        + """
  billing-night: {dates: [2026-12-09], start: "22:00", end: "23:00", systems: [billing, claims]}
  stock-night: {dates: [2026-12-12], start: "00:00", end: "02:00", systems: [stock]}
blackouts:
  audit: {start: 2026-12-12T01:30, end: 2026-12-12T02:30, systems: [stock], reason: Audit}
"""
    )
    days = ("--from", "2026-12-07T00:00:00Z", "--to", "2026-12-13T00:00:00Z")
    slots = answer("list", *days, config=config)["slots"]
    assert [(slot["window"], slot.get("systems"), slot["state"]) for slot in slots] == [
        ("billing-night", ["billing", "claims"], "open"),
        ("stock-night", ["stock"], "cut"),
        ("standard", None, "open"),
    ]
    assert slots[1]["open"] == [["2026-12-12T05:00:00Z", "2026-12-12T06:30:00Z"]]
    said = hims("list", *days, config=config).stdout
    assert "open    billing-night (only billing, claims): Wed 9 Dec 2026 22:00–23:00 EST" in said
    assert "cut     stock-night (only stock)" in said
    asked = answer("list", *days, "--system", "billing", config=config)["slots"]
    assert [slot["window"] for slot in asked] == ["billing-night", "standard"]


def test_the_calendar_plans_a_release_like_the_command_for_releases(
    capsys: pytest.CaptureFixture[str], config: Path
) -> None:
    asked = ["plan", "hims-api", "2.3.0", "--type", "minor", "--json",
             "--at", "2026-11-20T00:00:00Z", "--config", str(config)]  # fmt: skip
    assert main(["calendar", *asked]) == 0
    told = capsys.readouterr().out
    assert json.loads(told)["slot"]["local"] == "Sat 5 Dec 2026 02:00–04:00 EST"
    assert main(["release", *asked]) == 0
    assert capsys.readouterr().out == told


@pytest.mark.parametrize("key", ["", "\x1b[31mred", "CHG-1\nCHG-2", "x" * 5000])
def test_an_id_that_would_garble_a_terminal_is_misuse(key: str, config: Path) -> None:
    done = hims("explain", key, "--at", "2026-11-28T07:30:00Z", config=config)
    assert (done.returncode, done.stdout) == (2, "")
    assert "write it like CHG-000007" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_system_that_nothing_names_is_answered_and_told(config: Path) -> None:
    at = ("--at", "2026-11-28T07:30:00Z", "--json")
    asked = hims("state", *at, "--system", "apii", "--system", "frontend", config=config)
    assert asked.returncode == 0
    assert json.loads(asked.stdout)["open"] is True
    assert asked.stderr == (
        'hims: nothing names a system "apii"; did you mean "api"?; '
        "only rules for all systems are asked\n"
    )
    config.write_text(
        STANDARD
        + "\nblackouts:\n  x: {start: 2026-12-01, end: 2026-12-02, reason: x, systems: [lab]}\n"
    )
    assert hims("state", *at, "--system", "lab", config=config).stderr == ""
