"""A change request as people write it: the plan's template (§3.1) and what may stand beside it.

Required in the file itself are a title and a type; what else is required, and when, is told by the
state machine's guards. Everything that stands in it must be right, and all that is wrong is told
at once.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)

from include.calendar import ChangeCalendar
from include.changes.implementation import Implementation
from include.changes.references import Objection, objections_to_model, objections_to_work
from include.changes.words import (
    Identity,
    Line,
    Moment,
    Name,
    Paragraphs,
    begins,
    ends,
    unprintable,
)
from include.documents import Document, Section, parse_leniently, read_bytes, validate_document
from include.errors import ConfigError, InputError, Problem, did_you_mean
from include.fields import Duration
from include.privacy import Guard
from include.privacy.content import objections
from include.settings import Settings
from include.yaml_text import MAX_PROBLEMS

ChangeType = Literal["standard", "normal", "major", "emergency", "retroactive"]
Level = Literal["low", "medium", "high", "critical"]
Answer = Literal["none", "low", "medium", "high"]
Need = Literal["required", "optional", "waived", "not_applicable"]
Priority = Literal["critical", "high", "normal", "low"]
# What becomes of the work if its window closes on it; see include.windows.closing.
OnClosing = Literal["finish", "hold", "roll_back"]

_LONGEST = timedelta(days=7)
_SCHEMES = ("https", "http", "s3", "gs", "git", "file")
_LARGEST = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a request may name: everything else is a slip, and is told as one."""

    calendar: ChangeCalendar
    systems: frozenset[str]
    seats: frozenset[str]
    people: frozenset[str]
    services: frozenset[str]
    models: frozenset[str]
    guard: Guard
    settings: Settings


def _known(kind: str, what: str) -> AfterValidator:
    def check(value: str, info: ValidationInfo) -> str:
        known: Iterable[str] = getattr(info.context, kind)
        if value not in known:
            raise ValueError(f'"{value[:60]}" is no {what}{did_you_mean(value[:60], known)}')
        return value

    return AfterValidator(check)


def _window(value: str, info: ValidationInfo) -> str:
    try:
        known: Known = info.context  # type: ignore[assignment]
        known.calendar.window(value[:200])
    except InputError as error:
        raise ValueError(str(error)) from error
    return value


def _usual(value: Any) -> Any:
    return "normal" if value == "medium" else value


def _at_most(most: int) -> BeforeValidator:
    """Refuse a longer list before anything in it is looked at."""

    def check(value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) > most:
            raise ValueError(f"holds {len(value):,} items; more than {most:,} are not taken")
        return value

    return BeforeValidator(check)


def _short(value: timedelta) -> timedelta:
    if not timedelta(0) < value <= _LONGEST:
        raise ValueError("must be more than nothing and at most seven days")
    return value


def _followed(value: str) -> str:
    """Refuse what a reader of the evidence had better not follow."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", value)
    if scheme is not None and scheme[1].lower() not in _SCHEMES:
        raise ValueError(f"is no address of evidence: a path, or one of {', '.join(_SCHEMES)}")
    return value


System = Annotated[Name, _known("systems", "system of config/systems.yaml")]
Seat = Annotated[Name, _known("seats", "seat of config/approvals.yaml")]
User = Annotated[Name, _known("people", "person of config/people.yaml")]
ServiceName = Annotated[Name, _known("services", "service of config/services")]
Length = Annotated[Duration, AfterValidator(_short)]
Parameters = dict[Name, str | int | bool]
PartT = TypeVar("PartT")


class Proof(Section):
    """Evidence: where it is, and the SHA-256 that says that it is still the same."""

    uri: Annotated[Line, AfterValidator(_followed)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Risks(Section):
    """The plan's eight risks (13.1); what is not answered does not count as none."""

    breaking_changes: Answer | None = None
    performance_degradation: Answer | None = None
    security_vulnerabilities: Answer | None = None
    integration_failures: Answer | None = None
    downtime: Answer | None = None
    data_loss: Answer | None = None
    user_impact: Answer | None = None
    compliance_issues: Answer | None = None


class Controls(Section):
    """The plan's eight controls (13.2), each with its evidence: without it, it counts nothing."""

    automated_testing: Proof | None = None
    code_reviews: Proof | None = None
    security_scanning: Proof | None = None
    performance_testing: Proof | None = None
    change_approval: Proof | None = None
    rollback_planning: Proof | None = None
    monitoring: Proof | None = None
    communication: Proof | None = None


