"""Policy as it was when something was decided by it: on record, with what changed and by whom."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from include.ledger import Actor, Source
from include.ledger.kept_text import kept_text
from include.people import load_people
from include.permits.permit import issue
from include.policies import authorship as authors
from include.policies import note_policies
from include.policies.authorship import authorship
from include.policies.files import policy_files, policy_hash
from tests.integration.train.paper import Station, spoil


def note(station: Station) -> str:
    """Look at the policy now, as a decision would."""
    actor = Actor.service("test")
    with station.ledger.write(actor, Source(kind="dag"), station.clock()) as unit:
        digest = note_policies(unit, station.settings)
        unit.append("decision.made", _topic(), message="x")
    return digest


def _topic() -> Any:
    from include.ledger import Subject

    return Subject(kind="decision", id="1")


def test_the_first_look_loads_every_file_and_the_second_is_silent(station: Station) -> None:
    note(station)
    loaded = {item["subject"]["id"] for item in station.bodies("policy.loaded")}
    names = policy_files(station.settings)
    assert loaded == {station.settings.label(name) for name in names}
    assert {"approvals.yaml", "people.yaml", "calendar.yaml", "releases.yaml", "privacy.yaml"} <= (
        set(names)
    )
    assert any(name.startswith("environments/") for name in names)
    before = len(station.bodies())
    note(station)
    assert len(station.bodies()) == before + 1


def test_a_change_says_what_differs_and_keeps_the_whole_text_beside_the_tree(
    station: Station,
) -> None:
    first = note(station)
    path = station.settings.config_file("approvals.yaml")
    spoil(path, "votes: 4", "votes: 3")
    second = note(station)
    assert first != second
    (record,) = station.bodies("policy.changed")
    assert (record["details"]["lines_added"], record["details"]["lines_removed"]) == (1, 1)
    assert "-    votes: 4" in record["details"]["changed_lines"]
    assert "+    votes: 3" in record["details"]["changed_lines"]
    # Nobody knows who edited a file on this machine.
    assert (record["outcome"], record["reason"]) == ("unknown", "no_history")
    assert record["actor"]["auth"] == "none"
    with station.ledger.read() as connection:
        digest = record["difference"]["content"]["to"]
        assert kept_text(connection, digest) == path.read_text()
        assert "votes: 4" in str(kept_text(connection, record["difference"]["content"]["from"]))


def test_what_is_put_back_is_a_change_again_and_what_is_removed_is_gone(station: Station) -> None:
    path = station.settings.config_file("releases.yaml")
    text = path.read_text()
    note(station)
    for content in (text + "# x\n", text, text + "# x\n"):
        path.write_text(content)
        note(station)
    assert len(station.bodies("policy.changed")) == 3
    path.unlink()
    note(station)
    (gone,) = station.bodies("policy.removed")
    assert gone["difference"]["content"]["to"] is None or "to" not in gone["difference"]["content"]
    path.write_text(text)
    note(station)
    assert len(station.bodies("policy.loaded")) == len(policy_files(station.settings)) + 1


def test_delegations_waivers_and_roles_are_records_of_their_own(station: Station) -> None:
    note(station)
    spoil(
        station.settings.config_file("approvals.yaml"),
        "holder: quinn, delegates: [{person: oscar}]",
        "holder: quinn, delegates: [{person: mei, since: 2026-12-01, until: 2026-12-05}]",
    )
    waiver = (
        'exceptions:\n    - {commit: "' + "a" * 40 + '", owner: sam, reason: leak,'
        " approved_by: [tomas], expires: 2026-11-28T07:00:00Z}"
    )
    spoil(station.settings.config_file("releases.yaml"), "exceptions: []", waiver)
    spoil(station.settings.config_file("people.yaml"), "roles: [stakeholder]", "roles: [auditor]")
    note(station)
    (made,) = station.bodies("delegation.made")
    assert "mei may speak for qa_lead (2026-12-01 to 2026-12-05)" in made["message"]
    (ended,) = station.bodies("delegation.ended")
    assert ended["message"].startswith("oscar may speak for qa_lead")
    (granted,) = station.bodies("waiver.granted")
    assert granted["subject"] == {"kind": "commit", "id": "a" * 40}
    (changed,) = station.bodies("access.changed")
    assert changed["difference"]["roles"] == {"from": ["stakeholder"], "to": ["auditor"]}
    spoil(station.settings.config_file("releases.yaml"), waiver, "exceptions: []")
    note(station)
    assert len(station.bodies("waiver.withdrawn")) == 1


@pytest.mark.parametrize("text", ["", "[", "a: &x [*x]", "- 1\n- 2", "seats: 7", "\x00", "é: ü\n"])
def test_a_file_that_is_no_policy_at_all_is_noted_all_the_same(station: Station, text: str) -> None:
    note(station)
    for name in ("approvals.yaml", "releases.yaml", "people.yaml"):
        station.settings.config_file(name).write_text(text)
    note(station)
    changed = station.bodies("policy.changed")
    assert len(changed) == 3


def test_whatever_is_decided_bears_the_hash_of_the_policy_it_was_decided_by(
    permitted: Station,
) -> None:
    train = permitted.train(begin=False)
    assert issue(train).permit is not None
    for event in ("release.planned", "vote.cast", "permit.issued"):
        assert all(item["policy_hash"].startswith("sha256:") for item in permitted.bodies(event))
    (issued,) = permitted.bodies("permit.issued")
    assert issued["policy_hash"] == policy_hash(policy_files(permitted.settings))
    spoil(permitted.settings.config_file("approvals.yaml"), "votes: 4", "votes: 3")
    issue(train)
    events = [item["event"] for item in permitted.bodies()]
    assert events[-2:] == ["policy.changed", "permit.issued"], "the change stands before"
    assert permitted.bodies("permit.issued")[1]["policy_hash"] != issued["policy_hash"]


def git(root: Path, *words: str, who: str = "cora.ellis@arocord.example") -> None:
    identity = ["-c", f"user.name={who.split('@')[0]}", "-c", f"user.email={who}"]
    subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)


def test_git_says_who_edited_policy_and_whether_they_may(
    tmp_path: Path, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = load_people(station.settings)
    root = tmp_path / "project"
    path = root / "config" / "approvals.yaml"
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(authors, "ROOT", root)
    path.write_text("a: 1\n")
    assert authorship(path, people).reason == "no_history"
    git(root, "init", "-q")
    assert authorship(path, people).reason == "not_committed"
    git(root, "add", ".")
    git(root, "commit", "-qm", "x")
    by = authorship(path, people)
    assert (by.reason, by.user, by.email) == (
        "by_policy_editor",
        "cora",
        "cora.ellis@arocord.example",
    )
    path.write_text("a: 2\n")
    assert authorship(path, people).reason == "not_committed"
    git(root, "commit", "-qam", "y", who="sam.okafor@arocord.example")
    assert (authorship(path, people).reason, authorship(path, people).user) == (
        "by_no_policy_editor",
        "sam",
    )
    git(root, "commit", "-q", "--allow-empty", "-m", "z")
    assert authorship(path, people).user == "sam", "the last commit of this very file"


def test_a_comment_lies_beside_the_tree_and_without_what_identifies_a_patient(
    built: Station,
) -> None:
    from include.releases.phases import cab

    train = built.train(begin=False)
    built.answer(train, "uat", "quinn", comment="seen with MRN 00123456")
    cab.open_release_change(train)
    built.vote(train, "security_officer", "oscar", comment="ok for 123-45-6789, go")
    (vote,) = built.bodies("vote.cast")
    with built.ledger.read() as connection:
        text = kept_text(connection, vote["details"]["comment"])
    assert text == "ok for [social security number removed], go"
    assert vote["details"]["on_behalf_of"] == "sam"
    everything = json.dumps(built.bodies())
    assert "00123456" not in everything
    assert "123-45-6789" not in everything
