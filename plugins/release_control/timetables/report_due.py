"""A run whenever a report is due: 07:00 on the zone's Monday, or on the first working day."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from release_control.moments import plain
from release_control.timetables.files import calendar_of, config_text, pendulum_of, utc_now

if TYPE_CHECKING:
    from include.reports.period import Period


class ReportDueTimetable(Timetable):
    """Runs begin when the `kind` of report (weekly, monthly, quarterly) is due.

    The data interval is the period that the report is about. Zone and holidays are those of the
    change calendar. Without catch-up the newest report that was missed is made, late, and older
    ones are not: by hand any period can be.
    """

    def __init__(
        self, kind: str, *, calendar: str = "calendar.yaml", text: str | None = None
    ) -> None:
        self.kind = kind
        self.calendar = calendar
        self.text = config_text(calendar) if text is None else text
        self.description = f"When the {kind} report is due, by the holidays in {calendar}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReportDueTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.kind, self.calendar, self.text))

    @property
    def summary(self) -> str:
        """Return what the Dag list shows as the schedule."""
        if self.kind == "weekly":
            return "Mondays 07:00"
        return f"First working day of the {'month' if self.kind == 'monthly' else 'quarter'} 07:00"

    def serialize(self) -> dict[str, Any]:
        """Return the kind and the calendar as it was parsed."""
        return {"kind": self.kind, "calendar": self.calendar, "text": self.text}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Return the timetable that was serialized."""
        return cls(data["kind"], calendar=data["calendar"], text=data["text"])

    def infer_manual_data_interval(self, *, run_after: Any) -> DataInterval:
        """Return the newest period whose report is due: what a run by hand is about unless told."""
        return _interval(self._newest(plain(run_after)))

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next report; ConfigError for a calendar that cannot be used."""
        now = utc_now()
        earliest = restriction.earliest and plain(restriction.earliest)
        latest = restriction.latest and plain(restriction.latest)
        if last_automated_data_interval is not None:
            period = self._on(plain(last_automated_data_interval.start)).following()
            if not restriction.catchup:
                newest = self._newest(now)
                period = newest if newest.start > period.start else period
        elif restriction.catchup and earliest is not None:
            period = self._on(earliest).previous()
        else:
            # New here: nothing was missed yet.
            period = self._newest(now).following()
        while earliest is not None and self._due(period) < earliest:
            period = period.following()
        due = self._due(period)
        if latest is not None and due > latest:
            return None
        return DagRunInfo(run_after=pendulum_of(due), data_interval=_interval(period))

    def _on(self, instant: datetime) -> Period:
        from include.reports.period import Kind, period_on

        zone = calendar_of(self.text, self.calendar).zone
        return period_on(Kind(self.kind), instant.astimezone(zone).date(), zone)

    def _due(self, period: Period) -> datetime:
        holidays = calendar_of(self.text, self.calendar).holidays
        return period.due(lambda day: holidays.name_of(day) is not None)

    def _newest(self, at: datetime) -> Period:
        period = self._on(at).previous()
        while self._due(period) > at:
            period = period.previous()
        return period


def _interval(period: Period) -> DataInterval:
    return DataInterval(pendulum_of(period.start), pendulum_of(period.end))
