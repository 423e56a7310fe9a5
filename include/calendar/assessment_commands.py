"""`./hims calendar explain`, `conflicts`, `plan`, `year`: what the calendar says about plans."""

from __future__ import annotations

import argparse
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from include.calendar.calendar import ChangeCalendar
from include.calendar.command_line import (
    Work,
    add_incident,
    add_instant,
    add_question,
    add_release,
    both,
    duration,
    now,
    time_range,
)
from include.calendar.wall_time import Span, local_span_text, local_text
from include.errors import RequestError
from include.output import print_json, print_line

_HOUR = timedelta(hours=1)


def add_questions(questions: Any) -> None:
    """Declare the four questions."""
    told = add_question(
        questions, "explain", "each rule, its verdict, who may waive it", _explain,
        at="when the work would start (default: as planned, else now)",
    )  # fmt: skip
    told.add_argument("--needs", metavar="D", type=duration,
                      help="its length without the way back (default: planned, or 1m)")  # fmt: skip
    _add_work(told)
    found = add_question(questions, "conflicts", "what stands against work at a time", _conflicts)
    add_instant(found, "--from", "start of the work (default: now)", dest="start")
    add_instant(found, "--to", "its end (default: an hour on)", dest="end")
    _add_work(found)
    plan = add_question(questions, "plan", "a train's dates, backwards from its slot", _plan)
    add_release(plan)
    year = add_question(questions, "year", "the release cadence laid on the calendar", _year)
    year.add_argument("--from", metavar="YYYY-MM", dest="first", type=_month,
                      help="first month (default: this one)")  # fmt: skip
    year.add_argument("--needs", metavar="D", type=duration, default=_HOUR,
                      help="how long a release takes (default: 1h)")  # fmt: skip


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", default="work", metavar="ID", type=_id,
                        help="a change file, a change or release of the ledger, or just its name "
                        "in extensions and exceptions")  # fmt: skip
    parser.add_argument("--rollback", metavar="D", type=duration,
                        help="how long the way back takes")  # fmt: skip
    add_incident(parser, "the incident that makes it an emergency")
    parser.add_argument("--person", metavar="P", action="append", default=[], dest="people",
                        help="who implements it; repeat for several")  # fmt: skip
    parser.add_argument("--commit-type", metavar="T", action="append", dest="commit_types",
                        help="a type among its commits, like feat (default: unknown)")  # fmt: skip
    parser.add_argument("--with", metavar="FILE", type=Path, dest="surroundings",
                        help="other changes, freezes and incidents, as YAML")  # fmt: skip


def _id(text: str) -> str:
    if text.strip() and text.isprintable() and len(text) <= 1000:
        return text
    message = "ID is not the name of a change, a release or a file; write it like CHG-000007"
    raise argparse.ArgumentTypeError(message)


def _month(text: str) -> date:
    match = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-\d\d)?", text.strip())
    if match and 1800 <= int(match[1]) <= 2199 and 1 <= int(match[2] or 1) <= 12:
        return date(int(match[1]), int(match[2] or 1), 1)
    message = f'"{text}" is not a month; write it like 2027-01'
    raise argparse.ArgumentTypeError(message)


