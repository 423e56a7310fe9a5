"""A train whose service is on GitHub: the branch is locked from the pin to the end, and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from include.errors import RepositoryError, TargetError
from include.rehearsal.work import add_work
from include.releases.github import github_client
from include.releases.phases.close import conclude
from include.releases.phases.code_freeze import check_commits, pin_commit
from include.releases.phases.feature_freeze import cut_release_branch
from include.releases.train import Train, no_vendor
from include.settings import load_settings
from tests.integration.releases.fake_github import NAME, TOKEN, FakeGitHub
from tests.integration.train.paper import Station


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with FakeGitHub() as serving:
        yield serving
    assert serving.violations == []


@pytest.fixture
def train(station: Station, fake: FakeGitHub) -> Train:
    """Return a train with its release branch cut, whose service is on GitHub."""
    file = station.settings.directory / "services/hims-api.yaml"
    service = yaml.safe_load(file.read_text())
    service["repository"]["github"] = NAME
    file.write_text(yaml.safe_dump(service))
    station.settings = load_settings(station.settings.directory)
    add_work(station.settings.path(service["repository"]["path"]))

    def vendor(name: str) -> Any:
        assert name == "github"
        return github_client(TOKEN, api=fake.url)

    found = replace(station.train(), vendor=vendor)
    assert cut_release_branch(found).ok
    return found


def records(train: Train, event: str) -> list[Any]:
    return [json.loads(row["body"]) for row in train.ledger.records(event=event)]


def test_the_branch_is_locked_at_the_pin_and_given_back_at_the_end(
    train: Train, fake: FakeGitHub
) -> None:
    assert fake.rulesets == {}
    assert pin_commit(train).ok
    assert pin_commit(train).ok
    (ruleset,) = fake.rulesets.values()
    assert ruleset["conditions"]["ref_name"]["include"] == [
        f"refs/heads/{train.plan.release_branch}"
    ]
    assert check_commits(train).ok
    pin = str(train.result("pin_commit")["commit"])
    (status,) = fake.statuses[pin]
    assert (status["state"], status["context"]) == ("success", "release-control/release-commits")
    assert check_commits(train).ok
    assert len(fake.statuses[pin]) == 1
    assert not conclude(train).ok
    assert fake.rulesets == {}
    assert len(records(train, "release.branch_locked")) == 1
    assert len(records(train, "release.branch_unlocked")) == 1


def test_a_lock_that_github_refuses_stops_the_train_until_it_takes_it(
    train: Train, fake: FakeGitHub
) -> None:
    fake.faults.append("403 Must have admin rights to Repository.")
    with pytest.raises(RepositoryError, match="Must have admin rights"):
        pin_commit(train)
    assert pin_commit(train).ok
    assert len(fake.rulesets) == 1
    assert [item["outcome"] for item in records(train, "release.branch_locked")] == [
        "failure",
        "success",
    ]
    assert TOKEN not in json.dumps(records(train, "release"))


def test_a_status_that_github_refuses_changes_nothing_about_the_check(
    train: Train, fake: FakeGitHub
) -> None:
    assert pin_commit(train).ok
    fake.faults.append("403 Resource not accessible by integration")
    assert check_commits(train).ok
    assert fake.statuses == {}


def test_an_end_is_an_end_though_github_keeps_the_lock_and_is_asked_again(
    train: Train, fake: FakeGitHub
) -> None:
    assert pin_commit(train).ok
    fake.faults.append("403 Must have admin rights to Repository.")
    first = conclude(train)
    assert len(fake.rulesets) == 1
    again = conclude(train)
    assert (first.ok, again.ok) == (False, False)
    assert again.message == first.message
    assert fake.rulesets == {}


def test_a_train_that_nobody_signed_in_says_so(train: Train) -> None:
    with pytest.raises(TargetError, match="no connection to github"):
        pin_commit(replace(train, vendor=no_vendor))
