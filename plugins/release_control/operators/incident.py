"""An incident's run: opens it, tells when its clocks run low, puts its review together."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control import connections
from release_control.boarding import now, requester, source_of
from release_control.courier import calendar_zone, deliver_after
from release_control.names import named
from release_control.triggers.instant import InstantTrigger


class OpenIncidentOperator(BaseOperator):
    """Opens the incident that the run was started for, in the name of who started it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("open_incident", kwargs))

    def execute(self, context: Any) -> str:
        """Return the incident's id; a form that makes no sense ends the run."""
        from include.errors import InputError
        from include.incidents.desk import IncidentDesk
        from include.people import load_people
        from include.settings import load_settings

        settings, ledger, actor = load_settings(), connections.ledger(), requester(context)
        person = load_people(settings).find(actor.user)
        if person is None:
            raise AirflowFailException(f"config/people.yaml does not know {actor.user}")
        desk = IncidentDesk(
            ledger=ledger,
            settings=settings,
            person=person,
            actor=actor,
            source=source_of(context),
            clock=now,
            zone=calendar_zone(settings),
        )
        given = context["params"]
        try:
            with deliver_after(ledger):
                return desk.open(
                    title=str(given["title"]),
                    severity=str(given["severity"]),
                    systems=[str(name) for name in given["systems"]],
                ).id
        except InputError as error:
            raise AirflowFailException(f"the incident was not opened: {error}") from error


class WatchClocksOperator(BaseOperator):
    """Tells at 75 % and at 100 % of each clock, asleep in between; ends when none runs any more."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("watch_clocks", kwargs))

    def execute(self, context: Any, event: Any = None) -> None:
        """Tell what is due, and sleep until the next moment of this incident's clocks."""
        from include.errors import RecordMissing
        from include.incidents.questions import incident_of
        from include.incidents.watch import watch_clocks
        from include.settings import load_settings

        ledger, at = connections.ledger(), now()
        with deliver_after(ledger):
            watch_clocks(ledger, calendar_zone(load_settings()), at)
        try:
            incident = incident_of(ledger, context["ti"].run_id)
        except RecordMissing as error:
            raise AirflowFailException(str(error)) from error
        ahead = [
            moment
            for clock in incident.clocks
            if clock.stopped is None
            for moment in clock.moments
            if moment > at
        ]
        if ahead:
            self.defer(trigger=InstantTrigger(min(ahead).isoformat()), method_name="execute")


class HoldReviewOperator(BaseOperator):
    """Puts the five parts together and drafts the changes that follow."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("hold_review", kwargs))

    def execute(self, context: Any) -> str:
        """Return what came of it; a part that nobody has told ends the run."""
        from include.errors import InputError, RecordMissing
        from include.incidents.questions import hold_review
        from include.settings import load_settings

        try:
            said = hold_review(
                connections.ledger(),
                load_settings(),
                context["ti"].run_id,
                source=source_of(context),
                now=now(),
            )
        except (InputError, RecordMissing) as error:
            raise AirflowFailException(str(error)) from error
        if not said.ok:
            raise AirflowFailException(said.message)
        return said.message
