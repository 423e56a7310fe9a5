"""The last lines of a rehearsal: how it ended, and where its records are."""

from __future__ import annotations

import io

import pytest

from include.rehearsal.rehearsal import Rehearsed
from include.rehearsal.timeline import Timeline


@pytest.mark.parametrize(
    ("planned", "pointed_to"),
    [
        (True, "./hims audit list --release hims-api-2.6.0\n"),
        (False, "./hims audit list --event release.refused\n"),
    ],
    ids=["a train that failed", "a request that was refused"],
)
def test_the_last_line_leads_to_the_records(planned: bool, pointed_to: str) -> None:
    stream = io.StringIO()
    Timeline(stream).end(
        Rehearsed(
            release="hims-api-2.6.0",
            outcome="failed",
            message="why",
            planned=planned,
            run_id="manual__1",
            run_url="http://127.0.0.1/dags/release_train/runs/manual__1",
            served_version="2.4.0",
            seconds=17.0,
            steps=(),
        ),
        "2.6.0",
    )
    assert pointed_to in stream.getvalue()


@pytest.mark.parametrize(
    ("event", "outcome", "mark"),
    [
        ("change.rejected", "success", "✗"),
        ("change.assessed", "success", "✓"),
        ("permit.refused", "denied", "⊘"),
        ("checkpoint.asked", "success", "…"),
    ],
)
def test_no_tick_stands_beside_a_no(event: str, outcome: str, mark: str) -> None:
    stream = io.StringIO()
    Timeline(stream).record(
        {"event": event, "outcome": outcome, "message": "words", "source": {"task_id": "cab.open"}}
    )
    assert stream.getvalue().split()[1:] == [mark, "cab", "words"]