class Impact(Section):
    """What the change touches and what could go wrong."""

    risk_level: Level | None = None
    affected_systems: Annotated[tuple[System, ...], _at_most(200)] = ()
    downtime_required: Annotated[bool, Field(strict=True)] | None = None
    rollback_plan: Paragraphs | None = None
    risks: Risks = Risks()
    controls: Controls = Controls()


class Testing(Section):
    """Which tests have to have passed; what is `required` becomes a gate."""

    unit_tests: Need | None = None
    integration_tests: Need | None = None
    user_acceptance: Need | None = None
    performance_tests: Need | None = None
    security_tests: Need | None = None


class Schedule(Section):
    """When it may happen. Bare dates are whole local days, the last one included."""

    planned_start: Moment | None = None
    planned_end: Moment | None = None
    change_window: Annotated[Name, AfterValidator(_window)] | None = None
    duration: Length | None = None
    rollback: Length | None = None


class Scope(Section):
    """The code that it brings, where it brings any."""

    service: ServiceName | None = None
    commits: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")], ...], _at_most(2000)
    ] = ()
    commit_types: Annotated[tuple[Name, ...], _at_most(20)] = ()
    authors: Annotated[tuple[Identity, ...], _at_most(200)] = ()
    artefact: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None


class Found(Section):
    """What a retroactive change tells: when it happened, who did it, how it came out."""

    happened_at: Moment
    done_by: Identity | None = None
    found_by: Line | None = None


class ChangeRequest(Section):
    """One change request file."""

    title: Line
    type: ChangeType
    priority: Annotated[Priority, BeforeValidator(_usual)] = "normal"
    requester: Line | None = None
    team: Line | None = None
    description: Paragraphs | None = None
    justification: Paragraphs | None = None
    labels: Annotated[tuple[Line, ...], _at_most(50)] = ()
    impact_assessment: Impact = Impact()
    testing_requirements: Testing = Testing()
    schedule: Schedule = Schedule()
    approvals_required: Annotated[tuple[Seat, ...], _at_most(20)] = ()
    implementers: Annotated[tuple[User, ...], _at_most(50)] = ()
    implementation: Implementation | None = None
    on_close: OnClosing | None = None
    scope: Scope = Scope()
    incident: Line | None = None
    model: Annotated[Name, _known("models", "standard model of config/models")] | None = None
    parameters: Parameters = Field(default_factory=dict)
    retroactive: Found | None = None


def read_request(raw: bytes, file: str, known: Known) -> ChangeRequest:
    """Return the request in the bytes of a file.

    Raises ConfigError with everything that is wrong in it: what is no YAML, what is unknown, what
    does not exist, what contradicts itself.
    """
    document, problems = parse_leniently(raw, file)
    if document.data is None or not isinstance(document.data, dict):
        problems = problems or [document.problem((), "must hold a change request: keys and values")]
        raise ConfigError(problems)
    told = {(problem.line, problem.key) for problem in problems}
    request: ChangeRequest | None = None
    try:
        request = validate_document(document, ChangeRequest, context=known)
    except ConfigError as error:
        problems += [item for item in error.problems if (item.line, item.key) not in told]
    more = _contradictions(document, known, {item.key for item in problems})
    problems += islice(more, MAX_PROBLEMS)
    if next(iter(more), None) is not None:
        problems.append(document.problem((), "holds more that is wrong than is told here"))
    if problems or request is None:
        raise ConfigError(sorted(problems, key=lambda item: item.line or sys.maxsize))
    return request


def load_request(path: Path, known: Known, *, name: str | None = None) -> ChangeRequest:
    """Return the request in a file; see `read_request`."""
    file = name or str(path)
    return read_request(read_bytes(path, file), file, known)


