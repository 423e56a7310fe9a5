"""The node's files: fences only rise, units come back, artefacts are what they claim."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.deploy.target import Artefact, Colour
from include.deploy.targets.slot_store import SlotStore
from include.deploy.targets.slot_unit import SlotUnit
from include.errors import FencedOff, TargetError


@pytest.fixture
def store(tmp_path: Path) -> SlotStore:
    return SlotStore(tmp_path, "hims-api", "production")


def unit(**changes: object) -> SlotUnit:
    one = SlotUnit(
        service="hims-api",
        environment="production",
        colour=Colour.GREEN,
        version="2.3.0",
        digest="sha256:" + "a" * 64,
        origin=Path("/somewhere/artefact"),
        stored=Path("/node/artefact"),
        argv=("python", "/node/artefact", "serve"),
        port=28202,
        ready="/readyz",
        config={"telemedicine": "true"},
        database="hims_api",
        fence=7,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def artefact(path: Path, content: bytes) -> Artefact:
    path.write_bytes(content)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return Artefact(service="hims-api", version="2.3.0", digest=digest, path=path)


@given(fences=st.lists(st.integers(min_value=1, max_value=9), max_size=12))
def test_a_fence_is_taken_exactly_if_none_higher_was_seen(
    tmp_path_factory: pytest.TempPathFactory, fences: list[int]
) -> None:
    store = SlotStore(tmp_path_factory.mktemp("node"), "hims-api", "production")
    for index, fence in enumerate(fences):
        allowed = fence >= max(fences[:index], default=0)
        try:
            store.advance(fence)
        except FencedOff:
            assert not allowed
        else:
            assert allowed
    assert store.fence() == max(fences, default=0)


def test_a_refused_fence_says_both_numbers(store: SlotStore) -> None:
    store.advance(12)
    with pytest.raises(FencedOff, match=r"fence is 11, but 12"):
        store.advance(11)


def test_fences_of_services_and_environments_are_apart(tmp_path: Path) -> None:
    SlotStore(tmp_path, "hims-api", "production").advance(9)
    SlotStore(tmp_path, "hims-api", "staging").advance(1)
    SlotStore(tmp_path, "hims-web", "production").advance(1)


def test_a_unit_comes_back_as_it_was_written(store: SlotStore) -> None:
    assert store.unit(Colour.GREEN) is None
    store.put_unit(unit())
    assert store.unit(Colour.GREEN) == unit()
    assert store.unit(Colour.BLUE) is None
    store.remove_unit(Colour.GREEN)
    store.remove_unit(Colour.GREEN)
    assert store.unit(Colour.GREEN) is None


def test_a_new_fence_or_origin_does_not_make_it_another_process() -> None:
    assert unit(fence=8, origin=Path("/elsewhere")).fingerprint == unit().fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2.3.1"},
        {"digest": "sha256:" + "b" * 64},
        {"argv": ("python",)},
        {"config": {}},
        {"database": None},
        {"port": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_the_process_gets_makes_it_another_one(change: dict[str, object]) -> None:
    assert unit(**change).fingerprint != unit().fingerprint


def test_a_damaged_unit_is_an_error_that_names_the_file(store: SlotStore) -> None:
    path = store.directory / "green.json"
    path.parent.mkdir(parents=True)
    for content in ("{", "[]", "null1", json.dumps({"service": "x"})):
        path.write_text(content)
        with pytest.raises(TargetError, match=r"green\.json"):
            store.unit(Colour.GREEN)


def test_a_kept_artefact_does_not_follow_its_original(store: SlotStore, tmp_path: Path) -> None:
    made = artefact(tmp_path / "build", b"version 2.3.0")
    kept = store.keep(made)
    made.path.write_bytes(b"something else")
    assert kept.read_bytes() == b"version 2.3.0"
    assert store.keep(made) == kept


def test_an_artefact_that_is_not_its_digest_is_refused(store: SlotStore, tmp_path: Path) -> None:
    made = artefact(tmp_path / "build", b"version 2.3.0")
    made.path.write_bytes(b"version 2.3.0, and a little more")
    with pytest.raises(TargetError, match=r"its digest is sha256:"):
        store.keep(made)
    assert list((store.directory / "artefacts").iterdir()) == []


def test_a_damaged_copy_is_made_anew(store: SlotStore, tmp_path: Path) -> None:
    made = artefact(tmp_path / "build", b"version 2.3.0")
    store.keep(made).write_bytes(b"bit rot")
    assert store.keep(made).read_bytes() == b"version 2.3.0"


@pytest.mark.parametrize("digest", ["", "abc", "md5:" + "a" * 64, "sha256:abc", "sha256:../../x"])
def test_what_is_no_digest_is_refused(store: SlotStore, tmp_path: Path, digest: str) -> None:
    made = replace(artefact(tmp_path / "build", b"x"), digest=digest)
    with pytest.raises(TargetError, match="is not a digest"):
        store.keep(made)


def test_a_missing_artefact_is_refused_by_name(store: SlotStore, tmp_path: Path) -> None:
    made = artefact(tmp_path / "build", b"x")
    made.path.unlink()
    with pytest.raises(TargetError, match=r"hims-api 2\.3\.0 can't be staged"):
        store.keep(made)


def test_copies_that_no_slot_runs_are_forgotten(store: SlotStore, tmp_path: Path) -> None:
    used = store.keep(artefact(tmp_path / "a", b"a"))
    unused = store.keep(artefact(tmp_path / "b", b"b"))
    store.put_unit(unit(stored=used))
    store.forget_artefacts()
    assert used.exists()
    assert not unused.exists()


def test_the_lock_lets_one_in_at_a_time(store: SlotStore) -> None:
    inside: list[str] = []

    def enter() -> None:
        with store.lock():
            inside.append("second")

    with store.lock():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join(0.2)
        inside.append("first")
    thread.join(10)
    assert inside == ["first", "second"]
