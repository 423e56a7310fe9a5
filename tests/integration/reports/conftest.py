"""One made-up history in one ledger, for all tests that only ask about it; and single releases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import insert

from include.changes.change import Change, open_change
from include.ledger import Ledger, Unit, schema
from include.reports.demo.history import make_history
from include.reports.demo.truth import truth_document
from include.reports.demo.writing import write_history

END = datetime(2026, 11, 23, tzinfo=UTC)
CONTENT = {
    "title": "Renew certificates", "type": "normal", "requester": "rita",
    "affected_systems": ["api"],
}  # fmt: skip


class Demo(NamedTuple):
    """The ledger with the history, its URL, and the truth about it."""

    ledger: Ledger
    url: str
    truth: dict[str, Any]


def deployed(
    unit: Unit, *, kind: str = "normal", after: timedelta = timedelta(), **how: Any
) -> Change:
    """Begin the change of a release whose traffic moves now, or `after` some time."""
    release = "hims-api-2.3.0"
    unit.execute(
        insert(schema.release).values(
            id=release, service="hims-api", version="2.3.0", type="minor", attempt=1,
            state="released", plan={}, plan_hash="0", requested_by="test", created_at=unit.now,
            updated_at=unit.now,
        )
    )  # fmt: skip
    made = open_change(unit, {**CONTENT, "type": kind}, release_id=release)
    unit.append("change.implementing", made.subject, message="it begins", change=made.id)
    unit.execute(
        insert(schema.permit).values(
            fence=1, release_id=release, attempt=1, change_id=made.id, content_hash="0",
            systems=["api"], conditions=[], holder="test", issued_at=unit.now,
            expires_at=unit.now + timedelta(hours=2),
        )
    )  # fmt: skip
    unit.execute(
        insert(schema.deployment).values(
            service="hims-api", environment="production", version="2.3.0", digest="0", fence=1,
            colour="green", release_id=release, attempt=1, staged_at=unit.now,
            switch_began_at=unit.now + after, **how,
        )
    )  # fmt: skip
    return made


@pytest.fixture(scope="session")
def demo(postgres: Any, ledger_template: str) -> Iterator[Demo]:
    """Return two years of history, 3,000 changes."""
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    url = postgres.url(name, "ledger_app")
    ledger = Ledger(url, keep=1)
    history = make_history(years=2, seed=7, end=END)
    write_history(ledger, history)
    yield Demo(ledger, url, truth_document(history, seed=7))
    postgres.drop_database(name)
