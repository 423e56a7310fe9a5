"""Whoever wrote a change's commits has no vote on it, whatever its request says of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.ledger import schema
from tests.integration.changes.office import Office

SEATS = ("product_manager", "security_officer", "operations_manager")


@pytest.fixture
def commit(office: Office, tmp_path: Path) -> Any:
    """Return a function that commits to hims-api's repository as somebody, and returns the sha."""
    path = tmp_path / "hims-api.git"
    file = office.settings.config_file("services/hims-api.yaml")
    service = yaml.safe_load(file.read_text())
    service["repository"] = {"path": str(path)}
    file.write_text(yaml.safe_dump(service, sort_keys=False))
    git(tmp_path, "init", "--quiet", "--bare", str(path))
    tree = git(path, "mktree")

    def write(address: str, message: str = "fix: x") -> str:
        who = {f"GIT_{role}_{part}": address for role in ("AUTHOR", "COMMITTER")
               for part in ("NAME", "EMAIL")}  # fmt: skip
        return git(path, "commit-tree", tree, "-m", message, **who)

    return write


def git(directory: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=directory, check=True, capture_output=True, text=True, input="",
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), **environment},
    )  # fmt: skip
    return done.stdout.strip()


def scope(*commits: str, **more: Any) -> dict[str, Any]:
    return {"scope": {"commits": list(commits), "commit_types": ["fix"], **more}}


@pytest.mark.parametrize("named", [{"service": "hims-api"}, {}])
@pytest.mark.parametrize("claimed", [[], ["mei@tan.example"]])
def test_authors_are_read_from_the_repository_whomever_the_request_names(
    office: Office, commit: Any, named: dict[str, str], claimed: list[str]
) -> None:
    sha = commit("TOMAS@lind.example")
    change, _ = office.submit(**scope(sha, **named, authors=claimed))
    assert change.state == "authorizing"
    ruling = office.vote(change, "technical_lead")
    assert (ruling.ok, ruling.reason) == (False, "not_eligible")
    assert "wrote part of it" in ruling.message
    assert office.vote(change, "technical_lead", "dana").ok


def test_co_authors_have_no_vote_either(office: Office, commit: Any) -> None:
    message = "fix: x\n\nCo-authored-by: S <sam.okafor@arocord.example>"
    change, _ = office.submit(**scope(commit("mei@tan.example", message), service="hims-api"))
    assert office.vote(change, "security_officer").reason == "not_eligible"
    assert office.vote(change, "technical_lead").ok


def test_an_author_whom_nobody_knows_keeps_it_from_the_board(office: Office, commit: Any) -> None:
    change, ruling = office.submit(**scope(commit("x@elsewhere.example"), service="hims-api"))
    assert (change.state, ruling.reason) == ("assessing", "authors")
    assert "nobody knows who x@elsewhere.example is" in ruling.message


def test_an_author_without_an_address_is_nobody_we_know(
    office: Office, tmp_path: Path, commit: Any
) -> None:
    path = tmp_path / "hims-api.git"
    who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER")
           for part, value in (("NAME", "Tomas"), ("EMAIL", ""))}  # fmt: skip
    sha = git(path, "commit-tree", git(path, "mktree"), "-m", "fix: x", **who)
    change, ruling = office.submit(**scope(sha, service="hims-api"))
    assert (change.state, ruling.reason) == ("assessing", "authors")
    assert "Tomas (without an address)" in ruling.message


def test_commits_that_the_named_service_does_not_have_are_no_commits_of_it(
    office: Office, commit: Any
) -> None:
    sha = commit("mei@tan.example")
    strange = scope(sha, "b" * 40, service="hims-api", authors=["mei@tan.example"])
    change, ruling = office.submit(**strange)
    assert (change.state, ruling.reason) == ("assessing", "authors")
    assert "bbbbbbbbbbbb" in ruling.message
    assert sha[:12] not in ruling.message
    # Without a service, who wrote what no repository of ours holds is somebody's word.
    change, ruling = office.submit(**scope(sha, "b" * 40))
    assert "missing: scope.authors" in ruling.message
    change, _ = office.submit(**scope(sha, "b" * 40, authors=["mei@tan.example"]))
    assert change.state == "authorizing"


def test_a_repository_that_cannot_be_read_says_of_nobody_that_they_may_vote(
    office: Office, commit: Any, tmp_path: Path
) -> None:
    (tmp_path / "hims-api.git" / "HEAD").unlink()
    change, ruling = office.submit(
        **scope("b" * 40, service="hims-api", authors=["mei@tan.example"])
    )
    assert (change.state, ruling.reason) == ("assessing", "authors")
    assert "cannot be read" in ruling.message


def test_who_voted_where_the_repository_was_not_there_is_found_before_it_is_scheduled(
    office: Office, commit: Any, tmp_path: Path
) -> None:
    """The board's ballot may have been opened by a machine that had no repository to ask."""
    sha = commit("tomas@lind.example")
    here, away = tmp_path / "hims-api.git", tmp_path / "away.git"
    here.rename(away)
    change, _ = office.submit(**scope(sha, authors=["mei@tan.example"]))
    assert office.vote(change, "technical_lead").ok
    away.rename(here)
    for seat in SEATS:
        office.vote(change, seat)
    assert office.load(change).state == "authorizing"
    (said,) = [item for item in office.view(change)["conditions"] if item["code"] == "votes"]
    assert "tomas wrote part of it" in said["message"]
    assert office.rows(schema.slot) == []


def test_what_is_no_commit_is_not_read(office: Office, commit: Any, tmp_path: Path) -> None:
    tree = git(tmp_path / "hims-api.git", "mktree")
    _, ruling = office.submit(**scope(tree, service="hims-api", authors=["mei@tan.example"]))
    assert ruling.reason == "authors"
