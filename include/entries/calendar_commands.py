"""`./hims calendar …` with what the ledger knows: entered freezes, extensions, releases, changes.

Without `--ledger` the calendar's file alone is asked and no service is needed, but for an ID that
may be one of the ledger's: then the ledger is asked too, where there is one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from include.calendar import commands
from include.calendar.assessment_commands import is_change_file
from include.calendar.command_line import Known, load, now, time_range
from include.errors import LedgerError
from include.output import print_progress

if TYPE_CHECKING:
    from include.calendar import ChangeCalendar
    from include.ledger import Ledger

add_arguments = commands.add_arguments


def run(options: argparse.Namespace) -> int:
    """Answer the question; see `include.cli` for the exit status."""
    calendar = load(options)
    if options.systems:
        _tell_strangers(calendar, options)
    named = getattr(options, "id", "work")
    asks = named != "work" and not is_change_file(named) and options.config is None
    if options.ledger:
        return _with_ledger(_ledger(), calendar, options, named)
    if asks and options.surroundings is None:
        try:
            return _with_ledger(_ledger(), calendar, options, named)
        except LedgerError as error:
            print_progress(f"hims: only the calendar's file is asked: {error}")
    return commands.answer(calendar, options)


def _tell_strangers(calendar: ChangeCalendar, options: argparse.Namespace) -> None:
    """Say which systems nothing names: no freeze stops them, so they seem open."""
    named = {name for window in calendar.windows for name in window.systems}
    named |= {name for blackout in calendar.blackouts for name in blackout.systems}
    if named.issuperset(options.systems):
        return
    from include.entries.known_systems import strangers
    from include.settings import load_settings

    for sentence in strangers(load_settings(), calendar, options.systems):
        print_progress(f"hims: {sentence}; only rules for all systems are asked")


def _ledger() -> Ledger:
    from include.ledger.connection import open_ledger
    from include.settings import load_settings

    return open_ledger(load_settings())


def _with_ledger(
    ledger: Ledger, calendar: ChangeCalendar, options: argparse.Namespace, named: str
) -> int:
    from include.changes.surroundings import surroundings
    from include.entries.planned_work import feed_entries, work_of
    from include.entries.whole_calendar import with_entries

    known = Known()
    with ledger.read() as connection:
        calendar = with_entries(calendar, connection)
        if hasattr(options, "surroundings"):
            work = work_of(connection, named)
            if work is None and named != "work" and not is_change_file(named):
                print_progress(f"hims: the ledger knows no change or release {named[:80]}")
            start = getattr(options, "at", None) or getattr(options, "start", None)
            start = start or (work.start if work else None) or now(options)
            around = surroundings(
                connection,
                start - timedelta(days=1),
                start + timedelta(days=31),
                dependencies={},
            )
            # A release is not stopped by its own freezes: its commits have a gate of their own.
            own = work.release if work else None
            others = tuple(item for item in around.freezes if item.release != own)
            known = Known(work=work, surroundings=replace(around, freezes=others))
        elif options.question == "ics":
            options.start = options.start or now(options) - timedelta(weeks=4)
            span = time_range(options, timedelta(days=365))
            known = Known(entries=tuple(feed_entries(connection, *span)))
    options.known = known
    return commands.answer(calendar, options)
