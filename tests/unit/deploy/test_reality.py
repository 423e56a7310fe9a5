"""What counts as another production than the ledger says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.deploy.reality import Expected, Reading, differences
from include.deploy.target import Colour

BLUE, GREEN = Colour.BLUE, Colour.GREEN
DIGEST = "sha256:" + 64 * "a"
EXPECTED = Expected(
    colour=BLUE, version="2.3.0", digest=DIGEST, settings={"video-visits": "true", "limit": "5"}
)
SERVING = Reading(
    weight=100,
    version="2.3.0",
    digest=DIGEST,
    held=DIGEST,
    ready=True,
    settings=(("limit", "5"), ("video-visits", "true")),
)
EMPTY = Reading(weight=0, version=None, digest=None, held=None, ready=False, settings=())


def test_what_was_released_is_no_difference() -> None:
    assert differences(EXPECTED, {BLUE: SERVING, GREEN: EMPTY}) == []


def test_another_image_whose_process_says_what_it_was_told_to_say_is_one() -> None:
    held = "registry.example/hims-api:evil"
    (said,) = differences(EXPECTED, {BLUE: replace(SERVING, held=held), GREEN: EMPTY})
    assert held in said


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"video-visits": "true"}, "limit"),
        ({"video-visits": "true", "limit": "6"}, "limit"),
        ({"video-visits": "true", "limit": "5", "debug": "1"}, "debug"),
    ],
    ids=["gone", "changed", "added"],
)
def test_settings_that_were_not_released_are_one(settings: dict[str, str], named: str) -> None:
    serving = replace(SERVING, settings=tuple(settings.items()))
    (said,) = differences(EXPECTED, {BLUE: serving, GREEN: EMPTY})
    assert said.endswith(f"other settings than released: {named}")


def test_a_setting_that_config_names_no_more_is_known_by_its_variable() -> None:
    serving = replace(SERVING, settings=(("limit", "5"), ("video_visits", "true")))
    assert differences(EXPECTED, {BLUE: serving, GREEN: EMPTY}) == []
