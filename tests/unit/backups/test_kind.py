"""Which kind of backup a place gets, and what is offered where a snapshot can't be put back."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.backups.kind import why_not_put_back
from include.notices.texts import no_way_back
from include.services.service import Placement

PORTS = {"frontend": 1, "blue": 2, "green": 3}
RDS = {"instance": "hims-production"}


def placed(**more: Any) -> Placement:
    return Placement.model_validate({"target": "local", "ports": PORTS, **more})


def test_a_dump_can_be_put_back() -> None:
    assert why_not_put_back(placed(database="hims_api")) is None
    assert "trigger the Dag rollback" in no_way_back(release="r", migrations="m").text


def test_for_a_snapshot_the_offer_names_all_that_has_to_be_led_elsewhere() -> None:
    said = why_not_put_back(placed(database="hims_api", rds=RDS))
    assert said is not None
    for what in ("hims-production", "Connection hims_api_db", "rds.instance", "new instance"):
        assert what in said
    told = no_way_back(release="r", migrations="m", instead=said).text
    assert said in told
    assert "trigger the Dag rollback" not in told


@pytest.mark.parametrize(
    "wrong", [{"rds": RDS}, {"database": "x", "rds": {"instance": "-; rm"}},
              {"database": "x", "rds": {**RDS, "wait": "0s"}}],
)  # fmt: skip
def test_rds_that_can_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        placed(**wrong)
