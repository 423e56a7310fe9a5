"""Version numbers of releases, and which number may follow which."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from include.errors import RequestError

LARGEST_PART = 999_999
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_PADDED = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
_SHORT = re.compile(r"[0-9]+(\.[0-9]+)?")
_SUFFIXED = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+)[-+.][0-9A-Za-z.+-]+")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """`major.minor.patch`, each from 0 to 999999; ordered as numbers, not as text.

    >>> Version.parse("2.10.0") > Version.parse("2.9.1")
    True
    """

    major: int
    minor: int
    patch: int

    def __post_init__(self) -> None:
        for part in (self.major, self.minor, self.patch):
            if not 0 <= part <= LARGEST_PART:
                raise RequestError(f"a version's parts go from 0 to {LARGEST_PART}, not {part}")

    @classmethod
    def parse(cls, text: str) -> Version:
        """Return the version that `text` spells, exactly as `2.3.0`.

        Raises RequestError, with what was probably meant, for anything else: the text goes into
        branch names, tags and paths, so nothing is trimmed or guessed.
        """
        match = _VERSION.fullmatch(text)
        if match is None:
            raise RequestError(f"{_shown(text)} is not a version; {_remedy(text)}")
        if any(len(part) > len(str(LARGEST_PART)) for part in match.groups()):
            raise RequestError(
                f"{_shown(text)} is not a version; its parts go from 0 to {LARGEST_PART}"
            )
        major, minor, patch = (int(part) for part in match.groups())
        return cls(major, minor, patch)

    @classmethod
    def from_tag(cls, tag: str) -> Version | None:
        """Return the version of a final release tag like `v2.3.0`; None for any other tag."""
        if not tag.startswith("v"):
            return None
        try:
            return cls.parse(tag[1:])
        except RequestError:
            return None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def tag(self) -> str:
        """The tag of the final release, `v2.3.0`."""
        return f"v{self}"

    @property
    def release_branch(self) -> str:
        """The branch on which the release is prepared, `release/v2.3.0` (plan §2.1)."""
        return f"release/v{self}"

    def candidate_tag(self, number: int) -> str:
        """Return the tag of release candidate `number` (from 1), `v2.3.0-rc.1`."""
        if number < 1:
            raise RequestError(f"release candidates count from 1, not {number}")
        return f"v{self}-rc.{number}"

    def candidate_number(self, tag: str) -> int | None:
        """Return N where `tag` is this version's `v2.3.0-rc.N`, else None."""
        match = re.fullmatch(re.escape(f"v{self}-rc.") + r"([1-9][0-9]{0,5})", tag)
        return int(match[1]) if match else None


class ReleaseType(StrEnum):
    """What a release is, as the release manager declares it (plan §4.1)."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"
    HOTFIX = "hotfix"

    @property
    def takes_features(self) -> bool:
        """Whether its commits may be features: a patch or hotfix only repairs (design §4)."""
        return self in (ReleaseType.MAJOR, ReleaseType.MINOR)


class StepReason(StrEnum):
    """Why a version may, or may not, follow the one released last."""

    LEGAL = "legal"
    EXISTS = "exists"
    BACKWARDS = "backwards"
    SKIPS = "skips"
    WRONG_PART = "wrong_part"
    NOTHING_TO_FIX = "nothing_to_fix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The verdict on one step from a released version to a proposed one."""

    legal: bool
    reason: StepReason
    message: str


def next_version(last: Version, release_type: ReleaseType) -> Version:
    """Return the one version that a release of this type may have after `last` (plan §4.1)."""
    if release_type is ReleaseType.MAJOR:
        return Version(last.major + 1, 0, 0)
    if release_type is ReleaseType.MINOR:
        return Version(last.major, last.minor + 1, 0)
    return Version(last.major, last.minor, last.patch + 1)


def type_of(version: Version) -> ReleaseType:
    """Return the type that a version's own shape suggests; a hotfix looks like a patch."""
    if version.patch:
        return ReleaseType.PATCH
    return ReleaseType.MINOR if version.minor else ReleaseType.MAJOR


def judge_step(
    version: Version,
    release_type: ReleaseType,
    last: Version | None,
    *,
    released: Collection[Version] = (),
) -> Step:
    """Say whether `version` may be released as a `release_type` after `last`.

    `last` is the newest release in the history that the new one builds on (for a support branch
    that is not the newest of all), None where nothing was released yet; `released` are all the
    versions that exist anywhere.
    """
    if version == last or version in released:
        return _no(StepReason.EXISTS, f"{version} has been released already")
    if last is None:
        return _judge_first(version, release_type)
    expected = next_version(last, release_type)
    if version == expected:
        return _yes(f"{version} is the next {release_type} release after {last}")
    meant = f"the next {release_type} release after {last} is {expected}"
    if version < last:
        return _no(StepReason.BACKWARDS, f"{version} is older than {last}; {meant}")
    bumped = _bumped_part(last, version)
    if bumped != _part_of(release_type):
        return _no(StepReason.WRONG_PART, f"{version} changes the {bumped} part; {meant}")
    return _no(StepReason.SKIPS, f"{version} leaves out versions; {meant}")


def _judge_first(version: Version, release_type: ReleaseType) -> Step:
    if not release_type.takes_features:
        return _no(
            StepReason.NOTHING_TO_FIX,
            f"there is no release yet that a {release_type} could repair; "
            "begin with a major or a minor release",
        )
    if version.patch or (release_type is ReleaseType.MAJOR and version.minor):
        shape = "X.0.0" if release_type is ReleaseType.MAJOR else "X.Y.0"
        return _no(
            StepReason.SKIPS, f"a first {release_type} release is numbered {shape}, not {version}"
        )
    return _yes(f"{version} is the first release")


def _yes(message: str) -> Step:
    return Step(legal=True, reason=StepReason.LEGAL, message=message)


def _no(reason: StepReason, message: str) -> Step:
    return Step(legal=False, reason=reason, message=message)


def _part_of(release_type: ReleaseType) -> str:
    return "patch" if release_type is ReleaseType.HOTFIX else release_type.value


def _bumped_part(last: Version, version: Version) -> str:
    if version.major != last.major:
        return "major"
    return "minor" if version.minor != last.minor else "patch"


def _shown(text: str) -> str:
    return ascii(text) if len(text) <= 40 else ascii(text[:40]) + "…"


def _remedy(text: str) -> str:
    bare = text.strip()
    if bare[:1] in ("v", "V") and _VERSION.fullmatch(bare[1:]):
        return f"leave out the “v”: {bare[1:]}"
    if bare != text and _VERSION.fullmatch(bare):
        return f"leave out the spaces: {bare}"
    if len(bare) <= 40 and bare.isascii():
        if _PADDED.fullmatch(bare):
            plain = ".".join(str(int(part)) for part in bare.split("."))
            return f"write its parts without leading zeros: {plain}"
        if _SHORT.fullmatch(bare):
            return f"write all three parts, like {bare}{'.0' * (2 - bare.count('.'))}"
        suffixed = _SUFFIXED.fullmatch(bare)
        if suffixed:
            return (
                f"a release is major.minor.patch and nothing more ({suffixed[1]}); "
                "release candidates are numbered by the release train"
            )
    return "write major.minor.patch, like 2.3.0"
