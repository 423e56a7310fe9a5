"""Makes a notice from its event in the catalogue and the words for this occasion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from include.notices.catalogue import EVENTS
from include.notices.notice import Audience, Notice, Severity, Standing


def write(
    event: str,
    thread: str,
    *occasion: object,
    title: str,
    text: str,
    audience: Audience | None = None,
    severity: Severity | None = None,
    fields: Mapping[str, str] | None = None,
    link: str | None = None,
    final: bool = False,
    people: Sequence[str] = (),
    phase: str | None = None,
    next: str | None = None,
    question: str | None = None,
    about: str | None = None,
    asked: Sequence[str] = (),
    answer_by: datetime | None = None,
    answered: bool = False,
    expires_at: datetime | None = None,
) -> Notice:
    """Return the notice of `event` in `thread`; `occasion` tells it from earlier ones of its kind.

    Raises KeyError for an event that is not in the catalogue.
    """
    known = EVENTS[event]
    phase = known.phase if phase is None else phase
    standing = Standing(
        phase=phase,
        next=next,
        question=question,
        about=about,
        asked=tuple(asked),
        answer_by=answer_by,
        answered=answered,
    )
    return Notice(
        event=event,
        thread=thread,
        audience=known.audience if audience is None else audience,
        severity=known.severity if severity is None else severity,
        title=title,
        text=text,
        fields=fields or {},
        link=link,
        dedupe_key="|".join((thread, event, *map(str, occasion))),
        final=final,
        people=tuple(people),
        standing=None if standing == Standing() else standing,
        reminds="|".join((thread, event, question or "")) if known.reminder else None,
        expires_at=expires_at,
    )
