"""A run whenever a release of the cadence is to be planned."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from release_control.moments import plain
from release_control.timetables.files import calendar_of, config_text, pendulum_of, utc_now

if TYPE_CHECKING:
    from include.releases.policy import ReleasePolicy

_MONTH = timedelta(days=31)
_YEAR = 12


class Train(NamedTuple):
    """A train of the cadence: when it is to be planned, its feature freeze, its slot's end."""

    due: datetime
    start: datetime
    end: datetime
    zone: ZoneInfo


class ReleaseCadenceTimetable(Timetable):
    """Runs begin `ahead` of the feature freeze of each train that the cadence asks for.

    Major releases quarterly, minor ones monthly, or as `releases` says, each in the first slot of
    its month that holds `needs`. The data interval is the train: from its feature freeze to the end
    of its slot.

    Without catch-up a run begins late as long as the freeze has not begun; a train whose freeze has
    begun can no longer be planned.
    """

    def __init__(
        self,
        *,
        calendar: str = "calendar.yaml",
        releases: str = "releases.yaml",
        needs: timedelta = timedelta(hours=1),
        ahead: timedelta = timedelta(days=7),
        texts: tuple[str, str] | None = None,
    ) -> None:
        self.calendar = calendar
        self.releases = releases
        self.needs = needs
        self.ahead = ahead
        self.texts = texts or (config_text(calendar), config_text(releases))
        self.description = f"Before each release of the cadence in {releases}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReleaseCadenceTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.calendar, self.releases, self.texts))

    @property
    def summary(self) -> str:
        """Return what the Dag list shows as the schedule."""
        return "Release cadence"

    def serialize(self) -> dict[str, Any]:
        """Return calendar and cadence as they were parsed."""
        return {
            "calendar": self.calendar,
            "releases": self.releases,
            "needs": self.needs.total_seconds(),
            "ahead": self.ahead.total_seconds(),
            "texts": list(self.texts),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        """Return the timetable that was serialized."""
        first, second = data["texts"]
        return cls(
            calendar=data["calendar"],
            releases=data["releases"],
            needs=timedelta(seconds=data["needs"]),
            ahead=timedelta(seconds=data["ahead"]),
            texts=(first, second),
        )

    def infer_manual_data_interval(self, *, run_after: Any) -> DataInterval:
        """Return the train that a run by hand is about: the next whose freeze has not begun."""
        instant = plain(run_after)
        for _, start, end, _ in self._trains(instant):
            if start > instant:
                return DataInterval(pendulum_of(start), pendulum_of(end))
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the next train to be planned; ConfigError for files that cannot be used."""
        last = last_automated_data_interval and plain(last_automated_data_interval.start)
        earliest = restriction.earliest and plain(restriction.earliest)
        latest = restriction.latest and plain(restriction.latest)
        since = (last or earliest or utc_now()) if restriction.catchup else utc_now()
        for due, start, end, _ in self._trains(since):
            over = start <= since and not restriction.catchup
            if over or (last is not None and start <= last):
                continue
            if earliest is not None and due < earliest:
                continue
            if latest is not None and due > latest:
                return None
            return DagRunInfo(
                run_after=pendulum_of(due),
                data_interval=DataInterval(pendulum_of(start), pendulum_of(end)),
            )
        return None

    def _trains(self, since: datetime) -> Iterator[Train]:
        """Yield the trains that may matter from `since` on, in order; twelve months without any
        are the end of them."""
        from include.calendar.cadence import month_after

        # A train of this month may have frozen last month, and is planned before that.
        month = (since - _MONTH).date().replace(day=1)
        missed = 0
        while missed < _YEAR:
            train = _train_of(self.texts, (self.calendar, self.releases), self.needs, month)
            missed = 0 if train is not None else missed + 1
            if train is not None:
                yield _planned(train, self.ahead)
            month = month_after(month, 1)


def _planned(train: Train, ahead: timedelta) -> Train:
    from include.calendar.train_dates import lead_before

    return Train(lead_before(train.start, ahead, train.zone), train.start, train.end, train.zone)


@lru_cache(maxsize=512)
def _train_of(
    texts: tuple[str, str], names: tuple[str, str], needs: timedelta, month: date
) -> Train | None:
    from include.calendar.cadence import train_of_month

    calendar, policy = calendar_of(texts[0], names[0]), _policy_of(texts[1], names[1])
    found = train_of_month(
        calendar,
        month,
        cadence={str(kind): str(word) for kind, word in policy.cadence.items()},
        feature_lead=policy.leads.feature_freeze,
        needs=needs,
    )
    if found is None:
        return None
    _, span = found
    return Train(span.start, span.start, span.end, calendar.zone)


@lru_cache(maxsize=8)
def _policy_of(text: str, name: str) -> ReleasePolicy:
    from include.releases.policy import read_policy

    return read_policy(text, name=name)
