"""What people read before they decide: complete in kind, short, and only text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from include.approvals import Board, load_board
from include.people import People, load_people
from include.releases.commits import Commit
from include.releases.phases.briefing import SHOWN, asked, news, respondents
from include.settings import load_settings

NOW = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)
MESSAGE = Commit(
    sha="a" * 40,
    parents=("b" * 40,),
    author_name="Devi Anand",
    author_email="devi.anand@arocord.example",
    time=NOW,
    message="",
)


def commits(*messages: str) -> list[Commit]:
    """Return commits with these messages, newest first."""
    return [
        replace(MESSAGE, sha=f"{number:040x}", message=message)
        for number, message in enumerate(messages, start=1)
    ]


def headings(lines: Sequence[str]) -> list[str]:
    return [line.strip("*") for line in lines if re.fullmatch(r"\*\*.+\*\*", line)]


@pytest.fixture(scope="module")
def people() -> People:
    return load_people(load_settings())


@pytest.fixture(scope="module")
def board(people: People) -> Board:
    return load_board(load_settings(), people)


def test_what_breaks_comes_first_and_is_told_once() -> None:
    lines = news(
        commits(
            "fix(api): answer 404",
            "feat(api)!: drop the old list",
            "feat(clinics): open clinic 04",
            "docs: say how",
        )
    )
    assert headings(lines) == ["Breaking changes", "New features", "Fixes"]
    assert [line for line in lines if line.startswith("- ")] == [
        "- api: drop the old list",
        "- clinics: open clinic 04",
        "- api: answer 404",
    ]
    assert lines[-1] == "… and 1 other commit: tests, documentation and upkeep."


def test_what_was_taken_back_is_not_announced() -> None:
    feature = "feat(api): remind by mail"
    (taken,) = commits("", feature)[1:]
    revert = replace(
        MESSAGE, message=f'Revert "{feature}"\n\nThis reverts commit {taken.sha}.\n', sha="f" * 40
    )
    assert news([revert, taken]) == ["0 commits without a feature or a fix."]


def test_a_long_list_is_cut_and_says_so() -> None:
    many = commits(*[f"feat: number {number}" for number in range(SHOWN + 3)])
    shown = [line for line in news(many) if line.startswith("- ")]
    assert shown[:-1] == [f"- number {number}" for number in range(SHOWN)]
    assert shown[-1] == "- … and 3 more"
    assert "number" in "\n".join(news(many[:SHOWN]))
    assert "more" not in "\n".join(news(many[:SHOWN]))


def test_a_release_of_nothing_but_upkeep_says_that() -> None:
    assert news(commits("docs: one", "test: two")) == ["2 commits without a feature or a fix."]


@given(st.text(max_size=80))
def test_whatever_a_commit_says_is_one_item_of_plain_text(text: str) -> None:
    (commit,) = commits(f"feat: {text}")
    tokens = MarkdownIt("commonmark", {"html": True}).parse("\n".join(news([commit])))
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "fence", "code_block", "heading_open", "hr"}
    inline = [child for token in tokens for child in token.children or []]
    assert {child.type for child in inline} <= {
        "text",
        "text_special",
        "strong_open",
        "strong_close",
    }
    assert sum(token.type == "list_item_open" for token in tokens) <= 1


def test_those_who_may_answer_are_named_by_title_delegates_among_them(
    people: People, board: Board
) -> None:
    found = respondents(people, board, ("qa_lead", "release_manager"), NOW)
    assert found == {
        "QA Lead": ["Quinn Harper", "Oscar Brandt"],
        "Release Manager": ["Rita Moreno"],
    }


def test_whoever_is_named_is_let_through_and_nobody_else(people: People, board: Board) -> None:
    """The oracle is the directory that the auth manager asks: a person's groups on that day."""
    for group in (*board.seats, "release_manager", "auditor"):
        (names,) = respondents(people, board, (group,), NOW).values()
        assert set(names) == {
            person.name for person in people.people if group in board.groups(person, NOW)
        }


def test_a_role_that_nobody_bears_is_said_to_be_so(people: People, board: Board) -> None:
    found = respondents(people, board, ("night_watch",), NOW)
    assert found == {"Night watch": []}
    lines = asked(found, NOW, "America/New_York")
    assert lines[0] == "**Who decides, until Sun 22 Nov 2026 12:00 EST (17:00 UTC)**"
    assert lines[-1] == "- Night watch: nobody bears this role now"
