"""Closing: the final tag, the notes, the change, the retrospective, and the outcome's last word."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from include.changes.ending import give_up, record_outcome
from include.deploy.deployment import deployment_of, live_deployment
from include.deploy.smoke import request
from include.deploy.targets.factory import open_target
from include.errors import RepositoryError
from include.instants import format_instant
from include.ledger import Outcome, schema
from include.notices import texts
from include.permits.permit import close_permits
from include.releases.notes import render_notes
from include.releases.phases.cab import move, release_change
from include.releases.phases.code_freeze import artefact
from include.releases.phases.host import unlock_branch
from include.releases.phases.looking import ENVIRONMENT
from include.releases.phases.rollback import roll_back
from include.releases.planning import local_time
from include.releases.release import end_release
from include.releases.robot import ROBOT
from include.releases.train import Done, Train

# The board was asked, and its answer did not come: that is a no, not a breakdown.
UNDECIDED = ("mandatory_seat_missing", "quorum_missing", "chair_missing", "approvals_missing")


def tag_release(train: Train) -> Done:
    """Tag the verified deploy `vX.Y.Z`, and bring the release onto main and back into develop."""
    plan = train.plan

    def tag() -> Done:
        train.result("watch_release")
        with train.ledger.read() as connection:
            live = live_deployment(connection, plan.service.name, ENVIRONMENT)
        if live is not None and (live.release_id, live.attempt) != (train.release, plan.attempt):
            message = f"people are served {live.version} by now; {plan.version} is not released"
            return Done(ok=False, reason="not_live", message=message)
        commit = str(train.result("bump_version")["commit"])
        repository = train.repository
        repository.create_tag(
            plan.number.tag,
            commit,
            message=f"Release version {plan.version}",
            tagger=ROBOT,
            at=train.clock(),
        )
        branches = plan.rules.branches
        merged = {
            name: _bring_into(train, name, commit)
            for name in (branches.production, branches.integration)
        }
        left = [name for name, sha in merged.items() if sha is None]
        told = f"; {', '.join(left)} needs a merge by hand" if left else ""
        return Done(
            message=f"{plan.number.tag} tagged at {commit[:12]}{told}",
            result={"tag": plan.number.tag, "commit": commit, "merged": merged},
        )

    return train.step("tag_release", "release.tagged", tag)


def publish_notes(train: Train) -> Done:
    """Write the release notes from the commits and keep them as evidence."""
    plan = train.plan

    def publish() -> Done:
        commit = str(train.result("bump_version")["commit"])
        commits = train.repository.commits(plan.previous_commit, commit)
        text = render_notes(commits, version=plan.number)
        path = train.settings.state_dir / "evidence" / train.release / "release-notes.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Done(
            message=f"release notes: {len(text.splitlines())} lines",
            result={"notes": text[:20_000], "path": str(path)},
        )

    return train.step("publish_notes", "release.notes_published", publish)


def close_change(train: Train) -> Done:
    """Close the change: implemented, watched, and its slot given back."""

    def close() -> Done:
        train.result("watch_release")
        change = release_change(train)

        def write(unit: Any) -> None:
            record_outcome(unit, change, "successful")
            message = f"{change.id} is implemented by {train.release}"
            move(unit, train, change, "review", reason="implemented", message=message)
            message = f"{change.id} went as planned and is closed"
            move(unit, train, change, "closed", reason="implemented", message=message)
            close_permits(unit, train)

        return Done(message=f"{change.id} is closed", result={"change": change.id}, write=write)

    return train.step("close_change", "release.change_closed", close)


def schedule_retrospective(train: Train) -> Done:
    """Set the retrospective's date (plan §3.3, §14.1)."""
    plan = train.plan

    def schedule() -> Done:
        at = train.clock() + plan.profile.retrospective_after
        return Done(
            message=f"retrospective on {local_time(at, plan.zone)}",
            result={"retrospective": format_instant(at)},
        )

    return train.step("schedule_retrospective", "release.retrospective_set", schedule)


def conclude(train: Train) -> Done:
    """Say how the train ended, from what the ledger and the load balancer say, not from boxes.

    `released` only if every step is done and production serves exactly this artefact; otherwise
    the first step that said no is the reason, and the train ends red.
    """
    _leave_nothing_unwatched(train)
    state, reason, message = _outcome(train)
    plan = train.plan
    with train.ledger.read() as connection:
        row = connection.execute(
            select(schema.release.c.state, schema.release.c.message).where(
                schema.release.c.id == train.release
            )
        ).one()
    if row.state != "running":
        unlock_branch(train)
        return Done(ok=row.state == "released", reason=row.state, message=str(row.message))
    with train.unit() as unit:
        if state != "released":
            _abandon(unit, train)
        end_release(train.ledger, plan, state, reason, message, unit.now)(unit)
        notice = (
            texts.released(
                release=train.release,
                attempt=plan.attempt,
                version=plan.version,
                commits_count=len(train.result("check_commits")["commits"]),
                notes_link=train.run_url,
                seconds=_deploy_seconds(train),
                retrospective=unit.now + plan.profile.retrospective_after,
                zone=plan.zone,
            )
            if state == "released"
            else texts.train_ended(
                release=train.release,
                attempt=plan.attempt,
                outcome=state,
                reason=message,
                link=train.run_url,
            )
        )
        train.tell(unit, notice)
        unit.append(
            f"release.{state}",
            train.subject,
            outcome=Outcome.SUCCESS if state == "released" else Outcome.FAILURE,
            reason=reason,
            message=message,
        )
    unlock_branch(train)
    return Done(ok=state == "released", reason=reason, message=message)


