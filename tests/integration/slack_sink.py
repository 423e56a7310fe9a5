"""A local stand-in for Slack's Web API, as strict as Slack is and as unreliable.

It serves chat.postMessage, chat.update, conversations.history, conversations.replies and
users.conversations; checks the token, the channel, the limits of Block Kit and the threads, keeps
what it took, and misbehaves on demand. It proves what we send, never what Slack does.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from slack_sdk.models.blocks import Block

from tests.block_kit import problems

TOKEN = "xoxb-000-integration"
CHANNEL_ID = "C0RELEASES"

Answer = tuple[int, dict[str, str], str | bytes]

# What proxies and a sick Slack answer to what was done all the same.
ODD: dict[str, Answer] = {
    "latin-1": (
        502,
        {"Content-Type": "text/html"},
        "<p>Fehler beim Empf\xe4nger</p>".encode("latin-1"),
    ),
    "no-utf-8": (200, {}, b'{"ok": true, "x": "\xff"}'),
    "array": (200, {}, "[1]"),
    "charset": (200, {"Content-Type": "application/json; charset=x-nobody"}, '{"ok": true}'),
    "binary": (200, {"Content-Type": "application/gzip"}, b"\x1f\x8b"),
}


class SlackSink:
    """Serves on a free loopback port; `taken` holds the messages in order of arrival.

    An edit changes its message in `taken`, and what stood there first is kept under `posted`.
    `faults` are used up one request at a time, whatever it asks: `429:SECONDS`, `500`, `500-after`
    (once it is kept), `hangup` (before anything is kept), `hangup-after`, `ok:false:CODE` and with
    `-after`, `html`, `no-ts`, and those in ODD (once it is done). `per_second` is how many messages
    it takes in a second before it answers 429. `scopes` are those by which it lists channels.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.edits = 0
        self.requests = 0
        self.calls: Counter[str] = Counter()
        self.faults: deque[str] = deque()
        self.refuse: Callable[[dict[str, Any]], str | None] = lambda _message: None
        self.refuse_edit: str | None = None
        self.refuse_history: str | None = None
        self.scopes = {"channels:read", "groups:read"}
        self.per_second: int | None = None
        self.clock: Callable[[], float] = time.time
        self.before_answer: Callable[[dict[str, Any]], None] = lambda _message: None
        self._arrivals: deque[float] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)

    @property
    def url(self) -> str:
        """The base URL for a WebClient."""
        return f"http://127.0.0.1:{self._server.server_port}/api/"

    def __enter__(self) -> SlackSink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def titles(self) -> list[str]:
        """Return the headers of what was taken, as they were posted."""
        return [_title(message.get("posted", message)) for message in self.taken]

    def shown(self) -> list[str]:
        """Return the headers of what was taken, as they stand now."""
        return [_title(message) for message in self.taken]

    def answer(self, method: str, asked: dict[str, Any], token: str | None) -> Answer:
        """Return status, headers and body for one request."""
        with self._lock:
            self.requests += 1
            self.calls[method] += 1
            fault = self.faults.popleft() if self.faults else ""
        if fault.startswith("429:") or self._too_many(method):
            seconds = fault[4:] if fault else "1"
            return 429, {"Retry-After": seconds}, '{"ok": false, "error": "ratelimited"}'
        if fault == "500":
            return 500, {}, "<html>oops"
        if fault == "html":
            return 200, {}, "<html>please sign in</html>"
        if fault == "hangup":
            return 0, {}, ""
        if fault.startswith("ok:false:") and not fault.endswith("-after"):
            return _no(fault[9:])
        if token != f"Bearer {TOKEN}":
            return _no("invalid_auth")
        done = self._do(method, asked, fault)
        return ODD.get(fault, done)

    def _do(self, method: str, asked: dict[str, Any], fault: str) -> Answer:
        if method == "chat.postMessage":
            return self._post(asked, fault)
        if method == "chat.update":
            return self._update(asked)
        if method in ("conversations.history", "conversations.replies"):
            return self._history(asked)
        if method == "users.conversations":
            return self._channels(asked)
        return 404, {}, ""

    def _too_many(self, method: str) -> bool:
        if self.per_second is None or method != "chat.postMessage":
            return False
        with self._lock:
            now = time.monotonic()
            while self._arrivals and now - self._arrivals[0] > 1:
                self._arrivals.popleft()
            if len(self._arrivals) >= self.per_second:
                return True
            self._arrivals.append(now)
            return False

    def _post(self, message: dict[str, Any], fault: str) -> Answer:
        refusal = self._refusal(message) or self.refuse(message)
        if refusal:
            return _no(refusal)
        with self._lock:
            timestamp = f"{self.clock():.6f}"
            if self.taken and timestamp <= self.taken[-1]["ts"]:
                timestamp = f"{float(self.taken[-1]['ts']) + 0.00001:.6f}"
            self.taken.append({**message, "ts": timestamp})
        self.before_answer(message)
        if fault == "hangup-after":
            return 0, {}, ""
        if fault == "500-after":
            return 500, {}, "<html>oops"
        if fault.startswith("ok:false:"):
            return _no(fault[9:].removesuffix("-after"))
        body = {"ok": True, "channel": CHANNEL_ID} | ({} if fault == "no-ts" else {"ts": timestamp})
        return 200, {}, json.dumps(body)

    def _update(self, asked: dict[str, Any]) -> Answer:
        # Unlike a new message, an edit names the channel by its id.
        if asked.get("channel") != CHANNEL_ID:
            return _no("channel_not_found")
        if self.refuse_edit or _wrong(asked):
            return _no(self.refuse_edit or "invalid_blocks")
        with self._lock:
            for index, message in enumerate(self.taken):
                if message["ts"] == asked.get("ts"):
                    posted = message.get("posted", message)
                    self.taken[index] = {**message, **asked, "posted": posted}
                    self.edits += 1
                    return 200, {}, json.dumps({"ok": True, "ts": asked["ts"]})
        return _no("message_not_found")

    def _history(self, asked: dict[str, Any]) -> Answer:
        if self.refuse_history:
            return _no(self.refuse_history)
        if asked.get("channel") != CHANNEL_ID:
            return _no("channel_not_found")
        root = asked.get("ts")
        if root and root not in {message["ts"] for message in self.taken}:
            return _no("thread_not_found")
        # The first message of a thread bears its own name; a reply that was broadcast is shown in
        # the channel as well.
        roots = {message.get("thread_ts") for message in self.taken}
        found = [
            message | ({"thread_ts": message["ts"]} if message["ts"] in roots else {})
            for message in self.taken
            if (root in (message["ts"], message.get("thread_ts")) if root
                else "thread_ts" not in message or message.get("reply_broadcast"))
            and float(message["ts"]) >= float(asked.get("oldest") or 0)
        ]  # fmt: skip
        # Pages of three, so that a reader has to turn them.
        start = int(asked.get("cursor") or 0)
        page = found[start : start + 3]
        following = str(start + 3) if start + 3 < len(found) else ""
        if asked.get("include_all_metadata") not in (True, "true", "1"):
            page = [{k: v for k, v in message.items() if k != "metadata"} for message in page]
        more = {"response_metadata": {"next_cursor": following}}
        return 200, {}, json.dumps({"ok": True, "messages": page, **more})

    def _channels(self, asked: dict[str, Any]) -> Answer:
        types = str(asked.get("types") or "public_channel").split(",")
        if "channels:read" not in self.scopes or (
            "private_channel" in types and "groups:read" not in self.scopes
        ):
            return _no("missing_scope")
        known = [("C0GENERAL", "general"), ("C0RANDOM", "random"), ("C0RELNOTES", "releases-old")]
        found = [{"id": id_, "name": name} for id_, name in [*known, (CHANNEL_ID, "releases")]]
        start = int(asked.get("cursor") or 0)
        following = str(start + 3) if start + 3 < len(found) else ""
        more = {"response_metadata": {"next_cursor": following}}
        return 200, {}, json.dumps({"ok": True, "channels": found[start : start + 3], **more})

    def _refusal(self, message: dict[str, Any]) -> str | None:
        if message.get("channel") not in ("#releases", CHANNEL_ID):
            return "channel_not_found"
        if len(message.get("text", "")) > 40_000:
            return "msg_too_long"
        if "thread_ts" in message and message["thread_ts"] not in {m["ts"] for m in self.taken}:
            return "thread_not_found"
        return "invalid_blocks" if _wrong(message) else None


def _wrong(message: dict[str, Any]) -> bool:
    if problems(message):
        return True
    try:
        parsed = Block.parse_all(message.get("blocks", []))
        for block in parsed:
            block.to_dict()
    except Exception:
        return True
    return None in parsed


def _title(message: dict[str, Any]) -> str:
    return str(message["blocks"][0]["text"]["text"])


def _no(code: str) -> Answer:
    return 200, {}, json.dumps({"ok": False, "error": code})


def _handler(sink: SlackSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Type", "").startswith("application/json"):
                asked = json.loads(raw)
            else:
                asked = dict(parse_qsl(raw.decode()))
            self._answer(asked)

        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(self.path.partition("?")[2])))

        def _answer(self, asked: dict[str, Any]) -> None:
            method = self.path.partition("?")[0].removeprefix("/api/")
            token = self.headers.get("Authorization")
            status, headers, body = sink.answer(method, asked, token)
            if status == 0:
                # A reset, not a polite end.
                reset = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                self.connection.close()
                return
            content = body if isinstance(body, bytes) else body.encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
