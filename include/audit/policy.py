"""config/audit.yaml: the ledger's seal as it was reviewed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from include.documents import Section, read_document, validate_document
from include.errors import ConfigError, RequestError, did_you_mean
from include.fields import Duration, Instant
from include.ledger.note import parse_public_key
from include.people import load_people
from include.settings import Settings


class KmsPlace(Section):
    """A key in AWS KMS: its id, ARN or alias; with no region, that of the ARN or AWS_REGION."""

    key: str = Field(
        pattern=r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/|alias/)?[A-Za-z0-9/_-]{1,250}$"
    )
    region: str | None = Field(default=None, pattern=r"^[a-z]{2,}(-[a-z0-9]+)+$")

    @model_validator(mode="after")
    def _one_region(self) -> KmsPlace:
        named = self.key.split(":")[3] if self.key.startswith("arn:") else None
        if named is not None and self.region not in (None, named):
            message = f"the key is in {named}, not in {self.region}: leave the region out"
            raise ValueError(message)
        return self

    @property
    def where(self) -> str | None:
        """Return the region that the key is in, where that is written down."""
        return self.key.split(":")[3] if self.key.startswith("arn:") else self.region


class PublishedKey(Section):
    """A public key and the time in which heads signed with it count.

    With `kms`, its private half is there, and signs in that time.
    """

    key: str
    since: Instant | None = None
    until: Instant | None = None
    kms: KmsPlace | None = None

    @field_validator("key")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            return str(parse_public_key(value))
        except RequestError as error:
            raise ValueError(str(error)) from error


class FilePlace(Section):
    """A directory for heads, on another machine's file system where there is one."""

    directory: Path


class GitPlace(Section):
    """A repository whose tags are heads."""

    repository: Path


class S3Place(Section):
    """A bucket with Object Lock; objects stay, in compliance mode, for `retention`."""

    bucket: str = Field(min_length=3)
    prefix: str = "heads/"
    retention: Duration = timedelta(days=2192)


class Places(Section):
    """Where heads are anchored."""

    file: FilePlace
    git: GitPlace | None = None
    s3: S3Place | None = None


class AuditPolicy(Section):
    """The whole of config/audit.yaml."""

    origin: str = Field(pattern=r"^[A-Za-z0-9._/-]{3,100}$")
    keys: tuple[PublishedKey, ...] = ()
    anchors: Places
    clock_tolerance: Duration
    sealed_within: Duration
    acknowledged_by: tuple[str, ...] = Field(min_length=1)
    pruned_by: tuple[str, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class LocatedPolicy:
    """The policy, with the directories that it names as absolute paths."""

    rules: AuditPolicy
    file_anchor: Path
    git_anchor: Path | None


def load_audit_policy(settings: Settings) -> LocatedPolicy:
    """Return config/audit.yaml; ConfigError names what is wrong, as a role of nobody."""
    document = read_document(settings.config_file("audit.yaml"), name=settings.label("audit.yaml"))
    rules = validate_document(document, AuditPolicy)
    known = {role for person in load_people(settings).people for role in person.roles}
    problems = [
        document.problem((key, index), f'nobody is "{role}"{did_you_mean(role, known)}')
        for key in ("acknowledged_by", "pruned_by")
        for index, role in enumerate(getattr(rules, key))
        if role not in known
    ]
    if problems:
        raise ConfigError(problems)
    git = rules.anchors.git
    return LocatedPolicy(
        rules=rules,
        file_anchor=settings.state_dir / rules.anchors.file.directory,
        git_anchor=settings.path(git.repository) if git is not None else None,
    )
