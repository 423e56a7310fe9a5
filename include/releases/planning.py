"""Drawing a release plan: dates backwards from a slot, people, gates (plan §4.2, design §3)."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from include.approvals import Board
from include.calendar import ChangeCalendar, Opening
from include.calendar.train_dates import TrainDates, lead_before, plan_train_dates
from include.calendar.wall_time import local_text
from include.entries.whole_calendar import whole_calendar
from include.errors import RequestError
from include.instants import format_duration, format_instant
from include.releases.plan import (
    Person,
    PlannedSeat,
    PlannedSlot,
    PolicyHashes,
    ReleasePlan,
)
from include.releases.policy import Leads, ReleasePolicy, load_policy
from include.releases.repository import Repository
from include.releases.request import ReleaseRequest
from include.releases.versions import ReleaseType, Version, judge_step
from include.services.environment import Environment
from include.services.service import Service
from include.settings import Settings

# What has to say `go` for exactly this commit and artefact before production may be touched.
GATES = ("commits", "release_tests", "staging_tests", "uat", "go_no_go")

# Targets that this installation can deploy to.
TARGETS = ("local",)

CHANGE_TYPES = {
    ReleaseType.MAJOR: "major",
    ReleaseType.MINOR: "normal",
    ReleaseType.PATCH: "normal",
    ReleaseType.HOTFIX: "normal",
}

# How long after the planned slot an approval still lets the release use a later one.
APPROVAL_LASTS = timedelta(days=14)


def draw_plan(
    request: ReleaseRequest,
    settings: Settings,
    board: Board,
    connection: Connection,
    *,
    attempt: int,
    now: datetime,
) -> ReleasePlan:
    """Return the plan for `request`, as things stand at `now` in the ledger behind `connection`.

    Raises RequestError when the request cannot be met (with what would be), RepositoryError when
    the service's repository is not usable, ConfigError when a file is not.
    """
    service = settings.service(request.service)
    profile_name = "rehearsal" if request.rehearsal else "production"
    profile = settings.environment(profile_name)
    rules = load_policy(settings.config_file("releases.yaml"), name=settings.label("releases.yaml"))
    _refuse_unknown_targets(service)
    refuse_unmeasured_ceiling(
        service,
        profile,
        service_file=settings.label(f"services/{service.name}.yaml"),
        profile_file=settings.label(f"environments/{profile_name}.yaml"),
    )
    if request.rehearsal and service.environments["production"].target != "local":
        # Its windows are minutes apart and its freezes last seconds: nothing for real users.
        raise RequestError(
            f"rehearsal: {service.name} runs production on "
            f"{service.environments['production'].target}; only a local target may be rehearsed on"
        )
    repository = Repository(settings.path(service.repository.path))
    if not repository.is_bare:
        # What lies about uncommitted would be missing from the release without anybody noticing.
        repository.require_clean()
    last = last_release(repository, rules, request.version, request.release_type)
    calendar_file = settings.config_file(profile.calendar)
    calendar = whole_calendar(calendar_file, connection, name=settings.label(profile.calendar))
    leads = profile.leads or rules.leads
    needs = profile.durations.needed
    slot = find_slot(
        calendar,
        service.systems,
        leads,
        needs=profile.durations.work,
        target=request.target_window,
        now=now,
    )
    change_type = CHANGE_TYPES[request.release_type]
    rule = board.rule(change_type)
    return ReleasePlan(
        release=request.release_id,
        attempt=attempt,
        service=service,
        version=str(request.version),
        release_type=request.release_type,
        strategy=request.strategy,
        profile_name=profile_name,
        profile=profile,
        rules=rules,
        requester=Person(user=request.requester, name=request.requester_name),
        title=f"Release {service.title} {request.version} ({request.release_type})",
        previous_version=str(last),
        previous_commit=repository.resolve(f"refs/tags/{last.tag}"),
        source_branch=(
            rules.branches.integration
            if request.release_type.takes_features
            else rules.branches.production
        ),
        release_branch=request.version.release_branch,
        feature_freeze=lead_before(slot.start, leads.feature_freeze, calendar.zone),
        code_freeze=lead_before(slot.start, leads.code_freeze, calendar.zone),
        slot=slot,
        needs=needs,
        zone=str(calendar.zone),
        change_type=change_type,
        seats=tuple(PlannedSeat(name=name, title=board.seats[name].title) for name in rule.asked),
        mandatory_seats=rule.mandatory,
        votes_needed=rule.votes,
        chair=rule.chair,
        checkpoints=board.checkpoints,
        gates=GATES,
        policy=_hashes(settings, profile_name, profile, request.service),
    )


def last_release(
    repository: Repository, rules: ReleasePolicy, version: Version, kind: ReleaseType
) -> Version:
    """Return the release that `version` follows; RequestError if it may not follow any."""
    released = sorted(
        found for tag in repository.tags() if (found := Version.from_tag(tag.name)) is not None
    )
    last = released[-1] if released else None
    step = judge_step(version, kind, last, released=released)
    if not step.legal:
        raise RequestError(f"version: {step.message}")
    if last is None:
        raise RequestError(
            "version: nothing was released yet; tag the version that is in production first"
        )
    return last


def find_slot(
    calendar: ChangeCalendar,
    systems: tuple[str, ...],
    leads: Leads,
    *,
    needs: timedelta,
    target: datetime | None,
    now: datetime,
) -> PlannedSlot:
    """Return the slot to aim for: the one that contains `target`, from where it opens, else the
    first that leaves the feature freeze its whole lead, by the clock on the wall. Raises
    RequestError when there is none.
    """
    if target is not None and target <= now:
        raise RequestError(
            f"target_window: {format_instant(target)} is in the past (it is now "
            f"{format_instant(now)}); leave it empty for the next possible slot"
        )

    def dates(wanted: datetime | None) -> TrainDates:
        found = plan_train_dates(
            calendar,
            feature_lead=leads.feature_freeze,
            code_lead=leads.code_freeze,
            needs=needs,
            at=now,
            target=wanted,
            systems=systems,
        )
        if found is None:
            raise RequestError(
                "target_window: the calendar has no opening in which "
                f"{format_duration(needs)} fits; see `./hims calendar list`"
            )
        return found

    if target is not None and lead_before(target, leads.feature_freeze, calendar.zone) < now:
        first = dates(None).slot
        raise RequestError(
            f"target_window: {format_instant(target)} is inside the freeze lead: the feature "
            f"freeze begins {format_duration(leads.feature_freeze)} before the slot, so the "
            f"earliest is {first.local} ({format_instant(first.start)})"
        )
    opening = dates(target).slot
    if target is not None and not opening.start <= target < opening.end:
        raise RequestError(
            f"target_window: no window is open at {format_instant(target)} with "
            f"{format_duration(needs)} left; the next one is {opening.local} "
            f"({format_instant(opening.start)})"
        )
    return _planned(opening)


def _planned(opening: Opening) -> PlannedSlot:
    return PlannedSlot(
        window=opening.window,
        start=opening.start,
        latest_start=opening.latest_start,
        end=opening.end,
        local=opening.local,
        latest=opening.start + APPROVAL_LASTS,
    )


def local_time(value: datetime, zone: str) -> str:
    """Return `Sat 28 Nov 2026 02:00 EST` for an instant."""
    return local_text(value, ZoneInfo(zone))


def _refuse_unknown_targets(service: Service) -> None:
    for environment in ("staging", "production"):
        placement = service.environments.get(environment)
        if placement is None:
            raise RequestError(
                f"service: {service.name} says nothing about {environment}; add it under "
                f"environments in config/services/{service.name}.yaml"
            )
        if placement.target not in TARGETS:
            raise RequestError(
                f"service: {service.name} runs {environment} on {placement.target}, and this "
                f"installation can deploy to: {', '.join(TARGETS)}"
            )


def refuse_unmeasured_ceiling(
    service: Service, profile: Environment, *, service_file: str, profile_file: str
) -> None:
    """Raise RequestError where p95 has a ceiling and nothing would be timed to hold against it."""
    if profile.watch.max_p95 is not None and not service.checks.warm_up:
        raise RequestError(
            f"service: {service.name} has no checks.warm_up, the paths whose answers are timed, so "
            f"nobody could tell whether it keeps to watch.max_p95 of {profile_file}; name some in "
            f"{service_file}, or take max_p95 away"
        )


def _hashes(
    settings: Settings, profile_name: str, profile: Environment, service: str
) -> PolicyHashes:
    return PolicyHashes(
        calendar=_sha256(settings.config_file(profile.calendar)),
        approvals=_sha256(settings.config_file("approvals.yaml")),
        releases=_sha256(settings.config_file("releases.yaml")),
        service=_sha256(settings.config_file(f"services/{service}.yaml")),
        profile=_sha256(settings.config_file(f"environments/{profile_name}.yaml")),
    )


def _sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
