"""Kubernetes where Helm owns the Deployments: a release per slot, upgraded to a version.

What is staged goes through `helm upgrade`, so that the chart stays the one source of what runs;
what is there is read back from the cluster, and traffic is the route's, as in `kubernetes`. The
chart has to take the values that charts commonly take:

    image: {repository, digest}   replicaCount   podAnnotations: {…}   env: [{name, value}, …]

Helm's writes carry no condition. The fence is looked at right before each and after it: an upgrade
that a newer permit has overtaken raises FencedOff, but what it wrote in that instant stands. Nor
does Helm take away variables that somebody has added to the Deployment by hand: that drift stays.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from include.deploy.target import Artefact, Colour
from include.deploy.targets.cloud import (
    DIGEST,
    VERSION,
    named,
    require_fence,
    require_newest,
    wait_until,
)
from include.deploy.targets.kubernetes import KubernetesTarget
from include.errors import TargetError
from include.services.cloud import Helm
from include.services.service import Service

# What of our own environment helm may see; HELM_… of whoever runs this would lead it elsewhere.
_INHERITED = ("PATH", "HOME", "TMPDIR")
# What Helm says of a release that another operation has begun and not ended.
_OCCUPIED = "another operation"
# Seconds that Helm has to end by itself once its own timeout is over.
_SPARE = 30


class HelmTarget(KubernetesTarget):
    """One service in one environment of a cluster; see `Target` for what each call promises.

    `access` is Helm's way to the same cluster as the client's: HELM_KUBEAPISERVER and the like.
    They go into its environment, never onto its command line.
    """

    def __init__(
        self,
        service: Service,
        environment: str,
        client: httpx.Client,
        namespace: str,
        *,
        access: Mapping[str, str],
        clock: Callable[[], datetime],
        stage_timeout: float = 600.0,
    ) -> None:
        super().__init__(service, environment, client, namespace, stage_timeout=stage_timeout)
        self._clock = clock
        self._access = {**access, "HELM_NAMESPACE": namespace}

    def _put(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        self._upgrade(
            slot,
            {
                "image": {"repository": self._where.image, "digest": artefact.digest},
                "replicaCount": self._where.replicas,
                "podAnnotations": {VERSION: artefact.version, DIGEST: artefact.digest},
                "env": self._variables(artefact),
            },
            fence,
            "staged over",
        )
        held = self.staged(slot)
        if held is None or held.digest != artefact.digest:
            require_newest(self._service.name, fence, self._seen(self._route()))
            name = named(self._helm.releases, slot)
            raise TargetError(
                f"helm has upgraded {name}, but its Deployment does not hold {artefact.version}: "
                "the chart has to pass image.digest, podAnnotations, env and replicaCount on"
            )

    def _empty(self, slot: Colour, fence: int) -> None:
        self._upgrade(slot, {"replicaCount": 0}, fence, "retired")

    @property
    def _helm(self) -> Helm:
        if self._where.helm is None:
            raise TargetError(f"{self._service.name} is not installed by Helm")
        return self._where.helm

    def _upgrade(self, slot: Colour, values: Mapping[str, Any], fence: int, done: str) -> None:
        """Upgrade the slot's release by these values; all others stay as they were set."""

        def look() -> None:
            require_fence(self._service.name, fence, self._seen(self._route()))
            self._require_idle(slot, done)

        name, seconds = named(self._helm.releases, slot), max(1, round(self._timeout))
        command = [
            "upgrade", name, self._helm.chart, "--install", "--reuse-values",
            "--values", "-", "--wait", "--timeout", f"{seconds}s", "--history-max", "10",
        ]  # fmt: skip
        if self._helm.chart_version:
            command += ["--version", self._helm.chart_version]
        look()
        ran = self._run(command, given=json.dumps(values))
        if ran.returncode != 0 and _OCCUPIED in ran.stderr:
            self._await_end(name)
            # Whom this has waited for may be a newer deploy.
            look()
            self._free(name)
            ran = self._run(command, given=json.dumps(values))
        self._require(ran, f"helm upgrade {name}")

    def _await_end(self, name: str) -> None:
        """Wait until no upgrade is at work, at most until its own timeout must be over."""

        def over() -> bool:
            status, began = self._state(name)
            return not status.startswith("pending") or self._clock() - began > patience

        patience = timedelta(seconds=self._timeout + _SPARE)
        wait_until(over, patience.total_seconds(), lambda: f"{name} is upgraded by somebody else")

    def _free(self, name: str) -> None:
        """Take a release back from an upgrade that was killed: Helm keeps all others from it."""
        status, _ = self._state(name)
        if status == "pending-install":
            self._require(self._run(["uninstall", name]), f"helm uninstall {name}")
        elif status.startswith("pending"):
            self._require(self._run(["rollback", name]), f"helm rollback {name}")

    def _state(self, name: str) -> tuple[str, datetime]:
        """Return the status of a release's newest revision, and when that was begun."""
        ran = self._run(["status", name, "--output", "json"])
        self._require(ran, f"helm status {name}")
        try:
            found = json.loads(ran.stdout)["info"]
            return str(found["status"]), datetime.fromisoformat(str(found["last_deployed"]))
        except (ValueError, KeyError, TypeError) as error:
            raise TargetError(f"helm says of {name} what is not understood") from error

    def _run(self, words: list[str], *, given: str = "") -> subprocess.CompletedProcess[str]:
        own = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        try:
            return subprocess.run(
                [self._helm.program, *words],
                input=given,
                capture_output=True,
                text=True,
                env={**own, **self._access},
                timeout=self._timeout + _SPARE,
                check=False,
            )
        except FileNotFoundError:
            raise TargetError(
                f"{self._helm.program} was not found; install Helm, or name it in "
                f"config/services/{self._service.name}.yaml (kubernetes: helm: program)"
            ) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"helm {words[0]} {words[1]}: {type(error).__name__}") from error

    def _require(self, ran: subprocess.CompletedProcess[str], what: str) -> None:
        if ran.returncode != 0:
            lines = [line for line in ran.stderr.splitlines() if line.strip()]
            said = lines[-1][:300] if lines else f"exit status {ran.returncode}"
            raise TargetError(f"{what}: {self._without_secrets(said)}")

    def _without_secrets(self, text: str) -> str:
        token = self._access.get("HELM_KUBETOKEN")
        return text.replace(token, "…") if token else text
