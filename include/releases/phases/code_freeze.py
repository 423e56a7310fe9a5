"""Code freeze: one commit is pinned, checked, versioned, tested, built and tagged as a candidate.

Plan §4.2 steps 2 to 5. After the pin no commit enters but the version's own; what people approve
is the artefact's digest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from include.changes.parties import co_authors
from include.deploy.target import Artefact
from include.errors import RepositoryError
from include.gates.gate import decide
from include.instants import format_instant
from include.ledger import Subject, Unit
from include.notices import texts
from include.releases.commits import read_convention
from include.releases.freeze import Excepted, Phase, check_freeze
from include.releases.own_commits import own_commits
from include.releases.phases.host import lock_branch, publish_check
from include.releases.robot import ROBOT
from include.releases.schema_change import migrations_between
from include.releases.train import Done, Train
from include.services.build import build, file_digest
from include.services.workspace import require_answer, run_commands


def pin_commit(train: Train) -> Done:
    """Pin the release branch's tip: the one commit that this release is made from."""

    def pin() -> Done:
        commit = train.repository.branch(train.plan.release_branch)
        if commit is None:
            raise RepositoryError(f"there is no branch {train.plan.release_branch} to pin")
        return Done(
            message=f"{train.plan.release_branch} is pinned at {commit[:12]}",
            result={"commit": commit},
            notices=[
                texts.freeze_began(
                    release=train.release,
                    attempt=train.plan.attempt,
                    phase="code",
                    detail=f"{train.plan.release_branch} is pinned at {commit[:12]}",
                    until=train.plan.slot.start,
                    zone=train.plan.zone,
                )
            ],
        )

    pinned = train.step("pin_commit", "release.commit_pinned", pin)
    lock_branch(train)
    return pinned


def check_commits(train: Train) -> Done:
    """Check every commit: features before the cut only, and none in a patch or hotfix."""
    plan = train.plan

    def check() -> Done:
        repository = train.repository
        pin = str(train.result("pin_commit")["commit"])
        cut = str(train.result("cut_release_branch")["commit"])
        own = own_commits(train)
        found = [
            commit
            for commit in repository.commits(plan.previous_commit, pin)
            if commit.sha not in own
            # What brought an earlier release back into develop; its commits are judged themselves.
            and not (commit.is_merge and commit.author_email == ROBOT.email)
        ]
        commits = [commit for commit in found if not commit.is_merge]
        frozen = check_freeze(
            repository,
            base=cut,
            head=pin,
            phase=Phase.FEATURE,
            rules=plan.rules.commits,
            exceptions=plan.rules.freeze.exceptions,
            at=train.clock(),
        )
        problems = [
            f"{item.commit[:12]} “{item.subject[:80]}”: {item.message}"
            for item in frozen.violations
        ]
        for commit in commits:
            convention = read_convention(commit.message)
            feature = convention is not None and convention.type == "feat"
            if feature and not plan.release_type.takes_features:
                problems.append(
                    f"{commit.sha[:12]} “{commit.subject[:80]}”: a {plan.release_type} release "
                    "takes no features"
                )
        if not commits:
            problems.append(f"nothing was committed since v{plan.previous_version}")
        brought = migrations_between(repository, plan.service, plan.previous_commit, pin)
        if brought.problems:
            return Done(
                ok=False,
                reason="migration_refused",
                message="; ".join(brought.problems[:5]),
                result={"commit": pin, "problems": list(brought.problems[:50])},
            )
        authors = sorted(
            {commit.author_email for commit in found}
            | {address for commit in found for address in co_authors(commit.message)}
        )
        result = {
            "commit": pin,
            "commits": [commit.sha for commit in commits],
            "committed": [format_instant(commit.time) for commit in commits],
            "authors": authors,
            "problems": problems[:50],
            "migrations": [
                {"name": item.name, "kind": str(item.kind)} for item in brought.migrations
            ],
            "waived": [item.commit for item in frozen.excepted],
        }
        if problems:
            return Done(
                ok=False,
                reason="commits_refused",
                message=f"{len(problems)} commits may not be in this release: "
                + "; ".join(problems[:5]),
                result=result,
            )
        return Done(
            message=f"{_counted(len(commits), 'commit')} by {_counted(len(authors), 'author')} "
            f"since v{plan.previous_version} may be released{brought.words()}",
            result=result,
            write=lambda unit: _record_waivers(unit, train, frozen.excepted),
        )

    checked = train.step("check_commits", "release.commits_checked", check)
    publish_check(train, checked)
    return checked


def _record_waivers(unit: Unit, train: Train, excepted: Iterable[Excepted]) -> None:
    for item in excepted:
        unit.append(
            "waiver.used",
            Subject(kind="commit", id=item.commit),
            reason="freeze_exception",
            message=f"{item.commit[:12]} enters in spite of the freeze, for {item.owner}",
            release=train.release,
            details={"owner": item.owner, "reason": item.exception},
        )