def _explain(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    from include.calendar.explanation import explain

    work = _work(calendar, options)
    at = options.at or work.start or now(options)
    proposal = _proposal(options, work, Span(at, at + _needs(options, work)))
    told = explain(calendar, proposal, _around(options))
    if options.json:
        print_json({
            "id": told.id,
            "at": at,
            "local": local_text(at, calendar.zone),
            "allowed": told.allowed,
            "conditions": told.conditions,
        })  # fmt: skip
    else:
        word = "nothing in the calendar stands against it" if told.allowed else "not allowed"
        print_line(f"{told.id}, {both(calendar, at)}: {word}")
        for item in told.conditions:
            print_line(f"  {item.verdict:8}{item.code}: {item.message}")
            if item.who is not None and item.verdict in {"block", "warn"}:
                print_line(f"          may be waived by {item.who}")
    return 0 if told.allowed else 1


def _conflicts(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    from include.calendar.conflict import Severity, find_conflicts

    work = _work(calendar, options)
    options.start = options.start or work.start
    start, end = time_range(options, work.needs if work.start else _HOUR)
    proposal = _proposal(options, work, Span(start, end))
    found = find_conflicts(calendar, proposal, _around(options))
    if options.json:
        print_json({"id": proposal.id, "findings": found})
    else:
        for item in found:
            print_line(f"{item.severity:6}{item.code}: {item.message}")
            print_line(f"      may be waived by {item.waiver}")
        if not found:
            print_line("no conflicts")
    return 1 if any(item.severity is Severity.BLOCK for item in found) else 0


def _work(calendar: ChangeCalendar, options: argparse.Namespace) -> Work:
    """Return what is known of the work: from a change file, from the ledger, or its name alone."""
    if options.known.work is not None:
        known: Work = options.known.work
        return known
    if is_change_file(options.id):
        from include.calendar.change_file import read_work

        needs = getattr(options, "needs", None)
        return read_work(Path(options.id), calendar, needs=needs, now=now(options))
    return Work(id=options.id, title="", start=None, needs=timedelta(minutes=1))


def is_change_file(name: str) -> bool:
    """Whether ID names a file and not a change or release."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def _needs(options: argparse.Namespace, work: Work) -> timedelta:
    return work.needs if options.needs is None else options.needs


def _proposal(options: argparse.Namespace, work: Work, span: Span) -> Any:
    """Return the work as it is known; what the options say of it outranks that."""
    from include.calendar.proposal import Proposal

    if span.start >= span.end:
        raise RequestError("the work must take some time: its end lies at its start")
    types = work.commit_types
    if options.commit_types is not None:
        types = frozenset(options.commit_types)
    elif not work.title:
        types = None
    return Proposal(
        id=work.id,
        span=span,
        systems=tuple(options.systems) or work.systems,
        people=frozenset(options.people) or work.people,
        rollback=work.rollback if options.rollback is None else options.rollback,
        commit_types=types,
        environment=options.environment,
        incident=options.incident or work.incident,
    )


def _around(options: argparse.Namespace) -> Any:
    if options.surroundings is None:
        return options.known.surroundings
    from include.calendar.surroundings_file import load_surroundings

    return load_surroundings(options.surroundings)


def _plan(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    from include.releases.plan_commands import answer
    from include.settings import load_settings

    return answer(calendar, load_settings(), options)


def _year(calendar: ChangeCalendar, options: argparse.Namespace) -> int:
    from include.calendar.cadence import lay_year
    from include.releases.policy import load_policy
    from include.settings import load_settings

    policy = load_policy(load_settings().config_file("releases.yaml"))
    year = lay_year(
        calendar,
        options.first or now(options).astimezone(calendar.zone).date(),
        cadence={str(kind): str(word) for kind, word in policy.cadence.items()},
        feature_lead=policy.leads.feature_freeze,
        code_lead=policy.leads.code_freeze,
        needs=options.needs,
        systems=options.systems,
    )
    days = (year.span.end - year.span.start).days
    if options.json:
        print_json({
            "from": year.span.start,
            "to": year.span.end,
            "trains": [_train_json(train) for train in year.trains],
            "neighbours": [_train_json(train) for train in year.neighbours],
            "frozen": {
                "days": days,
                "feature_freeze": len(year.feature_frozen),
                "code_freeze": len(year.code_frozen),
            },
            "holidays": [{"date": str(day), "name": name} for day, name in year.holidays],
            "overlaps": year.overlaps,
        })  # fmt: skip
        return 0
    for train in year.trains:
        if train.dates is None:
            print_line(f"{train.name}: no slot of the month holds the work")
            continue
        print_line(f"{train.name}: {train.dates.slot.local}")
        print_line(f"  feature freeze {both(calendar, train.dates.feature_freeze)}")
        print_line(f"  code freeze    {both(calendar, train.dates.code_freeze)}")
        for item in train.dates.collisions:
            print_line(f"  meets {item.message}")
    for train in year.neighbours:
        if train.dates is not None:
            when = local_span_text(train.dates.span, calendar.zone)
            print_line(f"{train.name}, of another year, runs in this one, too: {when}")
    print_line(
        f"features are frozen on {len(year.feature_frozen)} of {days} days, "
        f"code on {len(year.code_frozen)}"
    )
    for one, other in year.overlaps:
        print_line(f"overlap: {one} and {other}")
    return 0


def _train_json(train: Any) -> dict[str, Any]:
    dates = train.dates
    return {
        "type": train.release_type,
        "month": f"{train.month:%Y-%m}",
        "feature_freeze": None if dates is None else dates.feature_freeze,
        "code_freeze": None if dates is None else dates.code_freeze,
        "slot": None if dates is None else {
            "window": dates.slot.window,
            "start": dates.slot.start,
            "latest_start": dates.slot.latest_start,
            "end": dates.slot.end,
            "local": dates.slot.local,
        },
        "collisions": [] if dates is None else dates.collisions,
    }  # fmt: skip
