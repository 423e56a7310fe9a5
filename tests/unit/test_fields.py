"""Durations and instants as people write them: in files, forms and on command lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.documents import Section, parse_document, validate_document
from include.errors import ConfigError, RequestError
from include.fields import Duration, Instant
from include.instants import format_duration, format_instant, parse_duration, parse_instant

EARLY, LATE = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - hypothesis wants it


class Times(Section):
    lead: Duration = timedelta(0)
    at: Instant = datetime(2026, 1, 1, tzinfo=UTC)


def read(text: str) -> Times:
    return validate_document(parse_document(text.encode(), "a.yaml"), Times)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("55m", timedelta(minutes=55)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("14d", timedelta(days=14)),
        ("1d1h1m1s", timedelta(days=1, hours=1, minutes=1, seconds=1)),
        ("0s", timedelta(0)),
        (" 5m ", timedelta(minutes=5)),
    ],
)
def test_a_duration_is_read_as_it_is_written(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length
    assert read(f"lead: '{text}'").lead == length


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "5 m",
        "m5",
        "1.5h",
        "-5m",
        "5M",
        "5min",
        "1s1m",
        "١٤d",
        "5m\n5m",
        "∞",
        "9" * 400,
    ],
)
def test_what_is_no_duration_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(RequestError, match="write it like 90s, 55m, 2h30m or 14d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3661d", "9999999999d", "999999999s999999999m", "1" * 5000 + "s"])
def test_a_duration_beyond_ten_years_is_refused(text: str) -> None:
    if "m" in text:
        text = "999999999m"
    with pytest.raises(RequestError, match="longer than ten years"):
        parse_duration(text)


@pytest.mark.parametrize("value", ["5", "1.5", "true", "[5m]", "2026-01-01", "~"])
def test_a_field_takes_no_bare_number_for_a_duration(value: str) -> None:
    with pytest.raises(ConfigError, match="lead"):
        read(f"lead: {value}")


@given(st.integers(0, 3660 * 86400))
@settings(max_examples=60)
def test_a_duration_that_is_printed_is_read_back(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-28T07:00:00Z", datetime(2026, 11, 28, 7, tzinfo=UTC)),
        ("2026-11-28T02:00:00-05:00", datetime(2026, 11, 28, 7, tzinfo=UTC)),
        ("2026-11-28T07:00Z", datetime(2026, 11, 28, 7, tzinfo=UTC)),
        ("2026-11-28T07:00:00.250+00:00", datetime(2026, 11, 28, 7, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_with_its_offset(text: str, instant: datetime) -> None:
    assert parse_instant(text) == instant
    assert read(f"at: '{text}'").at == instant


def test_yaml_s_own_timestamps_are_instants_if_they_bear_an_offset() -> None:
    assert read("at: 2026-11-28T02:00:00-05:00").at == datetime(2026, 11, 28, 7, tzinfo=UTC)
    assert read("at: 2026-11-28 07:00:00Z").at == datetime(2026, 11, 28, 7, tzinfo=UTC)
    for text in ("2026-11-28T02:00:00", "2026-11-28", "1764313200"):
        with pytest.raises(ConfigError, match="at: "):
            read(f"at: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-28",
        "2026-11-28T02:00:00",
        "2026-02-30T00:00:00Z",
        "2026-11-28T24:00:01Z",
        "2026-11-28T02:00:00 EST",
        "2026-11-28T02:00:00+25:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "x" * 100_000,
        "２０２６-11-28T07:00:00Z",
    ],
)
def test_what_is_no_instant_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(RequestError, match="write it with its offset") as refused:
        parse_instant(text)
    assert len(str(refused.value)) < 300
    assert str(refused.value).replace("…", "").isascii()


@given(st.datetimes(min_value=EARLY, max_value=LATE), st.integers(-840, 840))
@settings(max_examples=60)
def test_an_instant_that_is_printed_is_read_back(naive: datetime, offset: int) -> None:
    value = naive.replace(
        microsecond=naive.microsecond // 1000 * 1000, tzinfo=timezone(timedelta(minutes=offset))
    )
    shown = format_instant(value)
    assert shown.endswith("Z")
    assert parse_instant(shown) == value


def test_an_instant_without_a_zone_is_not_printed() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        format_instant(datetime(2026, 1, 1))  # noqa: DTZ001
