"""FakeGitHub: the part of GitHub's REST API that we use, over real HTTP, and as unreliable.

Every request and every answer is held against GitHub's own description of its API
(github_contract.json, cut by tools/github_contract.py). It proves what we send and that we
understand what GitHub says it answers; never what GitHub does.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

CONTRACT = json.loads((Path(__file__).parent / "github_contract.json").read_text())
TOKEN = "ghp_000integration"
NAME = "arocord/hims-api"


class FakeGitHub:
    """Serves one repository on a free loopback port.

    `faults` are used up one request at a time: `ok`, `500`, `hangup` (before anything is done),
    `hangup-after` (once it is done), `secondary:SECONDS`, `primary:EPOCH`, `429`, `html`,
    `body:TEXT` and a status with its message like `403 Must have admin rights`.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, list[dict[str, Any]]] = {}
        self.rulesets: dict[int, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.violations: list[str] = []
        self.faults: deque[str] = deque()
        self.forgets: set[str] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeGitHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, method: str, target: str, headers: Any, raw: bytes
    ) -> tuple[int, dict[str, str], bytes] | None:
        """Return status, headers and body; None to hang up."""
        with self._lock:
            self.requests.append(f"{method} {target}")
            fault = self.faults.popleft() if self.faults else "ok"
            if fault == "hangup":
                return None
            if (refused := _fault(fault)) is not None:
                return refused
            if headers.get("Authorization") != f"Bearer {TOKEN}":
                return 401, {}, _bytes({"message": "Bad credentials", "status": "401"})
            status, body = self._do(method, target, raw)
            return None if fault == "hangup-after" else (status, {}, _bytes(body))

    def _do(self, method: str, target: str, raw: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        matched = re.fullmatch(rf"/repos/{NAME}/(statuses|rulesets)(?:/([^/]+))?", parts.path)
        if matched is None:
            return 404, {"message": "Not Found", "status": "404"}
        kind, key = matched[1], matched[2]
        pattern = "/{sha}" if kind == "statuses" else "/{ruleset_id}"
        name = f"{method} /repos/{{owner}}/{{repo}}/{kind}{pattern if key else ''}"
        described = CONTRACT["operations"].get(name)
        if described is None:
            self.violations.append(f"{name} is no operation")
            return 404, {"message": "Not Found", "status": "404"}
        query = parse_qs(parts.query)
        if unknown := query.keys() - set(described["query"]):
            self.violations.append(f"{name}: unknown query {sorted(unknown)}")
        body = json.loads(raw) if raw else None
        if described["request"] is not None:
            self._check(f"{name} request", body, described["request"])
        status, said = getattr(self, f"_{method.lower()}_{kind}")(key, body, query)
        if str(status) not in described["responses"]:
            self.violations.append(f"{name} never answers {status}")
        elif (schema := described["responses"][str(status)]) is not None:
            self._check(f"{name} {status}", said, schema)
        return status, said

    def _check(self, what: str, body: Any, schema: Any) -> None:
        for error in jsonschema.Draft202012Validator(schema).iter_errors(body):
            self.violations.append(f"{what}: {error.json_path} {error.message[:200]}")

    def _post_statuses(self, sha: str, body: Any, _query: Any) -> tuple[int, Any]:
        status = {
            "url": f"{self.url}/repos/{NAME}/statuses/{sha}", "avatar_url": None, "id": 1,
            "node_id": "SC_1", "state": body["state"], "description": body.get("description"),
            "target_url": body.get("target_url"), "context": body.get("context", "default"),
            "created_at": "2026-11-23T12:00:00Z", "updated_at": "2026-11-23T12:00:00Z",
            "creator": None,
        }  # fmt: skip
        self.statuses.setdefault(sha, []).append(status)
        return 201, status

    def _get_rulesets(self, key: str | None, _body: Any, query: Any) -> tuple[int, Any]:
        if key is not None:
            found = self.rulesets.get(int(key))
            return (200, found) if found else (404, {"message": "Not Found", "status": "404"})
        size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        listed = [
            {name: value for name, value in item.items() if name not in ("rules", "conditions")}
            for item in self.rulesets.values()
        ]
        return 200, listed[(page - 1) * size : page * size]

    def _post_rulesets(self, _key: None, body: Any, _query: Any) -> tuple[int, Any]:
        if any(item["name"] == body["name"] for item in self.rulesets.values()):
            return 422, {
                "message": "Validation Failed: Name must be unique",
                "documentation_url": "https://docs.github.com/rest/repos/rules",
            }
        number = max(self.rulesets, default=0) + 1
        return 201, self._keep(number, body)

    def _put_rulesets(self, key: str, body: Any, _query: Any) -> tuple[int, Any]:
        if int(key) not in self.rulesets:
            return 404, {"message": "Not Found", "status": "404"}
        return 200, self._keep(int(key), body)

    def _delete_rulesets(self, key: str, _body: Any, _query: Any) -> tuple[int, Any]:
        if "delete" not in self.forgets:
            self.rulesets.pop(int(key), None)
        return 204, None

    def _keep(self, number: int, body: Any) -> dict[str, Any]:
        kept = {**body, "id": number, "source": NAME, "source_type": "Repository"}
        for key in self.forgets:
            kept.pop(key, None)
        self.rulesets[number] = kept
        return kept


def _fault(fault: str) -> tuple[int, dict[str, str], bytes] | None:
    kind, _, rest = fault.partition(":")
    match kind:
        case "ok" | "hangup-after":
            return None
        case "500":
            return 500, {}, b"<html>Unicorn!</html>"
        case "html":
            return 200, {"Content-Type": "text/html"}, b"<html>proxy</html>"
        case "secondary":
            said = "You have exceeded a secondary rate limit. Please wait a few minutes."
            return 403, {"Retry-After": rest}, _bytes({"message": said})
        case "primary":
            limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": rest}
            return 403, limits, _bytes({"message": "API rate limit exceeded"})
        case "body":
            return 200, {}, rest.encode()
        case "429":
            return 429, {}, _bytes({"message": "Too many requests"})
        case _:
            status, _, message = fault.partition(" ")
            return int(status), {}, _bytes({"message": message})


def _bytes(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


def _handler(fake: FakeGitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for each answer, or the client's kernel waits for more

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = fake.answer(self.command, self.path, self.headers, raw)
            if said is None:
                self.close_connection = True
                return
            status, headers, body = said
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if status != 204 else b"")

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    return Handler
