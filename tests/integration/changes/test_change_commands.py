"""`./hims change` on a real ledger: what it prints, how it ends, and what hostile words do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.cli import main
from include.ledger import schema
from include.people.account import shell_account
from tests.integration.changes.office import NORMAL, Office

Call = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def call(office: Office, ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Call:
    """Return a function that runs a command with --json: its status, its document, its stderr."""
    monkeypatch.setenv("HIMS_CONFIG", str(office.settings.directory))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)

    def run(*words: str) -> tuple[int, Any, str]:
        status = main(["change", *words, "--json"])
        said = capsys.readouterr()
        return status, json.loads(said.out) if said.out else None, said.err

    return run


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "change.yaml"
    far = {"schedule": {"planned_start": "2098-12-01", "planned_end": "2099-01-15"}}
    path.write_text(json.dumps({**NORMAL, **far}))
    return str(path)


def test_from_submission_to_the_end(call: Call, file: str) -> None:
    status, shown, _ = call("submit", file)
    assert (status, shown["id"], shown["state"]) == (0, "CHG-000001", "authorizing")
    status, edited, _ = call("edit", "CHG-000001", "--set", "labels=[portal]", "--revision", "1")
    assert (status, edited["revision"], edited["message"]) == (0, 2, "the votes stand")
    assert call("why", "CHG-000001")[0] == 1
    assert call("cancel", "CHG-000001", "--reason", "no longer wanted")[1]["state"] == "cancelled"
    status, found, _ = call("list", "--state", "cancelled")
    assert (status, [item["id"] for item in found["changes"]]) == (0, ["CHG-000001"])


def test_an_edit_that_is_refused_ends_with_1_in_whatever_state(call: Call, tmp_path: Path) -> None:
    late = tmp_path / "late.yaml"
    late.write_text(json.dumps({**NORMAL, "schedule": {}}))
    assert call("submit", str(late))[1]["state"] == "assessing"
    status, shown, _ = call("edit", "CHG-000001", "--set", "title=other", "--revision", "7")
    assert (status, shown["revision"]) == (1, 1)
    assert "you edited 7" in shown["message"]


def test_what_is_wrong_in_an_edit_is_told_by_its_key(call: Call, file: str) -> None:
    call("submit", file)
    status, said, _ = call("edit", "CHG-000001", "--set", "tittle=x", "--set", "type=nrmal")
    assert status == 1
    assert {(item["key"], item["line"]) for item in said["errors"]} == {
        ("tittle", None), ("type", None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "--state", "authorising"), 'did you mean "authorizing"?'),
        (("list", "--type", "urgent"), "there is no type"),
        (("list", "--system", "fronted"), 'did you mean "frontend"?'),
        (("show", "CHG-000009"), "no change CHG-000009"),
        (("show", "\udcff"), "is not UTF-8 text"),
        (("cancel", "CHG-000001", "--reason", "\udcff"), "is not UTF-8 text"),
        (("edit", "CHG-000001", "--set", "title=\udcff"), "is not UTF-8 text"),
        (("edit", "CHG-000001"), "say what to edit"),
        (("edit", "CHG-000001", "--set", ".".join("a" * 3000) + "=1"), "is no KEY=VALUE"),
        (("hold", "CHG-000001", "--resume", "--user", "olga"), "HIMS_PASSWORD"),
        (("again", "CHG-000001", "--user", "olga"), "HIMS_PASSWORD"),
        (("lead-back", "CHG-000001", "--user", "olga", "--comment", "x"), "HIMS_PASSWORD"),
        (("submit", "FILE", "--user", "ritta"), 'did you mean "rita"?'),
    ],
)
def test_misuse_is_one_sentence_and_changes_nothing(
    call: Call, office: Office, file: str, words: tuple[str, ...], said: str
) -> None:
    call("submit", file)
    before = office.records()
    status, document, told = call(*[file if word == "FILE" else word for word in words])
    assert (status, document) == (2, None)
    assert said in told
    assert "Traceback" not in told
    assert office.records() == before
    assert len(office.rows(schema.change)) == 1


def known_as(office: Office, user: str, account: str) -> None:
    """Let config/people.yaml know an account of the machine as somebody's."""
    path = office.settings.config_file("people.yaml")
    people = yaml.safe_load(path.read_text())
    people["people"][user].setdefault("identities", {})["shell"] = [account]
    path.write_text(yaml.safe_dump(people, sort_keys=False))


