"""Makes a report, and asks people for the words that no ledger knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import BaseOperator, Param
from airflow.sdk.exceptions import AirflowFailException

from release_control import connections
from release_control.boarding import now, once_it_answers, person, source_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.vendors import vendor

if TYPE_CHECKING:
    from include.reports.period import Period
    from include.reports.storing import Archive
    from include.settings import Settings

TECHNOLOGY, STRATEGY = "technology_improvements", "strategic_alignment"
ANSWER_WITHIN = timedelta(days=14)


def period_of(context: Mapping[str, Any], kind: str, settings: Settings) -> Period:
    """Return the period that the run's form names, else the one that the run is about.

    Raises AirflowFailException for a period that makes no sense: no retry changes it.
    """
    from include.errors import InputError
    from include.reports.period import Kind, parse_period, period_on
    from include.reports.surroundings import change_calendar

    zone = change_calendar(settings).zone
    wanted = context["params"].get("period")
    try:
        if wanted:
            return parse_period(Kind(kind), str(wanted), zone)
    except InputError as error:
        raise AirflowFailException(str(error)) from error
    begins = context["dag_run"].data_interval_start or now()
    return period_on(Kind(kind), begins.astimezone(zone).date(), zone)


class MakeReportOperator(BaseOperator):
    """Makes the `kind` of report for the run's period, stores it, records it and tells of it."""

    def __init__(self, *, kind: str, **kwargs: Any) -> None:
        super().__init__(**named("make_report", kwargs))
        self.kind = kind

    def execute(self, context: Any) -> dict[str, Any]:
        """Return the report's id, digest and files.

        The report stands whatever becomes of its PDF, its copies and its notice. What it lacks it
        gets from the next try, which is asked for by ReportError; nothing else is done twice.
        """
        from include.errors import InputError, ReportError
        from include.ledger import Actor
        from include.reports.making import make_report
        from include.reports.storing import store
        from include.settings import load_settings

        settings = load_settings()
        period = period_of(context, self.kind, settings)
        ledger = connections.ledger()
        service = context["params"].get("service") or None
        instant = now()
        if period.start > instant:
            raise AirflowFailException(f"{period.name} is still to come; name one that has begun")
        try:
            report = make_report(ledger, settings, period, now=instant, service=service)
        except InputError as error:
            raise AirflowFailException(f"the report was not made: {error}") from error
        with deliver_after(ledger):
            made = store(
                ledger,
                report,
                settings.state_dir / "reports" / self.kind,
                actor=Actor.service(context["ti"].dag_id),
                source=source_of(context),
                now=instant,
                archive=_archive(settings),
                link=_page(settings, context),
                tell=True,
            )
        self.log.info("%s: %s", report.title, report.summary)
        if made.lacks:
            raise ReportError(f"{made.id} is stored and told, but {'; '.join(made.lacks)}")
        return {
            "report": made.id,
            "digest": made.digest,
            "files": {name: str(path) for name, path in made.files.items()},
            "copies": list(made.copies),
        }


class ReportWordsOperator(HITLOperator):
    """Asks release managers what only people can say about a quarter."""

    template_fields: Sequence[str] = ()

    def __init__(self, **kwargs: Any) -> None:
        def words(title: str, about: str) -> Param:
            return Param(
                "",
                type=["string", "null"],
                format="multiline",
                title=title,
                description=f"{about} It is kept and goes into the review: no patient data.",
                source="task",
            )

        form = {
            TECHNOLOGY: words(
                "Technology improvements", "Which tools and techniques got better, or should."
            ),
            STRATEGY: words(
                "Strategic alignment", "How the quarter's changes served where we want to go."
            ),
        }
        super().__init__(
            subject="Quarterly review",
            options=["Add to the review"],
            response_timeout=ANSWER_WITHIN,
            assigned_users=[{"id": "group:release_manager", "name": "release_manager"}],
            # The Dag's own form comes with the arguments; people see this one alone.
            **{**named("decide_words", kwargs), "params": form, "retries": 0},
        )

    def execute(self, context: Any) -> None:
        """Say which report is asked about, and park without a worker."""
        from include.settings import load_settings

        period = period_of(context, "quarterly", load_settings())
        self.subject = f"Quarterly review: {period.words}"
        self.body = (
            "Two sections of the review want words from people; an empty field leaves what is "
            "there. The figures are in the report that this run has made before: if that task is "
            "red, its log says what it lacks."
        )
        super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Record what was written, in the name of who wrote it."""
        return once_it_answers(lambda: self._written(context, event))

    def _written(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        from include.errors import InputError
        from include.reports.quarterly import STRATEGY as STRATEGY_TITLE
        from include.reports.quarterly import TECHNOLOGY as TECHNOLOGY_TITLE
        from include.reports.words import write_words
        from include.settings import load_settings

        by = None if "error" in event else person(event)
        if by is None:
            raise AirflowFailException(
                "nobody wrote about the quarter in time; the review stands as it was made"
            )
        form, settings = event.get("params_input") or {}, load_settings()
        titles = ((TECHNOLOGY, TECHNOLOGY_TITLE), (STRATEGY, STRATEGY_TITLE))
        try:
            report = write_words(
                connections.ledger(),
                settings,
                period_of(context, "quarterly", settings),
                {title: str(form.get(key) or "") for key, title in titles},
                service=context["params"].get("service") or None,
                by=by,
                source=source_of(context),
                now=now(),
            )
        except InputError as error:
            raise AirflowFailException(f"nothing was kept: {error}") from error
        return {"report": report, "by": by.user}


def _archive(settings: Settings) -> Archive | None:
    """Return the bucket that reports are copied to, None where none is named."""
    place = settings.overall.reports_bucket
    if place is None:
        return None
    from include.errors import TargetError
    from include.reports.s3_archive import S3Archive

    try:
        return S3Archive(vendor("s3"), place)
    except TargetError as error:
        return _NoWay(error)


class _NoWay:
    """A bucket to which no Connection leads: each copy is lost, and says so."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put(self, key: str, content: bytes, content_type: str) -> str:
        raise self._error

    def drop(self, key: str) -> None:
        raise self._error


def _page(settings: Settings, context: Mapping[str, Any]) -> str:
    ti = context["ti"]
    return settings.run_url(ti.dag_id, ti.run_id)
