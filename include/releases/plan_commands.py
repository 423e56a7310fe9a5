"""A train's dates, backwards from a slot: `./hims release plan` and `./hims calendar plan`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.calendar import ChangeCalendar, Opening, load_calendar
from include.calendar.answers import Reason
from include.calendar.command_line import add_instant, add_release
from include.calendar.train_dates import (
    LEAD_PASSED,
    TO_BE_KNOWN,
    Collision,
    TrainDates,
    plan_train_dates,
)
from include.calendar.wall_time import local_text
from include.errors import RequestError
from include.instants import format_duration, format_instant
from include.output import print_json, print_line
from include.releases.policy import load_policy
from include.releases.repository import Repository
from include.releases.versions import ReleaseType, Version, judge_step
from include.services.service import Service
from include.settings import Settings, load_settings

# Beside what only has to be known of the calendar: the service's repository may be elsewhere.
_TO_BE_KNOWN = TO_BE_KNOWN | {"version_unchecked"}


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare `release plan`."""
    parser.description = "Print the dates of a release train, backwards from its slot."
    add_release(parser)
    add_instant(parser, "--at", "plan as of this instant (default: now)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="another calendar")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(perform=perform)


def perform(options: argparse.Namespace) -> int:
    """Answer from the file of `--config`, else from the one that production goes by."""
    settings = load_settings()
    named = settings.environment("production").calendar
    if options.config is not None:
        return answer(load_calendar(options.config), settings, options)
    path, name = settings.config_file(named), settings.label(named)
    return answer(load_calendar(path, name=name), settings, options)


def answer(calendar: ChangeCalendar, settings: Settings, options: argparse.Namespace) -> int:
    """Return 0 for a plan that nothing stands against, 1 for one that something does."""
    now = options.at or datetime.now(UTC).replace(microsecond=0)
    if options.target is not None and options.target <= now:
        raise RequestError(
            f"--target {format_instant(options.target)} is in the past (it is now "
            f"{format_instant(now)}); leave it out for the next possible slot"
        )
    version, kind = Version.parse(options.version), ReleaseType(options.type)
    service = settings.service(options.service)
    profile = settings.environment("production")
    policy = load_policy(
        settings.config_file("releases.yaml"), name=settings.label("releases.yaml")
    )
    leads = profile.leads or policy.leads
    needs = profile.durations.work

    def dates(target: datetime | None) -> TrainDates | None:
        return plan_train_dates(
            calendar,
            feature_lead=leads.feature_freeze,
            code_lead=leads.code_freeze,
            needs=needs,
            at=now,
            target=target,
            systems=getattr(options, "systems", None) or service.systems,
        )

    train = dates(options.target)
    collisions: list[Reason | Collision] = [*_version_collisions(settings, service, version, kind)]
    if train is None:
        message = f"the calendar has no slot in which {format_duration(needs)} fits"
        collisions.append(Reason(code="no_slot", message=message))
    else:
        collisions += train.collisions
    late = any(item.code == LEAD_PASSED for item in collisions)
    earliest = dates(None) if late else train
    document = {
        "release": f"{service.name}-{version}",
        "feature_freeze": train and train.feature_freeze,
        "code_freeze": train and train.code_freeze,
        "testing": format_duration(leads.code_freeze),
        "slot": train and _slot(train.slot),
        "earliest": earliest and _slot(earliest.slot),
        "collisions": collisions,
    }
    if options.json:
        print_json(document)
    else:
        _print(document, calendar)
    return 1 if any(item.code not in _TO_BE_KNOWN for item in collisions) else 0


def _version_collisions(
    settings: Settings, service: Service, version: Version, kind: ReleaseType
) -> list[Reason]:
    path = settings.path(service.repository.path)
    if not path.is_dir():
        message = f"{service.repository.path} is not here, so the version was not checked"
        return [Reason(code="version_unchecked", message=message)]
    tags = Repository(path).tags()
    released = [found for tag in tags if (found := Version.from_tag(tag.name)) is not None]
    step = judge_step(version, kind, max(released, default=None), released=released)
    return [] if step.legal else [Reason(code=f"version_{step.reason}", message=step.message)]


def _slot(slot: Opening) -> dict[str, Any]:
    return {
        "window": slot.window,
        "start": slot.start,
        "latest_start": slot.latest_start,
        "end": slot.end,
        "local": slot.local,
    }


def _print(document: dict[str, Any], calendar: ChangeCalendar) -> None:
    slot, earliest = document["slot"], document["earliest"]
    if slot is not None:
        for name in ("feature_freeze", "code_freeze"):
            at = document[name]
            label = name.replace("_", " ")
            print_line(f"{label:<15} {local_text(at, calendar.zone)}  ({format_instant(at)})")
        print_line(f"{'slot':<15} {slot['local']}  ({format_instant(slot['start'])})")
        print_line(f"{'latest start':<15} {local_text(slot['latest_start'], calendar.zone)}")
    for item in document["collisions"]:
        print_line(f"  ! {item.message}")
    if earliest is not None and earliest != slot:
        print_line(f"the first slot that leaves the freezes their leads: {earliest['local']}")
