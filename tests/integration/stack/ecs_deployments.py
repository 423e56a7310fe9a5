"""What moto lacks of ECS: service deployments that pause, and move a listener rule's traffic.

Written from botocore's model of the API and ECS's documentation of its stages. It proves that our
client speaks the API and keeps its states apart; it says nothing about how AWS behaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

_BEFORE, _AFTER = "PRE_PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"


class PausingEcs:
    """The deployments of one service whose traffic is two target groups' of a rule."""

    def __init__(self, elb: Any, rule: str, groups: list[str]) -> None:
        self._elb, self._rule, self._groups = elb, rule, groups
        self.deployments: list[dict[str, Any]] = []
        self.revisions: dict[str, dict[str, Any]] = {}
        self.configurations: list[dict[str, Any]] = []
        self.fails = False
        self._asked = 0

    def begin(self, task_definition: str, before: str, configuration: dict[str, Any]) -> None:
        """Start a deployment in the target group that has no traffic; it pauses before it has."""
        self.configurations.append(configuration)
        live = max(self._groups, key=self._weight)
        new = next(group for group in self._groups if group != live)
        source = self._live_revision() or self._revision(before, live)
        target = self._revision(task_definition, new)
        now = datetime.now(UTC) + timedelta(seconds=len(self.deployments))
        self.deployments.append(
            {
                "serviceDeploymentArn": f"arn:deployment/{len(self.deployments)}",
                "createdAt": now,
                "status": "ROLLBACK_SUCCESSFUL" if self.fails else "IN_PROGRESS",
                "statusReason": "tasks failed to start" if self.fails else "",
                "sourceServiceRevisions": [{"arn": source, "runningTaskCount": 2}],
                "targetServiceRevision": {"arn": target, "runningTaskCount": 2},
                "deploymentConfiguration": configuration,
            }
        )
        if not self.fails:
            self._pause(_BEFORE)

    def answer(self, arn: str, hook: str, action: str) -> None:
        """Take the answer to the hook that waits; any other is refused, as AWS does."""
        found = next(item for item in self.deployments if item["serviceDeploymentArn"] == arn)
        (waiting,) = found["lifecycleHookDetails"]
        if waiting["hookId"] != hook or waiting["status"] != "AWAITING_ACTION":
            message = f"{hook} does not wait for an answer"
            raise ValueError(message)
        waiting["status"] = "SUCCEEDED"
        source, target = (
            self._group(found["sourceServiceRevisions"][0]["arn"]),
            self._group(found["targetServiceRevision"]["arn"]),
        )
        if action == "ROLLBACK":
            self._share(source, 100)
            found["status"] = "ROLLBACK_SUCCESSFUL"
            return
        if found["lifecycleStage"] == _AFTER:
            found["status"] = "SUCCESSFUL"
            return
        canary = found["deploymentConfiguration"].get("canaryConfiguration")
        first = canary is not None and self._weight(target) == 0
        self._share(target, int(canary["canaryPercent"]) if first and canary else 100)
        self._pause(_BEFORE if first else _AFTER)

    def _pause(self, stage: str) -> None:
        self._asked += 1
        newest = self.deployments[-1]
        newest["lifecycleStage"] = stage
        newest["lifecycleHookDetails"] = [
            {"hookId": f"hook-{self._asked}", "targetType": "PAUSE", "status": "AWAITING_ACTION"}
        ]

    def _live_revision(self) -> str | None:
        for found in reversed(self.deployments):
            if found["status"] == "SUCCESSFUL":
                return str(found["targetServiceRevision"]["arn"])
            return str(found["sourceServiceRevisions"][0]["arn"])
        return None

    def _revision(self, task_definition: str, group: str) -> str:
        arn = f"arn:revision/{len(self.revisions)}"
        self.revisions[arn] = {
            "serviceRevisionArn": arn,
            "taskDefinition": task_definition,
            "resolvedConfiguration": {"loadBalancers": [{"targetGroupArn": group}]},
        }
        return arn

    def _group(self, revision: str) -> str:
        resolved = self.revisions[revision]["resolvedConfiguration"]
        return str(resolved["loadBalancers"][0]["targetGroupArn"])

    def _weight(self, group: str) -> int:
        (rule,) = self._elb.describe_rules(RuleArns=[self._rule])["Rules"]
        shares = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
        return next(int(item["Weight"]) for item in shares if item["TargetGroupArn"] == group)

    def _share(self, group: str, weight: int) -> None:
        shares = [
            {"TargetGroupArn": item, "Weight": weight if item == group else 100 - weight}
            for item in self._groups
        ]
        action = {"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}
        self._elb.modify_rule(RuleArn=self._rule, Actions=[action])


@contextmanager
def pausing(fake: PausingEcs) -> Iterator[PausingEcs]:
    """Let moto's ECS answer about service deployments with `fake`."""
    from moto.core.responses import ActionResult
    from moto.ecs.responses import EC2ContainerServiceResponse as Moto

    real = Moto.update_service

    def update_service(moto: Any) -> Any:
        configuration = moto._get_param("deploymentConfiguration") or {}
        (service,) = moto.ecs_backend.describe_services(
            moto._get_param("cluster"), [moto._get_param("service")]
        )[0]
        before = service.task_definition
        answer = real(moto)
        if configuration.get("lifecycleHooks"):
            fake.begin(moto._get_param("taskDefinition"), before, configuration)
        return answer

    def list_deployments(moto: Any) -> Any:
        return ActionResult({"serviceDeployments": fake.deployments})

    def describe_deployments(moto: Any) -> Any:
        arns = moto._get_param("serviceDeploymentArns")
        found = [item for item in fake.deployments if item["serviceDeploymentArn"] in arns]
        return ActionResult({"serviceDeployments": found})

    def describe_revisions(moto: Any) -> Any:
        arns = moto._get_param("serviceRevisionArns")
        return ActionResult({"serviceRevisions": [fake.revisions[arn] for arn in arns]})

    def go_on(moto: Any) -> Any:
        arn = moto._get_param("serviceDeploymentArn")
        fake.answer(arn, moto._get_param("hookId"), moto._get_param("action"))
        return ActionResult({"serviceDeploymentArn": arn})

    with pytest.MonkeyPatch.context() as patch:
        for name, answer in {
            "update_service": update_service,
            "list_service_deployments": list_deployments,
            "describe_service_deployments": describe_deployments,
            "describe_service_revisions": describe_revisions,
            "continue_service_deployment": go_on,
        }.items():
            patch.setattr(Moto, name, answer, raising=False)
        yield fake
