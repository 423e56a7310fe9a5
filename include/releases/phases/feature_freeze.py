"""Feature freeze: from here on nothing new enters; `release/vX.Y.Z` is cut (plan §4.2 step 1)."""

from __future__ import annotations

from include.notices import texts
from include.releases.own_commits import own_commits
from include.releases.train import Done, Train


def cut_release_branch(train: Train) -> Done:
    """Cut the release branch from the integration branch as it is now.

    The commit is chosen once: a retry cuts at the same one, though the branch may have moved on.
    A branch that an earlier attempt left is cut anew, unless people have put fixes on it.
    """
    plan = train.plan

    def choose() -> Done:
        repository = train.repository
        source = repository.resolve(f"refs/heads/{plan.source_branch}")
        existing = repository.branch(plan.release_branch)
        if existing is not None and _people_work_on(train, source, existing):
            # Fixes that people put on an earlier attempt's branch are not left behind.
            return Done(
                message=f"{plan.release_branch} goes on at {existing[:12]}: it holds fixes that "
                f"{plan.source_branch} does not",
                result={"commit": existing, "before": existing},
            )
        return Done(
            message=f"{plan.release_branch} is to be cut at {source[:12]} of {plan.source_branch}",
            result={"commit": source, "before": existing},
        )

    def cut() -> Done:
        chosen = train.result("choose_cut")
        commit, before = str(chosen["commit"]), chosen["before"]
        repository = train.repository
        if before is None:
            repository.create_branch(plan.release_branch, commit)
        else:
            repository.recut(plan.release_branch, commit, expected=str(before))
        return Done(
            message=f"{plan.release_branch} cut from {plan.source_branch} at {commit[:12]}",
            result={"branch": plan.release_branch, "commit": commit},
            notices=[
                texts.freeze_began(
                    release=plan.release,
                    attempt=plan.attempt,
                    phase="feature",
                    detail=f"{plan.release_branch} is cut at {commit[:12]}; only fixes enter it",
                    until=plan.code_freeze,
                    zone=plan.zone,
                )
            ],
        )

    train.step("choose_cut", "release.branch_chosen", choose)
    return train.step("cut_release_branch", "release.branch_cut", cut)


def _people_work_on(train: Train, source: str, branch: str) -> bool:
    own = own_commits(train)
    return any(commit.sha not in own for commit in train.repository.commits(source, branch))
