"""The access matrix: every person's rights, and through what they have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.approvals import Board
from include.people import People, Person
from include.people.rights import Conflict, Held, conflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One person's line of the matrix; `held` says for each right through what it is held."""

    person: Person
    seats: tuple[str, ...]
    held: Held


def matrix(people: People, board: Board) -> tuple[Row, ...]:
    """Return a row for everybody. A delegation counts on whatever days it holds: a person who may
    vote in a month must not edit the policy today."""
    return tuple(_row(person, board) for person in people.people)


def separation(people: People, board: Board) -> list[Conflict]:
    """Return everything that violates the separation of duties."""
    further = people.apart
    return [
        conflict
        for row in matrix(people, board)
        for conflict in conflicts(row.person.user, row.held, further)
    ]


def _row(person: Person, board: Board) -> Row:
    held: dict[str, list[str]] = {}
    for right, roles in person.rights.items():
        held.setdefault(right, []).extend(roles)
    seats = []
    for name, seat in board.seats.items():
        if person.user == seat.holder:
            held.setdefault("vote", []).append(f"seat {name}")
            seats.append(name)
        elif person.user in [user for user, _, _ in seat.delegates]:
            held.setdefault("vote", []).append(f"delegation of {name}")
            seats.append(name)
    for checkpoint, groups in board.checkpoints.items():
        if _answers(person, board, groups, seats):
            held.setdefault("decide", []).append(f"checkpoint {checkpoint}")
    for item, groups in board.checklist.items():
        if _answers(person, board, groups, seats):
            held.setdefault("decide", []).append(f"checklist {item}")
    return Row(person=person, seats=tuple(seats), held=held)


def _answers(person: Person, board: Board, groups: Sequence[str], seats: Sequence[str]) -> bool:
    # A seat is answered for by who sits in it, another group by who has the role.
    return any(
        group in seats if group in board.seats else group in person.roles for group in groups
    )
