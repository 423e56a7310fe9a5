"""One made-up history in one ledger, for all tests that only ask about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from include.ledger import Ledger
from include.reports.demo.history import make_history
from include.reports.demo.truth import truth_document
from include.reports.demo.writing import write_history

END = datetime(2026, 11, 23, tzinfo=UTC)


class Demo(NamedTuple):
    """The ledger with the history, its URL, and the truth about it."""

    ledger: Ledger
    url: str
    truth: dict[str, Any]


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
