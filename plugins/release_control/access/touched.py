"""Which task instances and runs one write through the API has touched.

Two witnesses: Airflow's listener hooks, called while a state is set, and the answer of the API,
which lists what was cleared. Both speak of the write that is under way in their context.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

# A clear of a year of runs lists thousands; a record says how many were left out.
MOST = 200
MAX_ANSWER = 4_000_000

Touched = dict[tuple[Any, ...], dict[str, Any]]

_current: ContextVar[Touched | None] = ContextVar("touched", default=None)


def watch() -> Touched:
    """Begin to collect for the write of this context, and return the collection."""
    collected: Touched = {}
    _current.set(collected)
    return collected


def note(item: Mapping[str, Any]) -> None:
    """Note one task instance or run; outside of a write through the API nothing happens."""
    collected = _current.get()
    if collected is not None:
        _add(collected, item)


def note_answer(collected: Touched, answer: bytes) -> None:
    """Note the task instances that the API lists in its answer."""
    try:
        content = json.loads(answer) if answer and len(answer) <= MAX_ANSWER else None
    except (ValueError, RecursionError):
        return
    for item in _listed(content):
        _add(collected, item)


def _listed(content: Any) -> Iterable[Mapping[str, Any]]:
    if not isinstance(content, Mapping):
        return
    for item in content.get("task_instances") or ():
        if isinstance(item, Mapping):
            yield {
                "dag_id": item.get("dag_id"),
                "run_id": item.get("dag_run_id"),
                "task_id": item.get("task_id"),
                "map_index": item.get("map_index"),
                "label": item.get("rendered_map_index"),
            }


def _add(collected: Touched, item: Mapping[str, Any]) -> None:
    index = item.get("map_index")
    filled = {name: value for name, value in item.items() if value is not None}
    if not isinstance(index, int) or index < 0:
        filled.pop("map_index", None)
    key = tuple(filled.get(name) for name in ("dag_id", "run_id", "task_id", "map_index"))
    collected[key] = collected.get(key, {}) | filled
