"""Makes a report: reads the facts of a period, and puts them under the plan's own headings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from include.calendar.wall_time import Span
from include.ledger import Ledger
from include.notices.wording import count, moment
from include.reports.facts import Facts
from include.reports.metrics.metric import Metric, Unit, shown
from include.reports.metrics.scorecard import Scorecard, score
from include.reports.metrics.success import success_rate
from include.reports.outlook_reading import Outlook, read_outlook
from include.reports.period import TITLES, Kind, Period
from include.reports.reading import read_facts
from include.reports.report import Report, Section
from include.reports.surroundings import change_calendar, holidays_of, openings_of, systems_of
from include.settings import Settings

# How many periods a trend goes back, this one among them.
_TREND = {Kind.WEEKLY: 12, Kind.MONTHLY: 12, Kind.QUARTERLY: 8}
_AHEAD = {
    Kind.WEEKLY: timedelta(days=14),
    Kind.MONTHLY: timedelta(days=31),
    Kind.QUARTERLY: timedelta(days=92),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the sections are written from. `trend` holds the periods up to this one, oldest first,
    `parts` what happened in each and `history` all of that; `before` is the period before."""

    period: Period
    as_of: datetime
    card: Scorecard
    before: Scorecard
    history: Facts
    trend: tuple[Period, ...]
    parts: tuple[Facts, ...]
    outlook: Outlook

    def was(self, metric: Metric) -> str:
        """Return in words what a figure was in the period before."""
        earlier = self.before[metric.name]
        if earlier.value is None:
            return f"no data in {self.period.previous().name}"
        return f"{earlier.text} in {self.period.previous().name}"


def make_report(
    ledger: Ledger,
    settings: Settings,
    period: Period,
    *,
    now: datetime,
    as_of: datetime | None = None,
    service: str | None = None,
) -> Report:
    """Return the report of a period as the ledger knew it at `as_of` (default: when it is due).

    `now` only tells whether the report is provisional, as one is that is asked for as of an
    instant before it is due. Raises LedgerError when the ledger fails.
    """
    from include.reports.monthly import monthly_sections
    from include.reports.quarterly import quarterly_sections
    from include.reports.weekly import weekly_sections

    calendar = change_calendar(settings)
    due = period.due(holidays_of(calendar))
    known = as_of or due
    systems = systems_of(settings, service)
    trend = [period]
    for _ in range(_TREND[period.kind] - 1):
        trend.insert(0, trend[0].previous())
    history = read_facts(
        ledger,
        trend[0].start,
        period.end,
        as_of=known,
        service=service,
        observed=settings.overall.reports.observed_for,
        systems=systems,
        openings=openings_of(settings),
    )
    facts = read_facts(
        ledger,
        period.start,
        period.end,
        as_of=known,
        service=service,
        observed=settings.overall.reports.observed_for,
        systems=systems,
        openings=openings_of(settings),
    )
    card = score(facts)
    previous = period.previous()
    about = f"-{service}" if service else ""
    parts = tuple(history.between(item.start, item.end) for item in trend)
    material = Material(
        period=period,
        as_of=known,
        card=card,
        before=score(parts[-2]),
        history=history,
        trend=tuple(trend),
        parts=parts,
        outlook=read_outlook(
            ledger,
            f"{period.kind}-{period.name}{about}",
            Span(period.start, period.end),
            Span(period.end, period.end + _AHEAD[period.kind]),
            known,
        ),
    )
    sections: list[Section] = {
        Kind.WEEKLY: weekly_sections,
        Kind.MONTHLY: monthly_sections,
        Kind.QUARTERLY: quarterly_sections,
    }[period.kind](material)
    told = previous.due(holidays_of(calendar))
    corrections: list[str] = []
    # Before it was told nothing of it could be wrong.
    if told < known:
        earlier = read_facts(
            ledger,
            previous.start,
            previous.end,
            as_of=told,
            service=service,
            observed=settings.overall.reports.observed_for,
            systems=systems,
        )
        corrections = _corrections(earlier, parts[-2], previous)
    return Report(
        organisation=settings.overall.organisation,
        title=TITLES[period.kind],
        period=period,
        as_of=known,
        provisional=now < known or known < due,
        service=service,
        summary=_summary(card),
        sections=sections,
        card=card,
        calendar_digest=calendar.digest,
        corrections=corrections,
        as_due=known == due,
    )


def _summary(card: Scorecard) -> str:
    rate, back = card["change_success_rate"], card["rollback_rate"]
    how = rate.said.partition(";")[0]
    deployed = card["deployment_frequency"]
    if rate.value is None:
        return f"Nothing that touched production came to its end: {rate.told}."
    return (
        f"{how} ({rate.text}); "
        f"{shown(back.numerator, Unit.COUNT)} rolled back; "
        f"{count(round(deployed.numerator or 0), 'deployment')} to production; "
        f"{count(len(card.facts.incidents), 'incident')} opened."
    )


def _corrections(said: Facts, known: Facts, period: Period) -> list[str]:
    """Return what the last report would say otherwise, had it been made today."""
    before, after = success_rate(said), success_rate(known)
    found = []
    if (before.numerator, before.denominator) != (after.numerator, after.denominator):
        found.append(
            f"Change success rate of {period.name}: {after.text} as known at "
            f"{moment(known.asked, str(period.zone))}, reported as {before.text}."
        )
    reported = {line.id: line for line in before.rows}
    for line in after.rows:
        earlier = reported.get(line.id)
        if earlier is not None:
            # A success that is no longer being observed is no correction.
            if earlier.why != line.why and not (earlier.counted and line.counted):
                found.append(f"{line.id} ({period.name}): {line.why}; reported: {earlier.why}.")
        else:
            found.append(f"{line.id} ({period.name}) came to the ledger late: {line.why}.")
    return found
