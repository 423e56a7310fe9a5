"""The way back: traffic to the version that served before, the service locked, people told.

It needs no permit and asks nobody. What it goes back to is proven healthy first (design §7).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from include.deploy import deployment
from include.deploy.recovery import obstacle
from include.deploy.target import Colour, Target
from include.deploy.targets.factory import open_target
from include.errors import TargetError
from include.ledger import Outcome, schema
from include.notices import texts
from include.permits.permit import close_permits, newest_fence
from include.releases.lock import lock
from include.releases.phases.looking import ENVIRONMENT
from include.releases.phases.migration import alone
from include.releases.schema_records import MIGRATED, RESTORED, schema_records
from include.releases.train import Done, Train
from include.services.migration_kind import expands

# A deployment in one of these states is neither over nor seen through, unless it was released.
UNFINISHED = ("staging", "staged", "switching", "live")
# The steps of a train that lead people back.
WAYS_BACK = ("roll_back", "undo_dead_attempt")


def roll_back(train: Train) -> Done:
    """Undo whatever the deploy got done: nothing, a slot without traffic, or a switch.

    What was watched to its end without complaint is not undone by a task that somebody starts
    again; going back from it is a decision of its own, the Dag `rollback`.
    """
    with train.ledger.read() as connection:
        row = deployment.deployment_of(connection, train.release, train.plan.attempt, ENVIRONMENT)
        ended = connection.execute(
            select(schema.release.c.state).where(schema.release.c.id == train.release)
        ).scalar_one()
    if row is None:
        return Done(reason="not_needed", message="production was not touched")
    if train.has("roll_back"):
        return train.done("roll_back")
    if train.has("watch_release") or ended == "released":
        message = (
            f"{train.plan.version} was watched to the end and is fine; to go back all the same, "
            "trigger the Dag rollback"
        )
        return Done(reason="not_needed", message=message)
    return train.step("roll_back", "rollback.done", lambda: _undo(train, row))


def go_back_at_once(train: Train) -> Done:
    """Do what `roll_back` will do, if people are on the version and there is a way back.

    For whoever has just found the version to be bad: every second is somebody's error. Where there
    is no way back, saying so is left to `roll_back`.
    """
    with train.ledger.read() as connection:
        row = deployment.deployment_of(connection, train.release, train.plan.attempt, ENVIRONMENT)
    if row is None or row.switch_began_at is None or not _code_may_go_back(train, row):
        return Done(reason="not_needed", message="nobody has to be led back at once")
    return roll_back(train)


def undo_dead_attempt(train: Train) -> Done | None:
    """Undo what an earlier attempt of this release left behind when its run was ended by hand.

    Returns None where it left nothing. Its version has not been watched to its end: people must
    not stay on it, and it must never be taken for the way back.
    """
    table = schema.deployment
    with train.ledger.read() as connection:
        row = connection.execute(
            select(table)
            .where(
                table.c.release_id == train.release,
                table.c.attempt < train.plan.attempt,
                table.c.environment == ENVIRONMENT,
                table.c.state.in_(UNFINISHED),
            )
            .order_by(table.c.id.desc())
        ).first()
    if row is None or not _code_may_go_back(train, row):
        return None
    return train.step("undo_dead_attempt", "rollback.done", lambda: _undo(train, row))


def _undo(train: Train, row: Any) -> Done:
    slot = Colour(row.colour)
    target = open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)
    began = row.switch_began_at is not None
    if began and not _code_may_go_back(train, row):
        return _stay(train, row)
    with alone(train, ENVIRONMENT):
        fence = _fence(train)
    previous = _previous(train, slot.other)
    back_to = previous.version if previous is not None else train.plan.previous_version
    if began and target.weights()[slot] > 0:
        digest = previous.digest if previous is not None else None
        why = obstacle(target, slot.other, digest, train.plan.service.checks.warm_up)
        if why is not None:
            raise TargetError(
                f"the way back to {back_to} is not clear: {why}; traffic stays where it is until a "
                "person decides"
            )
    if began:
        target.set_weights({slot.other: 100, slot: 0}, fence)
    weights = target.weights()
    if weights[slot] != 0:
        raise TargetError(f"{slot} still has {weights[slot]} % of the traffic")
    target.retire(slot, fence)
    migrations = _migrations(train)
    if not began and not _code_may_go_back(train, row) and migrations:
        return _left(train, row, target, slot.other, back_to, known=MIGRATED in migrations)
    commits = list(_checked(train, row).get("commits") or [])

    def write(unit: Any) -> None:
        state = "returned" if began else "retired"
        deployment.set_state(unit, row.id, state, ended_at=unit.now)
        if began:
            _restore_previous(unit, train, slot.other)
            _lock(unit, train, f"{train.release} was rolled back", commits)

    if not began:
        return Done(
            message=f"{slot} is emptied; {slot.other} has kept all the traffic throughout",
            result={"rolled_back": False},
            write=write,
        )
    return Done(
        message=f"traffic is back on {slot.other} ({back_to}); "
        f"{train.plan.service.name} is locked until a second person unlocks it"
        + (f", and its {len(commits)} commits are in quarantine" if commits else ""),
        reason="rolled_back",
        result={"rolled_back": True, "quarantined": commits},
        write=write,
        notices=[
            texts.rolled_back(
                release=train.release,
                attempt=train.plan.attempt,
                version=train.plan.version,
                back_to=back_to,
                reason="see the release's last step",
            )
        ],
    )


def _lock(unit: Any, train: Train, reason: str, commits: list[str]) -> None:
    service = train.plan.service.name
    lock(unit, service, release=train.release, reason=reason, commits=commits, by=unit.actor.user)


def _restore_previous(unit: Any, train: Train, colour: Colour) -> None:
    previous = _previous(train, colour)
    if previous is not None and previous.state != "live":
        deployment.set_state(unit, previous.id, "live", live_at=unit.now, ended_at=None)


def _previous(train: Train, colour: Colour) -> Any:
    """Return the deployment that served from a slot before, None if the ledger knows of none."""
    table = schema.deployment
    with train.ledger.read() as connection:
        return connection.execute(
            select(table)
            .where(
                table.c.service == train.plan.service.name,
                table.c.environment == ENVIRONMENT,
                table.c.colour == str(colour),
                table.c.state.in_(("standby", "live")),
            )
            .order_by(table.c.id.desc())
        ).first()


def _checked(train: Train, row: Any) -> dict[str, Any]:
    """Return what the code freeze of the deployment's own attempt found out."""
    table = schema.step
    with train.ledger.read() as connection:
        found = connection.execute(
            select(table.c.result).where(
                table.c.release_id == row.release_id,
                table.c.attempt == row.attempt,
                table.c.name == "check_commits",
            )
        ).scalar()
    return dict(found or {})


