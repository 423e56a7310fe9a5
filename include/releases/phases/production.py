"""Production: proven backup, permit, green, smoke, warm up, permit again, switch, watch.

Plan §4.3, blue-green; canary and rolling differ in the shares alone. Every effect reads back what
is there, so a task that was killed at any instant can be run again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from include.backups import kind
from include.deploy import deployment
from include.deploy.smoke import request, run_smoke_tests
from include.deploy.strategy import shifts
from include.deploy.target import Colour, Target
from include.deploy.targets.factory import open_target
from include.errors import LedgerError
from include.ledger import schema
from include.notices import Notice, texts
from include.permits.permit import check_again, confirm, issue
from include.releases.phases import larger_share
from include.releases.phases.cab import move, release_change
from include.releases.phases.code_freeze import artefact
from include.releases.phases.looking import ENVIRONMENT, look
from include.releases.phases.migration import migrate
from include.releases.train import Done, Train
from include.releases.window_clock import closing, decide_by, needs_of, told_of_closing


def take_backup(train: Train) -> Done:
    """Back the service's database up, before anything of it is touched."""
    plan = train.plan
    database = plan.service.environments[ENVIRONMENT].database

    def take() -> Done:
        if database is None:
            return Done(message="the service keeps no data of its own", result={"backup": None})
        key = f"BKP-{train.release}-{plan.attempt}"
        placement = plan.service.environments[ENVIRONMENT]
        name = f"{train.release}-{plan.attempt}"
        backup = kind.take_backup(train, placement, name, jobs=plan.profile.backup_jobs)

        def write(unit: Any) -> None:
            values = {
                "id": key,
                "release_id": train.release,
                "attempt": plan.attempt,
                "service": plan.service.name,
                "database": backup.database,
                "path": backup.path,
                "digest": backup.digest,
                "size": backup.size,
                "counts": dict(backup.counts),
                "taken_at": backup.taken_at,
            }
            unit.execute(insert(schema.backup).values(**values).on_conflict_do_nothing())

        return Done(
            message=backup.message,
            result={"backup": key, "stored": backup.stored},
            evidence=[{"uri": backup.uri, "sha256": backup.digest}],
            write=write,
        )

    return train.step("take_backup", "backup.taken", take)


def prove_backup(train: Train) -> Done:
    """Restore the backup into a scratch database and compare it; only then it counts."""

    def prove() -> Done:
        taken = train.result("take_backup")
        if taken["backup"] is None:
            return Done(message="nothing to prove: the service keeps no data of its own")
        proof = kind.prove_backup(train, taken["stored"])
        database = kind.database_of(taken["stored"])
        if not proof.proven:
            return Done(
                ok=False,
                reason=proof.reason,
                message=f"the backup is not proven: {proof.message}",
                notices=[
                    texts.backup_failed(
                        release=train.release,
                        attempt=train.plan.attempt,
                        database=database,
                        reason=proof.message,
                    )
                ],
            )

        def write(unit: Any) -> None:
            unit.execute(
                update(schema.backup)
                .where(schema.backup.c.id == taken["backup"])
                .values(
                    proven_at=unit.now,
                    proof=kind.proof_document(taken["stored"], proof),
                )
            )

        return Done(
            message=f"restored into scratch and compared: {sum(proof.counts.values()):,} rows in "
            f"{len(proof.counts)} tables, {proof.seconds:.1f} s",
            result={"backup": taken["backup"], "rows": sum(proof.counts.values())},
            write=write,
            notices=[
                texts.backup_proven(
                    release=train.release,
                    attempt=train.plan.attempt,
                    database=database,
                    rows=sum(proof.counts.values()),
                    seconds=proof.seconds,
                )
            ],
        )

    return train.step("prove_backup", "backup.proven", prove)


