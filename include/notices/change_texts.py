"""What Release Control says about changes: one function for each event, and its product copy.

As in `texts`: plain values in, a Notice out; titles and comments are cut to a sentence here and
escaped by the channel. `revision` and `key` tell one occasion from the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from include.notices.notice import Audience, Notice, Severity
from include.notices.wording import bullets, listed, moment, one_line, sentence, shorten, stretch
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
    lines = bullets(changed, most=12)
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
    *,
    change: str,
    title: str,
    checkpoint: str,
    go: bool,
    by: str,
    not_done: Sequence[str],
    comment: str,
    key: str,
) -> Notice:
    """Tell what a person said to the checklist, what is not done, and with which words."""
    lines = "".join(f"\n• not done: {sentence(item)}" for item in not_done)
    said = f": “{shorten(one_line(comment), _LONGEST)}”" if one_line(comment) else "."
    return _notice(
        "checklist.said",
        change,
        f"{checkpoint}:{key}",
        severity=Severity.INFO if go else Severity.WARNING,
        title=f"{change}: {one_line(checkpoint)}: {'yes' if go else 'no'}",
        text=f"{_title(title)}. By {one_line(by)}{said}{lines}",
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
        text=f"{_title(title)}. In the way:\n" + bullets(map(sentence, reasons)),
    )


def stands_still(
    *,
    change: str,
    title: str,
    reasons: Sequence[str],
    broken: bool,
    begun: bool,
    key: str,
    link: str,
    by_itself: bool = True,
) -> Notice:
    """Tell that a change has stopped on its way, why, and how it goes on.

    With `broken` its run fails again and again; not `by_itself` goes on what somebody has stopped.
    """
    lines = bullets(map(sentence, reasons))
    if broken:
        then = (
            "See in the run's log what breaks it, mend that, and let it begin again "
            f"(./hims change again {change}, or clear the run): what was done already is not done "
            "twice."
        )
    elif by_itself:
        then = (
            f"Once that is answered (./hims change why {change}) the run begins again by itself "
            "within minutes."
        )
    else:
        then = f"To let it begin again: ./hims change again {change}."
    back = f" To have it led back: ./hims change lead-back {change}."
    cancel = f" If it is not to go on: ./hims change cancel {change}."
    return _notice(
        "change.stands_still",
        change,
        key,
        title=f"{change}: stands still",
        text=f"{_title(title)}. In the way:\n{lines}\n{then}{back if begun else cancel}",
        link=link,
    )


def led_back(*, change: str, title: str, key: str, why: str, whole: bool, plan: str) -> Notice:
    """Tell that a change did not stay in production, why, and what is left to do by hand."""
    text = (
        "All that was done was led back."
        if whole
        else "Not all of it could be led back: production is not as it was before. The rollback "
        f"plan: {sentence(plan) if plan else 'none was given.'}"
    )
    return _notice(
        "change.led_back",
        change,
        key,
        severity=Severity.WARNING if whole else Severity.CRITICAL,
        title=f"{change}: led back" if whole else f"{change}: failed, and is not as before",
        text=f"{_title(title)}: {sentence(why)} {text} It has to be reviewed.",
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
