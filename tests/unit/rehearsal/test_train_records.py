"""Which records a rehearsal shows: its own train's, not those of trains beside it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from include.rehearsal.rehearsal import of_train

OURS = "manual__2026-12-01T10:00:00+00:00"
OTHER = "manual__2026-12-01T10:00:05+00:00"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ({"kind": "dag", "dag_id": "release_train", "run_id": OURS}, True),
        ({"kind": "dag", "dag_id": "release_train", "run_id": OTHER}, False),
        ({"kind": "dag", "dag_id": "incident_watch", "run_id": OTHER}, True),
        ({"kind": "cli"}, True),
    ],
    ids=["its own", "a train beside it", "another Dag", "a command"],
)
def test_only_its_own_trains_records_are_shown(source: Mapping[str, str], shown: bool) -> None:
    assert of_train({"event": "release.refused", "source": source}, OURS) is shown
