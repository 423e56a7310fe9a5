"""What a freeze stops, on commits that are only messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.errors import ConfigError
from include.releases.commits import Commit
from include.releases.freeze import (
    Phase,
    Violation,
    judge_commits,
    load_exceptions,
    sort_exceptions,
)
from include.releases.policy import CommitRules, FreezeException, Reverts

AT = datetime(2026, 11, 20, tzinfo=UTC)
PIN = "f" * 40
SHA = "0123456789abcdef0123456789abcdef01234567"


def commit(message: str, *, parents: int = 1, sha: str = SHA) -> Commit:
    return Commit(
        sha=sha,
        parents=tuple(f"{number:040x}" for number in range(parents)),
        author_name="A",
        author_email="a@example.org",
        time=AT,
        message=message,
    )


def judge(
    message: str,
    *,
    phase: Phase = Phase.FEATURE,
    rules: CommitRules | None = None,
    parents: int = 1,
) -> Violation | None:
    found = judge_commits(
        [commit(message, parents=parents)], phase=phase, rules=rules or CommitRules(), pin=PIN
    )
    return found[0] if found else None


@pytest.mark.parametrize(
    "message",
    [
        "fix: x",
        "FIX(Billing): x",
        "docs: x",
        "style: x",
        "refactor(api): x (#12)",
        "test: x",
        "chore: x",
        "infra: add CloudWatch monitoring",
        'Revert "feat: x"',
        'Revert "feat!: x" (#12)',
        "revert: feat: x",
        'Revert "Revert "fix: x""',
    ],
)
def test_what_repairs_passes_the_feature_freeze(message: str) -> None:
    assert judge(message) is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("feat: x", "type_not_allowed"),
        ("Feat(api): x", "type_not_allowed"),
        ("feat!: x", "type_not_allowed"),
        ("perf: x", "type_not_allowed"),
        ("features: x", "type_not_allowed"),
        ("fix!: x", "breaking_change"),
        ("chore(api)!: x", "breaking_change"),
        ("fix: x\n\nBREAKING CHANGE: y", "breaking_change"),
        ("revert!: feat: x", "breaking_change"),
        ('Revert "feat: x"\n\nBREAKING CHANGE: y', "breaking_change"),
        ("", "unparsable"),
        (" \n\n", "unparsable"),
        ("Fix the thing", "unparsable"),
        ("fix:x", "unparsable"),
        ("fixup! fix: x", "unparsable"),
        ("Merge branch 'x'", "unparsable"),
        ("Squashed commit of the following:\n\nfeat: x", "unparsable"),
        ('Revert "Revert "feat: x""', "type_not_allowed"),
        ('Reapply "feat: x"', "type_not_allowed"),
        ('Reapply "fix!: x"', "breaking_change"),
        ('Reapply "something"', "unparsable"),
    ],
)
def test_the_feature_freeze_stops_what_adds_breaks_or_cannot_be_read(
    message: str, reason: str
) -> None:
    violation = judge(message)
    assert violation is not None
    assert violation.reason == reason
    assert violation.commit == SHA
    assert violation.message


def test_a_commit_with_two_reasons_is_listed_once_and_tells_both() -> None:
    violation = judge("feat!: x")
    assert violation is not None
    assert "“feat”" in violation.message
    assert "breaking" in violation.message


@pytest.mark.parametrize("message", ["feat!: x", "Merge branch 'feature/x'", ""])
@pytest.mark.parametrize("parents", [2, 3, 8])
def test_a_merge_is_not_judged_by_its_own_words_in_the_feature_freeze(
    message: str, parents: int
) -> None:
    assert judge(message, parents=parents) is None


@pytest.mark.parametrize("parents", [0, 1, 2, 3])
@pytest.mark.parametrize("message", ["fix: x", "feat: x", "", 'Revert "x"', "Merge branch 'x'"])
def test_the_code_freeze_stops_every_commit_after_the_pin(message: str, parents: int) -> None:
    violation = judge(message, phase=Phase.CODE, parents=parents)
    assert violation is not None
    assert violation.reason == "after_pin"
    assert PIN[:12] in violation.message


def test_types_and_reverts_are_what_the_policy_says() -> None:
    rules = CommitRules(types=("fix", "perf"), frozen_types=("perf",), reverts=Reverts.REFUSED)
    assert judge("fix: x", rules=rules) is None
    for message in ("perf: x", "docs: x", 'Revert "fix: x"', "revert: fix: x"):
        violation = judge(message, rules=rules)
        assert violation is not None
        assert violation.reason == "type_not_allowed"


def exception(**fields: object) -> FreezeException:
    complete = {
        "commit": SHA,
        "owner": "Lead",
        "reason": "patients cannot sign in",
        "expires": AT + timedelta(days=1),
    }
    return FreezeException.model_validate(complete | fields)


def test_a_complete_exception_counts_until_it_expires() -> None:
    valid, void = sort_exceptions([exception()], {SHA}, AT)
    assert list(valid) == [SHA]
    assert void == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"commit": SHA[:12]}, "whole sha"),
        ({"commit": "HEAD"}, "whole sha"),
        ({"commit": SHA + "0"}, "whole sha"),
        ({"owner": None}, "no owner"),
        ({"owner": "  "}, "no owner"),
        ({"reason": None}, "no reason"),
        ({"reason": ""}, "no reason"),
        ({"expires": None}, "does not say when it expires"),
        ({"expires": AT}, "expired at 2026-11-20T00:00:00Z"),
        ({"expires": AT - timedelta(days=400)}, "expired at"),
    ],
)
def test_an_exception_with_a_flaw_does_not_count_and_is_reported(
    fields: dict[str, object], words: str
) -> None:
    valid, void = sort_exceptions([exception(**fields)], {SHA}, AT)
    assert valid == {}
    (sentence,) = void
    assert words in sentence


def test_a_valid_exception_counts_beside_a_void_one_for_the_same_commit() -> None:
    valid, void = sort_exceptions([exception(owner=None), exception()], {SHA}, AT)
    assert list(valid) == [SHA]
    assert len(void) == 1


def test_an_old_exception_for_another_commit_is_not_worth_a_word() -> None:
    assert sort_exceptions([exception(expires=AT - timedelta(days=1))], set(), AT) == ({}, ())


COMPLETE = f"""
- commit: "{SHA}"
  owner: Lead
  reason: patients cannot sign in
  approved_by: [Chair]
  expires: 2026-11-28T07:00:00Z
