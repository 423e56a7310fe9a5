"""Kubernetes where Helm owns the Deployments: a release per slot, upgraded to a version.

What is staged goes through `helm upgrade`, so that the chart stays the one source of what runs;
what is there is read back from the cluster, and traffic is the route's, as in `kubernetes`. The
chart has to take the values that charts commonly take:

    image: {repository, digest}   replicaCount   podAnnotations: {…}   env: [{name, value}, …]
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

import httpx

from include.deploy.target import Artefact, Colour
from include.deploy.targets.cloud import DIGEST, VERSION, named, wait_until
from include.deploy.targets.kubernetes import KubernetesTarget
from include.errors import TargetError
from include.services.cloud import Helm
from include.services.service import Service

# What of our own environment helm may see; HELM_… of whoever runs this would lead it elsewhere.
_INHERITED = ("PATH", "HOME", "TMPDIR")


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
        stage_timeout: float = 600.0,
    ) -> None:
        super().__init__(service, environment, client, namespace, stage_timeout=stage_timeout)
        self._access = {**access, "HELM_NAMESPACE": namespace}

    def _put(self, artefact: Artefact, slot: Colour) -> None:
        self._upgrade(
            slot,
            {
                "image": {"repository": self._where.image, "digest": artefact.digest},
                "replicaCount": self._where.replicas,
                "podAnnotations": {VERSION: artefact.version, DIGEST: artefact.digest},
                "env": self._variables(artefact),
            },
        )
        held = self.staged(slot)
        if held is None or held.digest != artefact.digest:
            name = named(self._helm.releases, slot)
            raise TargetError(
                f"helm has upgraded {name}, but its Deployment does not hold {artefact.version}: "
                "the chart has to pass image.digest, podAnnotations, env and replicaCount on"
            )

    def _empty(self, slot: Colour) -> None:
        self._upgrade(slot, {"replicaCount": 0})
        wait_until(
            lambda: not self._deployment(slot)["spec"].get("replicas"),
            self._timeout,
            lambda: f"helm has not scaled {named(self._helm.releases, slot)} down",
        )

    @property
    def _helm(self) -> Helm:
        if self._where.helm is None:
            raise TargetError(f"{self._service.name} is not installed by Helm")
        return self._where.helm

    def _upgrade(self, slot: Colour, values: Mapping[str, Any]) -> None:
        """Upgrade the slot's release by these values; all others stay as they were set."""
        name, seconds = named(self._helm.releases, slot), max(1, round(self._timeout))
        command = [
            self._helm.program, "upgrade", name, self._helm.chart, "--install", "--reuse-values",
            "--values", "-", "--wait", "--timeout", f"{seconds}s", "--history-max", "10",
        ]  # fmt: skip
        if self._helm.chart_version:
            command += ["--version", self._helm.chart_version]
        own = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        try:
            ran = subprocess.run(
                command,
                input=json.dumps(values),
                capture_output=True,
                text=True,
                env={**own, **self._access},
                timeout=self._timeout + 30,
                check=False,
            )
        except FileNotFoundError:
            raise TargetError(
                f"{self._helm.program} was not found; install Helm, or name it in "
                f"config/services/{self._service.name}.yaml (kubernetes: helm: program)"
            ) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"helm upgrade {name}: {type(error).__name__}") from error
        if ran.returncode != 0:
            lines = [line for line in ran.stderr.splitlines() if line.strip()]
            said = lines[-1][:300] if lines else f"exit status {ran.returncode}"
            raise TargetError(f"helm upgrade {name}: {self._without_secrets(said)}")

    def _without_secrets(self, text: str) -> str:
        token = self._access.get("HELM_KUBETOKEN")
        return text.replace(token, "…") if token else text
