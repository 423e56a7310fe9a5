"""The canonical bytes of a record: the same for the same fact, and never two texts for one."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ledger import Actor, Outcome, Record, Source, Subject
from include.ledger.record import canonical, content_hash, leaf_hash

AT = datetime(2026, 11, 28, 7, 0, 0, 123_999, tzinfo=UTC)


SOURCE = Source(kind="dag", dag_id="release_train", run_id="r1", task_id="plan", try_number=1)


def record(**changed: Any) -> Record:
    given: dict[str, Any] = {
        "time": AT,
        "event": "release.planned",
        "outcome": Outcome.SUCCESS,
        "reason": "done",
        "message": "planned",
        "actor": Actor(user="rita", name="Rita Moreno", auth="airflow-trigger"),
        "source": Source(
            kind="dag", dag_id="release_train", run_id="r1", task_id="plan", try_number=1
        ),
        "subject": Subject(kind="release", id="hims-api-2.3.0", version="1"),
        "id": "0" * 36,
    }
    return Record(**{**given, **changed})


def test_a_record_is_sorted_json_without_what_is_empty() -> None:
    body = json.loads(record().body())
    assert list(body) == sorted(body)
    assert body == {
        "actor": {"auth": "airflow-trigger", "name": "Rita Moreno", "user": "rita"},
        "event": "release.planned",
        "id": "0" * 36,
        "message": "planned",
        "outcome": "success",
        "reason": "done",
        "source": {
            "dag_id": "release_train",
            "kind": "dag",
            "run_id": "r1",
            "task_id": "plan",
            "try_number": 1,
        },
        "subject": {"id": "hims-api-2.3.0", "kind": "release", "version": "1"},
        "time": "2026-11-28T07:00:00.123Z",
    }


def test_time_is_utc_in_milliseconds_whatever_zone_it_came_in() -> None:
    there = AT.astimezone(timezone(timedelta(hours=-5)))
    assert record(time=there).body() == record().body()


def test_every_record_is_another() -> None:
    known = {
        item.name: getattr(record(), item.name) for item in fields(Record) if item.name != "id"
    }
    assert len({Record(**known).body() for _ in range(50)}) == 50


def test_what_a_database_s_text_cannot_hold_is_replaced_and_nothing_else_is_lost() -> None:
    body = record(message="a\x00b\ud800c", details={"k\x00": ["\x00", {"x": "é\u2028"}]}).body()
    assert "\x00" not in body
    assert "\\u0000" not in body
    assert json.loads(body)["message"] == "a�b?c"
    assert json.loads(body)["details"] == {"k�": ["�", {"x": "é\u2028"}]}


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, -(2**53), AT, object(), {1, 2}])
def test_what_json_cannot_say_exactly_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical({"value": value})


def test_the_leaf_hash_is_that_of_rfc_6962() -> None:
    # RFC 6962 §2.1: SHA-256 of 0x00 and the entry; of the empty entry it is well known.
    assert leaf_hash("").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash("é") == hashlib.sha256(b"\x00\xc3\xa9").digest()


def test_canonical_json_is_that_of_rfc_8785() -> None:
    # The RFC's own example, section 3.2.4 and appendix B: numbers as ECMAScript writes them,
    # keys by UTF-16 code units.
    numbers = [333333333.33333329, 1e30, 4.5, 2e-3, 1e-27]
    assert canonical(numbers) == "[333333333.3333333,1e+30,4.5,0.002,1e-27]"
    keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "ö": 7}
    assert list(json.loads(canonical(keys)).values()) == [2, 4, 6, 7, 1, 5, 3]


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(PLAIN)
@settings(max_examples=80)
def test_canonical_text_reads_back_to_what_was_said_and_to_itself(content: Any) -> None:
    text = canonical(content)
    assert canonical(json.loads(text)) == text
    assert content_hash(content) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
