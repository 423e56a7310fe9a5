"""What `config/releases.yaml` says: leads, cadence, branches, commit types, freeze exceptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from include.documents import Section, load_section, parse_document, validate_document
from include.fields import Duration, Instant
from include.releases.versions import ReleaseType

# The plan's seven types (§2.2), and `infra`, which its §5.2 uses.
PLAN_TYPES = ("feat", "fix", "docs", "style", "refactor", "test", "chore", "infra")

Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Leads(Section):
    """How long before a release's slot each freeze begins (plan §4.2)."""

    feature_freeze: Duration = timedelta(days=14)
    code_freeze: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _in_order(self) -> Leads:
        if self.code_freeze > self.feature_freeze:
            message = "code_freeze begins before feature_freeze; its lead must not be the longer"
            raise ValueError(message)
        return self


class Cadence(StrEnum):
    """How often releases of one type are planned (plan §4.1)."""

    QUARTERLY = "quarterly"
    MONTHLY = "monthly"
    AS_NEEDED = "as_needed"
    EMERGENCY = "emergency"


class Branches(Section):
    """The long-lived branches and the prefixes of the others (plan §2.1, §5.2)."""

    production: Text = "main"
    integration: Text = "develop"
    staging: Text = "staging"
    prefixes: tuple[Text, ...] = (
        "feature/",
        "bugfix/",
        "hotfix/",
        "refactor/",
        "release/",
        "support/",
        "infra/",
    )

    @field_validator("prefixes")
    @classmethod
    def _end_in_a_slash(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in value:
            if not re.fullmatch(r"[a-z][a-z0-9-]*/", prefix):
                message = f"“{prefix}” is not a branch prefix; write it like feature/"
                raise ValueError(message)
        return value

    def allows(self, branch: str) -> bool:
        """Whether `branch` is one of the long-lived ones or bears a known prefix."""
        if branch in (self.production, self.integration, self.staging):
            return True
        return any(branch.startswith(prefix) and branch != prefix for prefix in self.prefixes)


class Reverts(StrEnum):
    """Whether taking a commit back is allowed while features are frozen."""

    ALLOWED = "allowed"
    REFUSED = "refused"


class CommitRules(Section):
    """Which conventional commits there may be (plan §2.2), and which a feature freeze stops."""

    types: tuple[Text, ...] = PLAN_TYPES
    frozen_types: tuple[Text, ...] = ("feat",)
    reverts: Reverts = Reverts.ALLOWED

    @field_validator("types", "frozen_types")
    @classmethod
    def _plain_words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            if not re.fullmatch(r"[a-z][a-z0-9-]*", word):
                message = f"“{word}” is not a commit type; write lower-case letters, like fix"
                raise ValueError(message)
        return value


class FreezeException(Section):
    """Leave for one commit to enter in spite of a freeze, until an instant.

    Complete in its form only: whether it counts for a commit at an instant is the freeze's word,
    since an exception that does not count must be reported and not stop the check.
    """

    commit: str
    owner: str | None = None
    reason: str | None = None
    expires: Instant | None = None
    approved_by: tuple[Text, ...] = ()
    compensating_control: str | None = None

    @field_validator("commit", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        # A sha of digits alone is a number to YAML, and its leading zeros would be gone.
        if isinstance(value, int | float):
            message = "put the commit's sha in quotes"
            raise ValueError(message)  # noqa: TRY004 - pydantic explains only ValueErrors
        return value

    @field_validator("approved_by", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Freeze(Section):
    """What the freezes allow beyond their rule."""

    exceptions: tuple[FreezeException, ...] = ()


class ExceptionFile(Section):
    """A file of freeze exceptions alone, as `freeze check --exceptions FILE` reads it."""

    exceptions: tuple[FreezeException, ...] = ()


def _default_cadence() -> Mapping[ReleaseType, Cadence]:
    return {
        ReleaseType.MAJOR: Cadence.QUARTERLY,
        ReleaseType.MINOR: Cadence.MONTHLY,
        ReleaseType.PATCH: Cadence.AS_NEEDED,
        ReleaseType.HOTFIX: Cadence.EMERGENCY,
    }


class ReleasePolicy(Section):
    """All of `config/releases.yaml`; every key has the plan's value where it is left out."""

    leads: Leads = Leads()
    cadence: Mapping[ReleaseType, Cadence] = Field(default_factory=_default_cadence)
    branches: Branches = Branches()
    commits: CommitRules = CommitRules()
    freeze: Freeze = Freeze()


def load_policy(path: Path, *, name: str | None = None) -> ReleasePolicy:
    """Return the policy in `path`, which messages call `name`.

    Raises ConfigError naming every wrong key and its line.
    """
    return load_section(path, ReleasePolicy, name=name)


def read_policy(text: str, *, name: str) -> ReleasePolicy:
    """Return the policy that a file's text declares; see `load_policy`."""
    document = parse_document(text.encode("utf-8", "surrogateescape"), name)
    return validate_document(document, ReleasePolicy)
