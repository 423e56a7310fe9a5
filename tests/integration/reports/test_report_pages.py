"""The reports in a browser, on a phone and on a desk: what a figure says can be read.

With HIMS_SCREENSHOTS=DIR the pictures of the README are written there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from include.cli import main
from tests.e2e.browser import SCREENSHOTS, chromium, needs_chromium
from tests.integration.reports.conftest import Demo

pytestmark = needs_chromium

REPORTS = {"weekly": "2026-W46", "monthly": "2026-10", "quarterly": "2026-Q3"}
# Pixels; smaller letters are a strain.
LEGIBLE = 11.0
# Every figure that is to be seen: its letters' sizes on the screen, and which of its words are cut
# off at its edge or run into each other.
FIGURES = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
  const edge = svg.getBoundingClientRect();
  if (!edge.width) return [];
  const scale = edge.width / svg.viewBox.baseVal.width;
  const words = [...svg.querySelectorAll('text')].map(node => ({
    said: node.textContent, at: node.getBoundingClientRect(),
    size: parseFloat(getComputedStyle(node).fontSize) * scale,
  }));
  const cut = words.filter(({at}) => at.left < edge.left - 1 || at.right > edge.right + 1
    || at.top < edge.top - 1 || at.bottom > edge.bottom + 2).map(word => word.said);
  const mixed = words.flatMap((one, index) => words.slice(index + 1).filter(({at}) =>
    Math.min(one.at.right, at.right) - Math.max(one.at.left, at.left) > -3 &&
    Math.min(one.at.bottom, at.bottom) - Math.max(one.at.top, at.top) > 4)
    .map(other => `${one.said} / ${other.said}`));
  return [{about: svg.getAttribute('aria-label'), least: Math.min(...words.map(w => w.size)),
           cut, mixed}];
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(("kind", "period"), REPORTS.items())
def test_the_words_of_every_figure_can_be_read_on_a_phone_and_on_a_desk(
    kind: str, period: str, demo: Demo, browser: Browser, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", demo.url)
    assert main(["report", kind, "--period", period, "-o", str(tmp_path), "--format", "html"]) == 0
    page = browser.new_page()
    page.goto((tmp_path / f"{kind}-{period}.html").as_uri())
    seen: dict[int, list[str]] = {}
    for width in (360, 390, 600, 760, 761, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        figures: list[dict[str, Any]] = page.evaluate(FIGURES)
        seen[width] = [figure["about"] for figure in figures]
        for figure in figures:
            assert figure["least"] >= LEGIBLE, (width, figure)
            assert figure["cut"] == [], (width, figure)
            assert figure["mixed"] == [], (width, figure)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    # One drawing of each figure, the same figures everywhere.
    assert len(set(seen[390])) == len(seen[390]) >= 1
    assert all(figures == seen[390] for figures in seen.values())
    if SCREENSHOTS:
        for name, size in (("desktop", (1280, 1700)), ("phone", (390, 2000))):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.screenshot(path=Path(SCREENSHOTS) / f"report-{kind}-{name}.png")
    page.close()
