"""Versions, and which may follow which."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.errors import RequestError
from include.releases.versions import (
    ReleaseType,
    StepReason,
    Version,
    judge_step,
    next_version,
    type_of,
)

PARTS = st.integers(0, 999_999)


def is_version_by_hand(text: str) -> bool:
    """Three runs of ASCII digits between two dots, no run padded, none above 999999."""
    pieces = text.split(".")
    return len(pieces) == 3 and all(
        0 < len(piece) <= 6
        and all(char in "0123456789" for char in piece)
        and (piece == "0" or piece[0] != "0")
        for piece in pieces
    )


@given(PARTS, PARTS, PARTS)
def test_a_version_reads_back_as_it_was_written(major: int, minor: int, patch: int) -> None:
    version = Version.parse(f"{major}.{minor}.{patch}")
    assert (version.major, version.minor, version.patch) == (major, minor, patch)
    assert str(version) == f"{major}.{minor}.{patch}"
    assert Version.from_tag(version.tag) == version


@given(st.one_of(st.text(), st.text(alphabet="0123456789.v-+ \n/", max_size=12)))
@example("2.3.0\n")
@example("٢.٣.٠")
@example("1000000.0.0")
@example("2.3.0/../../etc")
def test_exactly_the_plain_versions_are_accepted(text: str) -> None:
    if is_version_by_hand(text):
        assert str(Version.parse(text)) == text
    else:
        with pytest.raises(RequestError):
            Version.parse(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("v2.3.0", "2.3.0"),
        (" 2.3.0", "leave out the spaces: 2.3.0"),
        ("2.03.0", "leading zeros: 2.3.0"),
        ("2.3", "like 2.3.0"),
        ("2", "like 2.0.0"),
        ("2.3.0-rc.1", "numbered by the release train"),
        ("2.3.0+build", "nothing more (2.3.0)"),
        ("9999999.0.0", "from 0 to 999999"),
        ("$(reboot)", "like 2.3.0"),
        ("../../etc/passwd", "like 2.3.0"),
        ("", "like 2.3.0"),
    ],
)
def test_a_refusal_says_what_was_meant(text: str, remedy: str) -> None:
    with pytest.raises(RequestError, match=r"is not a version") as refusal:
        Version.parse(text)
    assert remedy in str(refusal.value)


def test_a_refusal_of_a_long_text_stays_short_and_prints_no_control_characters() -> None:
    with pytest.raises(RequestError) as refusal:
        Version.parse("\x1b[2J" + "9" * 100_000)
    assert len(str(refusal.value)) < 200
    assert str(refusal.value).isprintable()


def test_versions_are_ordered_as_numbers() -> None:
    texts = ["10.0.0", "2.10.0", "2.9.9", "0.10.0", "0.9.0", "0.0.1"]
    versions = [Version.parse(text) for text in texts]
    assert sorted(versions) == versions[::-1]


def test_names_in_the_repository_follow_from_the_version() -> None:
    version = Version.parse("2.3.0")
    assert version.tag == "v2.3.0"
    assert version.release_branch == "release/v2.3.0"
    assert version.candidate_tag(4) == "v2.3.0-rc.4"
    assert version.candidate_number("v2.3.0-rc.4") == 4
    for other in ("v2.3.0-rc.04", "v2.3.0-rc.0", "v2.3.00-rc.4", "v2.3.1-rc.4", "v2.3.0"):
        assert version.candidate_number(other) is None
    with pytest.raises(RequestError):
        version.candidate_tag(0)


@pytest.mark.parametrize(
    "tag", ["2.3.0", "V2.3.0", "v2.3.0-rc.1", "v2.3", "vv2.3.0", "v02.3.0", ""]
)
def test_other_tags_are_not_releases(tag: str) -> None:
    assert Version.from_tag(tag) is None


@pytest.mark.parametrize("release_type", ReleaseType)
def test_of_all_versions_near_a_release_exactly_one_may_follow_it(
    release_type: ReleaseType,
) -> None:
    near = [Version(*parts) for parts in itertools.product(range(5), repeat=3)]
    for last in (Version(*parts) for parts in itertools.product(range(3), repeat=3)):
        legal = [version for version in near if judge_step(version, release_type, last).legal]
        expected = {
            "major": Version(last.major + 1, 0, 0),
            "minor": Version(last.major, last.minor + 1, 0),
            "patch": Version(last.major, last.minor, last.patch + 1),
            "hotfix": Version(last.major, last.minor, last.patch + 1),
        }[release_type.value]
        assert legal == [expected]
        assert next_version(last, release_type) == expected


@pytest.mark.parametrize(
    ("text", "release_type", "reason"),
    [
        ("2.2.1", "minor", StepReason.EXISTS),
        ("2.2.0", "patch", StepReason.BACKWARDS),
        ("1.9.0", "minor", StepReason.BACKWARDS),
        ("2.4.0", "minor", StepReason.SKIPS),
        ("2.3.1", "minor", StepReason.SKIPS),
        ("4.0.0", "major", StepReason.SKIPS),
        ("3.1.0", "major", StepReason.SKIPS),
        ("2.2.3", "hotfix", StepReason.SKIPS),
        ("3.0.0", "minor", StepReason.WRONG_PART),
        ("2.3.0", "major", StepReason.WRONG_PART),
        ("2.3.0", "patch", StepReason.WRONG_PART),
        ("2.2.2", "minor", StepReason.WRONG_PART),
    ],
)
def test_an_illegal_step_says_why_and_what_would_be_legal(
    text: str, release_type: str, reason: StepReason
) -> None:
    last, kind = Version.parse("2.2.1"), ReleaseType(release_type)
    step = judge_step(Version.parse(text), kind, last)
    assert not step.legal
    assert step.reason is reason
    assert text in step.message
    if reason is not StepReason.EXISTS:
        assert str(next_version(last, kind)) in step.message


def test_a_version_released_elsewhere_exists_although_it_would_be_the_next_here() -> None:
    step = judge_step(
        Version.parse("2.3.0"),
        ReleaseType.MINOR,
        Version.parse("2.2.9"),
        released={Version.parse("2.3.0")},
    )
    assert step.reason is StepReason.EXISTS


@pytest.mark.parametrize(
    ("text", "release_type", "legal"),
    [
        ("1.0.0", "major", True),
        ("0.1.0", "minor", True),
        ("2.3.0", "minor", True),
        ("1.1.0", "major", False),
        ("0.1.1", "minor", False),
        ("0.0.1", "patch", False),
        ("0.0.1", "hotfix", False),
    ],
)
def test_a_first_release_is_a_whole_one(text: str, release_type: str, legal: bool) -> None:
    assert judge_step(Version.parse(text), ReleaseType(release_type), None).legal is legal


def test_only_major_and_minor_releases_take_features() -> None:
    assert [kind.value for kind in ReleaseType if kind.takes_features] == ["major", "minor"]


@pytest.mark.parametrize(
    ("version", "release_type"), [("3.0.0", "major"), ("2.4.0", "minor"), ("2.4.1", "patch")]
)
def test_the_number_suggests_the_type(version: str, release_type: str) -> None:
    assert type_of(Version.parse(version)) == ReleaseType(release_type)
