"""Kubernetes: two Deployments, and an HTTPRoute whose weights share the traffic out.

Spoken over the API server's own REST. A slot's image is set as `kubectl set image` sets it, and is
named by digest. The fence is an annotation of the route and of both Deployments. Every write
carries the resource version of what was read before the fence was looked at, so of two writers one
is refused by the server itself, and what an older permit has prepared can't land late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

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

_STRATEGIC = "application/strategic-merge-patch+json"
# How often a write is tried again because somebody else wrote in between.
_TRIES = 5


# Seconds after which a Deployment's controller has seen what was written to it.
_CONTROLLER = 30.0


class KubernetesTarget:
    """One service in one environment of a cluster; see `Target` for what each call promises.

    `client` knows the API server's address and bears the token.
    """

    def __init__(
        self,
        service: Service,
        environment: str,
        client: httpx.Client,
        namespace: str,
        *,
        stage_timeout: float = 600.0,
    ) -> None:
        placement = service.environments[environment]
        if placement.kubernetes is None:
            raise TargetError(f"{service.name} in {environment} is not on Kubernetes")
        self._service = service
        self._placement = placement
        self._where = placement.kubernetes
        self._client = client
        self._apps = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._routes = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"
        self._timeout = stage_timeout

    def staged(self, slot: Colour) -> Artefact | None:
        """Return what the slot holds, None when it is empty; a `kubectl set image` is seen."""
        return self._held(self._deployment(slot))

    def stage(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        """Set the image by digest, scale up, and wait until every replica is available.

        Raises FencedOff as soon as a newer permit has begun, TargetError when the slot then holds
        something else.
        """
        self._advance(fence)
        if not same(self.staged(slot), artefact):
            self._put(artefact, slot, fence)
        wait_until(
            lambda: self._runs(artefact, slot, fence),
            self._timeout,
            lambda: self._not_available(slot),
        )

    def health(self, slot: Colour) -> Health:
        """Return how the slot is now."""
        status = self._deployment(slot).get("status", {})
        return ask_health(
            self._service,
            self.address(slot),
            running=bool(status.get("availableReplicas")),
            held=self.staged(slot),
        )

    def address(self, slot: Colour) -> str:
        """Return the base URL that reaches this slot alone."""
        return named(self._where.addresses, slot)

    def frontend(self) -> str:
        """Return the base URL that people use."""
        return self._where.frontend

    def weights(self) -> dict[Colour, int]:
        """Return the share of traffic per slot in percent, read from the route."""
        return self._shares(self._route())

    def set_weights(self, weights: Mapping[Colour, int], fence: int) -> None:
        """Set the shares with the fence in one write, and read them back."""
        wanted = require_shares(weights)
        self._advance(fence)
        for slot, share in wanted.items():
            if share and self.staged(slot) is None:
                name = named(self._where.deployments, slot)
                raise TargetError(f"{name} is empty, it can't serve people")
        present = self.weights()
        if present == wanted:
            return
        for slot in Colour:
            if wanted[slot] <= present[slot]:
                continue
            # The fence is a change of the Deployment, too: its controller has to have seen that.
            wait_until(
                lambda slot=slot: _observed(self._deployment(slot)),  # type: ignore[misc]
                min(self._timeout, _CONTROLLER),
                lambda slot=slot: self._not_available(slot),  # type: ignore[misc]
            )
            if not self._available(self._deployment(slot)):
                raise TargetError(f"{self._not_available(slot)}; the traffic stays where it is")
        self._write_route(fence, wanted)
        found = self.weights()
        if found != wanted:
            raise TargetError(f"{self._where.route} was given {wanted} and says {found}")

    def configuration(self, slot: Colour) -> Mapping[str, str]:
        """Return the settings in the container's environment; {} when the slot is empty."""
        found = self._deployment(slot)
        if not found["spec"].get("replicas"):
            return {}
        return settings_in(self._plain_variables(found), self._placement.config)

    def traffic(self, slot: Colour) -> Traffic:
        """Refuse: a cluster's API counts no requests."""
        raise MetricsLost(
            f"Kubernetes counts no requests to {slot}; name a source under metrics in "
            f"config/services/{self._service.name}.yaml"
        )

    def retire(self, slot: Colour, fence: int) -> None:
        """Scale a slot that has no traffic to nothing."""
        self._advance(fence)
        self._empty(slot, fence)
        wait_until(
            lambda: self._has_ended(slot, fence),
            self._timeout,
            lambda: f"{named(self._where.deployments, slot)} does not end",
        )

    def _put(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        """Let the slot's Deployment, which has no traffic, hold `artefact`."""

        def patch(found: Mapping[str, Any]) -> dict[str, Any]:
            self._require_idle(slot, "staged over")
            return self._staging(artefact, found)

        self._write_slot(slot, fence, patch)

    def _empty(self, slot: Colour, fence: int) -> None:
        """Let the slot's Deployment, which has no traffic, hold nothing."""

        def patch(found: Mapping[str, Any]) -> dict[str, Any]:
            self._require_idle(slot, "retired")
            return {"spec": {"replicas": 0}}

        self._write_slot(slot, fence, patch)

    def _require_idle(self, slot: Colour, done: str) -> None:
        if self.weights()[slot]:
            name = named(self._where.deployments, slot)
            raise TargetError(f"{name} serves and can't be {done}")

    def _variables(self, artefact: Artefact) -> list[dict[str, str]]:
        told = variables(self._placement.config, artefact)
        return [{"name": name, "value": value} for name, value in sorted(told.items())]

    def _plain_variables(self, found: Mapping[str, Any]) -> dict[str, str]:
        """Return the container's variables without those that come from elsewhere, like secrets."""
        return {
            # The API leaves out a value that is empty.
            item["name"]: item.get("value", "")
            for item in self._container(found).get("env") or ()
            if "valueFrom" not in item
        }

    def _staging(self, artefact: Artefact, found: Mapping[str, Any]) -> dict[str, Any]:
        told = self._variables(artefact)
        # A patch keeps what it does not name: settings that are not the plan's have to go.
        named_now = {item["name"] for item in told}
        gone = [
            {"name": name, "$patch": "delete"}
            for name in self._plain_variables(found)
            if is_setting(name) and name not in named_now
        ]
        container = {
            "name": self._where.container,
            "image": f"{self._where.image}@{artefact.digest}",
            "env": [*told, *gone],
        }
        notes = {VERSION: artefact.version, DIGEST: artefact.digest}
        return {
            "spec": {
                "replicas": self._where.replicas,
                "template": {
                    "metadata": {"annotations": notes},
                    "spec": {"containers": [container]},
                },
            }
        }

    def _held(self, found: Mapping[str, Any]) -> Artefact | None:
        if not found["spec"].get("replicas"):
            return None
        notes = found["spec"]["template"]["metadata"].get("annotations") or {}
        image = str(self._container(found).get("image") or "")
        return artefact_of(self._service.name, notes, image)

    def _runs(self, artefact: Artefact, slot: Colour, fence: int) -> bool:
        found = self._deployment(slot)
        name, held = found["metadata"]["name"], self._held(found)
        require_newest(name, fence, self._seen(self._route()))
        if not same(held, artefact):
            there = f"{held.version} ({held.digest})" if held else "nothing"
            raise TargetError(
                f"{name} was given {artefact.version} ({artefact.digest}) and holds {there}; "
                "somebody else has changed it meanwhile"
            )
        return self._available(found)

    def _has_ended(self, slot: Colour, fence: int) -> bool:
        found = self._deployment(slot)
        require_newest(found["metadata"]["name"], fence, self._seen(self._route()))
        return not found["spec"].get("replicas") and not found.get("status", {}).get("replicas")

    def _available(self, found: Mapping[str, Any]) -> bool:
        status, wanted = found.get("status", {}), found["spec"].get("replicas", 0)
        if not _observed(found):
            # What the controller says is about what was there before.
            return False
        for condition in status.get("conditions", ()):
            if condition["type"] == "Progressing" and condition["status"] == "False":
                raise TargetError(self._shortage(found))
        return bool(
            wanted
            and status.get("updatedReplicas") == wanted
            and status.get("availableReplicas") == wanted
            and status.get("replicas") == wanted
        )

    def _not_available(self, slot: Colour) -> str:
        return self._shortage(self._deployment(slot))

    def _shortage(self, found: Mapping[str, Any]) -> str:
        status, wanted = found.get("status", {}), found["spec"].get("replicas", 0)
        said = "; ".join(
            f"{item['type']}={item['status']}: {item.get('message', '')}"
            for item in status.get("conditions", ())
        )
        have = status.get("availableReplicas", 0)
        name = found["metadata"]["name"]
        return f"{name}: {have} of {wanted} replicas are available ({said or 'no word why'})"

    def _shares(self, route: Mapping[str, Any]) -> dict[Colour, int]:
        raw, total = dict.fromkeys(Colour, 0), 0
        for backend in self._backends(route):
            weight = int(backend.get("weight", 1))
            total += weight
            for slot in Colour:
                if backend["name"] == named(self._where.services, slot):
                    raw[slot] = weight
        if not any(raw.values()):
            raise TargetError(f"{self._where.route} leads to neither slot")
        return percent(raw, total)

    def _backends(self, route: Mapping[str, Any]) -> list[dict[str, Any]]:
        rules = route["spec"].get("rules") or []
        if len(rules) != 1:
            raise TargetError(
                f"{self._where.route} has {len(rules)} rules; one that leads to both slots is "
                "what can be shared out"
            )
        return list(rules[0].get("backendRefs") or [])

    def _advance(self, fence: int) -> None:
        """Record the fence on the route, then on the Deployments, whose older versions no write
        can go by from then on."""
        seen = self._seen(self._route())
        require_fence(self._service.name, fence, seen)
        if fence > seen:
            self._write_route(fence, None)
        for slot in Colour:
            answer = self._send("GET", self._path(slot))
            # What is not there can't be written late; the other slot has to go on without it.
            if answer.status_code == httpx.codes.NOT_FOUND:
                continue
            if self._seen(self._checked(answer)) < fence:
                self._write_slot(slot, fence, lambda found: {})

    def _seen(self, found: Mapping[str, Any]) -> int:
        return int((found["metadata"].get("annotations") or {}).get(FENCE, "0"))

    def _write_route(self, fence: int, shares: Mapping[Colour, int] | None) -> None:
        """Write fence and shares at once; whoever has read an older route is refused by 409."""
        for _ in range(_TRIES):
            route = self._route()
            require_fence(self._service.name, fence, self._seen(route))
            route["metadata"].setdefault("annotations", {})[FENCE] = str(fence)
            if shares is not None:
                backends = self._backends(route)
                for backend in backends:
                    for slot, share in shares.items():
                        if backend["name"] == named(self._where.services, slot):
                            backend["weight"] = share
                route["spec"]["rules"][0]["backendRefs"] = backends
            answer = self._send("PUT", f"{self._routes}/{self._where.route}", json=route)
            if answer.status_code != httpx.codes.CONFLICT:
                self._checked(answer)
                return
        raise TargetError(f"{self._where.route} is written by somebody else all the time")

    def _write_slot(
        self,
        slot: Colour,
        fence: int,
        patch: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        """Write what `patch` makes of the Deployment, with the fence.

        It is called and the fence looked at after the Deployment was read: who has come since has
        written it, and this write is refused by 409.
        """
        # `kubectl set image` sends the same kind of patch.
        headers = {"Content-Type": _STRATEGIC}
        for _ in range(_TRIES):
            found = self._deployment(slot)
            seen = max(self._seen(found), self._seen(self._route()))
            require_fence(self._service.name, fence, seen)
            made = patch(found)
            metadata = {
                "resourceVersion": found["metadata"]["resourceVersion"],
                "annotations": {FENCE: str(fence)},
            }
            body = {**made, "metadata": metadata}
            answer = self._send("PATCH", self._path(slot), json=body, headers=headers)
            if answer.status_code != httpx.codes.CONFLICT:
                self._checked(answer)
                return
        name = named(self._where.deployments, slot)
        raise TargetError(f"{name} is written by somebody else all the time")

    def _path(self, slot: Colour) -> str:
        return f"{self._apps}/{named(self._where.deployments, slot)}"

    def _deployment(self, slot: Colour) -> dict[str, Any]:
        return self._checked(self._send("GET", self._path(slot)))

    def _route(self) -> dict[str, Any]:
        return self._checked(self._send("GET", f"{self._routes}/{self._where.route}"))

    def _container(self, deployment: Mapping[str, Any]) -> dict[str, Any]:
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            if container["name"] == self._where.container:
                return dict(container)
        name = deployment["metadata"]["name"]
        raise TargetError(f"{name} has no container {self._where.container}")

    def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise TargetError(
                f"the cluster's API does not answer ({type(error).__name__})"
            ) from error

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            document = answer.json()
        except ValueError:
            document = None
        if answer.is_success and isinstance(document, dict):
            return document
        said = document.get("message") if isinstance(document, dict) else answer.text[:200]
        raise TargetError(f"the cluster's API answers {answer.status_code}: {said}")


def _observed(found: Mapping[str, Any]) -> bool:
    """Return whether the Deployment's controller has seen it as it is."""
    seen = found.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= found["metadata"]["generation"])
