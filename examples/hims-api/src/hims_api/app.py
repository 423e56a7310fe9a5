"""The HTTP face: routes, and every answer in JSON, refusals and failures too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hims_api.answers import fail, not_ready, refuse, refuse_http, unavailable
from hims_api.appointments import IN_PERSON, VIDEO, parse_appointment, parse_day
from hims_api.clinics import CLINICS
from hims_api.refusal import Refusal
from hims_api.schema import load_migrations, misfit
from hims_api.settings import Settings
from hims_api.store import Store, Taken, Unavailable, UnknownPatient

MAX_BODY = 16_384
MAX_DIGITS = 18


class Api:
    """The service's answers, given a store."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.needed_schema = load_migrations()[-1].version

    async def health(self, request: Request) -> JSONResponse:
        """Say that the process is alive; asks nobody else."""
        return JSONResponse({"alive": True})

    async def ready(self, request: Request) -> JSONResponse:
        """Say whether the database is there, with a schema that this code can work with."""
        if request.app.state.stopping:
            return not_ready("stopping", "This process is about to stop.")
        try:
            schema = await self.store.schema()
        except Unavailable:
            return not_ready("database_unavailable", "The database does not answer.")
        if reason := misfit(schema, self.needed_schema):
            return not_ready(*reason)
        return JSONResponse({"ready": True, "schema": max(schema)})

    async def version(self, request: Request) -> JSONResponse:
        """Say which build this is."""
        return JSONResponse(
            {
                "service": "hims-api",
                "version": self.settings.version,
                "digest": self.settings.digest,
            }
        )

    async def clinics(self, request: Request) -> JSONResponse:
        """List the clinics that take appointments."""
        return JSONResponse({"clinics": [clinic.as_json() for clinic in CLINICS]})

    async def appointments(self, request: Request) -> JSONResponse:
        """List the appointments of `day`, or enter one."""
        return await (self.book(request) if request.method == "POST" else self.list(request))

    async def list(self, request: Request) -> JSONResponse:
        """List the appointments of `day`."""
        day = parse_day(request.query_params.get("day"))
        found = await self.store.appointments_on(day)
        return JSONResponse(
            {"day": day.isoformat(), "appointments": [entry.as_json() for entry in found]}
        )

    async def book(self, request: Request) -> JSONResponse:
        """Enter an appointment."""
        body = await _read_json(request)
        wanted = parse_appointment(body, telemedicine=self.settings.telemedicine)
        try:
            booked = await self.store.book(wanted)
        except UnknownPatient:
            raise Refusal(422, "unknown_patient", "There is no such patient.") from None
        except Taken:
            message = f"{wanted.clinic} has an appointment at that time already."
            raise Refusal(409, "time_taken", message) from None
        return JSONResponse({"appointment": booked.as_json()}, status_code=201)

    async def cancel(self, request: Request) -> JSONResponse:
        """Cancel an appointment; doing it again changes nothing."""
        cancelled = await self.store.cancel(_number(request.path_params["number"], "appointment"))
        if cancelled is None:
            raise Refusal(404, "unknown_appointment", "There is no such appointment.")
        return JSONResponse({"appointment": cancelled.as_json()})

    async def summary(self, request: Request) -> JSONResponse:
        """Sum up one patient's appointments."""
        number = _number(request.path_params["patient"], "patient")
        patient = await self.store.patient(number)
        if patient is None:
            raise Refusal(404, "unknown_patient", "There is no such patient.")
        found = await self.store.appointments_of(number)
        kept = [entry for entry in found if not entry.cancelled]
        summary: dict[str, Any] = {
            "patient": {"id": patient.id, "label": patient.label},
            "appointments": {"booked": len(kept), "cancelled": len(found) - len(kept)},
            "latest": kept[-1].as_json() if kept else None,
        }
        if self.settings.telemedicine:
            video = sum(entry.channel == VIDEO for entry in kept)
            summary["channels"] = {IN_PERSON: len(kept) - video, VIDEO: video}
        return JSONResponse(summary)


class CloseWhenStopping:
    """Asks clients to connect anew, elsewhere, once this process is about to stop."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["app"].state.stopping:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, send_on)


def create_app(settings: Settings, store: Store) -> Starlette:
    """Return the service as an ASGI application on `store`."""
    api = Api(settings, store)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await store.open()
        yield
        await store.close()

    app = Starlette(
        routes=[
            Route("/healthz", api.health),
            Route("/readyz", api.ready),
            Route("/version", api.version),
            Route("/clinics", api.clinics),
            Route("/appointments", api.appointments, methods=["GET", "POST"]),
            Route("/appointments/{number}", api.cancel, methods=["DELETE"]),
            Route("/patients/{patient}/summary", api.summary),
        ],
        exception_handlers={
            Refusal: refuse,
            HTTPException: refuse_http,
            Unavailable: unavailable,
            Exception: fail,
        },
        middleware=[Middleware(CloseWhenStopping)],
        lifespan=lifespan,
    )
    app.state.stopping = False
    return app


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Refusal(400, f"invalid_{name}", f"Give the {name}'s number.")
    # Nothing has a number this long; the database and int() each have a limit of their own.
    if len(text) > MAX_DIGITS:
        raise Refusal(404, f"unknown_{name}", f"There is no such {name}.")
    return int(text)


async def _read_json(request: Request) -> Any:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise Refusal(413, "body_too_long", f"A body may have {MAX_BODY} bytes.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "invalid_json", "The body is not JSON.") from None
