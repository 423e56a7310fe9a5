"""The Merkle tree of RFC 6962 §2.1 over leaf hashes: root, inclusion and consistency proofs.

Nothing here holds all leaves: a root or a set of proofs takes one pass over a stream of them.
Hashes are 32 bytes; a proof is a list of them, from the leaf's side to the root's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

EMPTY_ROOT = hashlib.sha256(b"").digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """What is needed of a tree to make it grow: the roots of its full subtrees, the largest first.

    At most 64 hashes, however large the tree. Raises ValueError for hashes that fit no such size.
    """

    __slots__ = ("_nodes", "size")

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        if size < 0 or len(nodes) != size.bit_count() or any(len(node) != 32 for node in nodes):
            raise ValueError(f"{len(nodes)} hashes are no frontier of a tree of {size}")
        self.size = size
        self._nodes = list(nodes)

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """Return the roots of the full subtrees, the largest first."""
        return tuple(self._nodes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        node = leaf
        size = self.size
        while size & 1:
            node = hashlib.sha256(b"\x01" + self._nodes.pop() + node).digest()
            size >>= 1
        self._nodes.append(node)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """Return the root of the tree as it is; SHA-256 of nothing for the empty one."""
        if not self._nodes:
            return EMPTY_ROOT
        root = self._nodes[-1]
        for node in reversed(self._nodes[:-1]):
            root = node_hash(node, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over all of `leaves`."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def inclusion_proofs(
    leaves: Iterable[bytes], size: int, positions: Iterable[int]
) -> tuple[bytes, dict[int, list[bytes]]]:
    """Return the root over the first `size` of `leaves`, and the proof of each position in it.

    One pass; memory goes with the number of positions. Raises ValueError where a position is not
    in the tree or the leaves end early.
    """
    wanted = sorted(set(positions))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < size:
        raise ValueError(f"there is no leaf {wanted[-1]} in a tree of {size}")
    proofs: dict[int, list[bytes]] = {position: [] for position in wanted}
    stream = iter(leaves)
    root = _subtree(stream, 0, size, wanted, proofs) if size else EMPTY_ROOT
    return root, proofs


def consistency_proof(leaves: Iterable[bytes], first: int, second: int) -> list[bytes]:
    """Return the proof that the tree of `second` leaves extends that of the first `first`.

    Raises ValueError unless 0 < first ≤ second, or where the leaves end early.
    """
    if not 0 < first <= second:
        raise ValueError(f"a tree of {second} cannot extend one of {first}")
    return _subproof(iter(leaves), first, second, whole=True)[2]


def inclusion_holds(
    leaf: bytes, position: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Return whether `proof` leads from the leaf at `position` to `root` (RFC 9162 §2.1.3.2)."""
    if not 0 <= position < size:
        return False
    index, last, node = position, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        index >>= 1
        last >>= 1
    return last == 0 and node == root


def consistency_holds(
    first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether `proof` shows that the second tree extends the first (RFC 9162 §2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    if not proof:
        return False
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    index, last = first - 1, second - 1
    while index & 1:
        index >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        index >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _whole(stream: Iterator[bytes], size: int) -> bytes:
    frontier = Frontier()
    frontier.extend(islice(stream, size))
    if frontier.size != size:
        raise ValueError("there are fewer leaves than the tree is said to have")
    return frontier.root()


def _subtree(
    stream: Iterator[bytes],
    start: int,
    size: int,
    wanted: Sequence[int],
    proofs: dict[int, list[bytes]],
) -> bytes:
    if not wanted or size == 1:
        return _whole(stream, size)
    middle = start + _split(size)
    here = [position for position in wanted if position < middle]
    there = wanted[len(here) :]
    left = _subtree(stream, start, middle - start, here, proofs)
    right = _subtree(stream, middle, start + size - middle, there, proofs)
    for position in here:
        proofs[position].append(right)
    for position in there:
        proofs[position].append(left)
    return node_hash(left, right)


def _subproof(
    stream: Iterator[bytes], first: int, second: int, *, whole: bool
) -> tuple[bytes, bytes, list[bytes]]:
    """Return old root, new root and SUBPROOF(first, D[second], whole) of RFC 6962 §2.1.2."""
    if first == second:
        root = _whole(stream, second)
        return root, root, [] if whole else [root]
    middle = _split(second)
    if first <= middle:
        old, left, proof = _subproof(stream, first, middle, whole=whole)
        right = _whole(stream, second - middle)
        return old, node_hash(left, right), [*proof, right]
    left = _whole(stream, middle)
    old, right, proof = _subproof(stream, first - middle, second - middle, whole=False)
    return node_hash(left, old), node_hash(left, right), [*proof, left]
