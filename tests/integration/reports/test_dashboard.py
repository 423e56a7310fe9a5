"""The Grafana dashboard asks for series that `./hims metrics --prometheus` has."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from include.reports.metrics.scorecard import score
from include.reports.prometheus import exposition
from include.reports.reading import read_facts
from include.reports.surroundings import openings_of
from include.settings import ROOT, load_settings
from tests.integration.reports.conftest import END, Demo


def test_every_series_of_the_dashboard_exists(demo: Demo) -> None:
    text = (ROOT / "docs" / "grafana" / "release-control.json").read_text(encoding="utf-8")
    asked = set(re.findall(r"release_control_\w+", text))
    facts = read_facts(
        demo.ledger,
        END - timedelta(days=365),
        END,
        observed=timedelta(hours=72),
        openings=openings_of(load_settings()),
    )
    told = set(re.findall(r"^(release_control_\w+)\{", exposition(score(facts)), re.MULTILINE))
    assert asked
    assert asked <= told
    ids = [panel["id"] for panel in json.loads(text)["panels"]]
    assert len(ids) == len(set(ids))
