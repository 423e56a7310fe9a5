"""config/approvals.yaml: seats, dated delegates, and rules by which a vote can end."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from include.approvals import Board, load_board
from include.errors import ConfigError, RequestError
from include.people import load_people
from tests.unit.config_copy import ConfigCopy

APPROVALS = "approvals.yaml"
CHAIR = "{title: Technical Lead, holder: tomas, chair: true, delegates: [{person: dana}]}"
NORMAL = "asked: [technical_lead, product_manager, security_officer, operations_manager]\n"
SECURITY = "delegates: [{person: oscar}]}\n  operations_manager"


def board(config: ConfigCopy) -> Board:
    settings = config.settings
    return load_board(settings, load_people(settings))


def delegated(config: ConfigCopy, days: str) -> Board:
    """Return the board on which oscar stands in for the security officer on these days."""
    config.replace(APPROVALS, SECURITY, SECURITY.replace("oscar", f"oscar, {days}"))
    return board(config)


@pytest.mark.parametrize(
    ("days", "on", "stands"),
    [
        ("since: 2026-12-01", date(2026, 11, 30), False),
        ("since: 2026-12-01", date(2026, 12, 1), True),
        ("until: 2026-12-01", date(2026, 12, 1), True),
        ("until: 2026-12-01", date(2026, 12, 2), False),
        ("since: 2026-12-01, until: 2026-12-01", date(2026, 12, 1), True),
    ],
)
def test_a_delegate_holds_the_seat_on_their_days_both_inclusive(
    config: ConfigCopy, days: str, on: date, stands: bool
) -> None:
    seat = delegated(config, days).seats["security_officer"]
    assert seat.occupants(on) == (("sam", "oscar") if stands else ("sam",))


def test_a_delegate_s_days_begin_at_the_board_s_midnight(config: ConfigCopy) -> None:
    made = delegated(config, "since: 2026-12-01, until: 2026-12-01")
    oscar = load_people(config.settings).find("oscar")
    assert oscar is not None
    for instant, stands in [
        (datetime(2026, 12, 1, 4, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 12, 1, 5, tzinfo=UTC), True),
        (datetime(2026, 12, 2, 4, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 12, 2, 5, tzinfo=UTC), False),
    ]:
        assert ("security_officer" in made.groups(oscar, instant)) is stands, instant


def test_a_role_alone_gives_no_seat_and_a_seat_needs_no_role(config: ConfigCopy) -> None:
    config.replace(APPROVALS, "holder: sam", "holder: devi")
    made, people = board(config), load_people(config.settings)
    now = datetime(2026, 12, 1, tzinfo=UTC)
    sam, devi = people.find("sam"), people.find("devi")
    assert sam is not None
    assert devi is not None
    assert "security_officer" not in made.groups(sam, now)
    assert {"security_officer", "developer"} <= made.groups(devi, now)


def test_who_may_vote_leaves_out_whoever_is_excluded(config: ConfigCopy) -> None:
    made, on = board(config), date(2026, 12, 1)
    assert made.eligible("security_officer", on, ()) == ("sam", "oscar")
    assert made.eligible("security_officer", on, ("sam", "nobody")) == ("oscar",)
    assert made.eligible("security_officer", on, ("sam", "oscar")) == ()


def test_one_person_may_speak_for_several_seats(config: ConfigCopy) -> None:
    assert board(config).seats_of("dana", date(2026, 12, 1)) == (
        "technical_lead",
        "operations_manager",
    )


def test_a_type_without_a_rule_is_refused(config: ConfigCopy) -> None:
    with pytest.raises(RequestError, match='did you mean "normal"'):
        board(config).rule("norml")


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("holder: sam,", "holder: samm,", "seats.security_officer", 'did you mean "sam"'),
        (
            SECURITY,
            SECURITY.replace("oscar", "oscra"),
            "seats.security_officer",
            'did you mean "oscar"',
        ),
        (
            SECURITY,
            SECURITY.replace("oscar", "oscar, since: 2026-02-30"),
            "seats.security_officer.delegates.0.since",
            "day is out of range",
        ),
        (
            SECURITY,
            SECURITY.replace("oscar", "oscar, since: 2026-12-02, until: 2026-12-01"),
            "seats.security_officer.delegates.0.until",
            "before it begins",
        ),
        (CHAIR, CHAIR.replace("chair: true, ", ""), "seats", "one seat has the chair, not 0"),
        ("holder: sam,", "holder: sam, chair: true,", "seats", "one seat has the chair, not 2"),
        (
            NORMAL,
            NORMAL.replace("operations_manager", "operation_manager"),
            "rules.normal.asked.3",
            'did you mean "operations_manager"',
        ),
        (
            NORMAL,
            NORMAL.replace("security_officer", "qa_lead"),
            "rules.normal.asked",
            "must contain every mandatory seat",
        ),
        (
            NORMAL,
            NORMAL.replace("operations_manager", "qa_lead, qa_lead"),
            "rules.normal.asked",
            "names a seat twice",
        ),
        (
            "  normal:\n",
            "  standard: {mandatory: [qa_lead], asked: [qa_lead], votes: 1, chair: false}\n"
            "  normal:\n",
            "rules.standard",
            "is no type of change that is voted on",
        ),
        ("votes_last: 14d", "votes_last: 0d", "votes_last", "nobody could answer"),
        ("answer_in: 1h", "answer_in: 0s", "rules.emergency.answer_in", "nobody could answer"),
        ("votes: 4", "votes: 5", "rules.normal.votes", "is more than the seats asked"),
        ("votes: 4", "votes: 0", "rules.normal.votes", "greater than or equal to 1"),
        ("timezone: America/New_York", "timezone: EST", "timezone", "America/New_York"),
        ("timezone: America/New_York", "timezone: America", "timezone", "America"),
        ("timezone: America/New_York", "timezone: ../../etc/passwd", "timezone", "passwd"),
        ("uat: [qa_lead,", "uat: [qa_led,", "checkpoints.uat.0", 'did you mean "qa_lead"'),
        ("  uat: [qa_lead, business_representative]\n", "", "checkpoints.uat", "is required"),
        (
            "go_no_go: [release_manager, operations_manager]",
            "go_no_go: []",
            "checkpoints.go_no_go",
            "is required",
        ),
        ("unit_tests: [qa_lead,", "unit_tests: [qa_led,", "checklist.unit_tests.0", '"qa_lead"'),
        ("  unit_tests:", "  unit_test:", "checklist.unit_test", 'did you mean "unit_tests"'),
        (
            "security_tests: [security_officer]",
            "security_tests: []",
            "checklist.security_tests",
            "at least 1",
        ),
    ],
)
def test_what_could_never_be_decided_is_refused(
    config: ConfigCopy, old: str, new: str, key: str, said: str
) -> None:
    config.replace(APPROVALS, old, new)
    with pytest.raises(ConfigError) as refused:
        board(config)
    assert [problem.key for problem in refused.value.problems] == [key]
    assert said in refused.value.problems[0].message


def test_that_nobody_decides_on_emergencies_is_told_before_there_is_one(
    config: ConfigCopy,
) -> None:
    config.replace(APPROVALS, "  emergency:\n", "  emergancy:\n")
    with pytest.raises(ConfigError) as refused:
        board(config)
    said = {problem.key: problem.message for problem in refused.value.problems}
    assert 'did you mean "emergency"' in said["rules.emergancy"]
    assert "is required" in said["rules.emergency"]


def test_a_rule_that_leaves_out_the_chair_could_never_approve(config: ConfigCopy) -> None:
    config.replace(
        APPROVALS,
        "mandatory: [technical_lead, product_manager, security_officer]\n"
        "    asked: [technical_lead, product_manager, security_officer, operations_manager]\n",
        "mandatory: [product_manager]\n"
        "    asked: [product_manager, security_officer, operations_manager, qa_lead]\n",
    )
    with pytest.raises(ConfigError, match=r"rules\.normal\.asked: must contain technical_lead"):
        board(config)
