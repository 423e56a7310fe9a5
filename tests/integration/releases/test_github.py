"""A repository on GitHub, over real HTTP: statuses, locked branches, limits and lost answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from include.cli import main
from include.errors import RepositoryError, RequestError
from include.releases.github import GitHub, github_client
from tests.integration.releases.fake_github import NAME, TOKEN, FakeGitHub
from tests.integration.releases.workshop import Workshop

SHA = "0123456789abcdef0123456789abcdef01234567"
BRANCH = "release/v2.3.0"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Waits:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with FakeGitHub() as serving:
        yield serving
    assert serving.violations == []


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def github(fake: FakeGitHub, waits: Waits) -> Iterator[GitHub]:
    with github_client(TOKEN, api=fake.url) as client:
        yield GitHub(client, NAME, clock=waits, sleep=waits.sleep)


def test_a_status_says_how_the_check_of_a_commit_ended(fake: FakeGitHub, github: GitHub) -> None:
    github.publish_status(SHA, "failure", context="freeze", description="x" * 300, url="https://a")
    github.publish_status(SHA, "success", context="freeze", description="3 commits\n\x1b[31m hold")
    first, second = fake.statuses[SHA]
    assert (first["state"], first["target_url"]) == ("failure", "https://a")
    assert len(first["description"]) == 140
    assert (second["state"], second["description"]) == ("success", "3 commits [31m hold")
    with pytest.raises(RequestError, match="not a full commit sha"):
        github.publish_status("main", "success", context="freeze", description="x")


def test_a_branch_is_locked_once_and_unlocked(fake: FakeGitHub, github: GitHub) -> None:
    number = github.lock_branch(BRANCH)
    assert github.lock_branch(BRANCH) == number
    (ruleset,) = fake.rulesets.values()
    assert ruleset["conditions"]["ref_name"]["include"] == [f"refs/heads/{BRANCH}"]
    assert {rule["type"] for rule in ruleset["rules"]} == {"update", "deletion", "non_fast_forward"}
    assert ruleset["enforcement"] == "active"
    assert github.lock_branch("release/v2.4.0") != number
    assert github.unlock_branch(BRANCH)
    assert not github.unlock_branch(BRANCH)
    assert [item["conditions"]["ref_name"]["include"] for item in fake.rulesets.values()] == [
        ["refs/heads/release/v2.4.0"]
    ]


def test_a_lock_that_somebody_loosened_is_tightened(fake: FakeGitHub, github: GitHub) -> None:
    number = github.lock_branch(BRANCH, passing_app=7)
    actors = fake.rulesets[number]["bypass_actors"]
    assert actors == [{"actor_id": 7, "actor_type": "Integration", "bypass_mode": "always"}]
    for loosened in (
        {"enforcement": "disabled"},
        {"rules": [{"type": "deletion"}]},
        {"conditions": {"ref_name": {"include": [], "exclude": []}}},
        {"bypass_actors": [{"actor_id": 1, "actor_type": "Team", "bypass_mode": "always"}]},
    ):
        fake.rulesets[number].update(loosened)
        assert github.lock_branch(BRANCH, passing_app=7) == number
        assert fake.rulesets[number]["enforcement"] == "active"
        assert len(fake.rulesets[number]["rules"]) == 3
        assert fake.rulesets[number]["bypass_actors"] == actors


def test_the_lock_is_found_behind_a_hundred_other_rulesets(
    fake: FakeGitHub, github: GitHub
) -> None:
    for number in range(1, 101):
        fake.rulesets[number] = {
            "id": number, "name": f"other {number}", "source": NAME, "enforcement": "active",
        }  # fmt: skip
    number = github.lock_branch(BRANCH)
    assert github.lock_branch(BRANCH) == number
    assert github.unlock_branch(BRANCH)
    assert len(fake.rulesets) == 100


@pytest.mark.parametrize("fault", ["hangup", "hangup-after", "500"])
@pytest.mark.parametrize("at", range(3))
def test_a_lock_whose_answers_are_lost_is_still_one_lock(
    fake: FakeGitHub, github: GitHub, waits: Waits, fault: str, at: int
) -> None:
    fake.faults.extend(["ok"] * at + [fault])
    assert github.lock_branch(BRANCH) == 1
    assert len(fake.rulesets) == 1
    assert waits.slept == [1.0]
    fake.faults.extend(["ok"] * at + [fault])
    assert github.unlock_branch(BRANCH)
    assert fake.rulesets == {}


@pytest.mark.parametrize(
    ("faults", "slept"),
    [
        (["secondary:17"], [17.0]),
        ([f"primary:{int(NOW.timestamp()) + 90}"], [90.0]),
        (["429"], [60.0]),
        (["500", "500", "hangup"], [1.0, 2.0, 4.0]),
    ],
)
def test_limits_are_waited_out_for_as_long_as_github_says(
    fake: FakeGitHub, github: GitHub, waits: Waits, faults: list[str], slept: list[float]
) -> None:
    fake.faults.extend(faults)
    github.publish_status(SHA, "success", context="freeze", description="x")
    assert waits.slept == slept
    assert len(fake.statuses[SHA]) == 1


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (["403 Must have admin rights to Repository."], "403 Must have admin rights"),
        (["404 Not Found"], "404 Not Found"),
        (["301 Moved Permanently"], "301"),
        (["html"], "gave an answer that is no JSON"),
        (["secondary:9000"], "secondary rate limit"),
        (["500"] * 20, "500"),
    ],
)
def test_what_cannot_be_waited_out_is_told_in_githubs_words_and_without_the_token(
    fake: FakeGitHub, github: GitHub, waits: Waits, faults: list[str], said: str
) -> None:
    fake.faults.extend(faults)
    with pytest.raises(RepositoryError) as caught:
        github.unlock_branch(BRANCH)
    assert said in str(caught.value)
    assert TOKEN not in repr(caught.value) + repr(caught.value.__cause__)
    assert sum(waits.slept) <= 300


def test_a_lock_that_is_not_kept_is_no_lock(fake: FakeGitHub, github: GitHub) -> None:
    fake.forgets = {"rules", "delete"}
    with pytest.raises(RepositoryError, match="does not lock release"):
        github.lock_branch(BRANCH)
    with pytest.raises(RepositoryError, match="still locks"):
        github.unlock_branch(BRANCH)


def test_a_server_that_is_not_there_is_told(waits: Waits) -> None:
    with github_client(TOKEN, api="http://127.0.0.1:1") as client:
        gone = GitHub(client, NAME, clock=waits, sleep=waits.sleep)
        with pytest.raises(RepositoryError, match="cannot be reached"):
            gone.unlock_branch(BRANCH)


@pytest.mark.parametrize("api", ["http://github.example", "ftp://github.example", "github.com"])
def test_a_token_never_travels_in_clear(api: str) -> None:
    with pytest.raises(RequestError, match="not an https address"):
        github_client(TOKEN, api=api)


@pytest.mark.parametrize("token", ["", "  ", "ghp\nX-Evil: 1", "zäh"])
def test_no_token_and_a_broken_one_are_refused_without_being_shown(token: str) -> None:
    with pytest.raises(RequestError, match="no token for GitHub") as caught:
        github_client(token)
    assert "Evil" not in str(caught.value)


@pytest.mark.parametrize("name", ["hims-api", "a/b/c", "../x", "a/b?c", ""])
def test_what_is_no_repository_is_refused(name: str, waits: Waits) -> None:
    with github_client(TOKEN) as client, pytest.raises(RequestError, match="owner/name"):
        GitHub(client, name, clock=waits, sleep=waits.sleep)


def test_a_ci_job_publishes_its_freeze_check(
    fake: FakeGitHub,
    workshop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = workshop.commit("chore: x")
    good = workshop.commit("fix: y", [base])
    bad = workshop.commit("feat: z", [good])
    monkeypatch.setenv("GITHUB_API_URL", fake.url)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    check = ["freeze", "check", "--repo", str(workshop.path), "--base", base, "--phase", "feature",
             "--publish", NAME, "--json", "--head"]  # fmt: skip
    assert main([*check, good]) == 0
    assert main([*check, bad]) == 1
    (held,), (broken,) = fake.statuses[good], fake.statuses[bad]
    assert (held["state"], held["context"]) == ("success", "release-control/feature-freeze")
    assert broken["state"] == "failure"
    assert broken["description"] == "2 commits, 1 against the feature freeze"
    monkeypatch.delenv("GITHUB_TOKEN")
    capsys.readouterr()
    assert main([*check, good]) == 2
    said = capsys.readouterr()
    assert "GITHUB_TOKEN" in said.err
    assert said.out == ""


def test_a_branch_is_locked_and_unlocked_from_the_shell(
    fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", fake.url)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    assert main(["freeze", "branch", "lock", NAME, BRANCH, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["locked"] is True
    assert len(fake.rulesets) == 1
    assert main(["freeze", "branch", "unlock", NAME, BRANCH]) == 0
    assert main(["freeze", "branch", "unlock", NAME, BRANCH]) == 0
    assert "unlocked already" in capsys.readouterr().out
    assert fake.rulesets == {}


RULESET = f'{{"name": "Release Control: {BRANCH} is frozen"'


@pytest.mark.parametrize(
    "body",
    [
        f"[{RULESET}}}]",
        f'[{RULESET}, "id": "7/../8"}}]',
        f'[{RULESET}, "id": true}}]',
        f'[{RULESET}, "id": {{}}}}]',
        "[" * 100_000,
        '{"message": "x"}',
        "null",
        '"\\ud800"',
        "[" + "[1]," * 2_500_000 + "1]",
    ],
)
def test_an_answer_that_github_never_gives_is_told_and_trusted_in_nothing(
    fake: FakeGitHub, github: GitHub, body: str
) -> None:
    fake.faults.append(f"body:{body}")
    with pytest.raises(RepositoryError, match=r"^GitHub arocord/hims-api"):
        github.lock_branch(BRANCH)
    assert fake.rulesets == {}


@pytest.mark.parametrize(
    "odd",
    [
        {"rules": 7},
        {"rules": [{"type": []}, 3, None]},
        {"conditions": []},
        {"conditions": {"ref_name": "refs/heads/x"}},
        {"bypass_actors": 7},
        {"rules": [{"type": "update", "parameters": {"update_allows_fetch_and_merge": True}},
                   {"type": "deletion"}, {"type": "non_fast_forward"}]},
    ],
)  # fmt: skip
def test_a_lock_of_which_github_says_nonsense_is_made_anew(
    fake: FakeGitHub, github: GitHub, odd: dict[str, object]
) -> None:
    number = github.lock_branch(BRANCH)
    fake.rulesets[number].update(odd)
    assert github.lock_branch(BRANCH) == number
    assert {rule["type"] for rule in fake.rulesets[number]["rules"]} == {
        "update", "deletion", "non_fast_forward",
    }  # fmt: skip
    assert not any(rule.get("parameters") for rule in fake.rulesets[number]["rules"])
    fake.violations.clear()  # the nonsense itself


def test_a_limit_that_asks_for_no_wait_is_no_endless_loop(
    fake: FakeGitHub, github: GitHub, waits: Waits
) -> None:
    fake.faults.extend(["secondary:0"] * 400)
    with pytest.raises(RepositoryError, match="secondary rate limit"):
        github.unlock_branch(BRANCH)
    assert 0 < sum(waits.slept) <= 300


def test_a_server_that_says_the_token_back_is_not_quoted_with_it(
    fake: FakeGitHub, github: GitHub
) -> None:
    fake.faults.append(f"403 Bearer {TOKEN} may not do that")
    with pytest.raises(RepositoryError, match="may not do that") as caught:
        github.unlock_branch(BRANCH)
    assert TOKEN not in str(caught.value)


def test_more_rulesets_than_there_can_be_leave_open_whether_it_is_locked(
    fake: FakeGitHub, github: GitHub
) -> None:
    listed = json.dumps([{"name": "x", "id": number} for number in range(100)])
    fake.faults.extend([f"body:{listed}"] * 10)
    with pytest.raises(RepositoryError, match="cannot be told"):
        github.unlock_branch(BRANCH)


@pytest.mark.parametrize(
    "branch", ["", "*", "release/*", "release/v[12]", "a..b", "~ALL", "a b", "a\x00b", "/a", "a/",
               "\udcff", "a?"]
)  # fmt: skip
def test_only_a_branch_s_own_name_is_locked(fake: FakeGitHub, github: GitHub, branch: str) -> None:
    for act in (github.lock_branch, github.unlock_branch):
        with pytest.raises(RequestError, match="not the name of one branch"):
            act(branch)
    assert fake.requests == []
