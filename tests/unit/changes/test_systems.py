"""What needs what: circles are walked once around, and nothing needs itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.changes.systems import Systems, load_systems
from include.errors import ConfigError
from include.settings import Settings
from tests.private_stack import paper_settings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return paper_settings(tmp_path_factory.mktemp("systems"))


def systems_of(made: Settings, needs: dict[str, list[str]]) -> Systems:
    path = made.config_file("systems.yaml")
    listed = {name: {"title": name, "needs": list(needed)} for name, needed in needs.items()}
    content = {"reviewed": "2026-11-20", "stale_after": "180d", "systems": listed}
    Path(path).write_text(yaml.safe_dump(content))
    return load_systems(made)


def test_systems_that_need_each_other_are_felt_in_each_other(made: Settings) -> None:
    found = systems_of(made, {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"], "e": []})
    for name in "abc":
        assert found.touched_by([name]) == ("a", "b", "c", "d")
    assert found.touched_by(["e"]) == ("e",)


def test_a_system_that_needs_itself_is_a_mistake_with_file_and_key(made: Settings) -> None:
    with pytest.raises(ConfigError, match=r"systems\.yaml:\d+: systems\.b\.needs.*b needs itself"):
        systems_of(made, {"a": ["b"], "b": ["a", "b"]})


NAMES = [f"s{number}" for number in range(8)]


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), min_size=1))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_walk_ends_whatever_needs_what(made: Settings, drawn: dict[str, set[str]]) -> None:
    needs = {name: sorted((drawn.get(name) or set()) - {name}) for name in NAMES}
    found = systems_of(made, needs)
    felt = {name: set(found.touched_by([name])) for name in NAMES}
    for name in NAMES:
        assert name in felt[name]
        for needed in needs[name]:
            assert felt[name] <= felt[needed]
