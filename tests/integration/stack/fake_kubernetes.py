"""A fake of a Kubernetes API server: Deployments and HTTPRoutes, over HTTP, no more.

It keeps what real servers are relied on for here: bearer tokens, `Status` objects with 401, 404 and
409, resource versions that refuse a stale PUT or PATCH, strategic merge (containers and variables
by name), generations, and a controller that takes a few looks to make a Deployment available, or
gives up on an image with `bad` in its digest. It schedules no pod and moves no traffic.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

TOKEN = "a-token"
NAMESPACE = "hims"
STRATEGIC = "application/strategic-merge-patch+json"
_LOOKS = 2


class FakeKubernetes:
    """The state of the fake, and its address once it is open."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.url = ""
        self.writes = 0
        # Called with method, path and body of each request, before that is looked at.
        self.before: Callable[[str, str, Any], None] | None = None
        self._version = 0
        self._looks: dict[str, int] = {}
        self._unseen: dict[str, int] = {}
        self._lock = Lock()

    def deployment(self, name: str) -> str:
        """Return the path of a Deployment."""
        return f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"

    def add_deployment(self, name: str, container: str) -> None:
        """Put an empty Deployment there, as Helm or Terraform would have."""
        self.objects[self.deployment(name)] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "generation": 1, "resourceVersion": "1"},
            "spec": {
                "replicas": 0,
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "containers": [
                            {"name": container, "image": "nothing"},
                            {"name": "sidecar", "image": "proxy:1"},
                        ]
                    },
                },
            },
            "status": {"observedGeneration": 1, "replicas": 0},
        }

    def add_route(self, name: str, services: dict[str, int]) -> None:
        """Put a route to Services with weights there."""
        path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes/{name}"
        backends = [
            {"name": each, "port": 80, "weight": weight} for each, weight in services.items()
        ]
        self.objects[path] = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": name, "generation": 1, "resourceVersion": "1"},
            "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": backends}]},
        }

    @contextmanager
    def open(self) -> Iterator[FakeKubernetes]:
        """Serve."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(*fake.answer("GET", self.path, self._token(), None, ""))

            def do_PUT(self) -> None:
                self._say(*fake.answer("PUT", self.path, self._token(), self._body(), ""))

            def do_PATCH(self) -> None:
                kind = self.headers.get("Content-Type", "")
                self._say(*fake.answer("PATCH", self.path, self._token(), self._body(), kind))

            def _token(self) -> str:
                return self.headers.get("Authorization", "").removeprefix("Bearer ")

            def _body(self) -> Any:
                return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

            def _say(self, status: int, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(
        self, method: str, path: str, token: str, body: Any, kind: str
    ) -> tuple[int, dict[str, Any]]:
        """Return what the server says to one request."""
        if self.before is not None:
            self.before(method, path, body)
        with self._lock:
            if token != TOKEN:
                return _status(401, "Unauthorized", "Unauthorized")
            present = self.objects.get(path)
            if present is None:
                name = path.rpartition("/")[2]
                return _status(404, "NotFound", f'"{name}" not found')
            if method == "GET":
                self._control(path, present)
                return 200, copy.deepcopy(present)
            current = present["metadata"]["resourceVersion"]
            # A patch that names no version is made to whatever is there.
            named = body.get("metadata", {}).get(
                "resourceVersion", current if method == "PATCH" else None
            )
            if named != current:
                message = "the object has been modified; please apply your changes to the latest"
                return _status(409, "Conflict", message)
            if method == "PUT":
                changed = copy.deepcopy(body)
            elif kind == STRATEGIC:
                changed = _merged(copy.deepcopy(present), body)
            else:
                return _status(415, "UnsupportedMediaType", f"{kind} is not supported")
            self.writes += 1
            self._version += 1
            changed["metadata"]["resourceVersion"] = f"{1000 + self._version}"
            if changed["spec"] != present["spec"]:
                changed["metadata"]["generation"] = present["metadata"]["generation"] + 1
                self._looks[path] = 0
            elif _annotations(changed) != _annotations(present):
                # A Deployment's annotations are copied to its replica sets: a change like others,
                # by which no pod is touched.
                changed["metadata"]["generation"] = present["metadata"]["generation"] + 1
                self._unseen[path] = _LOOKS
            self.objects[path] = changed
            return 200, copy.deepcopy(changed)

    def _control(self, path: str, found: dict[str, Any]) -> None:
        """Do a little of what the controllers of a cluster do all the time."""
        if found["kind"] != "Deployment":
            return
        if self._unseen.get(path) and self._looks.get(path, _LOOKS + 1) > _LOOKS:
            self._unseen[path] -= 1
            return
        looks = self._looks[path] = self._looks.get(path, 0) + 1
        wanted = found["spec"]["replicas"]
        status: dict[str, Any] = {"replicas": wanted, "conditions": []}
        bad = any(
            "bad" in item["image"] for item in found["spec"]["template"]["spec"]["containers"]
        )
        if looks > _LOOKS:
            status["observedGeneration"] = found["metadata"]["generation"]
            status["updatedReplicas"] = wanted
            if not bad:
                status["availableReplicas"] = wanted
            elif wanted:
                status["conditions"] = [
                    {
                        "type": "Progressing",
                        "status": "False",
                        "reason": "ProgressDeadlineExceeded",
                        "message": "ReplicaSet has timed out progressing.",
                    }
                ]
        else:
            # Until it has looked, its word on what was there before stands.
            status["conditions"] = found.get("status", {}).get("conditions", [])
            status["observedGeneration"] = found["metadata"]["generation"] - 1
            status["replicas"] = max(wanted, 1)
        found["status"] = status


def _annotations(found: dict[str, Any]) -> Any:
    deployment = found["kind"] == "Deployment"
    return found["metadata"].get("annotations") if deployment else None


def _merged(present: Any, patch: Any) -> Any:
    """Return a strategic merge: mappings by key, lists of named things by name, `$patch: delete`
    for those of them that have to go."""
    if isinstance(present, dict) and isinstance(patch, dict):
        for key, value in patch.items():
            if value is None:
                present.pop(key, None)
            else:
                present[key] = _merged(present.get(key), value)
        return present
    if isinstance(patch, list) and all(isinstance(item, dict) and "name" in item for item in patch):
        known = {item["name"]: item for item in present or []}
        for item in patch:
            if item.get("$patch") == "delete":
                known.pop(item["name"], None)
                continue
            known[item["name"]] = _merged(known.get(item["name"], {}), item)
        return list(known.values())
    return patch


def _status(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "reason": reason, "message": message, "code": code,
    }  # fmt: skip
