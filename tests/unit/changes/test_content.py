"""What a vote signs: edit something significant and it is void, edit a label and it stands."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.changes.content import SIGNIFICANT, signed_hash, significant

CHANGE: dict[str, Any] = {
    "title": "Release HIMS API 2.3.0 (minor)",
    "type": "normal",
    "priority": "normal",
    "requester": "rita",
    "description": "Release train hims-api-2.3.0, attempt 1",
    "scope": {
        "service": "hims-api",
        "version": "2.3.0",
        "from_version": "2.2.0",
        "commit": "a" * 40,
        "commits": ["b" * 40, "c" * 40],
        "artefact": "sha256:" + "d" * 64,
    },
    "affected_systems": ["api"],
    "risk": {"level": "medium", "downtime_required": False},
    "rollback_plan": "traffic back to 2.2.0, which stays running",
    "slot": {
        "window": "standard",
        "earliest": "2026-11-28T07:00:00Z",
        "latest": "2026-12-12T07:00:00Z",
    },
    "strategy": "blue_green",
    "implementers": ["service:release_train"],
    "implementation": {"kind": "manual", "steps": ["restart it"]},
    "on_close": "finish",
    "testing": {"unit_tests": "required"},
    "approvals_required": ["security_officer"],
    "model": None,
    "parameters": {},
    "incident": None,
    "retroactive": None,
}


def edited(*path: Any, to: Any) -> dict[str, Any]:
    change = copy.deepcopy(CHANGE)
    here: Any = change
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = to
    return change


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("type",), "emergency"),
        (("scope", "service"), "hims-web"),
        (("scope", "version"), "2.3.1"),
        (("scope", "commit"), "e" * 40),
        (("scope", "commits"), ["b" * 40]),
        (("scope", "artefact"), "sha256:" + "e" * 64),
        (("affected_systems",), ["api", "frontend"]),
        (("risk", "level"), "low"),
        (("risk", "downtime_required"), True),
        (("rollback_plan",), "none"),
        (("slot", "latest"), "2026-12-13T07:00:00Z"),
        (("slot", "window"), "extended"),
        (("strategy",), "canary"),
        (("implementers",), ["mei"]),
    ],
)
def test_an_edit_of_a_significant_field_voids_the_votes(path: tuple[str, ...], to: Any) -> None:
    assert signed_hash(edited(*path, to=to)) != signed_hash(CHANGE)


@pytest.mark.parametrize("label", sorted(set(CHANGE) - set(SIGNIFICANT)))
def test_an_edit_of_a_label_leaves_them(label: str) -> None:
    assert signed_hash(edited(label, to="something else")) == signed_hash(CHANGE)


@pytest.mark.parametrize("name", SIGNIFICANT)
def test_leaving_a_significant_field_out_is_an_edit(name: str) -> None:
    assert signed_hash({key: CHANGE[key] for key in CHANGE if key != name}) != signed_hash(CHANGE)


def test_the_order_of_keys_and_the_way_through_a_database_change_nothing() -> None:
    shuffled = dict(reversed(CHANGE.items()))
    shuffled["scope"] = dict(reversed(CHANGE["scope"].items()))
    assert signed_hash(shuffled) == signed_hash(CHANGE)
    assert signed_hash(json.loads(json.dumps(CHANGE))) == signed_hash(CHANGE)


def test_the_hash_is_sha_256_over_sorted_json_without_spaces() -> None:
    signed = {name: CHANGE[name] for name in SIGNIFICANT}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"))
    assert signed_hash(CHANGE) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SIGNIFICANT, "title", "note"]), PLAIN))
@settings(max_examples=80)
def test_the_hash_is_that_of_the_significant_part_alone(content: dict[str, Any]) -> None:
    assert signed_hash(content) == signed_hash(significant(content))
    assert signed_hash({**content, "description": "x"}) == signed_hash(content)
