"""The trigger form's values, as forms, scripts and attackers send them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import RequestError
from include.releases.request import KNOWN, ReleaseRequest, read_request
from include.releases.versions import ReleaseType, Version

GOOD: dict[str, Any] = {
    "service": "hims-api",
    "version": "2.3.0",
    "release_type": "minor",
    "target_window": "2026-11-28T02:00:00-05:00",
    "strategy": "blue_green",
    "rehearsal": False,
}


def read(**changed: Any) -> ReleaseRequest:
    return read_request({**GOOD, **changed}, requester="rita", requester_name="Rita Moreno")


def test_a_good_form_is_read() -> None:
    request = read()
    assert request.release_id == "hims-api-2.3.0"
    assert request.version == Version(2, 3, 0)
    assert request.release_type is ReleaseType.MINOR
    assert request.target_window == datetime(2026, 11, 28, 7, tzinfo=UTC)
    assert (request.requester, request.requester_name) == ("rita", "Rita Moreno")
    assert read(target_window=None).target_window is None


HOSTILE = (
    """
../../etc/passwd|hims-api; rm -rf /|$(reboot)|`id`|--upload-pack=x|-rf|HIMS-API|hims api|hims/api
hims-api'|hims-api"|{python}|%s|ххх|hims--api|hims-api-
""".strip()
    .replace("\n", "|")
    .split("|")
)
HOSTILE += [
    "",
    " ",
    "hims-api\n",
    "hims\x00api",
    "\ud800",
    "\u202eipa-smih",
    "a" * 41,
    "a" * 1_000_000,
]
TYPES = [None, 0, 1, 2.3, math.nan, math.inf, True, [], ["2.3.0"], {}, {"a": 1}, b"2.3.0", object()]


@pytest.mark.parametrize("value", [*HOSTILE, *(item for item in TYPES)])
@pytest.mark.parametrize("key", ["service", "version", "release_type", "strategy"])
def test_no_text_but_the_right_one_gets_through(key: str, value: Any) -> None:
    with pytest.raises(RequestError) as refused:
        read(**{key: value})
    said = str(refused.value)
    assert said.startswith(f"{key}: ")
    assert len(said) < 250
    assert said.isprintable()


@pytest.mark.parametrize(
    "value",
    [*HOSTILE, *TYPES[1:], "2026-11-28", "2026-11-28T02:00:00", "9999-12-31T23:59:59Z", "now"],
)
def test_a_target_window_is_an_instant_or_nothing(value: Any) -> None:
    with pytest.raises(RequestError, match=r"^target_window: ") as refused:
        read(target_window=value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", ["true", "false", 0, 1, None, "", [], math.nan])
def test_rehearsal_is_true_or_false_and_nothing_like_it(value: Any) -> None:
    with pytest.raises(RequestError, match=r"^rehearsal: is true or false$"):
        read(rehearsal=value)


NO_VERSIONS = "2.3|v2.3.0|02.3.0|2.3.0-rc.1|2.3.0+x|2.3.0 |1e6.0.0|2.3.1000000|２.3.0"


@pytest.mark.parametrize("version", NO_VERSIONS.split("|"))
def test_a_version_is_major_minor_patch_exactly(version: str) -> None:
    with pytest.raises(RequestError, match=r"^version: .* is not a version; "):
        read(version=version)


@pytest.mark.parametrize("key", KNOWN)
def test_a_missing_value_is_named(key: str) -> None:
    conf = {name: value for name, value in GOOD.items() if name != key}
    if key == "target_window":
        assert read_request(conf, requester="r", requester_name="R").target_window is None
        return
    with pytest.raises(RequestError, match=f"^{key}: "):
        read_request(conf, requester="r", requester_name="R")


def test_an_unknown_key_is_named_with_what_was_meant() -> None:
    with pytest.raises(RequestError, match=r"^'versoin': unknown; did you mean .version.\?$"):
        read(versoin="2.3.0")
    with pytest.raises(RequestError) as refused:
        read(**{"x" * 100_000: 1, "\ud800\n": 2})
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(RequestError) as refused:
        read(
            service="", version="x", release_type="huge", strategy="hope", rehearsal="yes", extra=1
        )
    for key in ("service", "version", "release_type", "strategy", "rehearsal", "extra"):
        assert f"{key}" in str(refused.value)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(
    st.dictionaries(st.one_of(st.sampled_from(KNOWN), st.text(max_size=8)), ANYTHING, max_size=7)
)
@settings(max_examples=100)
def test_a_conf_is_a_request_or_a_request_error(conf: dict[str, Any]) -> None:
    merged = {**GOOD, **conf}
    try:
        request = read_request(merged, requester="rita", requester_name="Rita Moreno")
    except RequestError as error:
        text = str(error)
    else:
        assert set(merged) == set(KNOWN)
        text = request.release_id
    text.encode()
