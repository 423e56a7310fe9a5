"""Every event that people are told of: for whom, how urgent, and what it does to its thread.

The words are in the modules of texts: one function for each event. What is not in here is not said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.notices.notice import Audience, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. A notice may be for others or more urgent than this, where its text says so.

    `phase` is where the thread stands from then on. A `reminder` is not piled up: the newest alone
    is delivered, and none once its moment has passed.
    """

    name: str
    tells: str
    audience: Audience
    severity: Severity = Severity.INFO
    phase: str | None = None
    reminder: bool = False

    def document(self) -> dict[str, Any]:
        """Return the event as JSON shows it."""
        return {
            "event": self.name,
            "tells": self.tells,
            "audience": str(self.audience),
            "severity": str(self.severity),
            "phase": self.phase,
            "reminder": self.reminder,
        }


def _catalogue() -> dict[str, Event]:
    team, cab, operations = Audience.TEAM, Audience.CAB, Audience.OPERATIONS
    everybody, on_call, person = Audience.STAKEHOLDERS, Audience.ON_CALL, Audience.PERSON
    action, warning, critical = Severity.ACTION, Severity.WARNING, Severity.CRITICAL
    # (name, tells, audience, severity, phase, reminder)
    rows: list[tuple[str, str, Audience, Severity, str | None, bool]] = []

    def add(
        name: str,
        tells: str,
        audience: Audience,
        severity: Severity = Severity.INFO,
        phase: str | None = None,
        *,
        reminder: bool = False,
    ) -> None:
        rows.append((name, tells, audience, severity, phase, reminder))

    # Releases.
    add("release.planned", "a train is planned, with its dates", everybody, phase="planned")
    add("freeze.soon", "a freeze begins in a day", team, reminder=True)
    add("freeze.began", "a freeze has begun", team)
    add("candidate.ready", "a candidate is built and tagged", team, phase="staging")
    add("checkpoint.asks", "a checkpoint asks you", team, action)
    add("checkpoint.reminder", "a checkpoint still asks you", person, action, reminder=True)
    add("checkpoint.decided", "what was decided, by whom", team)
    add("checkpoint.unanswered", "nobody answered in time", team, warning)
    add("window.waiting", "approved; waits for its window", everybody, phase="waiting to deploy")
    add("window.opened", "the window is open", operations, phase="in the change window")
    add("window.closed", "the window closes on an unfinished release", operations)
    add("backup.proven", "the backup was restored and compared", operations)
    add("backup.failed", "no proven backup, so no deploy", on_call, critical)
    add("deploy.started", "the deploy has started", operations, phase="deploying")
    add("deploy.step", "a step of the deploy is done", operations)
    add("traffic.switched", "users are on the new version", operations, phase="being watched")
    add("watch.held", "nobody can tell how the new version does", operations, warning)
    add("release.released", "a release is done", everybody, phase="released")
    add("release.rolled_back", "users are on the old version", everybody, critical, "rolled back")
    add("release.no_way_back", "the version before would not work", operations, critical)
    add("release.schema_left", "the version that serves has another schema", operations, critical)
    add("rollback.asks", "may the database be restored", operations, action)
    add("rollback.done", "people led users back by hand", everybody, critical, "rolled back")
    add("permit.refused", "a deploy was refused, and why", operations, critical)
    add("release.ended", "how a train ended", everybody)
    # Changes and their board.
    add("change.authorizing", "a change waits for the board", cab, phase="before the board")
    add("vote.asks", "a seat is asked for its vote", cab, action)
    add("vote.escalated", "a seat has not voted, and time runs", cab, warning, reminder=True)
    add("votes.void", "an edit has made votes void", cab, warning)
    add("change.scheduled", "when a change will happen", everybody, phase="scheduled")
    add("change.rejected", "the board has rejected a change", everybody, warning, "rejected")
    add("checklist.asks", "a change's checklist asks for your word", operations, action)
    add("checklist.said", "what was said on a change's checklist, by whom", operations)
    add("checklist.unanswered", "nobody gave their word in time", operations, warning)
    add("change.implemented", "a change is done", everybody, phase="implemented")
    add("change.refused", "a change was not started, and why", operations, critical)
    add("change.stands_still", "a change has stopped, and what to do", on_call, critical)
    add("change.led_back", "a change was led back, or not", everybody, warning, "led back")
    add("change.owed", "what is owed after an emergency is due, or overdue", on_call, warning)
    add("cab.agenda", "what the board decides next", cab)
    add("cab.minutes", "what the board decided", cab)
    # What runs by the calendar.
    add("calendar.opened", "a change window is open, and what starts in it", operations)
    add("calendar.closed", "a change window is closed, and what is unfinished", operations)
    add("report.ready", "a report is ready", everybody)
    add("digest.upcoming", "what is coming to a team's systems", team)
    # Trouble.
    add("incident.opened", "an incident is open", on_call, critical, "open")
    add("incident.clock", "an incident's clock is at 75 %", on_call, warning, reminder=True)
    add("incident.breached", "an incident's clock has run out", on_call, critical)
    add("incident.resolved", "an incident is over", everybody, phase="resolved")
    add("ledger.alarm", "the ledger does not verify", on_call, critical)
    add("drift.found", "production runs what no release put there", on_call, critical)
    add("run.failed", "a run has failed by a defect", on_call, warning)
    return {
        name: Event(
            name=name,
            tells=tells,
            audience=audience,
            severity=severity,
            phase=phase,
            reminder=reminder,
        )
        for name, tells, audience, severity, phase, reminder in rows
    }


EVENTS = _catalogue()
