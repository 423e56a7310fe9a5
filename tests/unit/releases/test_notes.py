"""Release notes, for programs and for people."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from include.releases.commits import Commit
from include.releases.notes import collect_notes, escape_markdown, plain_text, render_notes
from include.releases.versions import Version

AT = datetime(2026, 11, 20, tzinfo=UTC)


def history(*messages: str, merges: tuple[int, ...] = ()) -> list[Commit]:
    """Commits of these messages, oldest first in the call, newest first in the result."""
    commits = [
        Commit(
            sha=f"{number:040x}",
            parents=("p",) * (2 if number in merges else 1),
            author_name="A",
            author_email="a@example.org",
            time=AT,
            message=message,
        )
        for number, message in enumerate(messages)
    ]
    return commits[::-1]


def sha(number: int) -> str:
    return f"{number:040x}"


class Page(HTMLParser):
    """The tags of a page, and the text of each list item."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.items: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "li":
            self.items.append("")
        assert not attrs, (tag, attrs)

    def handle_data(self, data: str) -> None:
        if self.items:
            self.items[-1] += data


def rendered(markdown: str) -> Page:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Page(parser.render(markdown))


def test_each_commit_stands_in_the_list_of_its_type_and_a_breaking_one_also_in_its_own() -> None:
    notes = collect_notes(
        history(
            "feat(auth): add MFA",
            "fix: tax",
            "fix(api)!: drop v1",
            "docs: guide",
            "no convention",
            "feat: z\n\nBREAKING CHANGE: y",
            "Merge branch 'x'",
            "",
            merges=(6,),
        )
    )
    listed = asdict(notes)
    assert listed["features"] == (
        {"commit": sha(5), "scope": None, "subject": "z"},
        {"commit": sha(0), "scope": "auth", "subject": "add MFA"},
    )
    assert [entry.commit for entry in notes.fixes] == [sha(2), sha(1)]
    assert [entry.commit for entry in notes.breaking] == [sha(5), sha(2)]
    assert [entry.commit for entry in notes.others] == [sha(3)]
    assert listed["unparsed"] == (
        {"commit": sha(7), "scope": None, "subject": ""},
        {"commit": sha(4), "scope": None, "subject": "no convention"},
    )


@given(st.lists(st.sampled_from(["feat: a", "fix: b", "docs!: c", "x", "", "infra(d): e"])))
def test_no_commit_is_lost_and_none_is_listed_twice_by_type(messages: list[str]) -> None:
    commits = history(*messages)
    notes = collect_notes(commits)
    by_type = [*notes.features, *notes.fixes, *notes.others, *notes.unparsed]
    assert sorted(entry.commit for entry in by_type) == sorted(item.sha for item in commits)
    assert render_notes(commits).count("\n- ") == len(messages)


def test_breaking_changes_come_first_with_their_note_and_are_not_repeated() -> None:
    text = render_notes(
        history("fix: a", "feat(b): new", "feat(b)!: gone\n\nBREAKING CHANGE: use the other"),
        version=Version.parse("2.3.0"),
    )
    assert text == (
        "# Release 2.3.0\n\n"
        "## Breaking changes\n\n"
        "- **b:** gone (`0000000000`)  \n  use the other\n\n"
        "## New features\n\n"
        "- **b:** new (`0000000000`)\n\n"
        "## Fixes\n\n"
        "- a (`0000000000`)\n"
    )


def test_entries_are_grouped_by_scope_and_those_without_one_come_last() -> None:
    text = render_notes(history("fix: one", "fix(b): two", "fix(a): three", "fix(b): four"))
    order = [text.index(word) for word in ("three", "four", "two", "one")]
    assert order == sorted(order)


def test_what_was_taken_back_within_the_range_is_not_announced() -> None:
    commits = history("feat: x", "fix: y", f'Revert "feat: x"\n\nThis reverts commit {sha(0)}.')
    text = render_notes(commits)
    assert "New features" not in text
    assert text.index("## Taken back before the release") < text.index("- x (")
    notes = collect_notes(commits)
    assert [(item.commit, item.by) for item in notes.reverted] == [(sha(0), sha(2))]
    assert [entry.commit for entry in notes.features] == [sha(0)]


def test_what_was_taken_back_and_restored_is_announced() -> None:
    commits = history(
        "feat: x",
        f'Revert "feat: x"\n\nThis reverts commit {sha(0)}.',
        f'Reapply "feat: x"\n\nThis reverts commit {sha(1)}.',
    )
    text = render_notes(commits)
    assert "## New features\n\n- x (" in text
    assert "Taken back" not in text


def test_a_revert_of_an_earlier_release_is_a_change_of_its_own() -> None:
    text = render_notes(history(f'Revert "feat: x"\n\nThis reverts commit {"9" * 40}.'))
    assert '## Other changes\n\n- Revert "feat: x" (' in text


def test_a_range_without_commits_says_so() -> None:
    assert render_notes([]) == "# Release notes\n\nNo changes.\n"


HOSTILE = [
    "<script>alert(1)</script>",
    "# heading",
    "- list",
    "1. list",
    "1) list",
    "> quote",
    "```",
    "`code`",
    "*a* **b** _c_ __d__ ~~e~~",
    "[x](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "[x]: http://example.org",
    "<http://example.org>",
    "&lt;b&gt; &#x3c; &amp;",
    "a | b\n--|--",
    "---",
    "===",
    "\\",
    "x\\",
    "a\r\n\r\n# b",
    "\u2028# x",
    "\u202egnp.exe",
    "\x1b[31mred",
    "]]>",
    "<!-- x",
    "- [ ] task",
    "+ x",
    "    code",
    "\tcode",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["subject", "scope", "note", "unparsed"])
def test_nothing_in_a_commit_becomes_markup(text: str, place: str) -> None:
    message = {
        "subject": f"fix: {text}",
        "scope": f"fix({text}): x",
        "note": f"fix: x\n\nBREAKING CHANGE: {text}",
        "unparsed": text,
    }[place]
    page = rendered(render_notes(history(message)))
    assert set(page.tags) <= {"h1", "h2", "ul", "li", "strong", "code", "br"}
    assert page.tags.count("li") == 1


@given(st.one_of(st.text(), st.text(alphabet="#*_`[]()<>!&;-+=~|\\1.:x \n")))
@example("1.")
@example("\\`")
@example("&amp;")
@example("-")
def test_escaped_text_reads_in_a_list_exactly_as_it_was_written(text: str) -> None:
    page = rendered(f"- {escape_markdown(text)} (`0`)\n")
    assert page.tags == ["ul", "li", "code"]
    assert " ".join(page.items[0].split()) == " ".join(f"{plain_text(text)} (0)".split())


@given(st.text())
def test_plain_text_is_one_line_that_a_terminal_shows(text: str) -> None:
    shown = plain_text(text)
    assert len(shown) <= 400
    assert all(char.isprintable() or not char.isascii() for char in shown)
    assert not set(shown) & set("\n\r\x1b\x00\x9b\u202e\u2028")
    assert shown == plain_text(shown)


def test_the_same_commits_give_the_same_notes() -> None:
    commits = history("fix(b): x", "fix(a): y", "feat: z", "w")
    assert render_notes(commits) == render_notes(list(commits))
