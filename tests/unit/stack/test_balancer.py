"""haproxy.cfg: one frontend per service and environment, on loopback, with the last weights."""

from __future__ import annotations

import re

import pytest

from include.deploy.target import Colour
from include.deploy.targets.slot_store import SlotStore
from include.settings import Settings
from include.stack.haproxy import Proxied, haproxy_component, proxied, render

ONE = Proxied(
    service="hims-api",
    environment="production",
    ready="/readyz",
    frontend=2000,
    ports={Colour.BLUE: 2001, Colour.GREEN: 2002},
    weights={Colour.BLUE: 95, Colour.GREEN: 5},
)


def test_both_slots_stand_behind_the_frontend_with_their_weights() -> None:
    text = render((ONE,), admin=2003, metrics=2004)
    assert "bind 127.0.0.1:2000" in text
    assert "server blue 127.0.0.1:2001 weight 95" in text
    assert "server green 127.0.0.1:2002 weight 5" in text
    assert "option httpchk GET /readyz" in text


def test_nothing_listens_beyond_loopback() -> None:
    text = render((ONE,), admin=2003, metrics=2004)
    listeners = re.findall(r"^\s*(?:bind|stats socket)\s+(\S+)", text, re.MULTILINE)
    assert len(listeners) == 3
    assert all(re.fullmatch(r"(ipv4@)?127\.0\.0\.1:\d+", where) for where in listeners)


def test_answers_of_the_service_are_never_retried() -> None:
    policy = re.search(r"retry-on (.*)", render((ONE,), admin=2003, metrics=2004))
    assert policy
    assert not re.search(r"\d{3}|all-retryable", policy.group(1))


def test_only_local_placements_are_served(settings: Settings) -> None:
    found = {(one.service, one.environment) for one in proxied(settings)}
    assert ("hims-api", "production") in found
    assert not {one for one in found if one[0] == "hims-web"}


def test_the_weights_that_were_set_last_are_in_the_next_configuration(settings: Settings) -> None:
    store = SlotStore(settings.state_dir, "hims-api", "production")
    assert _weights(settings) == (0, 0)
    store.put_weights({Colour.BLUE: 30, Colour.GREEN: 70})
    assert _weights(settings) == (30, 70)


def test_other_weights_make_it_no_other_program(settings: Settings) -> None:
    before = haproxy_component(settings).fingerprint
    store = SlotStore(settings.state_dir, "hims-api", "production")
    store.put_weights({Colour.BLUE: 30, Colour.GREEN: 70})
    assert haproxy_component(settings).fingerprint == before


@pytest.mark.parametrize("service", ["staging", "production"])
def test_every_environment_has_a_frontend_of_its_own(settings: Settings, service: str) -> None:
    text = render(proxied(settings), admin=1, metrics=2)
    assert f"frontend hims-api.{service}\n" in text


def _weights(settings: Settings) -> tuple[int, int]:
    (one,) = [one for one in proxied(settings) if one.environment == "production"]
    return one.weights[Colour.BLUE], one.weights[Colour.GREEN]
