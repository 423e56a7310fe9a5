"""What Release Control says about changes: one function for each event, and its product copy.

As in `texts`: plain values in, a Notice out; titles and comments are cut to a sentence here and
escaped by the channel. `revision` and `key` tell one occasion from the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from include.notices.notice import Audience, Notice, Severity
from include.notices.wording import listed, moment, one_line, sentence, shorten, stretch
from include.notices.writing import write

_LONGEST = 120


def before_the_board(
    *,
    change: str,
    title: str,
    revision: int,
    type: str,
    risk: str,
    seats: Sequence[str],
    closes: datetime,
    zone: str,
) -> Notice:
    """Tell that a change waits for the board."""
    return _notice(
        "change.authorizing",
        change,
        f"{revision}",
        audience=Audience.CAB,
        title=f"{change}: before the board",
        text=f"{_title(title)}, a {one_line(type)} change, risk {one_line(risk)}.",
        fields={"Asked": listed(seats), "Decided by": moment(closes, zone)},
        next=f"decided by {moment(closes, zone)}",
    )


def seat_asked(
    *,
    change: str,
    title: str,
    seat: str,
    people: Sequence[str],
    until: datetime,
    zone: str,
    key: str,
    link: str | None,
    escalated: bool = False,
) -> Notice:
    """Ask the people of a seat for their vote; `escalated` tells the delegates that time runs."""
    again = "still needs" if escalated else "needs"
    return _notice(
        "vote.escalated" if escalated else "vote.asks",
        change,
        key,
        audience=Audience.CAB,
        severity=Severity.WARNING if escalated else Severity.ACTION,
        title=f"{change}: {one_line(seat)} {again} to vote",
        text=f"{_title(title)}. Without an answer in time the change does not go ahead.",
        fields={"Asked": listed(people) or "nobody by name", "Answer by": moment(until, zone)},
        link=link,
        question=seat,
        about=seat,
        asked=people,
        answer_by=until,
        expires_at=until if escalated else None,
    )


def votes_void(
    *, change: str, title: str, revision: int, voters: Sequence[str], changed: Sequence[str]
) -> Notice:
    """Tell voters that what they voted on was edited, and what changed."""
    lines = "\n".join(f"• {shorten(one_line(line), 200)}" for line in changed[:12])
    return _notice(
        "votes.void",
        change,
        f"{revision}",
        audience=Audience.CAB,
        severity=Severity.WARNING,
        title=f"{change}: the votes are void",
        text=f"{_title(title)} was edited (revision {revision}). What changed:\n{lines}",
        fields={"Had voted": listed(voters)},
    )


def scheduled(
    *,
    change: str,
    title: str,
    revision: int,
    systems: Sequence[str],
    start: datetime,
    end: datetime,
    zone: str,
) -> Notice:
    """Tell everybody when a change will happen: the communication that the checklist asks for."""
    return _notice(
        "change.scheduled",
        change,
        f"{revision}:{start.isoformat()}",
        audience=Audience.STAKEHOLDERS,
        title=f"{change}: scheduled",
        text=f"{_title(title)} is approved.",
        fields={"When": stretch(start, end, zone), "Touches": listed(systems)},
        next=stretch(start, end, zone),
    )


def rejected(*, change: str, title: str, revision: int) -> Notice:
    """Tell that the board has rejected a change."""
    return _notice(
        "change.rejected",
        change,
        f"{revision}",
        audience=Audience.STAKEHOLDERS,
        severity=Severity.WARNING,
        title=f"{change}: rejected",
        text=f"{_title(title)} does not go ahead. An edit brings it back to the board.",
        final=True,
    )


def checklist_asks(
    *,
    change: str,
    title: str,
    checkpoint: str,
    items: Sequence[str],
    people: Sequence[str],
    until: datetime,
    zone: str,
    key: str,
    link: str | None = None,
) -> Notice:
    """Ask `people` for their word on the items that no machine can know; `key` names the run."""
    lines = "\n".join(f"• {sentence(item)}" for item in items)
    return _notice(
        "checklist.asks",
        change,
        f"{checkpoint}:{key}",
        title=f"{change}: {one_line(checkpoint)} needs your word",
        text=f"{_title(title)}. Is it done?\n{lines}",
        fields={"Asked": listed(people) or "nobody by name", "Answer by": moment(until, zone)},
        link=link,
        next=f"answer by {moment(until, zone)}",
        question=checkpoint,
        about=checkpoint,
        asked=people,
        answer_by=until,
    )


def checklist_said(
    *, change: str, title: str, checkpoint: str, go: bool, by: str, comment: str, key: str
) -> Notice:
    """Tell what a person said to the checklist, and with which words."""
    said = f": “{shorten(one_line(comment), _LONGEST)}”" if one_line(comment) else "."
    return _notice(
        "checklist.said",
        change,
        f"{checkpoint}:{key}",
        severity=Severity.INFO if go else Severity.WARNING,
        title=f"{change}: {one_line(checkpoint)}: {'yes' if go else 'no'}",
        text=f"{_title(title)}. By {one_line(by)}{said}",
        question=checkpoint,
        answered=True,
    )


def checklist_unanswered(*, change: str, title: str, checkpoint: str, why: str, key: str) -> Notice:
    """Tell that a question has got no answer that counts."""
    return _notice(
        "checklist.unanswered",
        change,
        f"{checkpoint}:{key}",
        title=f"{change}: {one_line(checkpoint)} was not answered",
        text=f"{_title(title)}: {sentence(why)}",
        question=checkpoint,
        answered=True,
    )


def implemented(*, change: str, title: str, key: str, outcome: str) -> Notice:
    """Tell users what was done."""
    return _notice(
        "change.implemented",
        change,
        key,
        audience=Audience.STAKEHOLDERS,
        title=f"{change}: implemented",
        text=f"{_title(title)}: {sentence(outcome)}",
    )


def refused(*, change: str, title: str, key: str, reasons: Sequence[str]) -> Notice:
    """Tell that a change was not started, with every reason."""
    return _notice(
        "change.refused",
        change,
        key,
        audience=Audience.OPERATIONS,
        severity=Severity.CRITICAL,
        title=f"{change}: not started",
        text=f"{_title(title)}. In the way:\n"
        + "\n".join(f"• {sentence(line)}" for line in reasons),
    )


def owed(*, change: str, title: str, duty: str, due: datetime, overdue: bool, zone: str) -> Notice:
    """Tell that something owed after the fact is nearly, or over, its time."""
    when = "overdue since" if overdue else "due"
    return _notice(
        "change.owed",
        change,
        f"{duty}:{due.isoformat()}:{'overdue' if overdue else 'soon'}",
        audience=Audience.ON_CALL,
        severity=Severity.WARNING,
        title=f"{change}: still has to be {duty}",
        text=f"{_title(title)} is not closed before it is. It is {when} {moment(due, zone)}.",
    )


def _title(text: str) -> str:
    return f"“{shorten(one_line(text), _LONGEST)}”"


def _notice(event: str, change: str, key: str, **said: Any) -> Notice:
    return write(event, change, key, **said)
