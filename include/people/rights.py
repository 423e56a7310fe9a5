"""What roles may do, and which of it must not meet in one person.

The matrix is config/people.yaml: each role lists its rights. Two rights come from elsewhere: `vote`
from a seat of the board or its delegation, `decide` from a checkpoint's roles (approvals.yaml).
Separation of duties: NIST SP 800-53 AC-5, CM-5; 45 CFR 164.308(a)(3) and (4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Right = Literal[
    "start_release",
    "unlock_service",
    "roll_back",
    "edit_policy",
    "administer_airflow",
    "operate_database",
    "hold_key",
    "hold_records",
    "review_access",
    "answer_audit",
    "read_everything",
]

# What each right lets a person do, as the review prints it.
RIGHTS: dict[str, str] = {
    "start_release": "start a release train",
    "unlock_service": "let a service be released again after a rollback",
    "roll_back": "ask for a rollback, and vote on restoring a database in one",
    "edit_policy": "change config/: who decides, when, under which rules",
    "administer_airflow": "force task states, clear runs, edit connections",
    "operate_database": "work in the ledger's database as its owner",
    "hold_key": "hold the key that signs the ledger's heads",
    "hold_records": "place a legal hold on records, and lift it",
    "review_access": "review who may do what, every week",
    "answer_audit": "answer an audit",
    "read_everything": "read everything and change nothing",
    "vote": "vote on changes for a seat of the CAB",
    "decide": "answer a go/no-go checkpoint, or for an item of a checklist",
}

# Held by one person, the first of these would make the second worthless. The file may add pairs,
# and cannot take these away.
APART: tuple[tuple[str, str], ...] = (
    ("edit_policy", "vote"),
    ("edit_policy", "decide"),
    ("hold_key", "operate_database"),
    ("administer_airflow", "vote"),
)
# Who reads everything must be able to change nothing.
_READER = "read_everything"

# By right, through which role, seat or checkpoint somebody has it.
Held = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two rights that one person must not hold both, and through what they are held."""

    user: str
    rights: tuple[str, str]
    through: tuple[str, ...]

    @property
    def message(self) -> str:
        """Return what is wrong and what helps."""
        first, second = (RIGHTS.get(right, right) for right in self.rights)
        return (
            f"may {first} and may {second} (through {', '.join(self.through)}); "
            "nobody may do both: take one of them away"
        )


def conflicts(user: str, held: Held, further: Sequence[tuple[str, str]] = ()) -> list[Conflict]:
    """Return every pair of rights that must not meet and do meet in this person."""
    pairs = list(dict.fromkeys((*APART, *further)))
    if _READER in held:
        pairs += [(_READER, right) for right in held if right != _READER]
    return [
        Conflict(
            user=user,
            rights=(first, second),
            through=tuple(dict.fromkeys((*held[first], *held[second]))),
        )
        for first, second in pairs
        if first in held and second in held
    ]
