"""What stands against doing a piece of work at a certain time: eight rules, one finding each.

The calendar knows windows, blackouts and holidays; what else is going on (other changes, people,
incidents, release freezes) is handed in, since it lives in the ledger. Asked at submission, at
approval, at the start of the slot and before the traffic switch, the rules give the same answer for
the same facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from include.calendar.calendar import ChangeCalendar
from include.calendar.holiday import HolidayPolicy
from include.calendar.outlook import Outlook
from include.calendar.proposal import Proposal, Surroundings
from include.calendar.wall_time import Span, aware, local_span_text, local_text
from include.calendar.window import WindowKind
from include.errors import RequestError
from include.instants import format_duration


class Rule(StrEnum):
    """The rules, in the order in which they are asked."""

    BLACKOUT = "blackout"  # no blackout or freeze of the calendar holds
    OUTSIDE_WINDOW = "outside_window"  # the whole time lies in one slot of every system
    SYSTEM_BUSY = "system_busy"  # no other change works on the systems, or beside them
    PEOPLE_BUSY = "people_busy"  # who implements it is not at another change
    RELEASE_FREEZE = "release_freeze"  # the release line takes this type of commit
    OPEN_INCIDENT = "open_incident"  # no P1 or P2 is open on the systems
    CUTOFF = "cutoff"  # what is left when it starts still holds the work and the way back
    HOLIDAY = "holiday"  # no public holiday, as far as the systems mind


# Who may let work go on against a finding of a rule.
WAIVERS = {
    Rule.BLACKOUT: "the freeze approvers, by an exception with an end and a compensating control",
    Rule.OUTSIDE_WINDOW: "the change board, by granting an extended window",
    Rule.SYSTEM_BUSY: "the change manager, by moving one of the two changes",
    Rule.PEOPLE_BUSY: "the change manager, by naming other people",
    Rule.RELEASE_FREEZE: "the freeze approvers, by an exception that names the commit",
    Rule.OPEN_INCIDENT: "the incident commander, by linking the change or closing the incident",
    Rule.CUTOFF: "the change board, by granting an extended window",
    Rule.HOLIDAY: "the change manager",
}


class Severity(StrEnum):
    """What a finding does to the work."""

    BLOCK = "block"
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule has against the proposal, when, because of what, and who may waive it.

    `other` names the second record of the conflict: a blackout, a change, an incident, a release.
    """

    code: Rule
    severity: Severity
    message: str
    subject: str
    other: str | None
    start: datetime
    end: datetime
    local: str
    waiver: str


def find_conflicts(
    calendar: ChangeCalendar, proposal: Proposal, surroundings: Surroundings | None = None
) -> tuple[Finding, ...]:
    """Return all that stands against `proposal`, in the order of the rules.

    Raises RequestError for a proposal whose end is not after its start.
    """
    span = Span(aware(proposal.span.start), aware(proposal.span.end))
    if span.start >= span.end:
        raise RequestError(f"{proposal.id}: the work must end after it starts")
    case = _Case(calendar, proposal, span, surroundings or Surroundings())
    return tuple(finding for rule in Rule for finding in case.ask(rule))


