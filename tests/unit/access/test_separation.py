"""Separation of duties over the matrix of config/people.yaml and config/approvals.yaml."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.access.matrix import matrix, separation
from include.approvals import load_board
from include.approvals.board import board_as_written
from include.cli import main
from include.errors import ConfigError
from include.people import load_people
from include.people.rights import APART, RIGHTS, conflicts
from tests.unit.config_copy import ConfigCopy

ADMIN = "may: [administer_airflow, operate_database]"


@pytest.fixture
def hims(
    config: ConfigCopy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Return a function that runs `./hims` on the copy: status, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setenv("HIMS_CONFIG", str(config.directory))
        status = main(words)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_the_sample_s_duties_are_separated(hims: Any) -> None:
    status, out, err = hims("access", "check", "--json")
    answer = json.loads(out)
    assert (status, answer["ok"], answer["findings"], err) == (0, True, [], "")
    rights = {row["user"]: set(row["rights"]) for row in answer["matrix"]}
    assert rights["sam"] == {"vote", "decide"}
    assert rights["olga"] == {"vote", "decide", "unlock_service", "roll_back"}
    assert rights["rita"] == {"start_release", "unlock_service", "roll_back", "decide"}
    assert rights["audra"] == {"read_everything"}
    assert rights["steve"] == set()
    through = {row["user"]: row["rights"] for row in answer["matrix"]}["dana"]["vote"]
    assert through == ["delegation of technical_lead", "delegation of operations_manager"]
    assert hims("access", "check")[0] == 0


@pytest.mark.parametrize(
    ("file", "old", "new", "user", "rights"),
    [
        # By a second role, by a right of the role, by a seat, by a delegation to come.
        ("people.yaml", "[security_officer]", "[security_officer, compliance_officer]",
         "sam", ["edit_policy", "vote"]),
        ("people.yaml", "title: QA Lead}", "title: QA Lead, may: [edit_policy]}",
         "quinn", ["edit_policy", "vote"]),
        ("approvals.yaml", "holder: quinn", "holder: cora", "cora", ["edit_policy", "vote"]),
        ("approvals.yaml", "delegates: [{person: femi}]}\n  security",
         "delegates: [{person: cora, since: 2031-01-01}]}\n  security",
         "cora", ["edit_policy", "vote"]),
        ("approvals.yaml", "go_no_go: [release_manager", "go_no_go: [compliance_officer",
         "cora", ["edit_policy", "decide"]),
        ("people.yaml", ADMIN, ADMIN.replace("]", ", hold_key]"),
         "admin", ["hold_key", "operate_database"]),
        ("approvals.yaml", "holder: bea", "holder: admin", "admin", ["administer_airflow", "vote"]),
        ("people.yaml", "roles: [auditor]", "roles: [auditor, release_manager]",
         "audra", ["read_everything", "start_release"]),
        ("approvals.yaml", "holder: bea", "holder: audra", "audra", ["read_everything", "vote"]),
        ("people.yaml", ADMIN, ADMIN.replace("]", ", review_access]"),
         "admin", ["review_access", "administer_airflow"]),
    ],
)  # fmt: skip
def test_rights_that_must_not_meet_are_found_and_nothing_loads_with_them(
    config: ConfigCopy, hims: Any, file: str, old: str, new: str, user: str, rights: list[str]
) -> None:
    config.replace(file, old, new)
    status, out, _ = hims("access", "check", "--json")
    answer = json.loads(out)
    assert (status, answer["ok"]) == (1, False)
    assert (user, rights) in [(item["user"], item["rights"]) for item in answer["findings"]]
    assert all(item["through"] and item["message"] for item in answer["findings"])
    status, out, _ = hims("access", "check")
    assert status == 1
    assert f"✗ {user}: " in out
    people = load_people(config.settings)
    with pytest.raises(ConfigError, match="nobody may do both"):
        load_board(config.settings, people)
    assert separation(people, board_as_written(config.settings, people)) != []


def test_the_file_cannot_take_away_what_is_always_apart(config: ConfigCopy, hims: Any) -> None:
    text = (config.directory / "people.yaml").read_text()
    start, end = text.index("separation:"), text.index("people:\n")
    config.write("people.yaml", text[:start] + "separation: []\n" + text[end:])
    config.replace("approvals.yaml", "holder: quinn", "holder: cora")
    assert hims("access", "check")[0] == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[administer_airflow, decide]", "[administer_airflow, decides]", 'did you mean "decide"'),
        ("[administer_airflow, decide]", "[administer_airflow]", "separation"),
        ("may: [edit_policy, ", "may: [edit_polcy, ", "edit_policy"),
    ],
)
def test_a_right_that_is_none_is_misuse(
    config: ConfigCopy, hims: Any, old: str, new: str, said: str
) -> None:
    config.replace("people.yaml", old, new)
    status, out, err = hims("access", "check")
    assert (status, out) == (2, "")
    assert said in err


@given(st.sets(st.sampled_from(sorted(RIGHTS))))
def test_a_set_of_rights_conflicts_exactly_where_a_pair_of_it_is_kept_apart(
    rights: set[str],
) -> None:
    found = {frozenset(item.rights) for item in conflicts("x", {right: ["r"] for right in rights})}
    wanted = {
        frozenset(pair)
        for pair in combinations(rights, 2)
        if pair in APART or pair[::-1] in APART or "read_everything" in pair
    }
    assert found == wanted


def test_everybody_is_in_the_matrix_once(config: ConfigCopy) -> None:
    people = load_people(config.settings)
    rows = matrix(people, load_board(config.settings, people))
    assert [row.person for row in rows] == list(people.people)
