"""`./hims calendar …`: ask the change calendar. Needs no service and imports no Airflow.

Exit status: 0 open or found, 1 closed, none or in conflict, 2 where the calendar or the question
is unusable.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from include.calendar.answers import Opening, WindowSlot
from include.calendar.assessment_commands import add_questions
from include.calendar.calendar import ChangeCalendar
from include.calendar.command_line import (
    add_incident,
    add_instant,
    add_question,
    both,
    duration,
    now,
    print_reasons,
    time_range,
    utc_text,
)
from include.calendar.wall_time import local_span_text, local_text
from include.calendar.window import WindowKind
from include.errors import RequestError
from include.instants import format_duration
from include.output import print_json, print_line

# A list is for reading; a window that opens every two minutes has 260,000 slots a year.
MOST_SLOTS = 50_000
_AHEAD = timedelta(days=56)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the questions and their options."""
    questions = parser.add_subparsers(dest="question", metavar="QUESTION", required=True)
    state = add_question(
        questions, "state", "is production open, why, and until when", _state,
        at="the instant asked about (default: now)",
    )  # fmt: skip
    add_incident(state, "ask as an emergency for this incident")
    listing = add_question(questions, "list", "every slot, open or blocked, and why", _list)
    add_instant(listing, "--from", "first instant (default: now)", dest="start")
    add_instant(listing, "--to", "end, exclusive (default: eight weeks on)", dest="end")
    following = add_question(questions, "next", "the first opening in which work fits", _next)
    following.add_argument("--needs", metavar="D", type=duration, required=True,
                           help="how long the work takes, like 55m")  # fmt: skip
    add_instant(following, "--not-before", "search from here (default: now)", dest="not_before")
    following.add_argument("--window", metavar="NAME", help="only this window, by name or alias")
    feed = add_question(questions, "ics", "the calendar as an RFC 5545 feed", _ics)
    add_instant(feed, "--from", "first instant (default: four weeks ago)", dest="start")
    add_instant(feed, "--to", "end, exclusive (default: a year on)", dest="end")
    add_questions(questions)


def answer(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    """Answer the question from `calendar` and from what `options.known` says; see `include.cli` for
    the exit status."""
    return int(options.answer(calendar, options))


def _state(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    at = now(options)
    state = calendar.state(
        at, systems=options.systems, environment=options.environment, incident=options.incident
    )
    if options.json:
        print_json({
            "at": state.at,
            "open": state.open,
            "windows": state.windows,
            "reasons": state.reasons,
            "next_transition": state.next_transition,
            "closes": state.closes,
            "latest_start": state.latest_start,
            "local": local_text(state.at, calendar.zone),
        })  # fmt: skip
        return 0 if state.open else 1
    word = "open" if state.open else "closed"
    windows = f" ({', '.join(state.windows)})" if state.windows else ""
    print_line(f"{both(calendar, at)}: {word}{windows}")
    print_reasons(state.reasons)
    if state.open and state.latest_start is not None:
        print_line(f"  latest start {both(calendar, state.latest_start)}")
    if state.next_transition is not None:
        then = "closes" if state.open else "opens"
        wait = format_duration(state.next_transition - at)
        print_line(f"  {then} {both(calendar, state.next_transition)}, in {wait}")
    else:
        print_line(f"  stays {word} as far as the calendar can see")
    return 0 if state.open else 1


def _list(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    start, end = time_range(options, _AHEAD)
    slots = _slots(calendar, start, end, options)
    if options.json:
        print_json({"slots": [_slot_json(calendar, slot) for slot in slots]})
        return 0
    for slot in slots:
        utc = utc_text(slot.start, slot.end)
        scope = _scope_text(calendar, slot)
        print_line(f"{slot.state:8}{slot.window}{scope}: {slot.local} ({utc})")
        if slot.state == "cut":
            for part in slot.open:
                local = local_span_text(part, slot.zone)
                print_line(f"  open {local} ({utc_text(part.start, part.end)})")
        print_reasons(slot.reasons)
    if not slots:
        print_line(f"no slot between {both(calendar, start)} and {both(calendar, end)}")
    return 0


def _slots(
    calendar: ChangeCalendar, start: datetime, end: datetime, options: argparse.Namespace
) -> list[WindowSlot]:
    """Return the slots of the systems asked about; without any those of every window, in order.

    A window that opens some systems only is told as those see it.
    """
    environment = options.environment
    windows = [window for window in calendar.windows if window.scope and not options.systems]
    outlook = calendar.outlook(systems=options.systems, environment=environment)
    openings = [outlook.openings(start, end), *(item.openings(start, end) for item in windows)]
    if sum(1 for _ in islice(chain(*openings), MOST_SLOTS + 1)) > MOST_SLOTS:
        raise RequestError(
            f"more than {MOST_SLOTS:,} slots lie in that time; ask for a shorter one"
        )
    if options.systems:
        return calendar.slots(start, end, systems=options.systems, environment=environment)
    return calendar.every_slot(start, end, environment=environment)


def _scope_text(calendar: ChangeCalendar, slot: WindowSlot) -> str:
    scope = calendar.window(slot.window).scope
    return f" (only {', '.join(scope)})" if scope else ""


def _next(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    opening = calendar.next(
        needs=options.needs,
        not_before=options.not_before or now(options),
        systems=options.systems,
        window=options.window,
        environment=options.environment,
    )
    if options.json:
        print_json(None if opening is None else _opening_json(opening))
    elif opening is None:
        print_line(_nothing(calendar, options))
    else:
        print_line(f"{opening.window}: {opening.local} ({utc_text(opening.start, opening.end)})")
        print_line(f"  latest start {both(calendar, opening.latest_start)}")
    return 0 if opening is not None else 1


def _nothing(calendar: ChangeCalendar, options: argparse.Namespace) -> str:
    kind = None if options.window is None else calendar.window(options.window).kind
    if kind is WindowKind.EXTENDED:
        return f"{options.window} has no hours of its own: an approval grants it to one change"
    if kind is WindowKind.EMERGENCY:
        return f"{options.window} has no hours of its own: `state` answers for --incident ID"
    return f"no opening in which {format_duration(options.needs)} fits, until the end of 2200"


def _ics(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    from include.calendar.feed import calendar_feed

    stamp = now(options)
    options.start = options.start or stamp - timedelta(weeks=4)
    start, end = time_range(options, timedelta(days=365))
    if end - start > timedelta(days=3660):
        raise RequestError("a feed is for at most ten years; ask for a shorter time")
    text = calendar_feed(
        calendar,
        start,
        end,
        stamp=stamp,
        systems=tuple(options.systems),
        environment=options.environment,
        entries=options.known.entries,
    )
    if options.json:
        print_json({"content_type": "text/calendar; charset=utf-8", "ics": text})
        return 0
    # Bytes, since a text stream may write other line ends than the CRLF that RFC 5545 asks for.
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
    return 0


def _slot_json(calendar: ChangeCalendar, slot: WindowSlot) -> dict[str, Any]:
    scope = calendar.window(slot.window).scope
    return {
        "window": slot.window,
        # Of a window for all systems there is nothing to tell.
        **({"systems": scope} if scope else {}),
        "start": slot.start,
        "end": slot.end,
        "local": slot.local,
        "state": slot.state,
        "open": [[part.start, part.end] for part in slot.open],
        "reasons": slot.reasons,
    }


def _opening_json(opening: Opening) -> dict[str, Any]:
    return {
        "window": opening.window,
        "start": opening.start,
        "latest_start": opening.latest_start,
        "end": opening.end,
        "local": opening.local,
    }
