"""Staging: the candidate runs where it can hurt nobody, is tested, and people accept it."""

from __future__ import annotations

import time
from typing import Any

from include.deploy import deployment
from include.deploy.kept_artefact import kept_artefact
from include.deploy.recovery import obstacle
from include.deploy.smoke import run_smoke_tests
from include.deploy.target import Artefact, Colour
from include.deploy.targets.factory import open_target
from include.errors import RecordMissing, ReleaseControlError
from include.gates.gate import decide
from include.releases.phases.code_freeze import artefact
from include.releases.phases.migration import migrate
from include.releases.train import Done, Train
from include.services.migration_kind import expands

ENVIRONMENT = "staging"


def deploy_staging(train: Train) -> Done:
    """Put the candidate in front of staging's users: migrate, stage in the idle slot, switch."""

    def begin() -> Done:
        target = open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)
        weights = target.weights()
        idle = min(Colour, key=lambda colour: (weights[colour], colour.value == "blue"))
        key: list[int] = []

        def write(unit: Any) -> None:
            key.append(
                deployment.open_deployment(
                    unit,
                    artefact(train),
                    ENVIRONMENT,
                    idle,
                    fence=0,
                    release=train.release,
                    attempt=train.plan.attempt,
                )
            )

        return Done(
            message=f"staging deploy begins in slot {idle}", result={"slot": idle}, write=write
        )

    def deploy() -> Done:
        slot = Colour(train.result("begin_staging")["slot"])
        built = artefact(train)
        target = open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)
        with train.ledger.read() as connection:
            row = deployment.deployment_of(
                connection, train.release, train.plan.attempt, ENVIRONMENT
            )
        # Staging needs no permit; its fence is the deployment's number, which only grows.
        fence = int(row.id) if row else 0
        migrated = migrate(train, ENVIRONMENT)
        if not migrated.ok:
            return migrated
        target.stage(built, slot, fence)
        health = target.health(slot)
        if not health.ready:
            return Done(ok=False, reason="not_ready", message=f"staging {slot}: {health.message}")
        target.set_weights({slot: 100, slot.other: 0}, fence)

        def live(unit: Any) -> None:
            if row is not None:
                deployment.make_live(unit, int(row.id))

        return Done(
            message=f"staging serves {built.version} from slot {slot}",
            result={"slot": slot, "url": target.frontend()},
            write=live,
        )

    train.step("begin_staging", "staging.began", begin)
    return train.step("deploy_staging", "staging.deployed", deploy)


def test_staging(train: Train) -> Done:
    """Rehearse the way back, then run the smoke tests against staging as its users reach it; the
    gate speaks for the digest."""

    def test() -> Done:
        built = artefact(train)
        commit = str(train.result("bump_version")["commit"])
        target = open_target(train.plan.service, ENVIRONMENT, train.settings, vendor=train.vendor)
        served = target.health(Colour(train.result("deploy_staging")["slot"]))
        if served.digest != built.digest:
            return Done(
                ok=False,
                reason="wrong_artefact",
                message=f"staging runs {served.digest}, not the candidate {built.digest}",
            )
        results = run_smoke_tests(target.frontend(), train.plan.service.checks.smoke)
        failed = [item for item in results if not item.passed]

        def gate(unit: Any) -> None:
            decide(
                unit,
                train.subject,
                train.plan.attempt,
                "staging_tests",
                commit=commit,
                digest=built.digest,
                verdict="go",
                reason="passed",
                message=f"{len(results)} tests passed in staging",
            )

        if failed:
            said = "; ".join(item.message for item in failed)
            return Done(ok=False, reason="tests_failed", message=f"staging tests failed: {said}")
        return Done(
            message=f"{len(results)} tests passed in staging",
            result={"tests": [item.name for item in results]},
            write=gate,
        )

    back = train.step("rehearse_rollback", "staging.rollback_rehearsed", lambda: _rehearse(train))
    return train.step("test_staging", "staging.tested", test) if back.ok else back


def _rehearse(train: Train) -> Done:
    """Lead staging back to the version before, on the schema of the new one, and forth again.

    What it takes is reserved in production's window; that the older version does not work on this
    schema is found here and not when it is needed.
    """
    slot = Colour(train.result("deploy_staging")["slot"])
    service = train.plan.service
    target = open_target(service, ENVIRONMENT, train.settings, vendor=train.vendor)
    with train.ledger.read() as connection:
        row = deployment.deployment_of(connection, train.release, train.plan.attempt, ENVIRONMENT)
    fence = int(row.id) if row else 0
    before = target.staged(slot.other)
    if before is None or before.version != train.plan.previous_version:
        # An earlier attempt, or a release that was led back, has been here since.
        try:
            before = _served_before(train)
        except ReleaseControlError as error:
            return _not_rehearsed(str(error))
        target.stage(before, slot.other, fence)
    brought = train.result("check_commits").get("migrations") or []
    if not all(expands(item) for item in brought):
        why = obstacle(target, slot.other, before.digest, service.checks.warm_up)
        return _not_rehearsed(
            "code does not go back alone over what this release migrates; on that schema "
            + (
                f"{before.version} still answers"
                if why is None
                else f"{before.version} does not work, which in production is so from the "
                f"migration to the switch: {why}"
            )
        )
    begin = time.monotonic()
    why = obstacle(target, slot.other, before.digest, service.checks.warm_up)
    if why is not None:
        return Done(
            ok=False,
            reason="no_way_back",
            message=f"in staging {before.version} does not work on the schema of "
            f"{train.plan.version}, so production could not go back to it: {why}",
        )
    target.set_weights({slot.other: 100, slot: 0}, fence)
    seconds = time.monotonic() - begin
    target.set_weights({slot: 100, slot.other: 0}, fence)
    return Done(
        message=f"staging went back to {before.version} in {seconds:.1f} s and is on "
        f"{train.plan.version} again",
        result={"rolled_back": True, "seconds": round(seconds, 3)},
    )


def _served_before(train: Train) -> Artefact:
    """Return what production would go back to; ReleaseControlError if it is not kept."""
    with train.ledger.read() as connection:
        live = deployment.live_deployment(connection, train.plan.service.name, "production")
        if live is None or live.version != train.plan.previous_version:
            serves = live.version if live is not None else "nothing"
            raise RecordMissing(
                f"production serves {serves} by the ledger, not {train.plan.previous_version}, "
                "which this release would go back to"
            )
        return kept_artefact(connection, train.settings.state_dir, live)


def _not_rehearsed(why: str) -> Done:
    return Done(
        message=f"no rollback was rehearsed: {why}", result={"rolled_back": False, "why": why}
    )
