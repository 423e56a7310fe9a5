"""The target that config/ names for a service in an environment."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from include.deploy.target import Target
from include.deploy.targets.ecs import EcsTarget
from include.deploy.targets.ecs_native import EcsNativeTarget
from include.deploy.targets.helm import HelmTarget
from include.deploy.targets.kubernetes import KubernetesTarget
from include.deploy.targets.local import LocalTarget
from include.errors import TargetError
from include.services.service import Service
from include.settings import Settings

# Seconds for one answer of a cluster's API.
_TIMEOUT = 30.0


def open_target(
    service: Service,
    environment: str,
    settings: Settings,
    *,
    vendor: Callable[[str], Any] | None = None,
) -> Target:
    """Return the target; TargetError where it can't be reached from here.

    `vendor` hands out the clients of a cloud; without it only what is on this machine is reached.
    """
    placement = service.environments[environment]
    if placement.target == "local":
        return LocalTarget(
            service, environment, settings.state_dir, settings.overall.ports.haproxy_admin
        )
    if vendor is None:
        raise TargetError(
            f"{service.name} runs {environment} on {placement.target}, whose credentials are in "
            "Airflow's Connections; only a task can ask there"
        )
    if placement.target == "ecs":
        clients = vendor("ecs"), vendor("elbv2"), vendor("cloudwatch")
        native = placement.ecs is not None and placement.ecs.native is not None
        kind = EcsNativeTarget if native else EcsTarget
        return kind(service, environment, *clients, clock=_now)
    known = vendor("kubernetes")
    client = httpx.Client(
        base_url=known["url"],
        headers={"Authorization": f"Bearer {known['token']}"},
        verify=_trusted(known["verify"]),
        timeout=_TIMEOUT,
    )
    if placement.kubernetes is not None and placement.kubernetes.helm is not None:
        access = {"HELM_KUBEAPISERVER": str(known["url"]), "HELM_KUBETOKEN": str(known["token"])}
        if isinstance(known["verify"], str):
            access["HELM_KUBECAFILE"] = known["verify"]
        return HelmTarget(
            service, environment, client, known["namespace"], access=access, clock=_now
        )
    return KubernetesTarget(service, environment, client, known["namespace"])


def _now() -> datetime:
    return datetime.now(UTC)


def _trusted(verify: bool | str) -> bool | ssl.SSLContext:
    """Return what an API server's certificate is checked against: a file's, else the system's."""
    if not isinstance(verify, str):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except OSError as error:
        raise TargetError(
            f"the Connection kubernetes_default names {verify} as ca_file, which holds no "
            f"certificates that can be read ({error.strerror or error})"
        ) from error
