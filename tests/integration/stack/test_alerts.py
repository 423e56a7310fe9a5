"""config/alerts as it is shipped: rules about figures that the load balancer really gives."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from include.changes.alert_rules import FOLDER, alerts_by_system
from include.changes.systems import load_systems
from include.settings import ROOT, Settings, load_settings
from include.stack.haproxy import haproxy_component
from include.stack.health import ask_haproxy
from tests.integration.stack.conftest import running, until

SELECTOR = re.compile(r"([a-z][a-z_]*)(\{[^}]*\})")
SAMPLE = re.compile(r"^([a-z][a-z_]*)\{(.*)\} (\S+)$", re.MULTILINE)


@pytest.fixture
def metrics(settings: Settings) -> Iterator[str]:
    with running(settings, haproxy_component(settings)):
        until(lambda: ask_haproxy(settings) is None)
        yield f"http://127.0.0.1:{settings.overall.ports.haproxy_metrics}"


def rules() -> dict[str, dict[str, Any]]:
    found = {}
    for path in (ROOT / "config" / FOLDER).glob("*.yaml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            found.update({rule["alert"]: rule for rule in group["rules"]})
    return found


def selectors(rule: dict[str, Any]) -> list[tuple[str, set[str]]]:
    found = SELECTOR.findall(rule["expr"])
    return [(name, set(labels[1:-1].split(","))) for name, labels in found]


def test_every_figure_that_a_rule_asks_for_is_there(metrics: str) -> None:
    with urllib.request.urlopen(f"{metrics}/metrics", timeout=10) as answer:
        samples = SAMPLE.findall(answer.read().decode())
    asked = [(name, *one) for name, rule in rules().items() for one in selectors(rule)]
    assert len(asked) > len(rules())
    missing = [
        (alert, name, labels)
        for alert, name, labels in asked
        if not any(name == its and labels <= set(had.split(",")) for its, had, _ in samples)
    ]
    assert missing == []
    (down,) = selectors(rules()["HimsApiDown"])
    # Nothing is staged: the alert would fire.
    assert [value for its, had, value in samples if its == down[0] and had in down[1]] == ["0"]


def test_nothing_but_figures_is_served_there(metrics: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{metrics}/admin", timeout=10)
    assert refused.value.code == 404


def test_the_sample_is_watched_as_shipped() -> None:
    settings = load_settings()
    assert dict(alerts_by_system(settings, load_systems(settings))) == {
        "api": ("HimsApiDown", "HimsApiErrors", "HimsApiSlow", "HimsApiUnseen"),
    }  # fmt: skip


def test_the_file_says_the_ceilings_and_the_port_that_are_configured() -> None:
    settings, shipped = load_settings(), rules()
    watch = settings.environment("production").watch
    assert shipped["HimsApiErrors"]["expr"].endswith(f"> {watch.max_error_rate}")
    assert watch.max_p95 is not None
    assert shipped["HimsApiSlow"]["expr"].endswith(f"> {watch.max_p95.total_seconds():g}")
    text = settings.config_file(f"{FOLDER}/hims-api.yaml").read_text()
    assert f'"127.0.0.1:{settings.overall.ports.haproxy_metrics}"' in text
