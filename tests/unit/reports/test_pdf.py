"""The PDF of a report, read back from its own bytes."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fpdf import FPDF

from include.errors import ReportError
from include.reports.drawing.bars import bars
from include.reports.facts import Facts
from include.reports.figure import Box, Drawing, Figure, Label
from include.reports.metrics.scorecard import score
from include.reports.period import Kind, period_on
from include.reports.rendering.pdf import pdf
from include.reports.report import Block, Grid, Points, Report, Section

ZONE = ZoneInfo("America/New_York")
PERIOD = period_on(Kind.WEEKLY, date(2026, 11, 16), ZONE)
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIGURE = bars("Time in each state", [("scheduled", 3.0, "3h"), ("review", 1.0, "1h")])
TABLE = Grid(
    heads=("Change", "What", "Type", "Systems", "When", "Came out"),
    rows=[
        (
            "CHG-002971", "Replace the load balancer's health check", "emergency",
            "database, integration", "Sat 21 Nov 2026 02:00–02:52 EST", "caused INC-000625",
        )
    ] * 3,
    nothing="",
)  # fmt: skip


def report(blocks: Sequence[Block]) -> Report:
    return Report(
        organisation="AROCORD-HIMS",
        title="Weekly change report",
        period=PERIOD,
        as_of=AT,
        provisional=False,
        service=None,
        summary="Nothing.",
        sections=[Section(title="Changes implemented", blocks=blocks)],
        card=score(
            Facts(
                start=PERIOD.start,
                end=PERIOD.end,
                as_of=AT,
                service=None,
                observed=timedelta(hours=72),
            )
        ),
        calendar_digest="0" * 64,
    )


def drawn(blocks: Sequence[Block]) -> str:
    """Return what the pages are drawn with, its strings as the letters that they show."""
    return read(pdf(report(blocks)))


def streams(file: bytes) -> list[str]:
    """Return what a file holds, unpacked."""
    parts = []
    for part in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", file, re.S):
        try:
            parts.append(zlib.decompress(part).decode("latin-1"))
        except zlib.error:
            parts.append(part.decode("latin-1"))
    return parts


def read(file: bytes) -> str:
    """Return a file's pages as they are drawn, glyphs read back by the file's own tables."""
    parts = streams(file)
    # One table for each font, in the order of their names in the pages.
    tables = [
        {
            int(glyph, 16): bytes.fromhex(letters).decode("utf-16-be")
            for glyph, letters in re.findall(r"<([0-9A-F]+)> <([0-9A-F]+)>\n", part)
        }
        for part in parts
        if "beginbfchar" in part
    ]
    shown = [part for part in parts if re.search(r"^BT /F\d", part, re.M)]
    return "\n".join(_lettered(part, tables) for part in shown)


def _lettered(page: str, tables: Sequence[dict[int, str]]) -> str:
    """Replace the two bytes of every glyph by the letters for which it stands."""
    font = 0

    def letters(found: re.Match[str]) -> str:
        nonlocal font
        if found["font"]:
            font = int(found["font"]) - 1
            return found[0]
        codes = re.sub(
            r"\\(.)", lambda mark: mark[1].replace("r", "\r"), found["codes"], flags=re.S
        )
        glyphs = struct.unpack(f">{len(codes) // 2}H", codes.encode("latin-1"))
        said = "".join(tables[font].get(glyph, "") for glyph in glyphs)
        return f"({said.replace('(', '').replace(')', '')})"

    return re.sub(r"/F(?P<font>\d+) |\((?P<codes>(?:\\.|[^\\)])*)\)", letters, page, flags=re.S)


def test_a_table_behind_a_figure_is_not_painted_in_the_figures_colour() -> None:
    boxes = sum(isinstance(shape, Box) for shape in FIGURE.wide.shapes)
    assert len(re.findall(r" re f\b", drawn([FIGURE]))) == boxes
    assert len(re.findall(r" re f\b", drawn([FIGURE, TABLE]))) == boxes


def test_no_word_of_a_table_is_broken_while_there_is_room() -> None:
    shown = drawn([TABLE])
    for word in ("Change", "CHG-002971", "emergency", "integration", "INC-000625"):
        assert re.search(rf"\((?:[^()]* )?{word}[, ]?[^()]*\)", shown), word


def test_a_word_longer_than_the_page_is_broken_and_loses_nothing() -> None:
    long = replace(TABLE, rows=[("CHG-1", "x" * 3000, "normal", "api", "", "as planned")])
    assert drawn([long]).count("x") >= 3000


def test_a_cell_too_long_for_a_page_is_cut_and_says_so() -> None:
    caused = "; ".join(f"caused INC-{number:06d} (P2)" for number in range(400))
    rows = [("CHG-1", "x" * 3000, "normal", "api", "", caused), *TABLE.rows]
    shown = drawn([replace(TABLE, rows=rows)])
    assert "INC-000003" in shown
    assert "INC-000399" not in shown
    assert "…" in shown
    assert "CHG-002971" in shown


@pytest.mark.parametrize("title", ["Zażółć gęślą jaźń", "Смена шлюза", "Αλλαγή πύλης", "a → b ≥ c"])
def test_letters_of_other_tongues_are_shown_as_they_are(title: str) -> None:
    shown = drawn([replace(TABLE, rows=[("CHG-1", title, "normal", "api", "", "")])])
    assert title in shown
    assert "cannot be shown" not in shown


def test_words_that_run_from_right_to_left_are_turned_and_joined() -> None:
    shown = drawn([Points(items=["שלום עולם", "مرحبا"], nothing="")])
    assert [letter for letter in "שלוםעמרחב" if letter in shown] == list("שלוםע")
    assert "cannot be shown" not in shown


@pytest.mark.parametrize("name", ["مرحبا", "क्षत्रिय", "שלום", "Waits"])
def test_letters_of_a_figure_are_joined_and_turned_as_those_of_the_text_are(name: str) -> None:
    label = Label(x=9, y=9, text=name)
    drawing = Drawing(width=640, height=20, shapes=[label])
    figure = Figure(title="Waits", said="They wait.", wide=drawing, narrow=drawing)
    # In one file the same glyphs have the same numbers.
    page = "\n".join(streams(pdf(report([Points(items=[], nothing=name), figure]))))
    before, _, behind = page.partition("\nq\nBT /F1")
    text = before.rpartition("/F1 10.00 Tf")[2].partition("/F2")[0]
    said, shown = (
        re.findall(r"\((.*?)\) Tj", part, re.S) for part in (text, behind.partition("\nQ\n")[0])
    )
    assert shown == said != []


def test_a_file_that_lacks_letters_says_how_many_and_marks_each() -> None:
    rows = [("CHG-1", "🚀 你好 e\u0301\ufe0f\u202e", "normal", "api", "", "")]
    shown = drawn([replace(TABLE, rows=rows)])
    assert "▯ ▯▯ é" in shown
    assert "3 letters of this report cannot be shown in this file" in shown


def test_a_file_that_cannot_be_made_says_at_which_place_and_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    incidents = replace(TABLE, title="Incidents opened")
    with monkeypatch.context() as broken:
        broken.setattr(FPDF, "table", lambda *_, **__: {}[5])
        with pytest.raises(ReportError) as failed:
            pdf(report([FIGURE, incidents]))
    assert str(failed.value) == "section “Changes implemented”, “Incidents opened”: KeyError 5"
    monkeypatch.setattr(FPDF, "output", lambda _: int("x"))
    with pytest.raises(ReportError, match="the finished file: invalid literal"):
        pdf(report([]))


def test_a_title_that_looks_like_a_place_holder_stays_as_it_is() -> None:
    assert "use {nb} here" in drawn([Points(items=["use {nb} here"], nothing="")])


def test_a_paragraph_is_not_stretched_to_both_edges() -> None:
    shown = drawn([Points(items=["word " * 60], nothing="")])
    assert not re.search(r"[1-9][0-9.]* Tw|\] TJ", shown)


def test_no_sentence_ends_twice() -> None:
    assert ".." not in drawn([]).replace("...", "")
