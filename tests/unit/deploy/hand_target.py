"""A deployment target by hand: two real HTTP servers and a dictionary of weights.

It speaks the whole protocol, counts as a load balancer counts, and refuses old fences.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from include.deploy.target import Artefact, Colour, Health, Traffic
from include.errors import FencedOff, TargetError

Reply = Callable[[BaseHTTPRequestHandler], None]


def says(status: int = 200, body: bytes = b"{}") -> Reply:
    """Return a reply of this status and body."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


@contextmanager
def serving(reply: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Run an HTTP server that answers every request by `reply`; yield its base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply(self)

        do_POST = do_GET  # noqa: N815 - as http.server calls it

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Slot:
    """One slot: how it answers, and what the load balancer has counted."""

    reply: Reply = field(default_factory=says)
    address: str = ""
    requests: int = 0
    errors: int = 0
    refused: int = 0
    ready: bool = True
    digest: str | None = None
    held: Artefact | None = None


class HandTarget:
    """See `include.deploy.target.Target` for what each call promises."""

    def __init__(self) -> None:
        self.slots = {colour: Slot() for colour in Colour}
        self.shares = {Colour.BLUE: 100, Colour.GREEN: 0}
        self.front = ""
        self.silent = False
        self.silent_slots: set[Colour] = set()
        self.fence = 0

    @contextmanager
    def open(self) -> Iterator[HandTarget]:
        """Serve both slots and the front."""
        blue, green = self.slots[Colour.BLUE], self.slots[Colour.GREEN]
        with (
            serving(lambda handler: blue.reply(handler)) as blue.address,
            serving(lambda handler: green.reply(handler)) as green.address,
            serving(self._pass_on) as self.front,
        ):
            yield self

    def _pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        colour = max(Colour, key=lambda each: self.shares[each])
        slot = self.slots[colour]
        slot.requests += 1
        sent = handler.send_response

        def counted(code: int, message: str | None = None) -> None:
            slot.errors += code >= 500
            sent(code, message)

        handler.send_response = counted  # type: ignore[method-assign]
        slot.reply(handler)

    def people(self, colour: Colour, requests: int, errors: int = 0) -> None:
        """Count what people asked of a slot, and how much of it failed."""
        self.slots[colour].requests += requests
        self.slots[colour].errors += errors

    def staged(self, slot: Colour) -> Artefact | None:
        return self.slots[slot].held

    def stage(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        self._advance(fence)
        if self.shares[slot]:
            raise TargetError(f"{slot} serves")
        self.slots[slot].held = artefact

    def health(self, slot: Colour) -> Health:
        ready = self.slots[slot].ready
        return Health(
            running=True,
            ready=ready,
            message="ready" if ready else "/readyz answers 503",
            digest=self.slots[slot].digest,
        )

    def address(self, slot: Colour) -> str:
        return self.slots[slot].address

    def frontend(self) -> str:
        return self.front

    def weights(self) -> dict[Colour, int]:
        return dict(self.shares)

    def set_weights(self, weights: Mapping[Colour, int], fence: int) -> None:
        self._advance(fence)
        self.shares = {colour: weights.get(colour, 0) for colour in Colour}

    def configuration(self, slot: Colour) -> Mapping[str, str]:
        return {}

    def traffic(self, slot: Colour) -> Traffic:
        if self.silent or slot in self.silent_slots:
            raise TargetError("the load balancer does not answer")
        held = self.slots[slot]
        return Traffic(
            requests=held.requests, server_errors=held.errors, failed_connections=held.refused
        )

    def retire(self, slot: Colour, fence: int) -> None:
        self._advance(fence)
        self.slots[slot].held = None

    def _advance(self, fence: int) -> None:
        if fence < self.fence:
            raise FencedOff(f"{fence} is older than {self.fence}")
        self.fence = fence