"""


@pytest.mark.parametrize("shape", ["list", "exceptions", "policy", "empty"])
def test_exceptions_are_read_from_a_list_a_mapping_or_a_whole_policy(
    tmp_path: Path, shape: str
) -> None:
    indented = COMPLETE.replace("\n", "\n    ")
    text = {
        "list": COMPLETE,
        "exceptions": f"exceptions:{indented}",
        "policy": f"freeze:\n  exceptions:{indented}",
        "empty": "",
    }[shape]
    file = tmp_path / "exceptions.yaml"
    file.write_text(text, encoding="utf-8")
    found = load_exceptions(file)
    assert [item.commit for item in found] == ([] if shape == "empty" else [SHA])
    assert all(item.approved_by == ("Chair",) for item in found)


def test_a_wrong_key_in_a_list_of_exceptions_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "exceptions.yaml"
    file.write_text(COMPLETE.replace("owner", "ovner"), encoding="utf-8")
    with pytest.raises(ConfigError) as refusal:
        load_exceptions(file)
    (problem,) = refusal.value.problems
    assert problem.line == 3
    assert 'did you mean "owner"?' in problem.message


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("* fix: one\n\n* feat: two", "type_not_allowed"),
        ("- feat(portal): two (#12)", "type_not_allowed"),
        ("* fix!: one", "breaking_change"),
        ("* note: a list of words\n* wip\n* see feat: two", None),
        ("  * feat: quoted deeper", None),
        ('* Reapply "feat: two"', "type_not_allowed"),
        ('* Revert "Revert "fix!: two""', "breaking_change"),
        ('* Revert "feat: two"', None),
    ],
)
def test_a_squash_merge_is_judged_by_the_commits_that_its_body_lists(
    body: str, reason: str | None
) -> None:
    found = judge(f"fix: squash (#9)\n\n{body}")
    assert (found.reason if found else None) == reason


def test_a_list_right_below_the_subject_is_read_too() -> None:
    found = judge("fix: squash (#9)\n* feat: one")
    assert found is not None
    assert found.reason == "type_not_allowed"


@pytest.mark.parametrize(
    ("subject", "body", "passes"),
    [("feat: one", "", False), ("fix: one", "\n    feat: a word in its body\n", True)],
)
def test_the_log_that_git_writes_into_a_squash_is_read(
    subject: str, body: str, passes: bool
) -> None:
    log = "".join(
        f"commit {SHA}\nAuthor: A <a@example.org>\nDate:   Fri Nov 20 00:00:00 2026 +0000\n\n"
        f"    {line}\n{body}\n"
        for line in ("fix: two", subject)
    )
    found = judge(f"fix: squash\n\nSquashed commit of the following:\n\n{log}")
    assert (found is None) is passes


def test_taking_back_a_squash_merge_is_judged_as_a_revert() -> None:
    assert judge('Revert "feat: squash (#9)"\n\nThis reverts commit ' + SHA + ".") is None
    assert judge("revert: squash (#9)\n\n* feat: one") is None
