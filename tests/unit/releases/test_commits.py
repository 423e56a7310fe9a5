"""Commit messages, read by the rules of Conventional Commits 1.0.0."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.errors import RequestError
from include.releases.commits import Commit, Identity, cut_time, read_convention

TYPE_CHARACTERS = string.ascii_letters + string.digits + "_-"


def scan_header(line: str) -> tuple[str, str | None, bool, str] | None:
    """Read `type(scope)!: description` one character after the other, after the specification."""
    place = 0
    while place < len(line) and line[place] in TYPE_CHARACTERS:
        place += 1
    word, scope, bang = line[:place], None, False
    if not word or word[0] not in string.ascii_letters:
        return None
    if line[place : place + 1] == "(":
        closing = line.find(")", place)
        scope = line[place + 1 : closing]
        if closing < 0 or "(" in scope or not scope.strip():
            return None
        place = closing + 1
    if line[place : place + 1] == "!":
        bang, place = True, place + 1
    if line[place : place + 2] != ": " or not line[place + 2 :].strip():
        return None
    return word.lower(), scope.strip() if scope else None, bang, line[place + 2 :].strip()


def commit(message: str, sha: str = "a" * 40) -> Commit:
    return Commit(
        sha=sha,
        parents=(),
        author_name="A",
        author_email="a@example.org",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        message=message,
    )


@given(
    st.one_of(
        st.text(alphabet="feat(x)!: _-", max_size=16),
        st.text(alphabet=st.characters(exclude_characters="\n"), max_size=30),
        st.builds(
            "{}{}{}{}{}".format,
            st.sampled_from(["feat", "Fix", "chore", "x1", "1x", "BREAKING CHANGE", "net/ip", ""]),
            st.sampled_from(["", "(api)", "()", "( )", "(a b)", "(a(b))", "(é)", " (api)"]),
            st.sampled_from(["", "!", "!!", " !"]),
            st.sampled_from([": ", ":", ":  ", " : ", ":\t", "："]),
            st.text(alphabet=st.characters(exclude_characters="\n"), max_size=12),
        ),
    )
)
@example("feat: x")
@example("fixup! fix: x")
def test_a_subject_is_read_as_a_scanner_by_hand_reads_it(line: str) -> None:
    expected = scan_header(line.rstrip())
    found = read_convention(line)
    if line.startswith(("Revert", "Reapply", "revert")):
        return
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.type, found.scope, found.breaking, found.description) == expected


def test_an_example_of_the_plan_is_read_whole() -> None:
    message = (
        "feat(auth): add MFA support for enhanced security\n\n"
        "- Implement TOTP-based multi-factor authentication\n\nCloses #AUTH-123\n"
    )
    found = read_convention(message)
    assert found is not None
    assert (found.type, found.scope, found.breaking) == ("feat", "auth", False)
    assert found.description == "add MFA support for enhanced security"


@pytest.mark.parametrize(
    "line",
    [
        "BREAKING CHANGE: the endpoint is gone",
        "BREAKING-CHANGE: the endpoint is gone",
        "BREAKING CHANGE #12",
        "BREAKING CHANGE:",
        "    BREAKING CHANGE: indented by a squash",
        "* BREAKING CHANGE: in a list of squashed commits",
        "**BREAKING CHANGE**: in bold",
        "BREAKING CHANGES: in the plural",
    ],
)
@pytest.mark.parametrize("lead", ["fix: x\n\n", "fix: x\n", "fix: x\r\n\r\n", "fix: x\n\nBody.\n"])
def test_a_line_that_declares_a_breaking_change_counts_wherever_it_stands(
    lead: str, line: str
) -> None:
    found = read_convention(lead + line + "\n\nSigned-off-by: A <a@example.org>\n")
    assert found is not None
    assert found.breaking


@pytest.mark.parametrize(
    "body",
    [
        "This is no BREAKING CHANGE: nothing else breaks",
        "breaking change: in small letters it is prose",
        "BREAKING CHANGE without a colon",
        "NOT-BREAKING CHANGE: x",
        "Fixes: the BREAKING CHANGE",
    ],
)
def test_words_about_breaking_changes_declare_none(body: str) -> None:
    found = read_convention(f"fix: x\n\n{body}\n")
    assert found is not None
    assert not found.breaking


def test_the_note_of_a_breaking_change_ends_with_its_paragraph_or_at_the_next_footer() -> None:
    found = read_convention(
        "feat!: x\n\nBREAKING CHANGE: the old key\nis not read any more\nReviewed-by: Z\n\nmore"
    )
    assert found is not None
    assert found.breaking_note == "the old key is not read any more"
    bare = read_convention("feat!: x")
    assert bare is not None
    assert bare.breaking_note is None


@pytest.mark.parametrize(
    "subject",
    [
        'Revert "feat: x"',
        'Revert "feat: x" (#12)',
        'Revert "feat: x (#11)" (#12)',
        'Revert "no convention at all"',
        "revert: feat: x",
        "revert(api): let us never speak of it again",
        'Revert "Reapply "feat: x""',
        'Revert "Revert "Revert "feat: x"""',
        "Revert: feat: x",
        'revert: "feat: x"',
        'revert(api): Revert "feat: x"',
    ],
)
def test_what_takes_something_back_is_a_revert_that_restores_nothing(subject: str) -> None:
    found = read_convention(subject)
    assert found is not None
    assert (found.type, found.restored) == ("revert", None)