def _leave_nothing_unwatched(train: Train) -> None:
    """Lead traffic back from a version that was switched to and never seen through.

    The Dag's own roll_back goes by the colour of tasks; a watch that was marked successful by hand
    keeps it from running, and people must not stay on what nobody has watched.
    """
    if train.has("watch_release") or train.has("roll_back"):
        return
    with train.ledger.read() as connection:
        row = deployment_of(connection, train.release, train.plan.attempt, ENVIRONMENT)
    if row is not None and row.state in ("staging", "staged", "switching", "live"):
        roll_back(train)


def _outcome(train: Train) -> tuple[str, str, str]:
    table = schema.step
    with train.ledger.read() as connection:
        rows = connection.execute(
            select(table)
            .where(table.c.release_id == train.release, table.c.attempt == train.plan.attempt)
            .order_by(table.c.started_at)
        ).all()
        live = live_deployment(connection, train.plan.service.name, ENVIRONMENT)
        said_no = connection.execute(
            select(schema.record.c.body)
            .where(schema.record.c.release == train.release)
            .where(schema.record.c.outcome.in_(("failure", "denied")))
            .order_by(schema.record.c.seq.desc())
        ).scalars()
        bodies = list(said_no)
    reason, message = _last_no(bodies, train.plan.attempt)
    done = {row.name for row in rows if row.state == "done"}
    results = {row.name: row.result for row in rows}
    back = results.get("roll_back") or {}
    if back.get("rolled_back"):
        # A way back that came to nothing at first is not why it was taken.
        return "rolled_back", *_last_no(bodies, train.plan.attempt, but="rollback.")
    checkpoints = [results.get(f"answer_{name}") or {} for name in train.plan.checkpoints]
    if any(result.get("approved") is False for result in checkpoints):
        return "rejected", "rejected", message
    needed = {"watch_release", "tag_release", "publish_notes", "close_change"}
    if needed <= done and live is not None:
        built = artefact(train)
        served = _served_version(train)
        if live.digest == built.digest and served == train.plan.version:
            return "released", "released", f"production serves {train.plan.version}"
        return "failed", "wrong_version", f"production serves {served}, not {train.plan.version}"
    if reason in ("rejected", "timed_out") or reason in UNDECIDED:
        return "rejected", reason, message
    return "failed", reason or "incomplete", message or "the train ended before its last step"


def _last_no(bodies: list[str], attempt: int, *, but: str | None = None) -> tuple[str, str]:
    """Return the reason and message of the newest no, leaving out events that begin with `but`."""
    import json

    for body in bodies:
        content = json.loads(body)
        subject = content["subject"]
        if but is not None and str(content["event"]).startswith(but):
            continue
        if subject["kind"] == "release" and subject.get("version") == str(attempt):
            return str(content["reason"]), str(content["message"])
    return "", ""


def _served_version(train: Train) -> str:
    import json

    target = open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)
    answer = request(target.frontend() + train.plan.service.checks.version)
    try:
        return str(json.loads(answer.body)["version"])
    except (ValueError, KeyError, TypeError):
        return f"nothing (status {answer.status})"


def _abandon(unit: Any, train: Train) -> None:
    """Give back what a train that did not arrive had taken."""
    table = schema.release
    row = unit.execute(select(table.c.change_id).where(table.c.id == train.release)).one()
    if row.change_id is None:
        return
    change = release_change(train)
    close_permits(unit, train)
    message = f"the train of {change.id} has ended"
    give_up(unit, train.settings, change, reason="train_ended", message=message)


def _deploy_seconds(train: Train) -> float:
    table = schema.step
    with train.ledger.read() as connection:
        rows = connection.execute(
            select(table.c.name, table.c.started_at, table.c.finished_at).where(
                table.c.release_id == train.release,
                table.c.attempt == train.plan.attempt,
                table.c.name.in_(("begin_deploy", "switch_traffic")),
            )
        ).all()
    times = {row.name: row for row in rows}
    if len(times) < 2:
        return 0.0
    length = times["switch_traffic"].finished_at - times["begin_deploy"].started_at
    return float(length.total_seconds())


def _bring_into(train: Train, branch: str, commit: str) -> str | None:
    repository = train.repository
    if repository.branch(branch) is None:
        return None
    try:
        return repository.merge(
            branch,
            commit,
            message=f"chore(release): bring {train.plan.number.tag} into {branch}",
            author=ROBOT,
            at=train.clock(),
        )
    except RepositoryError:
        return None
