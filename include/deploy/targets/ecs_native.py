"""Amazon ECS's own blue/green and canary deployments, paused by hooks until our gates have spoken.

One ECS service; ECS itself starts the new revision in its other target group and moves the traffic
of the production listener's rule. A deployment is told to pause before every shift of traffic and
after the last: the first pause is a staged slot, `set_weights` continues it or rolls it back, and
the last pause keeps the old revision until its slot is retired. What nobody answers before traffic
has moved is rolled back by ECS, what nobody answers after it is kept.

A slot is a target group. The fence is a tag of the service, and guards as in `ecs`; beyond that, an
answer names the deployment and the pause that it is for, and ECS refuses it for any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.deploy.target import Artefact, Colour, Health
from include.deploy.targets.cloud import (
    FENCE,
    ask_health,
    named,
    require_fence,
    require_newest,
    require_shares,
    same,
    wait_until,
)
from include.deploy.targets.ecs import EcsTarget, is_forward
from include.errors import TargetError
from include.services.cloud import EcsNative

# The stages at which ECS takes a pause; before every shift of traffic, and after the last.
_BEFORE, _AFTER = "PRE_PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"
_ON_ITS_WAY = (
    "PENDING",
    "IN_PROGRESS",
    "STOP_REQUESTED",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revision:
    """What runs in a slot: its task definition and how many tasks of it run."""

    definition: str
    running: int


class EcsNativeTarget(EcsTarget):
    """One service in one environment whose traffic ECS itself moves; see `Target`."""

    def staged(self, slot: Colour) -> Artefact | None:
        """Return what the slot holds, None when it is empty."""
        found = self._revisions().get(slot)
        return self._artefact(found.definition) if found else None

    def stage(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        """Start a deployment of the image by digest and wait until it pauses before its traffic."""
        self._advance(fence)
        if not same(self.staged(slot), artefact):
            self._require_idle(slot, fence, "staged over")
            self._end_deployment(slot, fence)
            revision = self._register(artefact, slot.other)
            self._require_idle(slot, fence, "staged over")
            self._call(
                self._ecs.update_service,
                cluster=self._where.cluster,
                service=self._name,
                taskDefinition=revision,
                desiredCount=self._where.tasks,
                deploymentConfiguration=self._paused(),
            )
        wait_until(lambda: self._ready_in(slot, artefact, fence), self._timeout, self._said)

    def health(self, slot: Colour) -> Health:
        """Return how the slot is now."""
        found = self._revisions().get(slot)
        return ask_health(
            self._service,
            self.address(slot),
            running=bool(found and found.running),
            held=self.staged(slot),
        )

    def weights(self) -> dict[Colour, int]:
        """Return the share of traffic per slot in percent, read from the listener's rule."""
        return self._shares_of(self._forward())

    def set_weights(self, weights: Mapping[Colour, int], fence: int) -> None:
        """Let the paused deployment go on until these shares are there, or roll it back."""
        wanted = require_shares(weights)
        self._advance(fence)
        for slot, share in wanted.items():
            if share and self.staged(slot) is None:
                raise TargetError(f"{self._named(slot)} is empty, it can't serve")
        present = self.weights()
        if present == wanted:
            return
        new = self._new_slot()
        if new is None:
            raise TargetError(f"{self._name} has no deployment under way that could move traffic")
        if wanted[new] == 0:
            self._answer("ROLLBACK", fence)
            wait_until(lambda: self._under_way() is None, self._timeout, self._said)
        elif wanted[new] < present[new] or wanted[new] not in (self._canary, 100):
            raise TargetError(
                f"ECS's own deployment of {self._name} goes to "
                f"{f'{self._canary} % and then ' if self._canary else ''}100 %, or back to 0 %, "
                f"not to {wanted[new]} %; the shares of the environment have to say the same"
            )
        else:
            self._go_on(new, wanted[new], fence)
        require_newest(self._name, fence, self._seen())
        found = self.weights()
        if found != wanted:
            raise TargetError(f"{self._name} was to have {wanted} and has {found}")

    def configuration(self, slot: Colour) -> Mapping[str, str]:
        """Return the container's plain environment; {} when the slot is empty."""
        found = self._revisions().get(slot)
        return self._settings(found.definition) if found and self.staged(slot) else {}

    def retire(self, slot: Colour, fence: int) -> None:
        """End the deployment that keeps the slot: rolled back before its switch, finished after."""
        self._advance(fence)
        self._require_idle(slot, fence, "retired")
        self._end_deployment(slot, fence)

    @property
    def _name(self) -> str:
        return self._where.services.blue

    @property
    def _canary(self) -> int | None:
        return self._native.canary_percent

    @property
    def _native(self) -> EcsNative:
        if self._where.native is None:
            raise TargetError(f"{self._service.name} is not deployed by ECS itself")
        return self._where.native

    def _named(self, slot: Colour) -> str:
        return f"{slot} of {self._name}"

    def _paused(self) -> dict[str, Any]:
        native = self._native

        def pause(stage: str, action: str, minutes: int) -> dict[str, Any]:
            timeout = {"timeoutInMinutes": minutes, "action": action}
            return {
                "targetType": "PAUSE",
                "lifecycleStages": [stage],
                "timeoutConfiguration": timeout,
            }

        told: dict[str, Any] = {
            "strategy": "CANARY" if self._canary else "BLUE_GREEN",
            "bakeTimeInMinutes": 0,
            "lifecycleHooks": [
                pause(_BEFORE, "ROLLBACK", native.answer_minutes),
                pause(_AFTER, "CONTINUE", native.keep_minutes),
            ],
        }
        if self._canary:
            told["canaryConfiguration"] = {
                "canaryPercent": float(self._canary),
                "canaryBakeTimeInMinutes": 0,
            }
        return told

    def _seen(self) -> int:
        """Return the highest fence that was recorded, on the service."""
        arn = self._described(Colour.BLUE)["serviceArn"]
        answer = self._call(self._ecs.list_tags_for_resource, resourceArn=arn)
        tags = {tag["key"]: tag["value"] for tag in answer.get("tags", ())}
        return int(tags.get(FENCE, "0"))

    def _record(self, fence: int) -> None:
        arn = self._described(Colour.BLUE)["serviceArn"]
        tag = {"key": FENCE, "value": str(fence)}
        self._call(self._ecs.tag_resource, resourceArn=arn, tags=[tag])

    def _forward(self) -> list[dict[str, Any]]:
        rule = self._native.rule
        answer = self._call(self._elb.describe_rules, RuleArns=[rule])
        for action in answer["Rules"][0]["Actions"]:
            if is_forward(action):
                return list(action["ForwardConfig"]["TargetGroups"])
        raise TargetError(f"{rule} has no weighted forward")

    def _newest(self) -> dict[str, Any] | None:
        """Return the newest deployment that ECS remembers, None where it remembers none."""
        answer = self._call(
            self._ecs.list_service_deployments, cluster=self._where.cluster, service=self._name
        )
        brief = max(answer["serviceDeployments"], key=lambda item: item["createdAt"], default=None)
        if brief is None:
            return None
        found = self._call(
            self._ecs.describe_service_deployments,
            serviceDeploymentArns=[brief["serviceDeploymentArn"]],
        )
        return dict(found["serviceDeployments"][0])

    def _under_way(self) -> dict[str, Any] | None:
        newest = self._newest()
        return newest if newest is not None and newest["status"] in _ON_ITS_WAY else None

    def _revisions(self) -> dict[Colour, _Revision]:
        """Return what is in each slot that is not empty."""
        newest = self._newest()
        service = self._described(Colour.BLUE)
        if newest is None:
            weights = self.weights()
            live = max(Colour, key=lambda colour: weights[colour])
            alone = _Revision(
                definition=service["taskDefinition"], running=int(service["runningCount"])
            )
            return {live: alone}
        new, old = newest["targetServiceRevision"], newest.get("sourceServiceRevisions") or []
        if newest["status"] in _ON_ITS_WAY:
            there = [new, *old]
        else:
            there = [new] if newest["status"] == "SUCCESSFUL" else old
        running = {item["arn"]: int(item.get("runningTaskCount", 0)) for item in there}
        if newest["status"] not in _ON_ITS_WAY:
            running = {item["arn"]: int(service["runningCount"]) for item in there}
        if not running:
            return {}
        answer = self._call(self._ecs.describe_service_revisions, serviceRevisionArns=[*running])
        return {
            self._slot_of(item): _Revision(
                definition=item["taskDefinition"], running=running[item["serviceRevisionArn"]]
            )
            for item in answer["serviceRevisions"]
        }

    def _slot_of(self, revision: Mapping[str, Any]) -> Colour:
        resolved = revision.get("resolvedConfiguration") or {}
        for balancer in resolved.get("loadBalancers") or ():
            for slot in Colour:
                if balancer["targetGroupArn"] == named(self._where.target_groups, slot):
                    return slot
        raise TargetError(f"{self._name}: ECS does not say in which target group a revision runs")

    def _new_slot(self) -> Colour | None:
        """Return the slot of the deployment that is under way, None where none is."""
        flight = self._under_way()
        if flight is None:
            return None
        answer = self._call(
            self._ecs.describe_service_revisions,
            serviceRevisionArns=[flight["targetServiceRevision"]["arn"]],
        )
        return self._slot_of(answer["serviceRevisions"][0])

    def _awaiting(self) -> str | None:
        """Return the hook that waits for an answer, None where nothing does."""
        flight = self._under_way()
        for hook in (flight or {}).get("lifecycleHookDetails") or ():
            if hook.get("targetType") == "PAUSE" and hook["status"] == "AWAITING_ACTION":
                return str(hook["hookId"])
        return None

    def _answer(self, action: str, fence: int) -> None:
        """Answer the pause that the deployment is in, or comes to; no answer to what has ended."""
        hooks: list[str] = []

        def arrived() -> bool:
            hook = self._awaiting()
            hooks.extend([hook] if hook else [])
            return bool(hook) or self._under_way() is None

        wait_until(arrived, self._timeout, self._said)
        flight = self._under_way()
        # A newer deploy's pause must not be answered by whoever has waited for another.
        require_fence(self._name, fence, self._seen())
        if hooks and flight is not None:
            try:
                self._call(
                    self._ecs.continue_service_deployment,
                    serviceDeploymentArn=flight["serviceDeploymentArn"],
                    hookId=hooks[-1],
                    action=action,
                )
            except TargetError:
                require_newest(self._name, fence, self._seen())
                raise

    def _go_on(self, new: Colour, share: int, fence: int) -> None:
        while self.weights()[new] < share:
            before = self._awaiting()
            self._answer("CONTINUE", fence)
            wait_until(
                lambda before=before: (  # type: ignore[misc]
                    self.weights()[new] >= share
                    or self._under_way() is None
                    or self._awaiting() not in (None, before)
                ),
                self._timeout,
                self._said,
            )
            if self._under_way() is None and self.weights()[new] < share:
                raise TargetError(self._said())

    def _end_deployment(self, slot: Colour, fence: int) -> None:
        """End what is under way so that `slot`, which has no traffic, is empty."""
        new = self._new_slot()
        if new is None:
            return
        self._answer("ROLLBACK" if new is slot else "CONTINUE", fence)
        wait_until(lambda: self._under_way() is None, self._timeout, self._said)

    def _ready_in(self, slot: Colour, artefact: Artefact, fence: int) -> bool:
        flight = self._under_way()
        held = self.staged(slot)
        require_newest(self._named(slot), fence, self._seen())
        if flight is None and (held is None or held.digest != artefact.digest):
            raise TargetError(self._said())
        return held is not None and held.digest == artefact.digest and bool(self._awaiting())

    def _said(self) -> str:
        newest = self._newest() or {}
        rolled_back = (newest.get("rollback") or {}).get("reason", "")
        words = [
            f"the deployment of {self._name} is {newest.get('status', 'unknown')}",
            f"at {newest['lifecycleStage']}" if newest.get("lifecycleStage") else "",
            newest.get("statusReason", ""),
            rolled_back,
        ]
        return " ".join(word for word in words if word)
