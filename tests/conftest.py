"""What all tests share."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How fast the machine is says nothing about a rule. CI looks at the same examples every time, so
# that red means a change; everywhere else each run looks at new ones.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Tests that run on one stack, in this order; a stack belongs to one worker. These take longest, so
# they begin first, and while they wait for windows the other workers have the machine.
_STACKS = {
    "station": (
        "test_train",
        "test_audit",
        "test_changes",
        "test_emergency",
        "test_ui",
        "test_way_back",
    ),
    "stack": ("test_answered_gates", "test_stack"),
}
_ON_STACKS = {
    f"tests/e2e/{name}.py": (place, stack)
    for place, (stack, name) in enumerate(
        (stack, name) for stack, names in _STACKS.items() for name in names
    )
}
_LAST = len(_ON_STACKS)


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what runs on a stack; everything else keeps its order."""
    items.sort(key=lambda item: _ON_STACKS.get(_file(item.nodeid), (_LAST, ""))[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker whole files, since a file's tests share what is long to arrange."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _ON_STACKS.get(_file(nodeid), (_LAST, _file(nodeid)))[1]

    config.option.loadscopereorder = False
    return ByFile(config, log)
