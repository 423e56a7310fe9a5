"""Starts the runs that attend windows which were granted to one change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator

from release_control import connections
from release_control.boarding import now
from release_control.names import named
from release_control.runs import start_run

WINDOW = "change_window"
# Twice the time from one look to the next: a run is there before its window opens.
AHEAD = timedelta(minutes=10)


class OpenGrantedWindowsOperator(BaseOperator):
    """Starts a run of `change_window` for each window that is granted and about to open."""

    def __init__(self, *, calendar: str = "calendar.yaml", **kwargs: Any) -> None:
        super().__init__(**named("open_granted_windows", kwargs))
        self.calendar = calendar

    def execute(self, context: Any) -> list[str]:
        """Return the runs that are new; ConfigError for a calendar that cannot be used."""
        from include.calendar import load_calendar
        from include.instants import format_instant
        from include.settings import load_settings
        from include.windows.granted import granted_openings

        settings = load_settings()
        file, label = settings.config_file(self.calendar), settings.label(self.calendar)
        calendar = load_calendar(file, name=label)
        with connections.ledger().read() as connection:
            found = granted_openings(connection, calendar, now(), ahead=AHEAD)
        started = []
        for item in found:
            span = item.opening.span
            conf = {"start": format_instant(span.start), "end": format_instant(span.end)}
            if start_run(WINDOW, item.run_id, conf):
                self.log.info("%s attends %s to %s", item.run_id, conf["start"], conf["end"])
                started.append(item.run_id)
        return started
