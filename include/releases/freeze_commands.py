"""`./hims freeze check`: does this range of commits hold to the freeze? Made for a CI job.

The other actions of `freeze` are in `include.entries.freeze_commands`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.entries.freeze_commands import declare
from include.errors import RequestError
from include.instants import parse_instant
from include.output import print_json, print_line, print_progress
from include.releases.freeze import FreezeCheck, Phase, check_freeze, load_exceptions
from include.releases.history import History
from include.releases.notes import plain_text
from include.releases.policy import ReleasePolicy, load_policy
from include.settings import load_settings

if TYPE_CHECKING:
    from include.releases.github import GitHub


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `freeze check`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="judge the commits of base..head",
        description="Judge the commits of base..head against the feature or the code freeze.",
    )
    check.add_argument("--repo", required=True, type=Path, metavar="DIR", help="the repository")
    check.add_argument(
        "--base", required=True, metavar="REV", help="where the freeze began; the pin"
    )
    check.add_argument("--head", required=True, metavar="REV", help="what is to be released")
    check.add_argument("--phase", required=True, choices=[phase.value for phase in Phase])
    check.add_argument(
        "--exceptions", type=Path, metavar="FILE", help="exceptions beyond those of the policy"
    )
    check.add_argument(
        "--config", type=Path, metavar="FILE", help="another policy than config/releases.yaml"
    )
    check.add_argument("--at", metavar="T", help="the instant of the check (default: now)")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.add_argument(
        "--publish", metavar="OWNER/NAME",
        help="say so on GitHub, as a status of the head; signs in with $GITHUB_TOKEN",
    )  # fmt: skip
    check.set_defaults(entry=_check)
    _declare_branch(actions)
    declare(actions)


def _declare_branch(actions: Any) -> None:
    branch = actions.add_parser(
        "branch",
        help="lock or unlock a branch on GitHub",
        description="Lock or unlock a release branch on GitHub; signs in with $GITHUB_TOKEN. "
        "The train does so by itself where config/services names the repository.",
    )
    branch.add_argument("act", choices=["lock", "unlock"])
    branch.add_argument("repository", metavar="OWNER/NAME")
    branch.add_argument("branch", metavar="BRANCH")
    branch.add_argument("--app", type=int, metavar="ID", help="a GitHub App that may still push")
    branch.add_argument("--json", action="store_true", help="print one JSON document")
    branch.set_defaults(entry=_branch)


def run(options: argparse.Namespace) -> int:
    """Run the chosen action; see `include.cli` for the exit status."""
    return int(options.entry(options))


def _check(options: argparse.Namespace) -> int:
    """Judge a range of commits: 0 it holds, 1 it is violated, 2 it cannot be judged."""
    policy = _policy(options.config)
    exceptions = policy.freeze.exceptions
    if options.exceptions is not None:
        exceptions += load_exceptions(options.exceptions)
    outcome = check_freeze(
        History(options.repo),
        base=options.base,
        head=options.head,
        phase=Phase(options.phase),
        rules=policy.commits,
        exceptions=exceptions,
        at=parse_instant(options.at) if options.at else datetime.now(UTC),
    )
    for sentence in outcome.void_exceptions:
        print_progress(f"hims: {plain_text(sentence)}")
    if not outcome.base_in_head:
        print_progress(
            f"hims: {outcome.base[:12]} is not in the history of {outcome.head[:12]}; "
            "judged are the commits that only the latter has"
        )
    if options.publish is not None:
        _publish(options.publish, outcome)
    if options.json:
        print_json(asdict(outcome))
    else:
        _print(outcome)
    return 0 if outcome.passed else 1


def _publish(name: str, outcome: FreezeCheck) -> None:
    with _github(name) as github:
        github.publish_status(
            outcome.head,
            "success" if outcome.passed else "failure",
            context=f"release-control/{outcome.phase}-freeze",
            description=_summary(outcome),
        )


def _branch(options: argparse.Namespace) -> int:
    """Lock or unlock a branch: 0 it is now as asked."""
    with _github(options.repository) as github:
        if options.act == "lock":
            github.lock_branch(options.branch, passing_app=options.app)
            changed = True
        else:
            changed = github.unlock_branch(options.branch)
    locked = options.act == "lock"
    if options.json:
        print_json({"repository": options.repository, "branch": options.branch, "locked": locked})
    else:
        word = "locked" if locked else "unlocked"
        print_line(f"{options.branch} is {word if changed else f'{word} already'}")
    return 0


@contextmanager
def _github(name: str) -> Iterator[GitHub]:
    """Yield a repository on GitHub, signed in by the variables that GitHub's own CI sets."""
    from include.releases.github import API, GitHub, github_client

    token = os.environ.get("GITHUB_TOKEN", "")
    if not token:
        raise RequestError("GitHub asks for a token: put one into the variable GITHUB_TOKEN")
    with github_client(token, api=os.environ.get("GITHUB_API_URL") or API) as client:
        yield GitHub(client, name, clock=lambda: datetime.now(UTC), sleep=time.sleep)


def _summary(outcome: FreezeCheck) -> str:
    judged = f"{outcome.commits} commit{'s' * (outcome.commits != 1)}"
    if outcome.passed:
        return f"{judged}: the {outcome.phase} freeze holds"
    if not outcome.violations:
        return f"the pin {outcome.base[:12]} is no longer in {outcome.head[:12]}"
    return f"{judged}, {len(outcome.violations)} against the {outcome.phase} freeze"


def _policy(chosen: Path | None) -> ReleasePolicy:
    if chosen is not None:
        return load_policy(chosen)
    settings = load_settings()
    return load_policy(settings.config_file("releases.yaml"), name=settings.label("releases.yaml"))


def _print(outcome: FreezeCheck) -> None:
    for violation in outcome.violations:
        print_line(f"{violation.commit[:12]}  {violation.reason}  {plain_text(violation.subject)}")
        print_line(f"              {plain_text(violation.message)}")
    for excepted in outcome.excepted:
        print_line(f"{excepted.commit[:12]}  excepted  {plain_text(excepted.subject)}")
        print_line(f"              {plain_text(f'{excepted.owner}: {excepted.exception}')}")
    print_line(_summary(outcome))
