"""What the tests share: the service on a store in memory, asked without a network."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from hims_api.app import create_app  # noqa: E402 - after the path to it is known
from hims_api.appointments import Appointment, NewAppointment  # noqa: E402
from hims_api.schema import load_migrations  # noqa: E402
from hims_api.settings import Settings  # noqa: E402
from hims_api.store import Patient, Taken, Unavailable, UnknownPatient  # noqa: E402

BOOKING = {"patient": 7, "clinic": "C01", "day": "2026-12-01", "time": "09:30", "minutes": 20}


class MemoryStore:
    """The store's rules without a database; patients 1 to 48."""

    def __init__(self) -> None:
        self.book_of: dict[int, Appointment] = {}
        self.migrations = {entry.version: entry.kind for entry in load_migrations()}
        self.away = False

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def schema(self) -> dict[int, str]:
        self._answer()
        return self.migrations

    async def appointments_on(self, day: date) -> list[Appointment]:
        self._answer()
        return [entry for entry in self.book_of.values() if entry.day == day]

    async def appointments_of(self, patient: int) -> list[Appointment]:
        self._answer()
        return [entry for entry in self.book_of.values() if entry.patient == patient]

    async def patient(self, number: int) -> Patient | None:
        self._answer()
        return Patient(id=number, label=f"Patient {number:03d}") if 1 <= number <= 48 else None

    async def book(self, wanted: NewAppointment) -> Appointment:
        if await self.patient(wanted.patient) is None:
            raise UnknownPatient
        start = (wanted.clinic, wanted.day, wanted.time)
        for entry in self.book_of.values():
            if not entry.cancelled and (entry.clinic, entry.day, entry.time) == start:
                raise Taken
        booked = Appointment(
            id=len(self.book_of) + 1,
            patient=wanted.patient,
            clinic=wanted.clinic,
            day=wanted.day,
            time=wanted.time,
            minutes=wanted.minutes,
            note=wanted.note,
            cancelled=False,
            channel=wanted.channel,
        )
        self.book_of[booked.id] = booked
        return booked

    async def cancel(self, number: int) -> Appointment | None:
        self._answer()
        if number not in self.book_of:
            return None
        self.book_of[number] = replace(self.book_of[number], cancelled=True)
        return self.book_of[number]

    def _answer(self) -> None:
        if self.away:
            raise Unavailable


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; every one of ours is JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def refusal(self) -> tuple[int, str]:
        """Return the status and the code of an answer that is a refusal."""
        return self.status, self.body["error"]["code"]


def settings(**changed: Any) -> Settings:
    """Return settings as the environment would give them."""
    plain: dict[str, Any] = {"database_url": "postgresql://", "version": "2.0.0"}
    return Settings(**(plain | changed))


class Client:
    """Asks the service as HTTP would."""

    def __init__(self, store: MemoryStore | None = None, **changed: Any) -> None:
        self.store = store or MemoryStore()
        self.app = create_app(settings(**changed), self.store)

    def ask(self, method: str, target: str, body: Any = None) -> Answer:
        """Send one request; `body` is sent as it is if it is bytes, else as JSON."""
        if body is None:
            body = b""
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return asyncio.run(self._ask(method, target, body))

    def get(self, target: str) -> Answer:
        """Send one GET."""
        return self.ask("GET", target)

    async def _ask(self, method: str, target: str, raw: bytes) -> Answer:
        url = urlsplit(target)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": url.path,
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "root_path": "",
            "headers": [(b"host", b"hims"), (b"content-length", str(len(raw)).encode())],
            "client": ("127.0.0.1", 40000),
            "server": ("127.0.0.1", 80),
        }
        try:
            await self.app(scope, receive, send)
        except Exception:
            # The server logs what the application raises, after it has answered.
            if not sent:
                raise
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], headers, json.loads(content))
