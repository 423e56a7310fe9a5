"""config/changes.yaml: what is assumed, the weekly CAB, emergencies, standard models."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from include.documents import Section, load_section
from include.fields import Duration
from include.settings import Settings


class _Defaults(Section):
    duration: Duration = Field(gt=timedelta(0))
    rollback: Duration = Field(ge=timedelta(0))


class _Agenda(Section):
    answer_in: Duration = Field(gt=timedelta(0))
    most: int = Field(ge=1, le=160)  # with six seats each, what Airflow maps in one task


class _Emergency(Section):
    record_in: Duration = Field(gt=timedelta(0))
    acknowledge_in: Duration = Field(gt=timedelta(0))
    review_in_working_days: int = Field(ge=1, le=60)


class _Models(Section):
    approved_for: Duration
    least_success: float = Field(ge=0, le=1)
    window: int = Field(ge=1)


class ChangePolicy(Section):
    """How changes are handled where neither the request nor the plan says so."""

    defaults: _Defaults
    agenda: _Agenda
    backup_max_age: Duration
    test_environment_max_age: Duration = Field(gt=timedelta(0))
    emergency: _Emergency
    models: _Models


def load_change_policy(settings: Settings) -> ChangePolicy:
    """Return config/changes.yaml; ConfigError with file, line and key of what is wrong in it."""
    name = "changes.yaml"
    return load_section(settings.config_file(name), ChangePolicy, name=settings.label(name))
