"""What the run of a change window does: announce it, start what is due, close it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, TaskDeferred

from release_control import connections
from release_control.boarding import now, source_of
from release_control.courier import deliver_after
from release_control.moments import plain
from release_control.names import named
from release_control.runs import start_run
from release_control.triggers.calendar import CalendarTrigger, calendar_stamp
from release_control.triggers.window_work import WindowWorkTrigger
from release_control.waiting import show_waiting

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import Connection

    from include.calendar import ChangeCalendar
    from include.ledger import Ledger, Unit
    from include.settings import Settings
    from include.windows.opening import Attended

IMPLEMENTATION = "change_implementation"
# How long after Airflow refused to start something it is asked again.
START_AGAIN = timedelta(seconds=30)


class _Attendant:
    """The opening of a run, with the ledger and the calendar that hold for it."""

    def __init__(self, context: Mapping[str, Any], calendar: str) -> None:
        from include.errors import InputError
        from include.settings import load_settings

        self.context = context
        self.settings: Settings = load_settings()
        self.ledger: Ledger = connections.ledger()
        self.file = self.settings.config_file(calendar)
        self.label = self.settings.label(calendar)
        try:
            self.opening: Attended = self._opening()
        except InputError as error:
            raise AirflowFailException(str(error)) from error

    def unit(self) -> AbstractContextManager[Unit]:
        """Open a unit of work in the name of this task."""
        from include.ledger import Actor

        actor = Actor.service(self.context["ti"].dag_id)
        return self.ledger.write(actor, source_of(self.context), now())

    def calendar(self, connection: Connection) -> ChangeCalendar:
        """Return the calendar as it is in force; ConfigError where its file cannot be used."""
        from include.entries.whole_calendar import whole_calendar

        return whole_calendar(self.file, connection, name=self.label)

    def stamp(self) -> str:
        """Return what changes when the calendar does."""
        return calendar_stamp(self.file, self.ledger)

    def _opening(self) -> Attended:
        from include.calendar import Span, load_calendar
        from include.calendar.openings import Openings
        from include.errors import RequestError
        from include.windows.opening import Attended, attended

        run = self.context["dag_run"]
        interval = None
        start, end = run.data_interval_start, run.data_interval_end
        if start is not None and end is not None and start < end:
            interval = Span(plain(start), plain(end))
        found = attended(interval, run.conf or {})
        if found is not None:
            return found
        # The same at every try: by when the run was to begin, not by when it is looked at.
        begun = plain(run.run_after)
        opening = Openings(load_calendar(self.file, name=self.label)).around(begun)
        if opening is None:
            raise RequestError("the calendar has no opening ahead; give start and end in the conf")
        return Attended(span=Span(opening.start, opening.end))


class AnnounceOpeningOperator(BaseOperator):
    """Tells operations that a window opens and what is due in it."""

    def __init__(self, *, calendar: str = "calendar.yaml", **kwargs: Any) -> None:
        super().__init__(**named("announce_opening", kwargs))
        self.calendar = calendar

    def execute(self, context: Any, event: Any = None) -> str:
        """Announce at the opening; a run that was started before it sleeps until then."""
        from include.windows.announcing import announce

        attendant = _Attendant(context, self.calendar)
        opens = attendant.opening.span.start
        if now() < opens:
            stamp = attendant.stamp()
            waiting = f"opens {opens.isoformat()}"
            show_waiting(context, waiting)
            self.defer(
                trigger=CalendarTrigger(opens.isoformat(), str(attendant.file), stamp, waiting),
                method_name="execute",
            )
        with deliver_after(attendant.ledger), attendant.unit() as unit:
            message = announce(unit, attendant.calendar(unit.connection), attendant.opening)
        self.log.info("%s", message)
        return message


class StartDueChangesOperator(BaseOperator):
    """Starts a run of `implementation` for each change that is due, until the window closes.

    In between it sleeps: until the next slot, or until the calendar or anything about the window's
    changes is news.
    """

    def __init__(
        self,
        *,
        calendar: str = "calendar.yaml",
        implementation: str = IMPLEMENTATION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**named("start_due_changes", kwargs))
        self.calendar = calendar
        self.implementation = implementation

    def execute(self, context: Any, event: Any = None) -> dict[str, Any]:
        """Start what may start now and sleep; return what was started once the window is over."""
        from include.errors import ConfigError
        from include.windows.starting import (
            consider,
            decide_starts,
            locked_systems,
            started_in,
            work_stamp,
        )

        attendant = _Attendant(context, self.calendar)
        opening, at = attendant.opening, now()
        stamp = attendant.stamp()
        with attendant.ledger.read() as connection:
            work = work_stamp(connection, opening)
            if at >= opening.span.end:
                return {"started": started_in(connection, opening)}
            locked = locked_systems(connection, attendant.settings)
            try:
                calendar = attendant.calendar(connection)
            except ConfigError as error:
                waiting = {"calendar": f"cannot be read, so nothing starts: {error}"}
                ends = opening.span.end
                raise self._asleep(context, attendant, ends, stamp, work, waiting) from None
            decision, _ = consider(connection, calendar, opening, at, locked=locked)
        if at < opening.span.start:
            raise self._asleep(context, attendant, opening.span.start, stamp, work, {})
        if not decision.starts:
            raise self._asleep(
                context, attendant, decision.look_again, stamp, work, decision.waiting
            )
        with attendant.unit() as unit:
            calendar = attendant.calendar(unit.connection)
            decision = decide_starts(unit, calendar, opening, locked=locked)
        failed = {}
        for start in decision.starts:
            try:
                known = not start_run(self.implementation, start.run_id, {"change": start.change})
            except AirflowRuntimeError as error:
                self.log.error("%s cannot be started: %s", start.change, error)  # noqa: TRY400
                failed[start.change] = f"cannot be started: {error}"
                continue
            self.log.info("%s %s", start.change, "is started already" if known else "starts")
            self._confirm(attendant, start)
        again = now() + START_AGAIN if failed else decision.look_again
        waiting = {**decision.waiting, **failed}
        raise self._asleep(context, attendant, min(again, opening.span.end), stamp, work, waiting)

    def _confirm(self, attendant: _Attendant, start: Any) -> None:
        from include.windows.starting import confirm_start

        with attendant.unit() as unit:
            confirm_start(unit, attendant.opening, start)

    def _asleep(
        self,
        context: Any,
        attendant: _Attendant,
        until: Any,
        stamp: str,
        work: str,
        waiting: Mapping[str, str],
    ) -> TaskDeferred:
        span = attendant.opening.span
        what = "; ".join(f"{key}: {why}" for key, why in waiting.items()) or "nothing more is due"
        show_waiting(context, f"{what}; the window closes {span.end:%H:%M}Z")
        return TaskDeferred(
            trigger=WindowWorkTrigger(
                until.isoformat(),
                str(attendant.file),
                stamp,
                (span.start.isoformat(), span.end.isoformat()),
                work,
            ),
            method_name="execute",
        )


class CloseOpeningOperator(BaseOperator):
    """Tells changes under way what they declared for this moment, and reports what is left."""

    def __init__(self, *, calendar: str = "calendar.yaml", **kwargs: Any) -> None:
        super().__init__(**named("close_window", kwargs))
        self.calendar = calendar

    def execute(self, context: Any, event: Any = None) -> dict[str, Any]:
        """Close the window and return what was done, unfinished and not started."""
        from include.errors import ConfigError
        from include.windows.closing import close_opening

        attendant = _Attendant(context, self.calendar)
        ends = attendant.opening.span.end
        if now() < ends:
            stamp = attendant.stamp()
            waiting = f"closes {ends.isoformat()}"
            show_waiting(context, waiting)
            self.defer(
                trigger=CalendarTrigger(ends.isoformat(), str(attendant.file), stamp, waiting),
                method_name="execute",
            )
        with deliver_after(attendant.ledger), attendant.unit() as unit:
            try:
                calendar = attendant.calendar(unit.connection)
            except ConfigError as error:
                self.log.warning("the calendar cannot be read, so it is closed: %s", error)
                calendar = None
            closed = close_opening(unit, calendar, attendant.opening)
        self.log.info("%s", closed.message)
        return {
            "done": dict(closed.done),
            "unfinished": dict(closed.unfinished),
            "not_started": dict(closed.not_started),
        }
