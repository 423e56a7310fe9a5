"""Who is told where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.errors import ConfigError
from include.notices import Audience, Notice, Severity
from include.notices.report_texts import upcoming
from include.notices.routing import Routing, load_routing
from include.settings import load_settings
from tests.unit.config_copy import ConfigCopy

EVERYTHING = {"releases", "mail", "log"}


@pytest.fixture
def routing() -> Routing:
    return load_routing(load_settings())


def notice(audience: Audience, severity: Severity = Severity.INFO, **changed: Any) -> Notice:
    return Notice(
        event="e", thread="t", audience=audience, severity=severity, title="t", text="",
        dedupe_key="k", **changed,
    )  # fmt: skip


def test_every_audience_has_a_way(routing: Routing) -> None:
    for audience in Audience:
        assert routing.channels_for(notice(audience), EVERYTHING)


def test_what_no_channel_can_take_goes_to_the_log(routing: Routing) -> None:
    for audience in Audience:
        assert routing.channels_for(notice(audience), {"log"}) == ("log",)


def test_a_critical_notice_reaches_whoever_is_on_call_as_well(routing: Routing) -> None:
    calm = notice(Audience.OPERATIONS)
    critical = notice(Audience.OPERATIONS, Severity.CRITICAL)
    assert routing.channels_for(calm, EVERYTHING) == ("releases",)
    assert routing.channels_for(critical, EVERYTHING) == ("releases", "mail")
    assert "dana.weiss@arocord.example" in routing.addresses(critical)


def test_a_notice_to_people_goes_to_them_alone(routing: Routing) -> None:
    to = notice(Audience.PERSON, people=("sam", "nobody-knows"))
    assert routing.addresses(to) == ("sam.okafor@arocord.example",)
    assert routing.addresses(notice(Audience.PERSON)) == ()


def test_every_team_is_told_where_training_and_help_are(tmp_path: Path) -> None:
    config = ConfigCopy(tmp_path / "config")
    config.replace("notices.yaml", "# resources:\n#   Training", "resources:\n  Training")
    teams = load_routing(config.settings).teams
    address = "https://learn.arocord.example/change-management"
    assert [team.resources for team in teams] == [{"Training": address}] * len(teams)
    digest = upcoming(
        team="clinical", title="Clinical applications", systems=["api"], coming=[],
        period="one week", zone="UTC", resources=teams[0].resources,
    )  # fmt: skip
    assert digest.fields["Training"] == address


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("team: {channels: [releases]", "team: {channels: [realeses]", 'did you mean "releases"'),
        ("roles: [stakeholder, rel", "roles: [stakeholders, rel", 'did you mean "stakeholder"'),
        ("people: [tomas, priya]", "people: [thomas, priya]", 'did you mean "tomas"'),
        ("log: {type: log}", "lines: {type: log}", "the log's name is log"),
        ("releases: {type: slack} ", "releases: {type: teams} ", "must be 'slack'"),
        ("critical: [on_call]", "critcal: [on_call]", "critcal"),
        ("# resources:\n#   Training: https:", "resources:\n  Training: javascript:", "Training"),
    ],
)
def test_a_wrong_word_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    config = ConfigCopy(tmp_path / "config")
    config.replace("notices.yaml", old, new)
    with pytest.raises(ConfigError) as caught:
        load_routing(config.settings)
    assert said in str(caught.value)
    assert "notices.yaml:" in str(caught.value)
