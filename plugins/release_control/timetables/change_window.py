"""A run at every opening of a change window, with the window as its data interval."""

from __future__ import annotations

from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from release_control.moments import plain
from release_control.timetables.files import config_text, openings_of, pendulum_of, utc_now


class ChangeWindowTimetable(Timetable):
    """Runs begin when a window of `calendar`, a file of the configuration, opens.

    The data interval is the slot with its true ends, whatever the clocks do meanwhile. A slot that
    a blackout or a holiday closes for everybody has no run, one that is closed at first has its run
    when it opens, behind the runs of slots that open meanwhile. What is entered into the ledger is
    the run's to ask, not the schedule's.

    Without catch-up a run begins late, when nobody was there at the opening, as long as the window
    is open; a window that has closed is not opened again. With catch-up every opening since the
    start date gets its run.
    """

    def __init__(self, calendar: str = "calendar.yaml", *, text: str | None = None) -> None:
        self.calendar = calendar
        self.text = config_text(calendar) if text is None else text
        self.description = f"At every opening of the change windows in {calendar}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChangeWindowTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.calendar, self.text))

    @property
    def summary(self) -> str:
        """Return what the Dag list shows as the schedule."""
        return "Change windows"

    def serialize(self) -> dict[str, Any]:
        """Return the calendar as it was parsed: a schedule changes with a Dag's version only."""
        return {"calendar": self.calendar, "text": self.text}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Return the timetable that was serialized."""
        return cls(data["calendar"], text=data["text"])

    def infer_manual_data_interval(self, *, run_after: Any) -> DataInterval:
        """Return the slot that a run by hand is about: the one that is open, else the next."""
        opening = openings_of(self.text, self.calendar).around(plain(run_after))
        if opening is None:
            return DataInterval.exact(run_after)
        return DataInterval(pendulum_of(opening.start), pendulum_of(opening.end))

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next opening; ConfigError for a calendar that cannot be used."""
        last = last_automated_data_interval and plain(last_automated_data_interval.start)
        earliest = restriction.earliest and plain(restriction.earliest)
        latest = restriction.latest and plain(restriction.latest)
        if restriction.catchup:
            since = last or earliest or utc_now()
        else:
            since = utc_now() if last is None else max(last, utc_now())
        for opening in openings_of(self.text, self.calendar).after(since, last=last):
            if earliest is not None and opening.opens < earliest:
                continue
            if latest is not None and opening.opens > latest:
                return None
            return DagRunInfo(
                run_after=pendulum_of(opening.opens),
                data_interval=DataInterval(pendulum_of(opening.start), pendulum_of(opening.end)),
            )
        return None
