"""Which migrations lie between two commits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from include.releases.schema_change import SchemaChange, migrations_between
from include.services.migration_kind import Kind

FIRST = {"0001_first.sql": "-- kind: expand\nCREATE TABLE a (id int);"}
EXPANDING = {"0002_more.sql": "-- kind: expand\nALTER TABLE a ADD b int;"}
CONTRACTING = {"0003_less.sql": "-- kind: contract\nALTER TABLE a DROP b;"}


class Commits:
    """Folders of migrations by commit."""

    def __init__(self, **commits: dict[str, str]) -> None:
        self._commits = commits

    def files(self, rev: str, folder: str) -> tuple[str, ...]:
        return tuple(f"{folder}/{name}" for name in sorted(self._commits[rev]))

    def read_file(self, rev: str, path: str) -> bytes:
        return self._commits[rev][path.removeprefix("db/migrations/")].encode()


def between(before: dict[str, str], after: dict[str, str]) -> SchemaChange:
    service = SimpleNamespace(name="hims-api", migrations="db/migrations")
    history = Commits(base=before, head=after)
    return migrations_between(cast(Any, history), cast(Any, service), "base", "head")


def test_what_is_new_counts_and_the_worst_of_it_decides() -> None:
    assert between(FIRST, FIRST) == SchemaChange()
    more = between(FIRST, FIRST | EXPANDING)
    assert ([item.name for item in more.migrations], more.kind) == (["0002_more.sql"], Kind.EXPAND)
    assert more.code_may_go_back
    both = between(FIRST, FIRST | EXPANDING | CONTRACTING)
    assert (both.kind, both.code_may_go_back, both.problems) == (Kind.CONTRACT, False, ())


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({}, "is gone"),
        ({"0001_first.sql": "-- kind: expand\nCREATE TABLE a (id bigint);"}, "is edited"),
        (FIRST | {"0002_x.sql": "DROP TABLE a"}, "does not say"),
        (FIRST | {"0002_x.py": "op.drop_table('a')"}, "can't be read"),
        (FIRST | {"later/0001_first.sql": "DROP TABLE a"}, "later/0001_first.sql does not say"),
        (FIRST | {"0002_x.SQL": "-- kind: expand\nDROP TABLE a"}, "can't be read"),
    ],
)
def test_what_may_not_be_released_is_said(after: dict[str, str], said: str) -> None:
    (problem,) = between(FIRST, after).problems
    assert said in problem


def test_what_is_no_migration_is_none() -> None:
    beside = {"README.md": "", "__init__.py": ""}
    assert between(FIRST, FIRST | beside) == SchemaChange()
    # Released already: whatever it is, the database has had it.
    assert between(FIRST | {"run.py": ""}, FIRST | {"run.py": "pass"}) == SchemaChange()