def bump_version(train: Train) -> Done:
    """Commit the version number onto the release branch; that commit is the candidate."""
    plan = train.plan

    def bump() -> Done:
        repository = train.repository
        pin = str(train.result("pin_commit")["commit"])
        with tempfile.TemporaryDirectory(prefix="version-") as scratch:
            source = Path(scratch) / "source"
            repository.export(pin, source)
            before = _files(source)
            values = {"version": plan.version, "source": str(source)}
            log = train.evidence("version.log")
            ran = run_commands(plan.service.commands.version, values, source, log=log)
            if ran and not ran[-1].ok:
                require_answer(ran[-1])
                return Done(ok=False, reason="version_failed", message=ran[-1].describe())
            changed = {
                path: content
                for path, content in _files(source).items()
                if before.get(path) != content
            }
        candidate = repository.commit_files(
            plan.release_branch,
            changed,
            message=f"chore(release): {plan.version}",
            author=ROBOT,
            at=train.clock(),
            expected_parent=pin,
            idempotency_key=f"{train.release}/{plan.attempt}",
        )
        return Done(
            message=f"version {plan.version} committed as {candidate[:12]} "
            f"({', '.join(sorted(changed)) or 'nothing to change'})",
            result={"commit": candidate, "files": sorted(changed), "made": candidate != pin},
        )

    return train.step("bump_version", "release.version_bumped", bump)


def run_release_tests(train: Train) -> Done:
    """Run the service's release tests on the candidate's source."""
    plan = train.plan

    def test() -> Done:
        commit = str(train.result("bump_version")["commit"])
        log = train.evidence("tests.log")
        with tempfile.TemporaryDirectory(prefix="tests-") as scratch:
            source = Path(scratch) / "source"
            train.repository.export(commit, source)
            values = {"version": plan.version, "source": str(source)}
            ran = run_commands(plan.service.commands.test, values, source, log=log)
        passed = all(item.ok for item in ran)
        if not passed:
            require_answer(ran[-1])
        commands = _counted(len(ran), "release test command")
        message = f"{commands} passed" if passed else ran[-1].describe()
        evidence = [_evidence(log)]
        return Done(
            ok=passed,
            reason="tests_passed" if passed else "tests_failed",
            message=message,
            result={"commit": commit},
            evidence=evidence,
        )

    return train.step("run_release_tests", "release.tested", test)


def build_artefact(train: Train) -> Done:
    """Build the artefact from the candidate and keep it under its digest."""
    plan = train.plan

    def make() -> Done:
        commit = str(train.result("bump_version")["commit"])
        log = train.evidence("build.log")
        store = train.settings.state_dir / "artefacts"
        made = build(plan.service, train.repository, commit, plan.version, store=store, log=log)
        evidence = [_evidence(log)]
        if made.artefact is None:
            return Done(ok=False, reason=made.reason, message=made.message, evidence=evidence)
        return Done(
            message=f"artefact {made.artefact.digest[:19]}… built from {commit[:12]}",
            result={
                "digest": made.artefact.digest,
                "path": str(made.artefact.path),
                "commit": commit,
            },
            evidence=evidence,
        )

    return train.step("build_artefact", "release.built", make)


def tag_candidate(train: Train) -> Done:
    """Tag the candidate `vX.Y.Z-rc.N` and let the gates for commits and tests say go."""
    plan = train.plan

    def tag() -> Done:
        repository = train.repository
        commit = str(train.result("bump_version")["commit"])
        built = train.result("build_artefact")
        train.result("run_release_tests")
        checked = train.result("check_commits")
        numbers = {
            number: tag
            for tag in repository.tags()
            if (number := plan.number.candidate_number(tag.name)) is not None
        }
        mine = [number for number, tag in numbers.items() if tag.sha == commit]
        number = mine[0] if mine else max(numbers, default=0) + 1
        name = plan.number.candidate_tag(number)
        repository.create_tag(
            name,
            commit,
            message=f"Release candidate {number} of {plan.version}",
            tagger=ROBOT,
            at=train.clock(),
        )

        def gates(unit: Any) -> None:
            for gate, message in (
                ("commits", f"{len(checked['commits'])} commits checked"),
                ("release_tests", "release tests passed"),
            ):
                decide(
                    unit,
                    train.subject,
                    plan.attempt,
                    gate,
                    commit=commit,
                    digest=str(built["digest"]),
                    verdict="go",
                    reason="passed",
                    message=message,
                )

        return Done(
            message=f"{name} tagged at {commit[:12]}, artefact {built['digest'][:19]}…",
            result={"tag": name, "commit": commit, "digest": built["digest"]},
            write=gates,
            notices=[
                texts.candidate_ready(
                    release=train.release,
                    attempt=train.plan.attempt,
                    candidate_tag=name,
                    commit=commit,
                    digest=str(built["digest"]),
                    commits_count=len(checked["commits"]),
                )
            ],
        )

    return train.step("tag_candidate", "release.candidate_tagged", tag)


def artefact(train: Train) -> Artefact:
    """Return the artefact that this release built, as the ledger knows it."""
    built = train.result("build_artefact")
    return Artefact(
        service=train.plan.service.name,
        version=train.plan.version,
        digest=str(built["digest"]),
        path=Path(str(built["path"])),
    )


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    }


def _evidence(log: Path) -> dict[str, str]:
    """Keep a finished log under its digest, so that no other try writes into what is on record."""
    digest = file_digest(log)
    kept = log.with_name(f"{log.stem}-{digest.removeprefix('sha256:')[:12]}{log.suffix}")
    log.replace(kept)
    return {"uri": kept.as_uri(), "sha256": digest}


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
