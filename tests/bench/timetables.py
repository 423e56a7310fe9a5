"""What the schedule of the change windows costs the scheduler, against Airflow's own for cron.

Both answer for the same openings, Saturday 02:00 in New York, one after the other through ten
years; processor time, so other work on the machine does not count.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import process_time
from typing import Any

import pendulum

from include.output import print_progress
from include.settings import ROOT
from tests.bench.figures import Figure, median

BEGIN = pendulum.datetime(2026, 1, 1, tz="UTC")
OPENINGS = 500
REPEATS = 7


def figures() -> list[Figure]:
    """Ask both for the next run, with catch-up and without."""
    with _configuration():
        from airflow.timetables.base import TimeRestriction
        from airflow.timetables.trigger import CronTriggerTimetable

        from release_control.timetables.change_window import ChangeWindowTimetable

        print_progress("  asking the timetables")
        text = (ROOT / "config/calendar.yaml").read_text(encoding="utf-8")
        ours: Any = ChangeWindowTimetable(text=text)
        cron: Any = CronTriggerTimetable(
            "0 2 * * 6", timezone="America/New_York", interval=timedelta(hours=2)
        )
        found = []
        for catchup in (True, False):
            within = TimeRestriction(earliest=BEGIN, latest=None, catchup=catchup)
            one, other = _in_turn(lambda t, w=within: _walk(t, w), ours, cron)
            found.append(
                Figure(
                    name=f"the next opening, {'with' if catchup else 'without'} catch-up",
                    ours=one,
                    peer=other,
                    unit="µs",
                    times=1.0,
                )
            )
    return found


@contextmanager
def _configuration() -> Iterator[None]:
    # Airflow writes its configuration where it is first asked for one.
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        yield


def _walk(timetable: Any, within: Any) -> None:
    last = None
    for _ in range(OPENINGS):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=within)
        if info is None:
            message = f"{timetable.summary} has no next opening"
            raise AssertionError(message)
        last = info.data_interval


def _in_turn(work: Callable[[Any], None], *timetables: Any) -> tuple[float, ...]:
    """Return the microseconds of one answer of each, measured alternately."""
    taken: list[list[float]] = [[] for _ in timetables]
    for timetable in timetables:
        work(timetable)
    for _ in range(REPEATS):
        for timetable, times in zip(timetables, taken, strict=True):
            begun = process_time()
            work(timetable)
            times.append((process_time() - begun) / OPENINGS * 1e6)
    return tuple(median(times) for times in taken)
