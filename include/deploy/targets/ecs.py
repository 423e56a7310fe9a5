"""Amazon ECS: two services behind the weighted forward of an ALB's listener.

A slot is an ECS service with its target group. An artefact is deployed as a new revision of the
service's task definition whose image is named by digest, never by tag. The fence is a tag of the
listener. Clients are boto3's, handed in.

AWS takes no condition with these writes. So the fence is looked at right before each and again
afterwards: a deploy that a newer one has overtaken raises FencedOff, but what it wrote in that
instant stands until the newer one looks at what it is about to switch to, or reconciling does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from include.deploy.metrics.cloudwatch import ERRORS, NAMESPACE, REQUESTS
from include.deploy.target import Artefact, Colour, Health, Traffic
from include.deploy.targets.cloud import (
    DIGEST,
    FENCE,
    VERSION,
    artefact_of,
    ask_health,
    is_setting,
    named,
    percent,
    require_fence,
    require_newest,
    require_shares,
    same,
    settings_in,
    variables,
    wait_until,
)
from include.errors import MetricsLost, TargetError
from include.services.service import Service

# What RegisterTaskDefinition takes of what DescribeTaskDefinition gives.
_KEPT = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "volumes", "placementConstraints",
    "requiresCompatibilities", "cpu", "memory", "pidMode", "ipcMode", "proxyConfiguration",
    "inferenceAccelerators", "ephemeralStorage", "runtimePlatform",
)  # fmt: skip


class EcsTarget:
    """One service in one environment on ECS; see `Target` for what each call promises."""

    def __init__(
        self,
        service: Service,
        environment: str,
        ecs: Any,
        elbv2: Any,
        cloudwatch: Any,
        *,
        clock: Callable[[], Any],
        stage_timeout: float = 900.0,
    ) -> None:
        placement = service.environments[environment]
        if placement.ecs is None:
            raise TargetError(f"{service.name} in {environment} is not on ECS")
        self._service = service
        self._placement = placement
        self._where = placement.ecs
        self._ecs, self._elb, self._watch = ecs, elbv2, cloudwatch
        self._clock = clock
        self._counts_since: Any = None
        self._timeout = stage_timeout

    def staged(self, slot: Colour) -> Artefact | None:
        """Return what the slot holds, None when it is empty."""
        found = self._described(slot)
        if not found["desiredCount"]:
            return None
        return self._artefact(found["taskDefinition"])

    def stage(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        """Register a revision with the image's digest, deploy it, and wait until it is steady."""
        self._advance(fence)
        # ECS starts no more tasks of a deployment that it has given up: a retry asks for another.
        if not same(self.staged(slot), artefact) or self._given_up(slot):
            self._require_idle(slot, fence, "staged over")
            revision = self._register(artefact, slot)
            self._require_idle(slot, fence, "staged over")
            self._call(
                self._ecs.update_service,
                cluster=self._where.cluster,
                service=named(self._where.services, slot),
                taskDefinition=revision,
                desiredCount=self._where.tasks,
                deploymentConfiguration={
                    "deploymentCircuitBreaker": {"enable": True, "rollback": False},
                    "minimumHealthyPercent": 100,
                    "maximumPercent": 200,
                },
            )
        wait_until(
            lambda: self._steady(slot, artefact, fence), self._timeout, lambda: self._unsteady(slot)
        )

    def health(self, slot: Colour) -> Health:
        """Return how the slot is now."""
        running = int(self._described(slot)["runningCount"]) > 0
        return ask_health(
            self._service, self.address(slot), running=running, held=self.staged(slot)
        )

    def address(self, slot: Colour) -> str:
        """Return the base URL that reaches this slot alone."""
        return named(self._where.addresses, slot)

    def frontend(self) -> str:
        """Return the base URL that people use."""
        return self._where.frontend

    def weights(self) -> dict[Colour, int]:
        """Return the share of traffic per slot in percent, read from the listener."""
        return self._shares_of(self._forward())

    def set_weights(self, weights: Mapping[Colour, int], fence: int) -> None:
        """Set the shares and read them back."""
        wanted = require_shares(weights)
        self._advance(fence)
        for slot, share in wanted.items():
            if share and self.staged(slot) is None:
                raise TargetError(f"{named(self._where.services, slot)} is empty, it can't serve")
        present = self.weights()
        if present == wanted:
            return
        for slot in Colour:
            if wanted[slot] > present[slot] and not self._takes_traffic(slot):
                raise TargetError(
                    f"{named(self._where.services, slot)} has no healthy target, so the traffic "
                    "stays where it is"
                )
        actions = self._with_shares(wanted)
        require_fence(self._service.name, fence, self._seen())
        self._call(
            self._elb.modify_listener, ListenerArn=self._where.listener, DefaultActions=actions
        )
        require_newest(self._service.name, fence, self._seen())
        found = self.weights()
        if found != wanted:
            raise TargetError(f"{self._where.listener} was given {wanted} and says {found}")

    def configuration(self, slot: Colour) -> Mapping[str, str]:
        """Return the container's plain environment; secrets come from elsewhere and stay there."""
        if self.staged(slot) is None:
            return {}
        return self._settings(self._described(slot)["taskDefinition"])

    def traffic(self, slot: Colour) -> Traffic:
        """Return CloudWatch's sums since an hour before this was first asked of either slot.

        From one fixed instant on, so that they only grow: sums over the last hour would lose old
        minutes while new ones are added. ALB counts by the minute.
        """
        now = self._clock()
        if self._counts_since is None:
            self._counts_since = (now - timedelta(hours=1)).replace(second=0, microsecond=0)
        group = named(self._where.target_groups, slot).rpartition(":")[2]
        sums = {}
        for name in (REQUESTS, *ERRORS):
            answer = self._call(
                self._watch.get_metric_statistics,
                Namespace=NAMESPACE,
                MetricName=name,
                Dimensions=[
                    {"Name": "LoadBalancer", "Value": self._where.load_balancer},
                    {"Name": "TargetGroup", "Value": group},
                ],
                StartTime=self._counts_since,
                EndTime=now,
                Period=60,
                Statistics=["Sum"],
            )
            sums[name] = [point["Sum"] for point in answer["Datapoints"]]
        if not sums[REQUESTS]:
            raise MetricsLost(f"CloudWatch has no data about requests to {slot}")
        return Traffic(
            requests=round(sum(sums[REQUESTS])),
            server_errors=round(sum(sums[ERRORS[0]])),
            failed_connections=round(sum(sums[ERRORS[1]])),
        )

    def retire(self, slot: Colour, fence: int) -> None:
        """Scale a slot that has no traffic to nothing."""
        self._advance(fence)
        self._require_idle(slot, fence, "retired")
        self._call(
            self._ecs.update_service,
            cluster=self._where.cluster,
            service=named(self._where.services, slot),
            desiredCount=0,
        )
        wait_until(
            lambda: self._has_ended(slot, fence),
            self._timeout,
            lambda: f"{named(self._where.services, slot)} does not end",
        )

    def _shares_of(self, groups: Iterable[Mapping[str, Any]]) -> dict[Colour, int]:
        given = {item["TargetGroupArn"]: int(item.get("Weight", 1)) for item in groups}
        raw = {slot: given.get(named(self._where.target_groups, slot), 0) for slot in Colour}
        if not any(raw.values()):
            raise TargetError(f"the listener of {self._service.name} forwards to neither slot")
        return percent(raw, sum(given.values()))

    def _artefact(self, definition: str) -> Artefact | None:
        container = self._container(self._definition(definition))
        labels = container.get("dockerLabels") or {}
        return artefact_of(self._service.name, labels, str(container.get("image") or ""))

    def _settings(self, definition: str) -> dict[str, str]:
        container = self._container(self._definition(definition))
        given = {item["name"]: item["value"] for item in container.get("environment", ())}
        return settings_in(given, self._placement.config)

    def _advance(self, fence: int) -> None:
        """Record the fence. Tags have no compare-and-set: two that come at the same instant are
        kept apart by the permit, of which one is in force."""
        seen = self._seen()
        require_fence(self._service.name, fence, seen)
        if fence > seen:
            self._record(fence)

    def _seen(self) -> int:
        """Return the highest fence that was recorded, on the listener."""
        answer = self._call(self._elb.describe_tags, ResourceArns=[self._where.listener])
        tags = {tag["Key"]: tag["Value"] for tag in answer["TagDescriptions"][0]["Tags"]}
        return int(tags.get(FENCE, "0"))

    def _record(self, fence: int) -> None:
        tag = {"Key": FENCE, "Value": str(fence)}
        self._call(self._elb.add_tags, ResourceArns=[self._where.listener], Tags=[tag])

    def _require_idle(self, slot: Colour, fence: int, done: str) -> None:
        """Look once more, right before a write, for a newer permit and for traffic."""
        require_fence(self._service.name, fence, self._seen())
        if self.weights()[slot]:
            raise TargetError(f"{self._named(slot)} serves and can't be {done}")

    def _named(self, slot: Colour) -> str:
        return named(self._where.services, slot)

    def _register(self, artefact: Artefact, slot: Colour) -> str:
        present = self._definition(self._described(slot)["taskDefinition"])
        containers = []
        for container in present["containerDefinitions"]:
            if container["name"] == self._where.container:
                told = {
                    item["name"]: item["value"]
                    for item in container.get("environment", ())
                    # The settings are those of the plan, without what was there before.
                    if not is_setting(item["name"])
                } | variables(self._placement.config, artefact)
                container = {
                    **container,
                    "image": f"{self._where.image}@{artefact.digest}",
                    "environment": [
                        {"name": name, "value": value} for name, value in sorted(told.items())
                    ],
                    "dockerLabels": {
                        **container.get("dockerLabels", {}),
                        VERSION: artefact.version,
                        DIGEST: artefact.digest,
                    },
                }
            containers.append(container)
        kept = {name: present[name] for name in _KEPT if present.get(name)}
        answer = self._call(
            self._ecs.register_task_definition, **kept, containerDefinitions=containers
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def _steady(self, slot: Colour, artefact: Artefact, fence: int) -> bool:
        given_up = self._given_up(slot)
        found = self._described(slot)
        held = self.staged(slot)
        require_newest(self._named(slot), fence, self._seen())
        if given_up:
            raise TargetError(self._unsteady(slot))
        return (
            same(held, artefact)
            and len(found["deployments"]) == 1
            and found["runningCount"] >= found["desiredCount"] > 0
        )

    def _has_ended(self, slot: Colour, fence: int) -> bool:
        ended = not self._described(slot)["runningCount"]
        require_newest(self._named(slot), fence, self._seen())
        return ended

    def _given_up(self, slot: Colour) -> bool:
        deployments = self._described(slot)["deployments"]
        states = {item["status"]: item.get("rolloutState") for item in deployments}
        return states.get("PRIMARY") == "FAILED"

    def _unsteady(self, slot: Colour) -> str:
        found = self._described(slot)
        events = "; ".join(item["message"] for item in found.get("events", ())[:3])
        states = ", ".join(
            f"{item['status']} {item.get('rolloutState', '?')}: "
            f"{item.get('rolloutStateReason', '')}".strip(": ")
            for item in found["deployments"]
        )
        held = self.staged(slot)
        holds = f"with {held.version} ({held.digest}) " if held else ""
        return f"{found['serviceName']} is not steady {holds}({states}) {events}".strip()

    def _takes_traffic(self, slot: Colour) -> bool:
        answer = self._call(
            self._elb.describe_target_health,
            TargetGroupArn=named(self._where.target_groups, slot),
        )
        states = [item["TargetHealth"]["State"] for item in answer["TargetHealthDescriptions"]]
        # A group that no listener uses yet is not checked by the load balancer.
        return any(state in ("healthy", "unused") for state in states)

    def _forward(self) -> list[dict[str, Any]]:
        for action in self._actions():
            if is_forward(action):
                return list(action["ForwardConfig"]["TargetGroups"])
        raise TargetError(f"{self._where.listener} has no weighted forward")

    def _with_shares(self, shares: Mapping[Colour, int]) -> list[dict[str, Any]]:
        """Return the listener's actions with other weights and all else as it is, like whether
        people have to sign in first and stay with the version that they got."""
        groups = [
            {"TargetGroupArn": named(self._where.target_groups, slot), "Weight": share}
            for slot, share in shares.items()
        ]
        changed = []
        for action in self._actions():
            if is_forward(action):
                kept = {name: value for name, value in action.items() if name != "TargetGroupArn"}
                forward = {**action["ForwardConfig"], "TargetGroups": groups}
                changed.append({**kept, "ForwardConfig": forward})
            else:
                changed.append(action)
        return changed

    def _actions(self) -> list[dict[str, Any]]:
        answer = self._call(self._elb.describe_listeners, ListenerArns=[self._where.listener])
        return list(answer["Listeners"][0]["DefaultActions"])

    def _described(self, slot: Colour) -> dict[str, Any]:
        name = named(self._where.services, slot)
        answer = self._call(
            self._ecs.describe_services, cluster=self._where.cluster, services=[name]
        )
        found = [item for item in answer["services"] if item["status"] != "INACTIVE"]
        if not found:
            raise TargetError(f"there is no ECS service {name} in {self._where.cluster}")
        return dict(found[0])

    def _definition(self, arn: str) -> dict[str, Any]:
        answer = self._call(self._ecs.describe_task_definition, taskDefinition=arn)
        return dict(answer["taskDefinition"])

    def _container(self, definition: Mapping[str, Any]) -> dict[str, Any]:
        for container in definition["containerDefinitions"]:
            if container["name"] == self._where.container:
                return dict(container)
        raise TargetError(f"{definition['family']} has no container {self._where.container}")

    def _call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return method(**arguments)
        except TargetError:
            raise
        except Exception as error:
            # Not botocore's own classes: the domain does not know the SDK.
            raise TargetError(f"AWS: {str(error)[:300]}") from error


def is_forward(action: Mapping[str, Any]) -> bool:
    """Tell whether a listener's action shares traffic out between target groups."""
    return action["Type"] == "forward" and "ForwardConfig" in action
