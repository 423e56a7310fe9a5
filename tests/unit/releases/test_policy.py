"""config/releases.yaml as the policy."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from include.errors import ConfigError
from include.releases.policy import Cadence, ReleasePolicy, load_policy
from include.releases.versions import ReleaseType
from include.settings import ROOT


def policy_of(tmp_path: Path, text: str) -> ReleasePolicy:
    file = tmp_path / "releases.yaml"
    file.write_text(text, encoding="utf-8")
    return load_policy(file, name="config/releases.yaml")


def test_the_file_of_the_project_says_what_the_plan_says() -> None:
    policy = load_policy(ROOT / "config" / "releases.yaml")
    assert policy.leads.feature_freeze == timedelta(days=14)
    assert policy.leads.code_freeze == timedelta(days=7)
    assert policy.cadence[ReleaseType.MAJOR] is Cadence.QUARTERLY
    assert policy.cadence[ReleaseType.MINOR] is Cadence.MONTHLY
    assert sorted(policy.commits.types) == [
        "chore", "docs", "feat", "fix", "infra", "refactor", "style", "test",
    ]  # fmt: skip
    assert policy.freeze.exceptions == ()


def test_what_is_left_out_has_the_plans_values(tmp_path: Path) -> None:
    assert policy_of(tmp_path, "") == load_policy(ROOT / "config" / "releases.yaml")


def test_branches_are_known_by_name_or_prefix() -> None:
    branches = ReleasePolicy().branches
    for name in ("main", "develop", "staging", "feature/FEATURE-123-x", "infra/add-monitoring"):
        assert branches.allows(name)
    for name in ("master", "feature/", "feat/x", "release", "my/feature/x"):
        assert not branches.allows(name)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("leads:\n  feature_freeze: 2 weeks\n", 2, "is not a duration"),
        ("leads:\n  feature_freeze: 7d\n  code_freeze: 14d\n", 1, "must not be the longer"),
        ("leads:\n  feature_frezze: 14d\n", 2, 'did you mean "feature_freeze"?'),
        ("cadence:\n  major: yearly\n", 2, "quarterly"),
        ("cadence:\n  huge: monthly\n", 2, "major"),
        ("branches:\n  prefixes: [feature]\n", 2, "write it like feature/"),
        ("commits:\n  types: [feat, Fix]\n", 2, "lower-case"),
        ("commits:\n  reverts: maybe\n", 2, "allowed"),
        ("freeze:\n  exceptions:\n    - owner: A\n", 3, '"commit" is required'),
        ("freeze:\n  exceptions:\n    - commit: 1234567\n", 3, "quotes"),
        ("freeze:\n  exceptions:\n    - {commit: a, expires: tomorrow}\n", 3, "not an instant"),
        ("freeze:\n  exceptions:\n    - {commit: a, expires: 2026-11-28}\n", 3, "instant"),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_a_remedy(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        policy_of(tmp_path, text)
    (problem,) = refusal.value.problems
    assert (problem.file, problem.line) == ("config/releases.yaml", line)
    assert words in problem.message
