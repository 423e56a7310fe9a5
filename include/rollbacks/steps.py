"""The plan's six steps of a manual rollback (§4.4): each acts, and reads back what it did."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from include.deploy import deployment
from include.deploy.reality import other_settings
from include.deploy.recovery import obstacle
from include.deploy.smoke import request
from include.deploy.target import Colour, Target
from include.deploy.targets.factory import open_target
from include.errors import TargetError
from include.ledger import schema
from include.notices import texts
from include.permits.permit import newest_fence
from include.releases.lock import lock
from include.releases.phases.looking import ENVIRONMENT
from include.releases.phases.migration import alone
from include.releases.train import Done
from include.rollbacks.restore import restore
from include.rollbacks.restore_point import forget_dump
from include.rollbacks.rollback import Rollback, end_rollback
from include.services.workspace import run_commands


def stop_new_deployment(rollback: Rollback) -> Done:
    """1. Nothing of the newer version moves any more: the service locked, permits closed, older
    fences refused."""

    def stop() -> Done:
        fences: list[int] = []

        def write(unit: Any) -> None:
            fences.append(newest_fence(unit))
            releases = select(schema.release.c.id).where(
                schema.release.c.service == rollback.to.service
            )
            unit.execute(
                update(schema.permit)
                .where(
                    schema.permit.c.release_id.in_(releases), schema.permit.c.closed_at.is_(None)
                )
                .values(closed_at=unit.now)
            )
            # From here on: people may be asked for a day, and no train shall pass meanwhile.
            _lock(unit, rollback)

        with alone(rollback.train, ENVIRONMENT), rollback.train.unit() as unit:
            write(unit)
            unit.append(
                "rollback.fenced",
                rollback.subject,
                message=f"{rollback.id} works under fence {fences[0]}; older permits are closed",
                release=rollback.train.release,
                details={"fence": fences[0]},
            )
        target = _target(rollback)
        weights = target.weights()
        slot = max(Colour, key=lambda colour: weights[colour])
        # The same shares under the new fence: from here on the target refuses older ones.
        target.set_weights(weights, fences[0])
        return Done(
            message=f"no deploy of {rollback.to.service} may touch production any more; {slot} "
            f"serves {rollback.from_version}",
            result={"fence": fences[0], "slot": slot},
        )

    return rollback.step("stop_new_deployment", stop)


def restore_previous_version(rollback: Rollback) -> Done:
    """2. The earlier version runs and is proven; traffic goes to it, unless its schema is not yet
    there: then it waits for the database."""

    def bring() -> Done:
        fence, slot = _way(rollback)
        target = _target(rollback)
        _hold(rollback, target, slot, fence)
        if rollback.schema_change.code_may_go_back:
            return _lead_back(rollback, target, slot, fence)
        return Done(
            message=f"{slot} holds {rollback.to.version}; it takes traffic once the database has "
            "gone back",
            result={"slot": slot, "led": False},
        )

    return rollback.step("restore_previous_version", bring)


def restore_database(rollback: Rollback) -> Done:
    """3. Only if it was asked for, and two people have agreed to the writes that it costs."""

    def back() -> Done:
        before = rollback.result("restore_previous_version")
        if not rollback.database:
            return Done(
                reason="not_needed",
                message="the schema was only expanded; the database stays as it is",
                result={"restored": False},
            )
        restored = restore(rollback)
        if not restored.ok or before["led"]:
            return restored
        fence, slot = _way(rollback)
        led = _lead_back(rollback, _target(rollback), slot, fence)
        return Done(
            message=f"{restored.message}; {led.message}",
            result={**restored.result, "led": True},
            evidence=restored.evidence,
            write=led.write,
        )

    return rollback.step("restore_database", back)


def restore_configuration(rollback: Rollback) -> Done:
    """4. The earlier version runs with the configuration that it was released with."""

    def configuration() -> Done:
        rollback.result("restore_database")
        _, slot = _way(rollback)
        wanted = rollback.service.environments[ENVIRONMENT].config
        differing = other_settings(wanted, _target(rollback).configuration(slot))
        if differing:
            return Done(
                ok=False,
                reason="configuration_differs",
                message=f"{slot} runs with another configuration than {rollback.to.version} was "
                f"released with: {', '.join(differing)}",
            )
        return Done(
            message=f"{slot} runs with the {len(wanted)} settings of {rollback.to.version}",
            result={"settings": sorted(wanted)},
        )

    return rollback.step("restore_configuration", configuration)


def invalidate_caches(rollback: Rollback) -> Done:
    """5. What the newer version has left in caches is dropped."""

    def clear() -> Done:
        rollback.result("restore_configuration")
        service = rollback.service
        if not service.commands.clear_caches:
            return Done(message=f"{service.name} declares no caches; nothing to clear")
        log = rollback.train.settings.state_dir / "evidence" / rollback.id / "clear-caches.log"
        values = {
            "version": rollback.to.version,
            "artefact": str(rollback.to.path),
            "digest": rollback.to.digest,
        }
        ran = run_commands(service.commands.clear_caches, values, rollback.to.path.parent, log=log)
        if not ran[-1].ok:
            return Done(ok=False, reason="caches_not_cleared", message=ran[-1].describe())
        return Done(message=f"{len(ran)} caches cleared")

    return rollback.step("invalidate_caches", clear)


def verify(rollback: Rollback) -> Done:
    """6. People get the earlier version, and it answers; then the newer one is put away and the
    service locked until a second person unlocks it."""

    def look() -> Done:
        rollback.result("invalidate_caches")
        fence, slot = _way(rollback)
        target = _target(rollback)
        weights = target.weights()
        if weights[slot] != 100:
            message = f"{slot} has {weights[slot]} % of the traffic, not all of it"
            return Done(ok=False, reason="split_traffic", message=message)
        why = obstacle(target, slot, rollback.to.digest, _paths(rollback))
        front = request(target.frontend() + rollback.service.checks.version)
        if why is None and f'"{rollback.to.version}"' not in front.body:
            why = f"people get {front.body[:100]} (status {front.status})"
        if why is not None:
            return Done(ok=False, reason="not_stable", message=f"not stable: {why}")
        target.retire(slot.other, fence)
        forget_dump(rollback)
        train = rollback.train

        def write(unit: Any) -> None:
            _settle(unit, rollback)
            end_rollback(unit, rollback.id, "done")

        return Done(
            message=f"{rollback.to.version} serves all traffic from {slot} and answers; "
            f"{rollback.to.service} is locked until a second person unlocks it",
            reason="rolled_back",
            result={"version": rollback.to.version, "slot": slot},
            write=write,
            notices=[
                texts.gone_back(
                    release=train.release,
                    attempt=train.plan.attempt,
                    rollback=rollback.id,
                    version=rollback.from_version,
                    back_to=rollback.to.version,
                    reason=rollback.reason,
                )
            ],
        )

    return rollback.step("verify", look)


def _target(rollback: Rollback) -> Target:
    return open_target(
        rollback.service,
        ENVIRONMENT,
        rollback.train.settings,
        vendor=rollback.train.vendor,
    )


def _paths(rollback: Rollback) -> tuple[str, ...]:
    return rollback.service.checks.warm_up


def _way(rollback: Rollback) -> tuple[int, Colour]:
    """Return the fence and the slot that is gone back to."""
    stopped = rollback.result("stop_new_deployment")
    return int(stopped["fence"]), Colour(stopped["slot"]).other


def _hold(rollback: Rollback, target: Target, slot: Colour, fence: int) -> None:
    """See that the slot holds the earlier version; stage it anew where it is gone."""
    held = target.staged(slot)
    if held is None or held.digest != rollback.to.digest or not target.health(slot).running:
        target.stage(rollback.to, slot, fence)
    found = target.staged(slot)
    if found is None or found.digest != rollback.to.digest:
        raise TargetError(f"{slot} does not hold {rollback.to.version} after it was staged")


def _lead_back(rollback: Rollback, target: Target, slot: Colour, fence: int) -> Done:
    why = obstacle(target, slot, rollback.to.digest, _paths(rollback))
    if why is not None:
        raise TargetError(
            f"the way back to {rollback.to.version} is not clear: {why}; traffic stays where it is"
        )
    target.set_weights({slot: 100, slot.other: 0}, fence)

    def write(unit: Any) -> None:
        _bring_live(unit, rollback, slot, fence)

    return Done(
        message=f"traffic is on {slot}, which runs {rollback.to.version} and is healthy",
        result={"slot": slot, "led": True},
        write=write,
    )


def _bring_live(unit: Any, rollback: Rollback, slot: Colour, fence: int) -> None:
    table = schema.deployment
    bad = unit.row(
        select(table).where(
            table.c.service == rollback.to.service,
            table.c.environment == ENVIRONMENT,
            table.c.state == "live",
        )
    )
    if bad is not None:
        # The same version may have served from the other slot: then nothing is wrong with it.
        state = "returned" if bad.digest != rollback.to.digest else "retired"
        deployment.set_state(unit, bad.id, state, ended_at=unit.now)
    standing = unit.row(
        select(table).where(
            table.c.service == rollback.to.service,
            table.c.environment == ENVIRONMENT,
            table.c.colour == str(slot),
            table.c.state == "standby",
            table.c.digest == rollback.to.digest,
        )
    )
    if standing is not None:
        deployment.set_state(unit, standing.id, "live", live_at=unit.now, ended_at=None)
        return
    served = unit.row(
        select(table)
        .where(
            table.c.service == rollback.to.service,
            table.c.environment == ENVIRONMENT,
            table.c.digest == rollback.to.digest,
        )
        .order_by(table.c.id.desc())
    )
    deployment.open_deployment(
        unit,
        rollback.to,
        ENVIRONMENT,
        slot,
        fence=fence,
        release=served.release_id if served is not None else None,
        attempt=served.attempt if served is not None else None,
        state="live",
    )


def _settle(unit: Any, rollback: Rollback) -> None:
    """Say in the ledger that the release was rolled back, and lock its service."""
    release, train = schema.release, rollback.train
    unit.execute(
        update(release)
        .where(release.c.id == train.release, release.c.state != "running")
        .values(
            state="rolled_back",
            reason="rolled_back",
            message=f"{rollback.id}: {rollback.reason}"[:2000],
            updated_at=unit.now,
        )
    )
    _lock(unit, rollback)


def _lock(unit: Any, rollback: Rollback) -> None:
    train = rollback.train
    commits = train.result("check_commits")["commits"] if train.has("check_commits") else []
    lock(
        unit,
        rollback.to.service,
        release=train.release,
        reason=f"{rollback.id}: {rollback.reason}",
        commits=commits,
        by=rollback.requested_by,
    )
