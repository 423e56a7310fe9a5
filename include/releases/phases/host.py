"""The freeze where the repository is hosted: a status on the pinned commit, and a locked branch.

Only for services whose configuration names their repository on GitHub. A lock that GitHub does not
take stops the train, which may be tried again; a status or an unlocking that it does not take never
changes how a train goes or has ended, and is recorded.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from include.errors import InputError, RepositoryError, TargetError
from include.releases.github import GitHub
from include.releases.train import Done, Train

log = logging.getLogger(__name__)

CHECK = "release-control/release-commits"


def lock_branch(train: Train) -> None:
    """From the code freeze on, let nobody move the release branch on its host."""
    repository = train.plan.service.repository
    if repository.github is None:
        return
    name, branch = repository.github, train.plan.release_branch

    def lock() -> Done:
        with _host(train, name) as github:
            number = github.lock_branch(branch, passing_app=repository.github_app)
        return Done(
            message=f"{branch} is locked on GitHub in {name}",
            result={"repository": name, "branch": branch, "ruleset": number},
        )

    train.step("lock_branch", "release.branch_locked", lock)


def unlock_branch(train: Train) -> None:
    """Give the release branch back, however the train has ended."""
    if not train.has("lock_branch") or train.has("unlock_branch"):
        return
    locked = train.result("lock_branch")

    def unlock() -> Done:
        with _host(train, str(locked["repository"])) as github:
            found = github.unlock_branch(str(locked["branch"]))
        said = "is unlocked" if found else "was unlocked already"
        return Done(message=f"{locked['branch']} {said} on GitHub")

    _try(lambda: train.step("unlock_branch", "release.branch_unlocked", unlock))


def publish_check(train: Train, checked: Done) -> None:
    """Say on the pinned commit what the check of the release's commits came to."""
    name = train.plan.service.repository.github
    if name is None or train.has("publish_check"):
        return
    pin = str(train.result("pin_commit")["commit"])
    message = "they may be released" if checked.reason == "already_done" else checked.message

    def publish() -> Done:
        with _host(train, name) as github:
            github.publish_status(
                pin,
                "success" if checked.ok else "failure",
                context=CHECK,
                description=message,
                url=train.run_url if train.run_url.startswith("http") else None,
            )
        return Done(message=f"told GitHub what {pin[:12]} was found to be", result={"commit": pin})

    if checked.ok:
        _try(lambda: train.step("publish_check", "release.check_published", publish))
    else:
        # The refusal is the record; the status only shows it where people push.
        _try(publish)


@contextmanager
def _host(train: Train, name: str) -> Iterator[GitHub]:
    with train.vendor("github") as client:
        yield GitHub(client, name, clock=train.clock, sleep=time.sleep)


def _try(work: Callable[[], Done]) -> None:
    try:
        work()
    except (RepositoryError, InputError, TargetError) as error:
        log.warning("%s", error)
