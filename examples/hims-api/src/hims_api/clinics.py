"""The clinics that take appointments. Each keeps its own book: one appointment per start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinic:
    """A clinic; it sees people from `opens` until `closes`, local time."""

    code: str
    title: str
    opens: time
    closes: time

    def as_json(self) -> dict[str, str]:
        """Return the form in which it is answered."""
        return {
            "code": self.code,
            "title": self.title,
            "opens": self.opens.isoformat("minutes"),
            "closes": self.closes.isoformat("minutes"),
        }

    def sees(self, start: time, minutes: int) -> bool:
        """Return whether an appointment of so many minutes lies within the opening hours."""
        end = start.hour * 60 + start.minute + minutes
        return self.opens <= start and end <= self.closes.hour * 60 + self.closes.minute


CLINICS = (
    Clinic(code="C01", title="Outpatient clinic 01", opens=time(8), closes=time(17)),
    Clinic(code="C02", title="Outpatient clinic 02", opens=time(8), closes=time(17)),
    Clinic(code="C03", title="Outpatient clinic 03", opens=time(7, 30), closes=time(15, 30)),
)


def find_clinic(code: object) -> Clinic | None:
    """Return the clinic with this code, if there is one."""
    return next((clinic for clinic in CLINICS if clinic.code == code), None)
