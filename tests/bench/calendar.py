"""How long the calendar takes to answer, in processor time: ten years ahead, two thousand freezes.

Other work on the machine does not count. What a command costs is that of a whole process, its
imports and the reading of the file included.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import process_time

from include.calendar import Blackout, ChangeCalendar, Span, load_calendar
from include.output import print_progress
from include.settings import ROOT
from tests.bench.figures import Figure, median
from tests.bench.processes import hims, processor_seconds

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TEN_YEARS = timedelta(days=3653)
HOUR = timedelta(hours=1)
NEEDS = timedelta(minutes=55)
REPEATS = 7
# An instant at which production is open, so that all of them say yes.
AT = ("--at", "2026-11-28T07:10:00Z")
COMMANDS = (
    ("state",), ("list",), ("next", "--needs", "55m"), ("explain", "--needs", "55m"),
    ("conflicts", "--to", "2026-11-28T08:00:00Z"), ("year",), ("ics",),
    ("plan", "hims-api", "9.0.0", "--type", "major"),
)  # fmt: skip


def figures() -> list[Figure]:
    """Ask the calendar of config/ with and without freezes, and from a shell."""
    plain = load_calendar(ROOT / "config/calendar.yaml")
    frozen = plain.including(blackouts=list(_freezes(2000)))
    found = frozen.next(needs=NEEDS, not_before=BEGIN)
    if found is None or found.start < BEGIN + timedelta(days=3500):
        message = "the freezes do not cover ten years"
        raise AssertionError(message)
    late = BEGIN + timedelta(days=3600)
    print_progress("  asking the calendar")
    return [
        _figure("next, an ordinary week", lambda: _next(plain), most=1.0, times=200),
        _figure("next behind 2,000 freezes, ten years ahead", lambda: _next(frozen), most=100.0),
        _figure("list of ten years", lambda: plain.slots(BEGIN, BEGIN + TEN_YEARS), most=250.0),
        _figure(
            "list of ten years with 2,000 freezes",
            lambda: frozen.slots(BEGIN, BEGIN + TEN_YEARS),
            most=250.0,
        ),
        _figure("state with 2,000 freezes", lambda: frozen.state(late), most=2.0, times=200),
        *(
            Figure(
                name=f"./hims calendar {words[0]}, the whole process",
                ours=1000
                * processor_seconds(hims("calendar", *words, "--json", *AT), repeats=REPEATS),
                most=500.0,
                unit="ms",
            )
            for words in COMMANDS
        ),
    ]


def _freezes(count: int) -> list[Blackout]:
    return [
        Blackout(
            name=f"freeze-{index}",
            reason="Frozen",
            span=Span(BEGIN + 43 * index * HOUR, BEGIN + (43 * index + 44) * HOUR),
        )
        for index in range(count)
    ]


def _next(calendar: ChangeCalendar) -> object:
    return calendar.next(needs=NEEDS, not_before=BEGIN)


def _figure(name: str, work: Callable[[], object], *, most: float, times: int = 3) -> Figure:
    work()
    taken = []
    for _ in range(REPEATS):
        begun = process_time()
        for _ in range(times):
            work()
        taken.append((process_time() - begun) / times * 1000)
    if most > 10:
        return Figure(name=name, ours=median(taken), most=most, unit="ms")
    return Figure(name=name, ours=median(taken) * 1000, most=most * 1000, unit="µs")
