"""What a release manager asks for when starting a release train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.calendar.wall_time import aware
from include.deploy.strategy import STRATEGIES
from include.errors import RequestError, did_you_mean
from include.instants import parse_instant
from include.releases.versions import ReleaseType, Version
from include.services.service import LONGEST_NAME, NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """The trigger form's values, checked for form; whether they make sense is the plan's word."""

    service: str
    version: Version
    release_type: ReleaseType
    target_window: datetime | None
    strategy: str
    rehearsal: bool
    requester: str
    requester_name: str

    @property
    def release_id(self) -> str:
        """Return the id by which everything knows this release, like `hims-api-2.3.0`."""
        return f"{self.service}-{self.version}"


KNOWN = ("service", "version", "release_type", "target_window", "strategy", "rehearsal")


def read_request(conf: Mapping[str, Any], *, requester: str, requester_name: str) -> ReleaseRequest:
    """Return the request that a Dag's conf spells.

    Raises RequestError that names each key with a bad value, all at once.
    """
    problems: list[str] = [
        f"{_shown(key)}: unknown{did_you_mean(str(key)[:40], KNOWN)}"
        for key in conf
        if key not in KNOWN
    ]

    def take(key: str, read: Any) -> Any:
        try:
            return read(conf.get(key))
        except RequestError as error:
            problems.append(f"{key}: {error}")
            return None

    service = take("service", _service)
    version = take("version", lambda value: Version.parse(_text(value)))
    kind = take("release_type", lambda value: _one_of(value, [str(item) for item in ReleaseType]))
    target = take("target_window", lambda value: None if value is None else _instant(value))
    strategy = take("strategy", lambda value: _one_of(value, sorted(STRATEGIES)))
    rehearsal = take("rehearsal", _flag)
    if problems:
        raise RequestError("; ".join(problems))
    return ReleaseRequest(
        service=service,
        version=version,
        release_type=ReleaseType(kind),
        target_window=target,
        strategy=strategy,
        rehearsal=rehearsal,
        requester=requester,
        requester_name=requester_name,
    )


def _service(value: Any) -> str:
    text = _text(value)
    if not NAME.fullmatch(text) or len(text) > LONGEST_NAME:
        raise RequestError(f"{_shown(text)} is not the name of a service, like hims-api")
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise RequestError("is required, as text")
    return value


def _instant(value: Any) -> datetime:
    return aware(parse_instant(_text(value)))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise RequestError("is true or false")
    return value


def _one_of(value: Any, known: list[str]) -> str:
    text = _text(value)
    if text not in known:
        raise RequestError(f"{_shown(text)} is not one of {', '.join(known)}")
    return text


def _shown(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 40 else shown[:39] + "…"