def _code_may_go_back(train: Train, row: Any) -> bool:
    """Return whether the version before works on the schema as it is now (plan §4.4)."""
    brought = _checked(train, row).get("migrations") or []
    return all(expands(item) for item in brought)


def _migrations(train: Train) -> set[str]:
    """Return which records there are of any attempt's migrations in production, by their event.

    What a restore has undone since is over.
    """
    found: set[str] = set()
    with train.ledger.read() as connection:
        for body in schema_records(connection, train.plan.service.name, ENVIRONMENT):
            if body["event"] == RESTORED:
                found.clear()
            elif body["subject"]["id"] == train.release:
                found.add(str(body["event"]))
    return found


def _left(
    train: Train, row: Any, target: Target, serving: Colour, version: str, *, known: bool
) -> Done:
    """Say that nobody was led to the version, and that its migrations have stayed all the same.

    Where it is not `known` how they ended, they have to be reckoned with.
    """
    listed = _listed(train, row)
    why = obstacle(target, serving, None, train.plan.service.checks.warm_up)
    answers = f"It does not work on it: {why}." if why is not None else "It answers so far."
    brought = "has brought" if known else "may have brought"
    if not known:
        answers += " How the migration ended is in no record: look at the database."
    message = (
        f"{row.colour} is emptied and {serving} has kept all the traffic, but {train.release} "
        f"{brought} {listed}, and {version} serves on that schema. {answers} Offered are a fix "
        "forward, or the Dag rollback with its database restore, which two people vote on"
    )

    def write(unit: Any) -> None:
        deployment.set_state(unit, row.id, "retired", ended_at=unit.now)
        left = "has left" if known else "may have left"
        _lock(unit, train, f"{train.release} failed and {left} {listed}", [])

    return Done(
        message=message,
        reason="schema_left",
        result={"rolled_back": False},
        write=write,
        notices=[
            texts.schema_left(
                release=train.release,
                attempt=train.plan.attempt,
                serves=version,
                migrations=listed,
                answers=answers,
            )
        ],
    )


def _listed(train: Train, row: Any) -> str:
    brought = _checked(train, row)["migrations"]
    return ", ".join(f"{item['name']} ({item['kind']})" for item in brought)


def _stay(train: Train, row: Any) -> Done:
    """Leave traffic where it is, lock the service, and say what is offered."""
    listed = _listed(train, row)
    message = (
        f"{train.release} brought {listed}: the version before does not work on this schema, so "
        "traffic stays where it is. Offered are a fix forward, or the Dag rollback with its "
        "database restore, which two people vote on"
    )
    with train.unit() as unit:
        _lock(unit, train, f"{train.release} failed and can't be rolled back", [])
        close_permits(unit, train)
        train.tell(
            unit,
            texts.no_way_back(
                release=train.release,
                attempt=train.plan.attempt,
                migrations=listed,
            ),
        )
        unit.append(
            "rollback.impossible",
            train.subject,
            outcome=Outcome.FAILURE,
            reason="migration",
            message=message,
        )
    return Done(ok=False, reason="no_way_back", message=message)


def _fence(train: Train) -> int:
    """Take the fence of the way back; from here on the deploy may touch production no more."""
    with train.unit() as unit:
        fence = newest_fence(unit)
        close_permits(unit, train)
        unit.append(
            "rollback.began",
            train.subject,
            reason="deploy_failed",
            message=f"the way back is taken under fence {fence}",
            details={"fence": fence},
        )
    return fence