@pytest.mark.parametrize(
    ("subject", "restored"),
    [
        ('Revert "Revert "feat(api): x""', "feat(api): x"),
        ('Reapply "feat(api): x"', "feat(api): x"),
        ('Revert "Revert "feat: x" (#12)" (#13)', "feat: x"),
        ('Revert "revert: feat: x"', "feat: x"),
        ('revert: Reapply "feat: x"', "feat: x"),
        ('revert: "revert: feat: x"', "feat: x"),
        ('Revert "Revert "Revert "Revert "feat: x""""', "feat: x"),
    ],
)
def test_a_revert_of_a_revert_restores_the_first_subject(subject: str, restored: str) -> None:
    found = read_convention(subject)
    assert found is not None
    assert found.restored == restored


@given(st.text(max_size=200))
@example("")
@example("\n\n \n")
@example("\n\n  feat: x  \n more \n\nbody\n\n")
def test_any_message_has_a_subject_on_one_line_and_can_be_read(message: str) -> None:
    subject = commit(message).subject
    assert "\n" not in subject
    assert (subject == "") == (not message.strip())
    read_convention(message)


def test_the_subject_is_the_first_paragraph_and_the_body_the_rest() -> None:
    found = commit("\n\nfix: a long\nsubject \n\n\nbody one\n\nbody two\n\n")
    assert found.subject == "fix: a long subject"
    assert found.body == "body one\n\nbody two"


def test_a_revert_names_the_commit_it_reverts() -> None:
    sha = "0123456789abcdef0123456789abcdef01234567"
    assert commit(f'Revert "x"\n\nThis reverts commit {sha}.\n').reverted_sha == sha
    assert (
        commit('Revert "x"\n\nThis reverts commit 0123456 (x, 2026).\n').reverted_sha == "0123456"
    )
    assert commit("fix: x").reverted_sha is None


@pytest.mark.parametrize(
    ("seconds", "year"),
    [("0", 1970), ("1700000000", 2023), ("99999999999999999", 9999), ("-9", 1969), ("", 1)],
)
def test_a_time_beyond_reason_is_cut_and_not_an_error(seconds: str, year: int) -> None:
    assert cut_time(seconds).year == year


@pytest.mark.parametrize("name", ["", " ", "A\nB", "A <b>", "A\0"])
def test_an_identity_cannot_smuggle_lines_into_a_commit(name: str) -> None:
    with pytest.raises(RequestError):
        Identity(name, "a@example.org")