def test_every_record_names_the_account_at_the_shell(call: Call, office: Office, file: str) -> None:
    assert call("submit", file, "--user", "devi")[1]["requester"] == "devi"
    opened = office.records("change.opened")[0]
    assert opened["actor"] == {"user": "devi", "name": "Devi Anand", "auth": "shell"}
    assert opened["source"] == {"kind": "cli", "account": shell_account()}


def test_whose_account_it_is_is_who_asks(call: Call, office: Office, file: str) -> None:
    known_as(office, "mei", shell_account())
    for words in ((), ("--user", "mei")):
        assert call("submit", file, *words)[1]["requester"] == "mei"
    assert {item["actor"]["auth"] for item in office.records("change.opened")} == {"shell-account"}


@pytest.mark.parametrize("act", ["submit", "edit", "cancel", "hold"])
def test_nobody_acts_in_a_name_that_the_account_speaks_against(
    call: Call, office: Office, file: str, act: str
) -> None:
    call("submit", file)
    known_as(office, "mei", shell_account())
    words = {
        "submit": (file,), "edit": ("CHG-000001", "--set", "title=x"), "cancel": ("CHG-000001",),
        "hold": ("CHG-000001", "--reason", "x"),
    }[act]  # fmt: skip
    status, document, told = call(act, *words, "--user", "tomas")
    assert (status, document) == (2, None)
    assert f"the account {shell_account()} is Mei Tan's, not Tomas Lind's" in told
    (record,) = office.records("identity.refused")
    assert (record["actor"]["user"], record["outcome"]) == ("mei", "denied")
    assert record["subject"] == {"kind": "person", "id": "tomas"}
    assert [row.state for row in office.rows(schema.change)] == ["authorizing"]


def test_who_has_accounts_here_is_not_named_from_somebody_else_s(
    call: Call, office: Office, file: str
) -> None:
    known_as(office, "rita", "rmoreno")
    # shell_requester answers for what comes from an account that is nobody's.
    assert call("submit", file)[0] == 0
    status, _, told = call("submit", file, "--user", "rita")
    assert status == 2
    assert "is none of them" in told
    (record,) = office.records("identity.refused")
    assert record["actor"]["user"] == f"account:{shell_account()}"


@pytest.mark.parametrize("user", ["sam", "oscar"])
def test_nobody_takes_a_vote_away_by_naming_who_has_it(
    call: Call, office: Office, file: str, user: str
) -> None:
    call("submit", file)
    for words in (("submit", file), ("edit", "CHG-000001", "--set", "schedule.duration=20m")):
        status, _, told = call(*words, "--user", user)
        assert status == 2
        assert "sits on the board" in told
    assert office.load(office.desk().load("CHG-000001")).content["editors"] == []
    assert len(office.records("identity.refused")) == 2


def test_what_is_on_hold_says_so_in_every_state(
    call: Call, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call("submit", file)
    call("hold", "CHG-000001", "--reason", "the vendor is not ready")
    assert "on hold: the vendor is not ready" in call("why", "CHG-000001")[1]["message"]
    assert main(["change", "show", "CHG-000001"]) == 0
    assert "  on hold: the vendor is not ready\n" in capsys.readouterr().out


def test_a_word_that_is_asked_for_is_told_with_whose_it_is_and_how_it_is_given(
    office: Office, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    scope = {"commits": ["b" * 40], "authors": ["mei@tan.example"]}
    change, _ = office.submit(scope=scope)
    office.approve(change)
    assert call("show", change.id)[0] == 0
    assert main(["change", "show", change.id]) == 0
    said = capsys.readouterr().out
    assert "Test environment validated: nobody has said so" in said
    assert "→ release manager, operations manager" in said
    assert f"./hims change attest {change.id} " in said
