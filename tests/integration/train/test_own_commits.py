"""Whose commit it is: the ledger's word counts, and what a commit says of its author does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from include.rehearsal.work import add_work
from include.releases.own_commits import own_commits
from include.releases.phases.code_freeze import bump_version, check_commits, pin_commit
from include.releases.phases.feature_freeze import cut_release_branch
from include.releases.robot import ROBOT
from include.releases.train import Train
from tests.integration.train.paper import Station


@pytest.fixture
def repository(station: Station) -> Path:
    """Return the service's repository, with new work on develop."""
    path = station.settings.path(station.settings.service("hims-api").repository.path)
    add_work(path)
    return path


def git(repository: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        check=True, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **variables},
    )  # fmt: skip
    return done.stdout.strip()


def forge(repository: Path, branch: str, message: str) -> str:
    """Commit to a branch in Release Control's name, as anybody who may push can."""
    names = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", ROBOT.name), ("EMAIL", ROBOT.email))
    }
    tree = git(repository, "rev-parse", f"{branch}^{{tree}}")
    sha = git(repository, "commit-tree", tree, "-p", branch, "-m", message, **names)
    git(repository, "update-ref", f"refs/heads/{branch}", sha)
    return sha


def begin(station: Station, run_id: str = "run-1", **conf: object) -> Train:
    return station.train(run_id, **conf)


def test_a_forged_address_hides_no_commit_from_the_check(
    station: Station, repository: Path
) -> None:
    train = begin(station)
    assert cut_release_branch(train).ok
    forged = forge(repository, train.plan.release_branch, "fix: nothing to see here")
    assert pin_commit(train).ok
    checked = check_commits(train)
    assert checked.ok, checked.message
    assert forged in checked.result["commits"]
    assert ROBOT.email in checked.result["authors"]


def test_the_trains_own_commit_is_known_by_its_record(station: Station, repository: Path) -> None:
    train = begin(station)
    for phase in (cut_release_branch, pin_commit, check_commits, bump_version):
        done = phase(train)
        assert done.ok, done.message
    candidate = str(train.result("bump_version")["commit"])
    assert own_commits(train) == {candidate}
    assert candidate not in train.result("check_commits")["commits"]
    forge(repository, train.plan.release_branch, "chore(release): 2.3.0")
    assert own_commits(train) == {candidate}


def test_a_branch_with_the_trains_own_commit_alone_is_cut_anew(
    station: Station, repository: Path
) -> None:
    first = begin(station)
    for phase in (cut_release_branch, pin_commit, check_commits, bump_version):
        assert phase(first).ok
    develop = add_work(repository)
    again = begin(station, "run-2", states={"run-1": "failed"})
    assert cut_release_branch(again).ok
    assert again.result("cut_release_branch")["commit"] == develop


def test_a_forged_commit_on_an_earlier_attempts_branch_is_not_thrown_away(
    station: Station, repository: Path
) -> None:
    first = begin(station)
    assert cut_release_branch(first).ok
    forged = forge(repository, first.plan.release_branch, "fix: a real fix, oddly signed")
    add_work(repository)
    again = begin(station, "run-2", states={"run-1": "failed"})
    assert cut_release_branch(again).ok
    assert again.result("cut_release_branch")["commit"] == forged
