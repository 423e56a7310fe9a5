"""A switch of traffic whose process dies in the middle, and that is begun again too late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from include.deploy.target import Colour
from include.instants import parse_instant
from include.ledger import schema
from include.releases.phases import production, rollback
from include.releases.train import Train
from tests.integration.conftest import PostgresServer
from tests.integration.train.killing import Killed
from tests.integration.train.works import CLOSING, PRODUCTION, Works, open_works


@pytest.fixture
def works(postgres: PostgresServer, ledger_template: str, tmp_path: Path) -> Iterator[Works]:
    """Return a works for one train: what is begun again hours later is no measure for others."""
    name = postgres.create_database(template=ledger_template, owner="ledger_owner")
    with open_works(postgres, postgres.url(name, "ledger_app"), tmp_path) as opened:
        yield opened
    postgres.drop_database(name)


def killed_in_switch(works: Works, train: Train, when: Callable[[], bool]) -> None:
    """Let the process die in `switch_traffic` as soon as something holds."""

    def clock() -> datetime:
        if when():
            raise Killed("in the middle of the switch")
        return works.clock()

    with pytest.raises(Killed):
        production.switch_traffic(replace(train, clock=clock))
    assert not train.has("switch_traffic")


def with_profile(train: Train, **changes: object) -> Train:
    """Return a train whose profile declares something else."""
    profile = train.plan.profile.model_copy(update=changes)
    return replace(train, plan=train.plan.model_copy(update={"profile": profile}))


@pytest.mark.parametrize("recorded", [True, False])
def test_a_switch_that_was_killed_with_all_traffic_moved_is_not_undone_when_the_window_closes(
    works: Works, recorded: bool
) -> None:
    train = works.depart()
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    slot = Colour(train.result("deploy_green")["slot"])
    killed_in_switch(
        works,
        train,
        lambda: train.has("shift_1") if recorded else works.production.weights()[slot] == 100,
    )
    assert train.has("shift_1") is recorded
    works.clock.now = parse_instant(str(train.result("enter_window")["closes"]))
    done = production.switch_traffic(works.board_train(train.run_id))
    assert done.ok, done.message
    assert works.until_no(train, PRODUCTION[-1], *CLOSING).ok
    assert works.conclude(train, failed=False).ok
    assert works.served() == train.plan.version


@pytest.mark.parametrize("policy", ["finish", "roll_back"])
def test_a_canary_that_was_killed_goes_where_the_policy_leads_when_its_window_closes(
    works: Works, policy: str
) -> None:
    before = works.served()
    train = works.depart(strategy="canary")
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    slot = Colour(train.result("deploy_green")["slot"])
    closing = train.plan.profile.closing.model_copy(update={"shift": policy})
    train = with_profile(train, closing=closing)
    killed_in_switch(works, train, lambda: works.production.weights()[slot] == 25)
    assert (train.has("shift_1"), train.has("shift_2")) == (True, False)
    works.clock.now = parse_instant(str(train.result("enter_window")["closes"]))
    done = production.switch_traffic(train)
    if policy == "finish":
        assert done.ok, done.message
        assert works.until_no(train, PRODUCTION[-1], *CLOSING).ok
        assert works.conclude(train, failed=False).ok
        assert works.served() == train.plan.version
        return
    assert (done.ok, done.reason) == (False, "window_closing"), done.message
    works.conclude(train, failed=True)
    assert works.state(train) == ("rolled_back", "window_closing")
    assert works.served() == before
    works.unlock()


def test_a_canary_that_was_killed_is_not_led_back_for_the_age_of_its_backup(works: Works) -> None:
    train = works.depart(strategy="canary")
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    slot = Colour(train.result("deploy_green")["slot"])
    killed_in_switch(works, train, lambda: works.production.weights()[slot] == 25)
    done = production.switch_traffic(with_profile(train, backup_max_age=timedelta(0)))
    assert done.ok, done.message
    assert works.until_no(train, PRODUCTION[-1], *CLOSING).ok
    assert works.conclude(train, failed=False).ok


def test_a_switch_that_was_killed_is_not_ended_after_people_were_led_back(works: Works) -> None:
    before = works.served()
    train = works.depart()
    assert works.until_no(train, *PRODUCTION[:-2]).ok
    killed_in_switch(works, train, lambda: train.has("shift_1"))
    assert rollback.roll_back(train).reason == "rolled_back"
    done = production.switch_traffic(works.board_train(train.run_id))
    assert (done.ok, done.reason) == (False, "permit_withdrawn"), done.message
    assert works.served() == before
    assert works.one(schema.permit, train).closed_at is not None
    works.conclude(train, failed=False)
    assert works.state(train)[0] == "rolled_back"
    works.unlock()
