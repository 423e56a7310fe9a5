"""A commit that enters in spite of a freeze does so on record."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from include.releases.phases import code_freeze, feature_freeze
from tests.integration.train.paper import Station, spoil


def git(repository: Path, *words: str) -> str:
    identity = ["-c", "user.name=Devi Anand", "-c", "user.email=devi.anand@arocord.example"]
    done = subprocess.run(
        ["git", *identity, *words], cwd=repository, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("owner", ["sam", ""])
def test_a_waiver_that_is_used_is_a_record_and_one_without_an_owner_is_none(
    station: Station, owner: str
) -> None:
    repository = station.settings.path(station.settings.service("hims-api").repository.path)
    tip = git(repository, "rev-parse", "refs/heads/develop")
    late = git(
        repository, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", "feat(api): late feature"
    )
    git(repository, "update-ref", "refs/heads/feature/late", late)
    waiver = (
        f'exceptions:\n    - {{commit: "{late}", owner: "{owner}", reason: "a leak",'
        " approved_by: [tomas], expires: 2027-01-01T00:00:00Z}"
    )
    spoil(station.settings.config_file("releases.yaml"), "exceptions: []", waiver)
    train = station.train()
    station.clock.now = train.plan.feature_freeze
    assert feature_freeze.cut_release_branch(train).ok
    git(repository, "update-ref", f"refs/heads/{train.plan.release_branch}", late)
    station.clock.now = train.plan.code_freeze
    assert code_freeze.pin_commit(train).ok
    checked = code_freeze.check_commits(train)
    used = station.bodies("waiver.used")
    if not owner:
        assert (checked.ok, checked.reason, used) == (False, "commits_refused", [])
        return
    assert checked.ok, checked.message
    (record,) = used
    assert record["subject"] == {"kind": "commit", "id": late}
    assert record["release"] == "hims-api-2.3.0"
    assert record["details"] == {"owner": "sam", "reason": "a leak"}
    assert train.result("check_commits")["waived"] == [late]
