"""Appointments: what a valid one is, and how it looks in JSON.

Days and times are the clinic's own local ones, as they stand in its book.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any

from hims_api.clinics import find_clinic
from hims_api.refusal import Refusal

MAX_PATIENT = 2**31 - 1
MAX_NOTE = 200
IN_PERSON = "in_person"
VIDEO = "video"
FIELDS = ("patient", "clinic", "day", "time", "minutes", "note", "channel")
REQUIRED = FIELDS[:5]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAppointment:
    """What somebody wants to book; valid by itself."""

    patient: int
    clinic: str
    day: date
    time: time
    minutes: int
    note: str = ""
    channel: str = IN_PERSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Appointment:
    """An appointment as it stands in the book."""

    id: int
    patient: int
    clinic: str
    day: date
    time: time
    minutes: int
    note: str
    cancelled: bool
    channel: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it is answered."""
        return {
            "id": self.id,
            "patient": self.patient,
            "clinic": self.clinic,
            "day": self.day.isoformat(),
            "time": self.time.isoformat("minutes"),
            "minutes": self.minutes,
            "note": self.note,
            "cancelled": self.cancelled,
            "channel": self.channel or IN_PERSON,
        }


def parse_appointment(body: Any, *, telemedicine: bool) -> NewAppointment:
    """Return the appointment that a request's body asks for; raise Refusal for any other body.

    Video visits are taken only where `telemedicine` is on.
    """
    if not isinstance(body, Mapping):
        raise Refusal(400, "invalid_body", "The body must be a JSON object.")
    for name in body:
        if name not in FIELDS:
            raise Refusal(422, "unknown_field", f"There is no field {str(name)[:40]!r}.")
    for name in REQUIRED:
        if name not in body:
            raise Refusal(422, "missing_field", f'The field "{name}" is missing.')
    clinic = find_clinic(body["clinic"])
    if clinic is None:
        raise Refusal(422, "unknown_clinic", "There is no such clinic.")
    wanted = NewAppointment(
        patient=_whole_number(body["patient"], "patient", 1, MAX_PATIENT),
        clinic=clinic.code,
        day=parse_day(body["day"], status=422),
        time=_parse_time(body["time"]),
        minutes=_whole_number(body["minutes"], "minutes", 5, 240),
        note=_parse_note(body.get("note", "")),
        channel=_parse_channel(body.get("channel", IN_PERSON), telemedicine=telemedicine),
    )
    if not clinic.sees(wanted.time, wanted.minutes):
        hours = f"{clinic.opens:%H:%M} to {clinic.closes:%H:%M}"
        raise Refusal(422, "outside_hours", f"{clinic.code} sees people from {hours}.")
    return wanted


def parse_day(text: Any, *, status: int = 400) -> date:
    """Return the date of `2026-12-01`; raise Refusal for anything else, however near."""
    if isinstance(text, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise Refusal(status, "invalid_day", "The day must be a date like 2026-12-01.")


def _parse_time(text: Any) -> time:
    if isinstance(text, str) and re.fullmatch(r"[0-9]{2}:[0-9]{2}", text):
        try:
            return time.fromisoformat(text)
        except ValueError:
            pass
    raise Refusal(422, "invalid_time", "The time must be one like 09:30.")


def _parse_channel(value: Any, *, telemedicine: bool) -> str:
    if value == VIDEO and not telemedicine:
        raise Refusal(422, "telemedicine_off", "Video visits are not offered here.")
    if value in (IN_PERSON, VIDEO):
        return str(value)
    raise Refusal(422, "invalid_channel", f'The channel must be "{IN_PERSON}" or "{VIDEO}".')


def _whole_number(value: Any, name: str, low: int, high: int) -> int:
    # True is an int in Python, and not a number in JSON.
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    message = f'The field "{name}" must be a whole number from {low} to {high}.'
    raise Refusal(422, f"invalid_{name}", message)


def _parse_note(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NOTE:
        raise Refusal(422, "invalid_note", f"The note must be text of at most {MAX_NOTE} letters.")
    # PostgreSQL keeps no NUL, UTF-8 no lone surrogate; nobody reads the others.
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
        raise Refusal(422, "invalid_note", "The note must be one line of plain text.")
    return value.strip()