def deploy_green(train: Train) -> Done:
    """Get the permit, migrate, and start the new version in the slot that has no traffic."""
    if train.has("deploy_green"):
        # Staged already; whether it may still be switched to is asked before the switch.
        return train.done("deploy_green")
    decision = issue(train)
    if decision.permit is None:
        return Done(ok=False, reason="permit_refused", message=decision.message)
    fence = decision.permit.fence
    built = artefact(train)
    target = open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)

    def begin() -> Done:
        weights = target.weights()
        live = max(Colour, key=lambda colour: weights[colour])
        if weights[live.other]:
            return Done(
                ok=False,
                reason="split_traffic",
                message=f"both slots have traffic ({weights[live]} % and {weights[live.other]} %); "
                "an earlier deploy has to be ended first",
            )

        def write(unit: Any) -> None:
            deployment.open_deployment(
                unit,
                built,
                ENVIRONMENT,
                live.other,
                fence=fence,
                release=train.release,
                attempt=train.plan.attempt,
            )
            change = release_change(train)
            message = f"{change.id} is being implemented under permit {fence}"
            move(unit, train, change, "implementing", reason="permitted", message=message)

        return Done(
            message=f"{built.version} goes into slot {live.other}; {live} keeps the traffic"
            f"{decide_by(train, train.clock())}",
            result={"slot": live.other, "live": live},
            write=write,
            notices=[
                texts.deploy_started(
                    release=train.release,
                    attempt=train.plan.attempt,
                    version=built.version,
                    slot=live.other,
                    digest=built.digest,
                )
            ],
        )

    def stage() -> Done:
        slot = Colour(train.result("begin_deploy")["slot"])
        migrated = migrate(train, ENVIRONMENT, fence=fence)
        if not migrated.ok:
            return migrated
        target.stage(built, slot, fence)
        health = target.health(slot)
        if not health.ready or health.digest != built.digest:
            return Done(ok=False, reason="not_ready", message=f"{slot}: {health.message}")

        def write(unit: Any) -> None:
            deployment.set_state(unit, _row(train).id, "staged")

        return Done(
            message=f"{slot} runs {health.version} ({built.digest[:19]}…), without traffic",
            result={"slot": slot, "fence": fence},
            write=write,
        )

    begun = train.step("begin_deploy", "deploy.began", begin)
    if not begun.ok:
        return begun
    return train.step("deploy_green", "deploy.staged", stage)


def smoke_test(train: Train) -> Done:
    """Ask the new version itself, past the load balancer, before anybody else does."""

    def test() -> Done:
        slot, target = _staged(train)
        results = run_smoke_tests(target.address(slot), train.plan.service.checks.smoke)
        failed = [item for item in results if not item.passed]
        said = "; ".join(item.message for item in (failed or results))
        return Done(
            ok=not failed,
            reason="smoke_passed" if not failed else "smoke_failed",
            message=f"{len(results) - len(failed)} of {len(results)} smoke tests passed: {said}",
            result={"passed": [item.name for item in results if item.passed]},
            notices=[]
            if failed
            else [_told(train, "the new version passes its smoke tests", said)],
        )

    return train.step("smoke_test", "deploy.smoke_tested", test)


def warm_up(train: Train) -> Done:
    """Ask every warm-up path ten times; each answer has to be right."""

    def warm() -> Done:
        slot, target = _staged(train)
        paths = train.plan.service.checks.warm_up
        if not paths:
            return Done(message=f"{slot} is not warmed up: checks.warm_up names no path")
        slowest = 0.0
        for _ in range(10):
            slowest = 0.0
            if (why := closing(train, train.clock())) is not None:
                message = f"{why}; {slot} is not warm yet and takes no traffic"
                return Done(
                    ok=False,
                    reason="window_closing",
                    message=message,
                    notices=[told_of_closing(train, train.clock(), message)],
                )
            for path in paths:
                answer = request(target.address(slot) + path)
                if answer.status == 0 or answer.status >= 500:
                    return Done(
                        ok=False,
                        reason="warm_up_failed",
                        message=f"{path}: status {answer.status} while warming up",
                    )
                slowest = max(slowest, answer.seconds)
        message = f"{slot} is warm: slowest answer {slowest * 1000:.0f} ms"
        return Done(message=message, notices=[_told(train, "the new version is warm", message)])

    return train.step("warm_up", "deploy.warmed_up", warm)


