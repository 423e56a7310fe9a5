"""The tree against RFC 6962's definition, Certificate Transparency's vectors, and pymerkle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

from include.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_holds,
    consistency_proof,
    inclusion_holds,
    inclusion_proofs,
    node_hash,
    root_of,
)

# The inputs and roots of the reference implementation of Certificate Transparency.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


LEAVES = [leaf(data) for data in INPUTS]


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(
        b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])
    ).digest()


def defined_path(position: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if position < split:
        return [*defined_path(position, leaves[:split]), defined_root(leaves[split:])]
    return [*defined_path(position - split, leaves[split:]), defined_root(leaves[:split])]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256().digest()


def test_a_leaf_can_not_pass_for_a_node() -> None:
    pair = root_of(LEAVES[:2])
    assert node_hash(LEAVES[0], LEAVES[1]) == pair
    assert leaf(LEAVES[0] + LEAVES[1]) != pair


def test_the_inclusion_proofs_are_those_of_certificate_transparency() -> None:
    # Leaf 5 of 8 and leaf 2 of 3: the vectors that its test data list.
    _, proofs = inclusion_proofs(LEAVES, 8, [5])
    assert [node.hex() for node in proofs[5]] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    _, proofs = inclusion_proofs(LEAVES, 3, [2])
    assert [node.hex() for node in proofs[2]] == [ROOTS[1]]


def test_the_consistency_proof_is_that_of_certificate_transparency() -> None:
    assert [node.hex() for node in consistency_proof(LEAVES, 1, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_every_small_tree_is_as_the_rfc_defines_it_and_as_pymerkle_has_it() -> None:
    data = [number.to_bytes(2, "big") for number in range(40)]
    leaves = [leaf(item) for item in data]
    theirs = InmemoryTree(algorithm="sha256")
    for item in data:
        theirs.append(item)
    for size in range(1, len(leaves) + 1):
        root, proofs = inclusion_proofs(leaves, size, range(size))
        assert root == defined_root(leaves[:size]) == theirs.get_state(size)
        for position in range(size):
            assert proofs[position] == defined_path(position, leaves[:size])
            assert inclusion_holds(leaves[position], position, size, proofs[position], root)
        for first in range(1, size + 1):
            proof = consistency_proof(leaves, first, size)
            assert consistency_holds(first, theirs.get_state(first), size, root, proof)


def test_pymerkle_proves_the_same_with_the_same_hashes() -> None:
    data = [number.to_bytes(2, "big") for number in range(21)]
    theirs = InmemoryTree(algorithm="sha256")
    for item in data:
        theirs.append(item)
    leaves = [leaf(item) for item in data]
    for size in (1, 2, 7, 8, 13, 21):
        root, proofs = inclusion_proofs(leaves, size, range(size))
        for position in range(size):
            proof = theirs.prove_inclusion(position + 1, size)
            verify_inclusion(leaves[position], root, proof)
            assert sorted(proof.path) == sorted([leaves[position], *proofs[position]])
        for first in range(1, size + 1):
            old = root_of(leaves[:first])
            verify_consistency(old, root, theirs.prove_consistency(first, size))


hashes = st.binary(min_size=32, max_size=32)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_other_leaf_place_size_or_proof_is_accepted(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    leaves = [leaf(number.to_bytes(2, "big")) for number in range(size)]
    position = data.draw(st.integers(0, size - 1))
    root, proofs = inclusion_proofs(leaves, size, [position])
    proof = proofs[position]
    assert inclusion_holds(leaves[position], position, size, proof, root)
    assert not inclusion_holds(leaf(b"other"), position, size, proof, root)
    elsewhere = data.draw(st.integers(-1, 2 * size).filter(lambda place: place != position))
    assert not inclusion_holds(leaves[position], elsewhere, size, proof, root)
    assert not inclusion_holds(leaves[position], position, size, [*proof, root], root)
    if proof:
        assert not inclusion_holds(leaves[position], position, size, proof[:-1], root)
        index = data.draw(st.integers(0, len(proof) - 1))
        spoilt = [*proof]
        spoilt[index] = bytes(32)
        assert not inclusion_holds(leaves[position], position, size, spoilt, root)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_tree_that_was_rewritten_is_not_consistent_with_the_old_one(data: st.DataObject) -> None:
    second = data.draw(st.integers(2, 70))
    first = data.draw(st.integers(1, second))
    leaves = [leaf(number.to_bytes(2, "big")) for number in range(second)]
    old = root_of(leaves[:first])
    changed = [*leaves]
    changed[data.draw(st.integers(0, first - 1))] = leaf(b"other")
    proof = consistency_proof(changed, first, second)
    assert not consistency_holds(first, old, second, root_of(changed), proof)
    honest = consistency_proof(leaves, first, second)
    assert consistency_holds(first, old, second, root_of(leaves), honest)
    assert not consistency_holds(first, old, second, root_of(leaves), [*honest, old])


@given(st.lists(hashes, max_size=80), st.integers(0, 80))
def test_a_frontier_goes_on_where_another_stopped(leaves: list[bytes], cut: int) -> None:
    first = Frontier()
    first.extend(leaves[:cut])
    second = Frontier(first.size, first.nodes)
    second.extend(leaves[cut:])
    assert (second.size, second.root()) == (len(leaves), root_of(leaves))


@pytest.mark.parametrize(("size", "nodes"), [(1, 0), (3, 1), (0, 1), (-1, 0)])
def test_hashes_that_fit_no_such_tree_are_refused(size: int, nodes: int) -> None:
    with pytest.raises(ValueError, match="no frontier"):
        Frontier(size, [bytes(32)] * nodes)


def test_fewer_leaves_than_the_tree_has_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer leaves"):
        inclusion_proofs(LEAVES, 9, [0])
    with pytest.raises(ValueError, match="no leaf 8"):
        inclusion_proofs(LEAVES, 8, [8])
