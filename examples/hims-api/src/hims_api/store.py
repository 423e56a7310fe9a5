"""What the service needs of its memory, whatever keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

from hims_api.appointments import Appointment, NewAppointment


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient: a number and a label, never a name."""

    id: int
    label: str


class Unavailable(Exception):
    """The store does not answer at present."""


class UnknownPatient(Exception):
    """There is no such patient."""


class Taken(Exception):
    """The clinic has an appointment at that time already."""


class Store(Protocol):
    """Patients and appointments. Every method raises Unavailable when the store is away."""

    async def open(self) -> None:
        """Get ready; returns at once, also while the store is away."""

    async def close(self) -> None:
        """Give everything back."""

    async def schema(self) -> dict[int, str]:
        """Return the kind of each migration that the store has seen."""

    async def appointments_on(self, day: date) -> list[Appointment]:
        """Return the appointments of one day, by time and clinic."""

    async def appointments_of(self, patient: int) -> list[Appointment]:
        """Return all appointments of a patient, oldest first."""

    async def patient(self, number: int) -> Patient | None:
        """Return one patient, if there is one of that number."""

    async def book(self, wanted: NewAppointment) -> Appointment:
        """Enter an appointment; raise UnknownPatient or Taken."""

    async def cancel(self, number: int) -> Appointment | None:
        """Cancel an appointment, if there is one of that number; cancelled ones stay so."""
