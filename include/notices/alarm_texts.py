"""What is said when something is wrong: incidents, the ledger, production, our own runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from include.notices.notice import Audience, Notice, Severity
from include.notices.wording import listed, moment, one_line, sentence, shorten
from include.notices.writing import write

_TITLE = 120


def incident_opened(
    *,
    incident: str,
    severity: str,
    title: str,
    systems: Sequence[str],
    respond_by: datetime | None,
    zone: str,
    link: str | None = None,
) -> Notice:
    """Tell whoever is on call that an incident is open (`severity` P1 to P4)."""
    fields = {"Systems": listed(systems)}
    if respond_by is not None:
        fields["Respond by"] = moment(respond_by, zone)
    return write(
        "incident.opened",
        incident,
        severity=Severity.CRITICAL if severity in ("P1", "P2") else Severity.WARNING,
        title=f"{incident} ({one_line(severity)}): {shorten(one_line(title), _TITLE)}",
        text="Changes to these systems wait while it is open."
        if severity in ("P1", "P2")
        else "An incident is open.",
        fields=fields,
        link=link,
        next=None if respond_by is None else f"respond by {moment(respond_by, zone)}",
    )


def incident_clock(
    *,
    incident: str,
    clock: str,
    percent: int,
    due: datetime,
    zone: str,
    key: str = "",
    people: Sequence[str] = (),
    link: str | None = None,
) -> Notice:
    """Tell that a clock of an incident (`response`, `resolution`) is at 75 or at 100 %.

    `key` tells one run of the clock from the next: another severity sets it anew.
    """
    over = percent >= 100
    said = "has run out" if over else f"is at {percent} %"
    return write(
        "incident.breached" if over else "incident.clock",
        incident,
        clock,
        percent,
        key,
        title=f"{incident}: the {one_line(clock)} time {said}",
        text="It is escalated." if over else "There is little time left.",
        fields={"Due": moment(due, zone)},
        people=people,
        link=link,
        # What has run out is told as that.
        expires_at=None if over else due,
    )


def incident_resolved(
    *, incident: str, how: str, lasted: str, key: str = "", link: str | None = None
) -> Notice:
    """Tell that an incident is over."""
    return write(
        "incident.resolved",
        incident,
        key,
        title=f"{incident}: resolved",
        text=sentence(how),
        fields={"Lasted": lasted},
        link=link,
        final=True,
    )


def ledger_alarm(*, finding: str, key: str) -> Notice:
    """Tell that the ledger does not verify; `key` tells one set of findings from another."""
    return write(
        "ledger.alarm",
        "ledger",
        key,
        title="The ledger does not verify: releases are frozen",
        text=(
            f"{sentence(shorten(one_line(finding), 500))} No permit is issued until a security "
            "officer or an operations manager acknowledges it (./hims audit acknowledge)."
        ),
    )


def drift_found(*, service: str, environment: str, said: str, change: str) -> Notice:
    """Tell that an environment is not what the ledger says; `change` is open for it."""
    return write(
        "drift.found",
        f"{service} in {environment}",
        change,
        title=f"{service}: {environment} is not what the ledger says",
        text=(
            f"{sentence(shorten(one_line(said), 500))} {change} is open for it, and the service is "
            "locked until a second person unlocks it."
        ),
    )


def run_failed(
    *, dag_id: str, run_id: str, task_id: str, reason: str, link: str | None = None
) -> Notice:
    """Tell that a task has failed in a way that is no answer: a defect, or a broken world."""
    return write(
        "run.failed",
        dag_id,
        run_id,
        task_id,
        audience=Audience.ON_CALL,
        title=f"{dag_id}: {one_line(task_id)} has failed",
        text=sentence(reason),
        fields={"Run": one_line(run_id)},
        link=link,
    )
