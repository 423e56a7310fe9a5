"""The reasons that the calendar gives, as sentences for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from include.calendar.answers import Reason
from include.calendar.holiday import HolidayPolicy
from include.calendar.outlook import Outlook
from include.calendar.wall_time import Span, date_text, local_span_text, local_text
from include.calendar.window import ALL_SYSTEMS, Occurrence

# Of one slot in a list; whoever wants them all asks for the state at an instant.
MOST_REASONS = 50


def reasons_against(
    outlook: Outlook, span: Span, zone: ZoneInfo, *, most: int | None = None
) -> list[Reason]:
    """Return the blackouts, freezes and holidays that meet `span`; `most` of the former."""
    reasons = []
    denials = outlook.denials(*span)
    for denial in denials[:most]:
        blackout = denial.blackout
        when = local_span_text(Span(denial.start, denial.end), zone)
        message = f"{blackout.kind} {blackout.name}, {when}: {blackout.reason}"
        reasons.append(Reason(code=blackout.kind, message=message))
    if most is not None and len(denials) > most:
        message = f"and {len(denials) - most:,} more blackouts and freezes"
        reasons.append(Reason(code=denials[most].blackout.kind, message=message))
    if outlook.holiday_policy is HolidayPolicy.IGNORE:
        return reasons
    closes = outlook.holiday_policy is HolidayPolicy.BLOCK and not outlook.asker.emergency
    what = "no changes on holidays" if closes else "fewer people may be on call"
    for day, name, _ in outlook.holidays.on(*span):
        reasons.append(Reason(code="holiday", message=f"{name}, {date_text(day)}: {what}"))
    return reasons


def slot_reasons(outlook: Outlook, opening: Occurrence, zone: ZoneInfo) -> list[Reason]:
    """Return what there is to say about one opening, of many blackouts and holidays the first."""
    reasons = reasons_against(outlook, opening.span, zone, most=MOST_REASONS)
    if opening.shifted:
        reasons.append(shift_reason(opening))
    return reasons + outside_reasons(outlook.missing_in(opening), None, zone)


def outside_reasons(missing: Sequence[str], opens: datetime | None, zone: ZoneInfo) -> list[Reason]:
    """Return that no window opens the systems in `missing`, and when the next one does."""
    later = "" if opens is None else f"; the next opens {local_text(opens, zone)}"
    owners = ["" if system == ALL_SYSTEMS else f" of {system}" for system in missing]
    return [
        Reason(code="outside_window", message=f"no window{owner} is open{later}")
        for owner in owners
    ]


def shift_reason(opening: Occurrence) -> Reason:
    """Return that a transition has moved the start of `opening`."""
    message = (
        f"the clocks skip the start of {opening.window.name} on {opening.date}; "
        f"it opens {local_text(opening.start, opening.window.zone)}"
    )
    return Reason(code="dst_gap", message=message)
