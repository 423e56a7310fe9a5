"""Which kind of backup a place gets."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from include.services.service import Placement

PORTS = {"frontend": 1, "blue": 2, "green": 3}
RDS = {"instance": "hims-production"}


def placed(**more: Any) -> Placement:
    return Placement.model_validate({"target": "local", "ports": PORTS, **more})


@pytest.mark.parametrize(
    "wrong", [{"rds": RDS}, {"database": "x", "rds": {"instance": "-; rm"}},
              {"database": "x", "rds": {**RDS, "wait": "0s"}}, {"database": "x", "rds": {}},
              {"database": "x", "rds": {**RDS, "cluster": "hims"}}],
)  # fmt: skip
def test_rds_that_can_not_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        placed(**wrong)
