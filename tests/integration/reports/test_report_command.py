"""`./hims report`: the plan's sections, in every form, the same bytes each time."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from include.cli import main
from include.ledger import Actor, Ledger, Source
from include.reports import report_commands
from include.reports.period import Kind, parse_period
from include.reports.rendering import letters
from include.reports.surroundings import change_calendar
from include.reports.words import write_words
from include.settings import load_settings
from tests.integration.reports.conftest import END, Demo
from tests.unit.config_copy import ConfigCopy

SECTIONS = {
    ("weekly", "2026-W46"): [
        "Changes implemented", "Issues encountered", "Lessons learned", "Upcoming changes",
    ],
    ("monthly", "2026-10"): [
        "Change metrics", "Quality trends", "Process improvements", "Risk assessments",
    ],
    ("quarterly", "2026-Q3"): [
        "Overall change performance", "Process effectiveness", "Technology improvements",
        "Strategic alignment",
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def asks_demo(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", demo.url)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.figures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        self.figures += tag == "svg"
        self.ids.add(values.get("id") or "")
        for name in ("src", "href"):
            target = values.get(name) or ""
            if target.startswith("#"):
                self.targets.add(target[1:])
            elif target:
                self.outside.append(target)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(("kind", "period"), SECTIONS)
def test_a_report_has_exactly_the_plans_sections_in_every_form(
    kind: str, period: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", kind, "--period", period, "-o", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [section["title"] for section in document["sections"]] == SECTIONS[kind, period]
    name = f"{kind}-{period}"
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{form}" for form in ("html", "pdf", "md", "json")
    }
    page = _Page()
    text = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
    page.feed(text)
    assert page.open == []
    assert page.outside == []
    # No short word is broken in its middle to make its column narrow.
    assert 'class="whole">emergency<' in text or "emergency</td>" not in text
    assert not re.search(r"(?<!whole\">)\d\d:\d\d–", text.partition("<footer>")[0])
    assert page.targets <= page.ids
    assert page.figures >= 1
    told = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", MarkdownIt().render(told))
    assert headings[:4] == SECTIONS[kind, period]
    assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
    assert json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8")) == document


@pytest.mark.parametrize(("kind", "period"), SECTIONS)
def test_the_same_period_run_twice_gives_the_same_bytes(
    kind: str, period: str, tmp_path: Path
) -> None:
    for place in ("one", "two"):
        assert main(["report", kind, "--period", period, "-o", str(tmp_path / place)]) == 0
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_report_is_recorded_once_with_the_digest_of_each_file(demo: Demo, tmp_path: Path) -> None:
    for _ in range(2):
        assert main(["report", "weekly", "--period", "2026-W30", "-o", str(tmp_path)]) == 0
    rows = [json.loads(row["body"]) for row in demo.ledger.records(event="report.made")]
    made = [row for row in rows if row["subject"]["id"] == "weekly-2026-W30"]
    assert len(made) == 1
    assert {item["uri"] for item in made[0]["evidence"]} == {
        f"report:weekly-2026-W30.{form}" for form in ("html", "json", "md", "pdf")
    }


def test_people_s_words_stand_in_the_quarterly_review_and_cannot_become_markup(
    demo: Demo, tmp_path: Path
) -> None:
    settings = load_settings()
    write_words(
        demo.ledger,
        settings,
        parse_period(Kind.QUARTERLY, "2026-Q2", change_calendar(settings).zone),
        {
            "Strategic alignment": (
                "<script>alert(1)</script> [x](y) | done, MRN 00123456\u202e\x1b[31m"
            ),
            "Technology improvements": "  ",
        },
        service=None,
        by=Actor(user="sam", name="Sam <b>Doe</b>", auth="password"),
        source=Source(kind="cli"),
        now=END,
    )
    (record,) = demo.ledger.records(event="report.worded")
    assert "alert(1)" not in record["body"]
    assert main(["report", "quarterly", "--period", "2026-Q2", "-o", str(tmp_path)]) == 0
    text = (tmp_path / "quarterly-2026-Q2.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert "Sam &lt;b&gt;Doe" in text
    assert not {"\u202e", "\x1b"} & set(text)
    assert "00123456" not in text
    assert "medical record number removed" in text
    assert "Nobody has written about this quarter yet." in text
    rendered = MarkdownIt().render((tmp_path / "quarterly-2026-Q2.md").read_text(encoding="utf-8"))
    assert "<script" not in rendered
    assert "<a " not in rendered


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["weekly", "--period", "2026-11"], "write it like 2026-W47"),
        (["weekly", "--period", "2026-W54"], "is not a period"),
        (["monthly", "--period", "2026-13"], "is not a period"),
        (["monthly", "--period", ""], "is not a period"),
        (["quarterly", "--period", "2026-Q5"], "is not a period"),
        (["monthly", "--period", "２０２６-10"], "is not a period"),
        (["monthly", "--format", "docx"], "--format is some of"),
        (["monthly", "--service", "hims"], "is not configured"),
        (["monthly", "--as-of", ""], '"" is not an instant'),
        (["monthly", "--period", "2026-10", "--as-of", "2026-09-30T00:00:00Z"], "--as-of lies"),
    ],
)
def test_what_cannot_be_reported_is_misuse(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_view_from_before_a_report_was_due_is_provisional(
    demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", "monthly", "--period", "2026-09", "-o", str(tmp_path), "--json"]
    views = {"2026-09-15T00:00:00Z": True, "2026-10-02T00:00:00Z": False}
    for as_of, early in views.items():
        assert main([*words, "--as-of", as_of]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["provisional"] is early
        assert document["id"] == f"monthly-2026-09-as-of-{re.sub('[-:]', '', as_of)}"
        text = (tmp_path / f"{document['id']}.html").read_text(encoding="utf-8")
        assert ("Provisional: " in text) is early
    # Neither stands where the report that was due stands.
    assert not (tmp_path / "monthly-2026-09.html").exists()
    assert main([*words, "--as-of", "2026-10-01T11:00:00Z"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "monthly-2026-09"
    reasons = [
        json.loads(row["body"])["reason"] for row in demo.ledger.records(event="report.made")
    ]
    assert reasons[-3:] == ["provisional", "done", "done"]


def test_what_is_made_up_is_not_put_in_the_place_of_a_real_report(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ConfigCopy(tmp_path / "config")
    config.replace("global.yaml", "state_dir: .run ", f"state_dir: {tmp_path}/state ")
    monkeypatch.setenv("HIMS_CONFIG", str(config.directory))
    monkeypatch.setattr(report_commands, "open_ledger", lambda *_, **__: demo.ledger)
    words = ["report", "weekly", "--period", "2026-W39", "--format", "md"]
    for more in ([], ["--demo"]):
        assert main([*words, *more]) == 0
    found = {str(path.relative_to(tmp_path / "state")) for path in tmp_path.rglob("*.md")}
    assert found == {
        "reports/weekly/weekly-2026-W39.md", "demo/reports/weekly/weekly-2026-W39.md",
    }  # fmt: skip


def test_a_period_to_come_is_a_well_formed_no(tmp_path: Path) -> None:
    assert main(["report", "monthly", "--period", "2199-01", "-o", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_its_pdf_a_report_is_there_and_is_no_pass(
    demo: Demo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["report", "weekly", "--period", "2026-W40", "-o", str(tmp_path)]
    with monkeypatch.context() as broken:
        broken.setattr(letters, "myfont", lambda name: b"no font")
        assert main(words) == 1
    said = capsys.readouterr()
    assert "weekly-2026-W40.pdf could not be made (its fonts: " in said.err
    assert ".pdf" not in said.out
    assert {path.suffix for path in tmp_path.iterdir()} == {".html", ".md", ".json"}
    assert main(words) == 0
    assert (tmp_path / "weekly-2026-W40.pdf").is_file()
    found = [json.loads(row["body"]) for row in demo.ledger.records(event="report.made")]
    assert [body["reason"] for body in found if body["subject"]["id"] == "weekly-2026-W40"] == [
        "incomplete",
        "done",
    ]


def test_an_empty_ledger_makes_a_report_that_says_so_in_words(
    ledger_url: str, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    for kind, period in SECTIONS:
        assert main(["report", kind, "--period", period, "-o", str(tmp_path)]) == 0
        text = (tmp_path / f"{kind}-{period}.html").read_text(encoding="utf-8")
        assert "no data" in text
        told = (tmp_path / f"{kind}-{period}.md").read_text(encoding="utf-8")
        assert "(no data" not in told
        assert "nan" not in text.lower().replace("maintenance", "").replace("finance", "")
    assert len(ledger.records(event="report.made")) == 3
