"""Every write through Airflow's API becomes a record: who, what, and whether it was let through.

Airflow's own event log forgets (`airflow db clean`) and does not say how an attempt ended. A write
on a Dag is recorded before it happens; if the ledger cannot take the record, the write is refused
with 503, so there is no forced state without a line that names who forced it. The line that follows
says which task instances were touched, and whose vote they were. Whoever is not signed in does not
get through at all, and refused attempts are counted (`denials`), so that nobody floods the ledger.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.ledger import Actor, Ledger, Outcome, Source, Subject
from include.releases.interventions import Intervention, explain
from release_control.access.denials import WINDOW, Count, Denials
from release_control.access.directory import Directory
from release_control.access.touched import MAX_ANSWER, MOST, note_answer, watch
from release_control.access.write import MAX_BODY, Write, path_of

log = logging.getLogger(__name__)

ANONYMOUS = Actor(user="anonymous", name="anonymous", auth="none")
_REFUSED = (401, 403)
_AWAY = (
    "The ledger cannot record this act at the moment, so it is refused. "
    "See ./hims status, then try again."
)
_OFTEN = (
    "You were refused too often within a minute, so nothing is forced for you now. All of it is "
    "recorded. Try again in a minute, or ask an administrator."
)


class ApiWrites:
    """ASGI middleware around the whole api-server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._directory = Directory()
        self._denials = Denials()
        self._minute: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a record before it (a forced outcome) or after it (a no)."""
        if scope["type"] == "lifespan":
            await self.app(scope, self._until_shutdown(receive), send)
            return
        if not _concerns_us(scope):
            await self.app(scope, receive, send)
            return
        body, receive = await _buffered(receive)
        write = Write(scope, body)
        if write.harmless:
            await self.app(scope, receive, send)
        elif write.sign_in:
            await self._sign_in(write, scope, receive, send)
        else:
            await self._write(write, scope, receive, send)

    async def _write(self, write: Write, scope: Scope, receive: Receive, send: Send) -> None:
        actor = await self._actor(Request(scope))
        if actor is ANONYMOUS:
            await self._denied(write, actor, 401)
            await JSONResponse({"detail": "Not authenticated"}, 401)(scope, receive, send)
            return
        if write.forcing and self._denials.impatient(actor, _now()):
            await self._denied(write, actor, 429)
            await JSONResponse({"detail": _OFTEN}, 429)(scope, receive, send)
            return
        if write.forcing and not await self._record(
            write, actor, "requested", Outcome.UNKNOWN, tasks=write.asked()
        ):
            await JSONResponse({"detail": _AWAY}, 503)(scope, receive, send)
            return
        touched = watch()
        status, answer = 0, b""

        async def look(message: Message) -> None:
            nonlocal status, answer
            if message["type"] == "http.response.start":
                status = int(message["status"])
            elif write.forcing and write.dag_id and len(answer) <= MAX_ANSWER:
                answer += message.get("body", b"")
            await send(message)

        try:
            await self.app(scope, receive, look)
        finally:
            if status in _REFUSED:
                await self._denied(write, actor, status)
            elif write.forcing:
                done = 200 <= status < 300
                if done:
                    note_answer(touched, answer)
                await self._record(
                    write,
                    actor,
                    "done" if done else "failed",
                    Outcome.SUCCESS if done else Outcome.FAILURE,
                    status=status,
                    tasks=list(touched.values()) or write.asked(),
                )

    async def _sign_in(self, write: Write, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def look(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        await self.app(scope, receive, look)
        if status in _REFUSED:
            await self._denied(write, ANONYMOUS, status)

    async def _actor(self, request: Request) -> Actor:
        """Return who is asking, from the bearer token or the sign-in cookie."""
        from airflow.api_fastapi.app import get_auth_manager

        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        auth = "token" if scheme.lower() == "bearer" and token else "cookie"
        token = token if auth == "token" else request.cookies.get("_token", "")
        if token:
            try:
                user = (await get_auth_manager().get_user_from_token(token)).get_id()
            except Exception:
                log.debug("a request bears an unusable token")
            else:
                name = await asyncio.to_thread(self._directory.name, user)
                return Actor(user=user, name=name, auth=f"airflow-{auth}")
        return ANONYMOUS

    async def _denied(self, write: Write, actor: Actor, status: int) -> None:
        act = await asyncio.to_thread(self._sign_in_act, write) if write.sign_in else ""
        count = self._denials.count(actor, act or write.describe(), write.address, _now())
        if self._denials.stands_alone(count):
            if await self._record(write, actor, "denied", Outcome.DENIED, status=status, act=act):
                count.told = count.total
        elif self._denials.is_round(count):
            await self._tell(count)
        if self._minute is None or self._minute.done():
            self._minute = asyncio.create_task(self._tell_at_the_end_of_the_minute())

    def _sign_in_act(self, write: Write) -> str:
        """Say as whom somebody tried to sign in, if it is somebody: people type passwords there."""
        claimed = write.content.get("username") if isinstance(write.content, dict) else None
        known = isinstance(claimed, str) and self._directory.knows(claimed)
        return f"sign in as {claimed}" if known else "sign in as nobody we know"

    async def _tell_at_the_end_of_the_minute(self) -> None:
        while not self._denials.empty:
            await asyncio.sleep(WINDOW.total_seconds() / 4)
            for count in self._denials.over(_now()):
                if not await self._tell(count):
                    self._denials.put_back(count)

    async def _tell(self, count: Count) -> bool:
        try:
            await asyncio.to_thread(_append_count, count)
        except Exception:
            log.exception("refused attempts could not be recorded; they stay counted")
            return False
        count.told = count.total
        return True

    def _until_shutdown(self, receive: Receive) -> Receive:
        async def watched() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                for count in self._denials.over():
                    await self._tell(count)
            return message

        return watched

    async def _record(
        self,
        write: Write,
        actor: Actor,
        reason: str,
        outcome: Outcome,
        *,
        status: int = 0,
        act: str = "",
        tasks: Iterable[Mapping[str, Any]] = (),
    ) -> bool:
        try:
            await asyncio.to_thread(_append, write, actor, reason, outcome, status, act, tasks)
        except Exception:
            # Whatever it was: what cannot be recorded is not let through.
            log.exception("a write through the API could not be recorded")
            return False
        return True


def _append(
    write: Write,
    actor: Actor,
    reason: str,
    outcome: Outcome,
    status: int,
    act: str,
    tasks: Iterable[Mapping[str, Any]],
) -> None:
    what = "/".join(part for part in (write.dag_id, write.run_id, write.task_id) if part)
    source = Source(
        kind="api",
        dag_id=write.dag_id,
        run_id=write.run_id,
        task_id=write.task_id,
        map_index=write.map_index,
    )
    verb = {"requested": "asks", "done": "did", "denied": "was denied", "failed": "failed"}
    listed = list(islice(tasks, MOST + 1))
    details = {} if write.sign_in else write.details()
    if status:
        details["status"] = status
    with _ledger().write(actor, source, _now()) as unit:
        run = {"dag_id": write.dag_id, "run_id": write.run_id}
        found = explain(unit.connection, listed[:MOST] or [run])
        if listed:
            details["tasks"] = list(found.tasks)
        if len(listed) > MOST:
            details["tasks_left_out"] = True
        if len(found.releases) > 1:
            details["releases"] = list(found.releases)
        unit.append(
            f"api_write.{reason}",
            Subject(kind="airflow", id=(what or f"{write.method} {write.path}")[:500]),
            outcome=outcome,
            reason=reason,
            message=f"{actor.name} {verb[reason]}: {act or _in_words(write, found, listed)}",
            release=found.release,
            change=found.change,
            details=details,
        )


def _in_words(write: Write, found: Intervention, listed: list[Mapping[str, Any]]) -> str:
    seats = [str(task["seat"]).replace("_", " ") for task in found.tasks if task.get("seat")]
    words = write.describe()
    if len(listed) > 1:
        words += f" ({'more than ' if len(listed) > MOST else ''}{min(len(listed), MOST)} tasks)"
    return f"{words}: the vote of {', '.join(seats)}" if seats else words


def _append_count(count: Count) -> None:
    with _ledger().write(count.actor, Source(kind="api"), _now()) as unit:
        unit.append(
            "api_write.denied",
            Subject(kind="airflow", id="refused attempts"),
            outcome=Outcome.DENIED,
            reason="denied_repeatedly",
            message=count.message[:2000],
            details=count.details(),
        )


def _ledger() -> Ledger:
    from release_control import connections

    return connections.ledger()


def _now() -> datetime:
    return datetime.now(UTC)


def _concerns_us(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] not in ("GET", "HEAD", "OPTIONS")
        and path_of(scope).startswith(("/api/v2/", "/ui/", "/auth/token"))
    )


async def _buffered(receive: Receive) -> tuple[bytes, Receive]:
    """Read the body once, and return a `receive` that gives the same messages again."""
    messages: list[Message] = []
    body = b""
    while True:
        message = await receive()
        messages.append(message)
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
        if len(body) > MAX_BODY:
            break

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return body, again