def _contradictions(document: Document, known: Known, wrong: set[str]) -> Iterator[Problem]:
    """Find what is right on its own and wrong together, also where other keys are wrong."""
    data = document.data
    kind = data.get("type")
    schedule = data.get("schedule") if isinstance(data.get("schedule"), dict) else {}
    parsed = _alone(_SCHEDULE, schedule, known)
    if parsed is not None and not any(key.startswith("schedule") for key in wrong):
        zone = known.calendar.zone
        if parsed.planned_start is not None and parsed.planned_end is not None:
            start, end = begins(parsed.planned_start, zone), ends(parsed.planned_end, zone)
            if start >= end:
                message = "lies before planned_start"
                yield document.problem(("schedule", "planned_end"), message)
    for key, types in (
        ("incident", ("emergency", "retroactive")),
        ("model", ("standard",)),
        ("parameters", ("standard",)),
        ("retroactive", ("retroactive",)),
    ):
        if data.get(key) and isinstance(kind, str) and kind not in types:
            message = f"goes with {' and '.join(types)} changes, and this is of type {kind[:40]!r}"
            yield document.problem((key,), message)
    if kind == "retroactive" and not data.get("retroactive"):
        message = "say when it happened (retroactive: {happened_at: 2026-11-20T03:10})"
        yield document.problem(("retroactive",), message)
    if data.get("model") and data.get("implementation"):
        message = "is what the standard model says; leave one of the two out"
        yield document.problem(("implementation",), message)
    work = data.get("implementation")
    proposes = isinstance(work, dict) and work.get("kind") == "model"
    if proposes and kind in ("standard", "emergency", "retroactive"):
        message = "a model is approved by the board, in a normal or major change"
        yield document.problem(("implementation", "kind"), message)
    if kind == "retroactive" and isinstance(schedule, dict) and schedule.get("planned_start"):
        message = "a retroactive change has happened: say retroactive.happened_at instead"
        yield document.problem(("schedule", "planned_start"), message)
    for path, message in (
        *_references(data, known, wrong),
        *(item for item in _unsignable(data, ()) if ".".join(map(str, item[0])) not in wrong),
        *(
            item
            for item in objections(known.guard, data)
            if ".".join(map(str, item[0])) not in wrong
        ),
    ):
        yield document.problem(path, message)
    for key in ("approvals_required", "implementers"):
        given = data.get(key)
        seen: set[str] = set()
        for index, item in enumerate(given if isinstance(given, list) else ()):
            if isinstance(item, str) and item in seen:
                yield document.problem((key, index), f'"{item[:60]}" is named twice')
            seen |= {item} if isinstance(item, str) else set()


_SCHEDULE: TypeAdapter[Schedule] = TypeAdapter(Schedule)
_WORK: TypeAdapter[Implementation] = TypeAdapter(Implementation)
_MODEL: TypeAdapter[str] = TypeAdapter(Name)
_PARAMETERS: TypeAdapter[Parameters] = TypeAdapter(Parameters)


def _alone(part: TypeAdapter[PartT], value: Any, known: Known) -> PartT | None:
    """Return a part read on its own, None where it is wrong: of very many things that are wrong in
    a file only the first are told, so that none may be told of it."""
    try:
        return part.validate_python(value, context=known)
    except ValidationError:
        return None


def _references(data: dict[str, Any], known: Known, wrong: set[str]) -> Iterator[Objection]:
    """Find what is named and does not exist, in those parts that are well-formed on their own."""

    def sound(key: str) -> bool:
        return bool(data.get(key)) and not any(
            item == key or item.startswith(f"{key}.") for item in wrong
        )

    if sound("implementation"):
        work = _alone(_WORK, data["implementation"], known)
        found = () if work is None else objections_to_work(work, known.settings, known.systems)
        for path, message in found:
            yield ("implementation", *path), message
    if data.get("type") == "standard" and sound("model") and "parameters" not in wrong:
        model = _alone(_MODEL, data["model"], known)
        given = _alone(_PARAMETERS, data.get("parameters") or {}, known)
        if model is None or given is None:
            return
        for path, message in objections_to_model(model, given, known.settings, known.systems):
            if ".".join(map(str, path)) not in wrong:
                yield path, message


def _unsignable(value: Any, path: tuple[str | int, ...]) -> Iterator[Objection]:
    """Find what nobody can approve by what they see of it: numbers that JSON, which is hashed,
    cannot say exactly, and text that does not show what it says."""
    if isinstance(value, dict):
        for key, item in value.items():
            if (message := unprintable(key)) is not None:
                yield (*path, key), f"this key {message}"
            yield from _unsignable(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unsignable(item, (*path, index))
    elif isinstance(value, str):
        if (message := unprintable(value)) is not None:
            yield path, message
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and abs(value) > _LARGEST
    ):
        yield path, "is no number that can be signed exactly; put it in quotes"