class _Case:
    def __init__(
        self, calendar: ChangeCalendar, proposal: Proposal, span: Span, around: Surroundings
    ) -> None:
        self.calendar = calendar
        self.proposal = proposal
        self.span = span
        self.around = around
        self.emergency = proposal.incident is not None and any(
            window.kind is WindowKind.EMERGENCY for window in calendar.windows
        )
        self.outlook: Outlook = calendar.outlook(
            systems=proposal.systems,
            environment=proposal.environment,
            change=proposal.id,
            emergency=self.emergency,
        )

    def ask(self, rule: Rule) -> Iterator[Finding]:
        asked: Mapping[Rule, Iterator[Finding]] = {
            Rule.BLACKOUT: self.blackout(),
            Rule.OUTSIDE_WINDOW: self.outside_window(),
            Rule.SYSTEM_BUSY: self.system_busy(),
            Rule.PEOPLE_BUSY: self.people_busy(),
            Rule.RELEASE_FREEZE: self.release_freeze(),
            Rule.OPEN_INCIDENT: self.open_incident(),
            Rule.CUTOFF: self.cutoff(),
            Rule.HOLIDAY: self.holiday(),
        }
        return asked[rule]

    def blackout(self) -> Iterator[Finding]:
        for denial in self.outlook.denials(*self.span):
            blackout = denial.blackout
            when = local_span_text(Span(denial.start, denial.end), self.calendar.zone)
            message = f"{blackout.kind} {blackout.name}, {when}: {blackout.reason}"
            yield self.finding(Rule.BLACKOUT, message, blackout.name, Span(*denial[:2]))

    def outside_window(self) -> Iterator[Finding]:
        if self.emergency:
            return
        slots = [item for item, _ in self.outlook.slots(*self.span)]
        holding = [
            item for item in slots if item.start <= self.span.start and self.span.end <= item.end
        ]
        for system in self.outlook.uncovered(self.span.start, holding):
            name = "production" if system == "*" else system
            message = f"no one slot of {name} holds all of {self.local(self.span)}"
            yield self.finding(Rule.OUTSIDE_WINDOW, message, None, self.span)

    def system_busy(self) -> Iterator[Finding]:
        for booking in self.around.bookings:
            if booking.id == self.proposal.id or not self.meets(booking.span):
                continue
            shared = _shared(self.proposal.systems, booking.systems)
            beside = self.beside(booking.systems)
            if shared is not None:
                message = f"{booking.id} works on {shared} {self.local(booking.span)}"
                yield self.finding(Rule.SYSTEM_BUSY, message, booking.id, booking.span)
            elif beside is not None:
                message = (
                    f"{booking.id} works on {beside[1]}, a neighbour of {beside[0]}, "
                    f"{self.local(booking.span)}"
                )
                yield self.finding(
                    Rule.SYSTEM_BUSY, message, booking.id, booking.span, Severity.WARN
                )

    def people_busy(self) -> Iterator[Finding]:
        for booking in self.around.bookings:
            both = sorted(self.proposal.people & booking.people)
            if both and booking.id != self.proposal.id and self.meets(booking.span):
                verb = "is" if len(both) == 1 else "are"
                message = f"{', '.join(both)} {verb} at {booking.id} {self.local(booking.span)}"
                yield self.finding(
                    Rule.PEOPLE_BUSY, message, booking.id, booking.span, Severity.WARN
                )

    def release_freeze(self) -> Iterator[Finding]:
        types = self.proposal.commit_types
        for freeze in self.around.freezes:
            if (
                not self.meets(freeze.span)
                or _shared(self.proposal.systems, freeze.systems) is None
            ):
                continue
            if types is None:
                message = f"{freeze.release} is frozen and the commits of this change are not known"
            else:
                refused = sorted(types if freeze.refused is None else types & freeze.refused)
                if not refused:
                    continue
                message = f"{freeze.release} is frozen for {', '.join(refused)}"
            yield self.finding(Rule.RELEASE_FREEZE, message, freeze.release, freeze.span)

    def open_incident(self) -> Iterator[Finding]:
        for incident in self.around.incidents:
            serious = incident.severity in {"P1", "P2"} and incident.id != self.proposal.incident
            shared = _shared(self.proposal.systems, incident.systems)
            if serious and shared is not None and self.meets(incident.span):
                message = f"{incident.severity} {incident.id} is open on {shared}"
                yield self.finding(Rule.OPEN_INCIDENT, message, incident.id, incident.span)

    def cutoff(self) -> Iterator[Finding]:
        start = self.span.start
        needs = self.span.end - start + self.proposal.rollback
        if self.emergency:
            shut = self.outlook.closed(self.span.start, start + needs)
            if shut and start < shut[0].start:
                yield self.too_late(shut[0].start - needs, Span(start, shut[0].start))
            return
        here = [
            (item, stretch)
            for item, stretch in self.outlook.stretches(start, self.span.end)
            if stretch.start <= start < stretch.end
        ]
        if here:
            latest, stretch = max(
                (stretch.end - max(needs, self.outlook.cutoff_of(item)), stretch)
                for item, stretch in here
            )
            if start > latest:
                yield self.too_late(latest, stretch)

    def too_late(self, latest: datetime, stretch: Span) -> Finding:
        needs = format_duration(self.span.end - self.span.start + self.proposal.rollback)
        message = (
            f"the work and its way back need {needs} before "
            f"{local_text(stretch.end, self.calendar.zone)}, so the latest start was "
            f"{local_text(latest, self.calendar.zone)}"
        )
        return self.finding(Rule.CUTOFF, message, None, stretch)

    def holiday(self) -> Iterator[Finding]:
        policy = self.outlook.holiday_policy
        if policy is HolidayPolicy.IGNORE:
            return
        blocks = policy is HolidayPolicy.BLOCK and not self.emergency
        for _, name, day in self.calendar.holidays.on(*self.span):
            severity = Severity.BLOCK if blocks else Severity.WARN
            message = f"{name}: {'no changes' if blocks else 'fewer people may be on call'}"
            yield self.finding(Rule.HOLIDAY, message, name, day, severity)

    # -- words ---------------------------------------------------------------------------------

    def finding(
        self,
        code: Rule,
        message: str,
        other: str | None,
        span: Span,
        severity: Severity = Severity.BLOCK,
    ) -> Finding:
        return Finding(
            code=code,
            severity=severity,
            message=message,
            subject=self.proposal.id,
            other=other,
            start=span.start,
            end=span.end,
            local=self.local(span),
            waiver=WAIVERS[code],
        )

    def local(self, span: Span) -> str:
        return local_span_text(span, self.calendar.zone)

    def meets(self, span: Span) -> bool:
        return span.start < self.span.end and self.span.start < span.end

    def beside(self, systems: tuple[str, ...]) -> tuple[str, str] | None:
        """Return (ours, theirs) where one of the two needs the other, however indirectly."""
        for ours in self.proposal.systems:
            for theirs in systems:
                if theirs in self.needed_by(ours) or ours in self.needed_by(theirs):
                    return ours, theirs
        return None

    def needed_by(self, system: str) -> set[str]:
        found: set[str] = set()
        waiting = [system]
        while waiting:
            for needed in self.around.dependencies.get(waiting.pop(), frozenset()):
                if needed not in found:
                    found.add(needed)
                    waiting.append(needed)
        return found


def _shared(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str | None:
    """Return what two lists of systems share, where none named means all of them."""
    if not ours and not theirs:
        return "all systems"
    if not ours or not theirs:
        return ", ".join(sorted({*ours, *theirs}))
    both = sorted({*ours} & {*theirs})
    return ", ".join(both) if both else None
