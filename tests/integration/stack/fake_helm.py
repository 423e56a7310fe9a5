"""A stand-in for `helm upgrade` whose chart makes one Deployment, by the API that it is given.

It keeps Helm's command line, its environment and its way with values. Of releases it knows those
alone that a file in its folder says a killed upgrade has left pending.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path


def main() -> int:
    command, name, *rest = sys.argv[1:]
    pending = Path(os.environ["FAKE_HELM_HOME"]) / f"pending-{name}.json"
    if command == "status":
        sys.stdout.write(pending.read_text())
        return 0
    if command == "rollback":
        pending.unlink()
        return 0
    if pending.exists():
        said = "another operation (install/upgrade/rollback) is in progress"
        sys.stderr.write(f"Error: UPGRADE FAILED: {said}\n")
        return 1
    chart, *options = rest
    wanted = ["--install", "--reuse-values", "--values", "-", "--wait", "--timeout"]
    if command != "upgrade" or options[: len(wanted)] != wanted or "broken" in chart:
        sys.stderr.write(f"level=WARN\nError: UPGRADE FAILED: {os.environ['HELM_KUBETOKEN']}\n")
        return 1
    values = json.load(sys.stdin)
    spec: dict[str, object] = {"replicas": values["replicaCount"]}
    if "image" in values and "deaf" not in chart:
        image = f"{values['image']['repository']}@{values['image']['digest']}"
        container = {"name": "hims-api", "image": image, "env": values["env"]}
        spec["template"] = {
            "metadata": {"annotations": values["podAnnotations"]},
            "spec": {"containers": [container]},
        }
    namespace = os.environ["HELM_NAMESPACE"]
    request = urllib.request.Request(
        f"{os.environ['HELM_KUBEAPISERVER']}/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
        data=json.dumps({"spec": spec}).encode(),
        method="PATCH",
        headers={
            "Authorization": f"Bearer {os.environ['HELM_KUBETOKEN']}",
            "Content-Type": "application/strategic-merge-patch+json",
        },
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5):
        return 0


if __name__ == "__main__":
    sys.exit(main())
