"""What the bench calls a hop."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figure
from tests.bench.hops import hops
from tests.bench.stand import Instance


def ran(task: str, start: float, end: float, index: int = -1, tries: int = 1) -> Instance:
    return Instance(task=task, map_index=index, state="success", tries=tries, start=start, end=end)


def test_a_hop_begins_with_the_latest_end_among_those_waited_for() -> None:
    upstream = {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}
    found = hops([ran("a", 0, 1), ran("b", 1.5, 9), ran("c", 1.25, 2), ran("d", 9.5, 10)], upstream)
    assert {hop.task: hop.gap for hop in found} == {"b": 0.5, "c": 0.25, "d": 0.5}
    assert {hop.task: hop.start_to_start for hop in found}["d"] == 8.0


def test_what_a_task_waits_for_inside_is_in_no_hop() -> None:
    """An hour between a gate's first start and its last end leaves both hops around it alone."""
    upstream = {"a": set(), "gate": {"a"}, "b": {"gate"}}
    found = hops([ran("a", 0, 1), ran("gate", 1.5, 3601.5), ran("b", 3602, 3603)], upstream)
    assert [hop.gap for hop in found] == [0.5, 0.5]


def test_mapped_tasks_count_with_the_first_that_starts_and_the_last_that_ends() -> None:
    upstream = {"a": set(), "seat": {"a"}, "b": {"seat"}}
    found = hops(
        [ran("a", 0, 1), ran("seat", 2, 3, 0), ran("seat", 1.5, 7, 1), ran("b", 7.25, 8)], upstream
    )
    assert {hop.task: hop.gap for hop in found} == {"seat": 0.5, "b": 0.25}


def test_skipped_and_retried_tasks_have_no_hop() -> None:
    skipped = Instance(task="b", map_index=-1, state="skipped", tries=0, start=1.0, end=1.0)
    upstream = {"a": set(), "b": {"a"}, "c": {"a"}}
    assert not hops([ran("a", 0, 1), skipped, ran("c", 60, 61, tries=2)], upstream)


@pytest.mark.parametrize(
    ("ours", "peer", "times", "above", "met"),
    [
        (1.1, 1.0, 1.1, None, True),
        (1.2, 1.0, 1.1, None, False),
        (25.0, 5.0, None, 20.0, True),
        (25.1, 5.0, None, 20.0, False),
        (1.0, None, 1.1, None, False),
        (1.0, 1.0, None, None, None),
    ],
)
def test_a_goal_is_met_only_against_a_measured_peer(
    ours: float, peer: float | None, times: float | None, above: float | None, met: bool | None
) -> None:
    assert Figure(name="x", ours=ours, peer=peer, times=times, above=above).met is met
