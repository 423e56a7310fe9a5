"""The one file under plugins/ that Airflow executes: it lists what Release Control adds."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin


class ReleaseControlPlugin(AirflowPlugin):
    """Everything that Airflow has to know of Release Control."""

    name = "release_control"

    @property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Return the ledger's eye on every write through the API; only the api-server loads it."""
        from release_control.access.api_writes import ApiWrites

        return [{"name": "release-control-api-writes", "middleware": ApiWrites}]

    @property
    def listeners(self) -> list[Any]:  # type: ignore[override]
        """Return what hears which states were set by hand, and when a task ends or a process
        starts: light, since workers load them, too."""
        from release_control.listeners import manual_states, starting, task_ends

        return [manual_states, starting, task_ends]

    @property
    def timetables(self) -> list[Any]:  # type: ignore[override]
        """Return the schedules that Dags may be on."""
        from release_control.timetables.change_window import ChangeWindowTimetable
        from release_control.timetables.release_cadence import ReleaseCadenceTimetable
        from release_control.timetables.report_due import ReportDueTimetable

        return [ChangeWindowTimetable, ReleaseCadenceTimetable, ReportDueTimetable]
