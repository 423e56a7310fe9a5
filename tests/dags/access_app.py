"""A small application in Airflow's place, to see what gets through to it."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class Inner:
    """Answers everything with `status`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.error: Exception | None = None
        self.calls: list[tuple[str, str, bytes]] = []

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        body = await request.body()
        self.calls.append((request.method, request.scope["path"], body))
        if self.error is not None:
            raise self.error
        return JSONResponse({"ok": True}, self.status)

    def app(self, middleware: Any) -> Any:
        """Return the application behind a middleware."""
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        inner = Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])
        return middleware(inner)