def switch_traffic(train: Train) -> Done:
    """Check the permit again before each share of the traffic that the new version is given.

    Killed in the middle and begun again it goes on, and is ended, as if it never had been: by the
    declared policy of a step that has begun.
    """
    for earlier in ("deploy_green", "smoke_test", "warm_up"):
        train.result(earlier)
    if train.has("switch_traffic"):
        # A retry after the window has closed must not undo what was done inside it.
        return train.done("switch_traffic")
    profile = train.plan.profile
    slot, target = _staged(train)
    fence = int(train.result("deploy_green")["fence"])
    steps = shifts(train.plan.strategy, profile.shares, profile.watch.duration)
    again = train.has("begin_switch")
    if not again:
        decision = check_again(train, needs=needs_of(train).rollback)
        if decision.permit is None:
            return Done(ok=False, reason="permit_withdrawn", message=decision.message)

    def begin() -> Done:
        # What was tested is what people get, however long it stood there in between.
        health = target.health(slot)
        if health.digest not in (None, artefact(train).digest):
            return Done(
                ok=False,
                reason="replaced",
                message=f"{slot} runs {health.version} ({str(health.digest)[:19]}…) now, which is "
                "not what was tested; it takes no traffic",
            )

        def write(unit: Any) -> None:
            deployment.set_state(unit, _row(train).id, "switching", switch_began_at=unit.now)

        by = decide_by(train, train.clock())
        return Done(message=f"traffic begins to move to {slot}{by}", write=write)

    begun = train.step("begin_switch", "deploy.switch_began", begin)
    if not begun.ok:
        return begun
    asked = not again
    for number, shift in enumerate(steps, start=1):
        name = f"shift_{number}"
        if train.has(name):
            continue
        # What stood when the switch began may have fallen since: while a share was looked at, or
        # while this task was dead. What has all the traffic already is not given more.
        served = shift.percent == 100 and target.weights()[slot] == 100
        if not asked and not served and (no := larger_share.stopped(train, name)) is not None:
            return no
        asked = False

        def move(percent: int = shift.percent, bake: timedelta = shift.bake) -> Done:
            target.set_weights({slot: percent, slot.other: 100 - percent}, fence)
            read_back = target.weights()
            message = f"{slot} {read_back[slot]} %, {slot.other} {read_back[slot.other]} %"
            if percent < 100:
                seen = look(train, target, slot, step="shift", duration=bake)
                if not seen.ok:
                    return replace(seen, message=f"{message}: {seen.message}")
                message += f": {seen.message}"
            return Done(message=message, result={"percent": percent})

        moved = train.step(name, "deploy.traffic_shifted", move)
        if not moved.ok:
            return moved

    if again:
        # Nothing is left to be permitted, but somebody may have led people back meanwhile.
        with train.unit() as unit:
            held = confirm(unit, train, fence, closing=True)
        if held.permit is None:
            return Done(ok=False, reason="permit_withdrawn", message=held.message)

    def end() -> Done:
        def write(unit: Any) -> None:
            deployment.make_live(unit, _row(train).id)

        return Done(
            message=f"people are served {train.plan.version} from {slot}; {slot.other} stands by",
            result={"slot": slot},
            write=write,
            notices=[
                texts.traffic_switched(
                    release=train.release,
                    attempt=train.plan.attempt,
                    from_version=train.plan.previous_version,
                    to_version=train.plan.version,
                )
            ],
        )

    return train.step("switch_traffic", "deploy.switched", end)


def watch_release(train: Train) -> Done:
    """Watch the new version under full traffic; no figures is no pass."""

    def whole() -> Done:
        slot = Colour(train.result("switch_traffic")["slot"])
        target = open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)
        duration = train.plan.profile.watch.duration

        def validate(unit: Any) -> None:
            change = release_change(train)
            message = f"{change.id} is watched, and does what it should"
            move(unit, train, change, "validating", reason="watched", message=message)

        seen = look(train, target, slot, step="watch", duration=duration)
        return replace(seen, write=validate) if seen.ok and seen.write is None else seen

    return train.step("watch_release", "deploy.watched", whole)


def _told(train: Train, step: str, detail: str) -> Notice:
    return texts.deploy_step(
        release=train.release, attempt=train.plan.attempt, step=step, detail=detail
    )


def _staged(train: Train) -> tuple[Colour, Target]:
    slot = Colour(train.result("deploy_green")["slot"])
    return slot, open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)


def _row(train: Train) -> Any:
    with train.ledger.read() as connection:
        row = deployment.deployment_of(connection, train.release, train.plan.attempt, ENVIRONMENT)
    if row is None:
        raise LedgerError(f"the ledger has no production deployment of {train.release}")
    return row
