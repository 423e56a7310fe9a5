"""Answers to requests that cannot be met, each in the same JSON form."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from hims_api.refusal import Refusal


def not_ready(reason: str, message: str) -> JSONResponse:
    """Say why this process should get no requests now."""
    return JSONResponse({"ready": False, "reason": reason, "message": message}, status_code=503)


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that was refused."""
    assert isinstance(error, Refusal)  # noqa: S101 - registered for this type alone
    return _problem(error.status, error.code, error.message)


async def refuse_http(request: Request, error: Exception) -> JSONResponse:
    """Answer what no route takes."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    if error.status_code == 404:
        return _problem(404, "not_found", "There is nothing under this path.")
    if error.status_code == 405:
        allowed = dict(error.headers or {}).get("Allow", "")
        return _problem(405, "method_not_allowed", f"Allowed here: {allowed}.", Allow=allowed)
    return _problem(error.status_code, "refused", str(error.detail))


async def unavailable(request: Request, error: Exception) -> JSONResponse:
    """Answer while the store is away."""
    return _problem(503, "database_unavailable", "The database does not answer.")


async def fail(request: Request, error: Exception) -> JSONResponse:
    """Answer what went wrong on our side; the log has the traceback, the answer nothing of it."""
    return _problem(500, "internal_error", "Something went wrong on our side.")


def _problem(status: int, code: str, message: str, **headers: str) -> JSONResponse:
    document = {"error": {"code": code, "message": message}}
    return JSONResponse(document, status_code=status, headers=headers)
