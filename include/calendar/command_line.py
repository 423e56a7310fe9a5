"""What the questions of `./hims calendar` share: options, the calendar they are put to, words."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.calendar.answers import Reason
from include.calendar.blackout import EVERYWHERE, PRODUCTION
from include.calendar.calendar import ChangeCalendar
from include.calendar.calendar_file import load_calendar
from include.calendar.sections import checked_name
from include.calendar.wall_time import aware, local_text
from include.errors import RequestError
from include.instants import format_instant, parse_duration, parse_instant
from include.output import print_line

if TYPE_CHECKING:
    from include.calendar.feed import FeedEntry
    from include.calendar.proposal import Surroundings

CALENDAR = "calendar.yaml"
Answer = Callable[[ChangeCalendar, argparse.Namespace], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work that a file or the ledger tells of; `start` None means that none is planned.

    `release` is the one that it brings to production, if it brings one.
    """

    id: str
    title: str
    start: datetime | None
    needs: timedelta
    rollback: timedelta = timedelta(0)
    systems: tuple[str, ...] = ()
    people: frozenset[str] = frozenset()
    commit_types: frozenset[str] | None = frozenset()
    incident: str | None = None
    release: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known beyond the calendar's own file; without a ledger it is nothing."""

    work: Work | None = None
    surroundings: Surroundings | None = None
    entries: tuple[FeedEntry, ...] = ()


def add_question(
    questions: Any,
    name: str,
    summary: str,
    answer: Answer,
    *,
    at: str = "the instant that counts as now",
) -> argparse.ArgumentParser:
    """Add a question with the options that all of them have; `answer` returns the exit status.

    `at` says what its `--at` means.
    """
    parser: argparse.ArgumentParser = questions.add_parser(name, help=summary, description=summary)
    parser.add_argument("--config", metavar="FILE", type=Path, help="another calendar")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--ledger", action="store_true",
                        help="with the freezes, extensions and changes in the ledger")  # fmt: skip
    parser.add_argument("--system", metavar="S", action="append", default=[], dest="systems",
                        type=named,
                        help="a system that must be open; repeat for several")  # fmt: skip
    add_environment(parser, default=PRODUCTION, help="%(default)s")
    add_instant(parser, "--at", at)
    parser.set_defaults(answer=answer, known=Known())
    return parser


def add_release(parser: argparse.ArgumentParser) -> None:
    """Declare a release whose dates are asked for."""
    from include.releases.versions import ReleaseType

    parser.add_argument("service")
    parser.add_argument("version", metavar="X.Y.Z")
    parser.add_argument("--type", required=True, choices=[str(item) for item in ReleaseType])
    add_instant(parser, "--target", "an instant inside the slot to aim for")


def add_environment(
    parser: argparse.ArgumentParser, *, everywhere: bool = False, **rest: Any
) -> None:
    """Add an option that takes an environment that services run in, or `*` with `everywhere`."""

    def known(text: str) -> str:
        from include.settings import load_settings

        if text == PRODUCTION or (everywhere and text == EVERYWHERE):
            return text
        try:
            return load_settings().checked_environment(text)
        except RequestError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    parser.add_argument("--environment", metavar="E", type=known, **rest)


def add_incident(parser: argparse.ArgumentParser, text: str) -> None:
    """Add an option that makes the question an emergency's."""
    parser.add_argument("--incident", metavar="ID", type=_incident, help=text)


def add_instant(parser: argparse.ArgumentParser, flag: str, text: str, **rest: Any) -> None:
    """Add an option that takes an instant."""
    parser.add_argument(flag, metavar="T", type=instant, help=text, **rest)


def instant(text: str) -> datetime:
    """Return an instant that the calendar answers for, with errors as argparse wants them."""
    try:
        return aware(parse_instant(text))
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def named(text: str) -> str:
    """Return the name of a system, with errors as argparse wants them.

    What no calendar could name would meet no blackout either, and seem open.
    """
    try:
        return checked_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; repeat the option for several") from error


def _incident(text: str) -> str:
    # A script's empty variable is no incident, and without one nothing opens at any time.
    if not text.strip():
        message = "an emergency needs its incident; write its ID, like INC-000001"
        raise argparse.ArgumentTypeError(message)
    return text


def duration(text: str) -> timedelta:
    """Return `parse_duration`, with errors as argparse wants them."""
    try:
        return parse_duration(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def load(options: argparse.Namespace) -> ChangeCalendar:
    """Return the calendar in the file of `--config`, else in that of the configuration."""
    if options.config is not None:
        return load_calendar(options.config)
    from include.settings import load_settings

    settings = load_settings()
    return load_calendar(settings.config_file(CALENDAR), name=settings.label(CALENDAR))


def now(options: argparse.Namespace) -> datetime:
    """Return `--at`, else the current instant in whole seconds: what a question goes by."""
    return options.at or datetime.now(UTC).replace(microsecond=0)


def time_range(options: argparse.Namespace, ahead: timedelta) -> tuple[datetime, datetime]:
    """Return `--from` (else now) and `--to` (else `ahead` of it); RequestError out of order."""
    start = options.start or now(options)
    end = options.end or start + ahead
    if end < start:
        raise RequestError(f"--to {format_instant(end)} lies before --from {format_instant(start)}")
    return start, end


def print_reasons(reasons: Iterable[Reason]) -> None:
    """Print each reason as an indented line."""
    for reason in reasons:
        print_line(f"  {reason.message}")


def both(calendar: ChangeCalendar, instant: datetime) -> str:
    """Return an instant in the calendar's zone and in UTC."""
    return f"{local_text(instant, calendar.zone)} ({format_instant(instant)})"


def utc_text(start: datetime, end: datetime) -> str:
    """Return a stretch of time in UTC."""
    return f"{format_instant(start)} – {format_instant(end)}"
