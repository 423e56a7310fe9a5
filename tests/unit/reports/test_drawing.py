"""The figures of the reports, on both sheets."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from include.reports.drawing.bars import bars
from include.reports.drawing.heat_map import heat_map
from include.reports.drawing.histogram import histogram
from include.reports.drawing.timeline import timeline
from include.reports.drawing.trend import trend
from include.reports.figure import Box, Drawing, Figure, Label
from include.reports.metrics.metric import Unit
from include.reports.period import Kind, period_on

ZONE = ZoneInfo("America/New_York")
PERIOD = period_on(Kind.WEEKLY, date(2026, 11, 16), ZONE)
# A letter of the common sans-serif ones, in shares of its size.
LETTER = 0.55


def figures() -> list[Figure]:
    weeks = [f"2026-W{week}" for week in range(36, 48)]
    days = Counter({date(2026, 1, 1) + timedelta(days=day): day % 9 for day in range(0, 360, 3)})
    long = "hims-portal-frontend-of-all-clinics-12.10.3"
    return [
        trend("Rates", weeks, dict.fromkeys(("a", "rollback", "e" * 30), [0.5] * 12), Unit.SHARE),
        trend("One", ["2026-W47"], {"median": [86_400.0 * 3]}, Unit.DURATION),
        heat_map("A year", date(2025, 11, 28), date(2026, 11, 28), days),
        heat_map("A week", date(2026, 11, 16), date(2026, 11, 23), Counter()),
        histogram("Lead time", [0.1 * number for number in range(30_000)], "days"),
        histogram("Nothing", [], "days from commit to production"),
        bars("Waits", [(long, 5.0, "5 days"), ("b", 0.0, "0s")], marked="b"),
        timeline(
            "Releases", PERIOD.start, PERIOD.end, ZONE,
            [(long, [("code", PERIOD.start, PERIOD.end)], [("deployed", PERIOD.end)])],
        ),
        timeline("None", PERIOD.start, PERIOD.end, ZONE, []),
    ]  # fmt: skip


def edges(label: Label) -> tuple[float, float]:
    long = LETTER * label.size * len(label.text)
    left = label.x - {"start": 0.0, "middle": long / 2, "end": long}[label.anchor]
    return left, left + long


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure.title)
def test_nothing_is_cut_off_and_no_words_run_into_each_other(figure: Figure) -> None:
    assert (figure.wide.width, figure.narrow.width) == (640, 330)
    for drawing in (figure.wide, figure.narrow):
        labels = [shape for shape in drawing.shapes if isinstance(shape, Label)]
        for label in labels:
            left, right = edges(label)
            assert left >= -1, label
            assert right <= drawing.width + 1, label
            assert label.size <= label.y <= drawing.height, label
        for box in (shape for shape in drawing.shapes if isinstance(shape, Box)):
            assert box.x + box.width <= drawing.width, box
            assert box.y + box.height <= drawing.height, box
        for index, one in enumerate(labels):
            for other in labels[index + 1 :]:
                if abs(one.y - other.y) < one.size:
                    gap = max(edges(one)[0] - edges(other)[1], edges(other)[0] - edges(one)[1])
                    assert gap > 0, (one, other)


@pytest.mark.parametrize("figure", figures(), ids=lambda figure: figure.title)
def test_letters_are_legible_on_a_phone_of_390_pixels_and_on_a_page_of_760(figure: Figure) -> None:
    # What is left of a phone's width beside the page's edges; wide drawings begin at 761.
    for drawing, room in ((figure.narrow, 338), (figure.wide, 659)):
        assert least(drawing) * room / drawing.width >= 11


def least(drawing: Drawing) -> float:
    return min(shape.size for shape in drawing.shapes if isinstance(shape, Label))


def test_both_sheets_show_the_same() -> None:
    days = Counter({date(2026, 3, 1) + timedelta(days=day): 1 for day in range(60)})
    drawing = heat_map("A year", date(2025, 11, 28), date(2026, 11, 28), days)
    wide, narrow = (
        Counter(shape.tip for shape in sheet.shapes if isinstance(shape, Box) and shape.tip)
        for sheet in (drawing.wide, drawing.narrow)
    )
    assert wide == narrow
    assert len(wide) == 365


def test_the_scale_of_a_timeline_counts_the_zones_days() -> None:
    east = ZoneInfo("Asia/Kolkata")
    period = period_on(Kind.WEEKLY, date(2026, 11, 16), east)
    drawing = timeline("Releases", period.start, period.end, east, [])
    days = [shape for shape in drawing.wide.shapes if isinstance(shape, Label)][:4]
    assert [day.text for day in days] == ["16 Nov", "18 Nov", "20 Nov", "22 Nov"]
    steps = {round(later.x - day.x, 6) for day, later in pairwise(days)}
    assert len(steps) == 1


def test_a_timeline_says_how_many_releases_it_leaves_out() -> None:
    drawing = timeline("Releases", PERIOD.start, PERIOD.end, ZONE, [("hims-api-1", [], [])], of=31)
    assert drawing.said == "the newest 1 of 31 releases"


def test_a_trend_says_of_which_period_its_last_figure_is() -> None:
    names = ["2026-W46", "2026-W47"]
    values = {"success": [0.5, 0.25], "coverage": [0.75, None], "rollback": [None, None]}
    assert trend("Rates", names, values, Unit.SHARE).said == (
        "success: 25.0 % in 2026-W47; coverage: 75.0 % in 2026-W46, no data since; "
        "rollback: no data"
    )


def test_the_scale_of_lengths_is_in_whole_minutes_hours_or_days() -> None:
    drawing = trend("Time", ["2026-W47"], {"median": [2240.0]}, Unit.DURATION)
    said = [shape.text for shape in drawing.wide.shapes if isinstance(shape, Label)][:5]
    assert said == ["0", "10m", "20m", "30m", "40m"]
