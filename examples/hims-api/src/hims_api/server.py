"""The process that answers: uvicorn on the loopback interface."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import uvicorn
from starlette.applications import Starlette

from hims_api.app import create_app
from hims_api.postgres import PostgresStore
from hims_api.settings import Settings

HOST = "127.0.0.1"
DRAIN_SECONDS = 0.5  # in which whoever sends us requests can see that we are about to stop
LAST_SECONDS = 0.1  # in which a request on a connection taken just before can arrive
SHUTDOWN_SECONDS = 10  # for what is still open after that


class DrainingServer(uvicorn.Server):
    """Stops so that nobody's request is lost.

    First it says so (not ready, and `Connection: close` on every answer) and answers on; then it
    takes no new connection, waits for requests on those it has, and finishes what is open.
    """

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.stopping = True
        await asyncio.sleep(DRAIN_SECONDS)
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        await asyncio.sleep(LAST_SECONDS)
        await super().shutdown(sockets)


def serve(settings: Settings, port: int) -> int:
    """Answer requests on `port` until SIGTERM or SIGINT; return the exit status."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        print(f"hims-api: cannot listen on {HOST}:{port}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"hims-api {settings.version} on http://{HOST}:{port}", file=sys.stderr, flush=True)
    # uvicorn stops in good order and then raises the signal again: that is our exit, not a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    app = create_app(settings, PostgresStore(settings))
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    DrainingServer(config, app).run(sockets=[listener])
    return 0
