"""What each severity means and how long people have (config/incidents.yaml)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import Field

from include.documents import Section, read_document, validate_document
from include.errors import RequestError
from include.fields import Duration
from include.settings import Settings

Severity = Literal["P1", "P2", "P3", "P4"]


class _Severity(Section):
    means: str = Field(min_length=1)
    respond_in: Duration
    resolve_in: Duration | None = None


class _File(Section):
    severities: dict[Severity, _Severity] = Field(min_length=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """One severity; without `resolve_in` there is no second clock."""

    name: str
    means: str
    respond_in: timedelta
    resolve_in: timedelta | None


def load_grades(settings: Settings) -> dict[str, Grade]:
    """Return config/incidents.yaml by severity; ConfigError where one is missing."""
    path = settings.config_file("incidents.yaml")
    file = validate_document(read_document(path, name=settings.label("incidents.yaml")), _File)
    return {
        name: Grade(
            name=name,
            means=item.means,
            respond_in=item.respond_in,
            resolve_in=item.resolve_in,
        )
        for name, item in sorted(file.severities.items())
    }


def grade(settings: Settings, severity: str) -> Grade:
    """Return one severity; RequestError for what is none."""
    found = load_grades(settings).get(severity)
    if found is None:
        raise RequestError(f'"{ascii(severity)[1:-1][:20]}" is no severity; write P1, P2, P3 or P4')
    return found
