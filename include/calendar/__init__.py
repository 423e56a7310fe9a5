"""The change calendar: windows, blackouts and holidays, and every question about time.

    calendar = load_calendar(Path("config/calendar.yaml"))
    calendar.state(at).open
    calendar.next(needs=timedelta(minutes=55), not_before=at)

Pure and exact: no I/O but reading the file, no clock of its own, aware UTC instants throughout.
"""

from include.calendar.answers import CalendarState, Opening, Reason, WindowSlot
from include.calendar.blackout import Blackout, BlackoutException
from include.calendar.calendar import ChangeCalendar
from include.calendar.calendar_file import load_calendar, read_calendar
from include.calendar.wall_time import Span
from include.calendar.window import Extension, Window, WindowKind

__all__ = [
    "Blackout",
    "BlackoutException",
    "CalendarState",
    "ChangeCalendar",
    "Extension",
    "Opening",
    "Reason",
    "Span",
    "Window",
    "WindowKind",
    "WindowSlot",
    "load_calendar",
    "read_calendar",
]
