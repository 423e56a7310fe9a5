"""What a repository holds, read from repositories of every shape."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.errors import RepositoryError, RequestError
from include.releases.history import History
from include.releases.versions import Version
from tests.integration.releases.workshop import EPOCH, Workshop


def test_a_range_holds_the_first_parents_history_and_all_merged_commits(
    workshop: Workshop,
) -> None:
    base, *_ = workshop.line("chore: base")
    (left,) = workshop.line("fix: left", after=base)
    arms = [workshop.line(f"feat: arm {number}", after=base)[0] for number in range(4)]
    other_root = workshop.commit("docs: another root")
    octopus = workshop.commit("Merge everything", [left, *arms, other_root])
    workshop.point("refs/heads/main", octopus)

    commits = History(workshop.path).commits(base, "main")

    assert {commit.sha for commit in commits} == {left, *arms, other_root, octopus}
    assert commits[0].parents == (left, *arms, other_root)
    assert commits[0].is_merge
    assert not any(commit.is_merge for commit in commits[1:])
    listed = [commit.sha for commit in commits]
    assert all(
        listed.index(commit.sha) < listed.index(parent)
        for commit in commits
        for parent in commit.parents
        if parent in listed
    )


def test_a_whole_history_with_several_roots_is_read_without_a_base(workshop: Workshop) -> None:
    roots = [workshop.commit(f"chore: root {number}") for number in range(3)]
    top = workshop.commit("Merge", roots)
    found = History(workshop.path).commits(None, top)
    assert {commit.sha for commit in found} == {*roots, top}


def test_unrelated_and_reversed_ranges_are_what_git_says(workshop: Workshop) -> None:
    one = workshop.line("fix: a", "fix: b")
    two = workshop.line("fix: c", "fix: d")
    history = History(workshop.path)
    assert [commit.sha for commit in history.commits(one[1], two[1])] == two[::-1]
    assert history.commits(one[1], one[0]) == ()
    assert history.commits(one[1], one[1]) == ()


MESSAGES = [
    b"fix: plain",
    b"",
    b"\n\n  \n",
    b"fix: caf\xe9 in latin-1",
    "fix: naïve ☕ in UTF-8".encode(),
    b"fix: a\r\n\r\nwindows line ends\r\n",
    b"\n\nfix: late\nsubject\n\nbody",
    b"fix: tab\tand \x1b[31mescape",
    b"fix: x\n\n" + b"y" * 200_000,
    b"\xff\xfe\xfd",
    b"fix: ends without a line end\n\n\n\n",
]


def test_subjects_are_the_ones_that_git_shows(workshop: Workshop) -> None:
    workshop.point("refs/heads/main", workshop.line(*MESSAGES)[-1])
    shown = subprocess.run(
        ["git", "-c", "i18n.logOutputEncoding=UTF-8", "log", "--format=%s%x00", "main"],
        cwd=workshop.path,
        capture_output=True,
        check=True,
    ).stdout.decode("utf-8", "replace")
    expected = [subject.removeprefix("\n") for subject in shown.split("\0")[:-1]]
    found = [commit.subject for commit in History(workshop.path).commits(None, "main")]
    assert [" ".join(text.split()) for text in found] == [
        " ".join(text.split()) for text in expected
    ]


def test_a_message_in_a_declared_encoding_is_read_as_written(workshop: Workshop) -> None:
    sha = workshop.commit("fix: größer".encode("iso-8859-15"), encoding="ISO-8859-15")
    bogus = workshop.commit("fix: größer".encode(), [sha], encoding="no-such-encoding")
    top, below = History(workshop.path).commits(None, bogus)
    assert below.subject == "fix: größer"
    assert top.subject == "fix: größer"


def test_a_commit_bears_its_author_and_utc_time(workshop: Workshop) -> None:
    (commit,) = History(workshop.path).commits(None, workshop.commit("fix: x"))
    assert (commit.author_name, commit.author_email) == ("Ada", "ada@example.org")
    assert commit.time == datetime.fromtimestamp(EPOCH + 60, UTC)


@pytest.mark.parametrize("time", ["99999999999999", "18446744073709551615", "0"])
def test_a_commit_with_an_absurd_date_is_read(workshop: Workshop, time: str) -> None:
    sha = workshop.commit("fix: x", time=time)
    (commit,) = History(workshop.path).commits(None, sha)
    assert commit.subject == "fix: x"


def test_revisions_are_branches_tags_shas_and_their_relatives(workshop: Workshop) -> None:
    first, second = workshop.line("fix: a", "fix: b")
    workshop.point("refs/heads/release/v1.0.0", second)
    workshop.git("-c", "user.name=A", "-c", "user.email=a@b", "tag", "-a", "-m", "x", "t", first)
    history = History(workshop.path)
    assert history.resolve("release/v1.0.0") == second
    assert history.resolve("t") == first
    assert history.resolve(second[:9]) == second
    assert history.resolve("release/v1.0.0~1") == first
    assert history.resolve("release/v1.0.0^") == first
    assert history.exists("t")
    assert history.branch("release/v1.0.0") == second
    assert history.branch("t") is None
    assert history.is_ancestor(first, second)
    assert not history.is_ancestor(second, first)


@pytest.mark.parametrize(
    "rev",
    [
        "--upload-pack=x",
        "-n1",
        "--all",
        "",
        " ",
        "a b",
        "a..b",
        "a...b",
        "^main",
        "a\nb",
        "a\0b",
        "x" * 2000,
        "\x1b[31m",
    ],
)
def test_what_is_no_revision_is_refused_before_git_sees_it(workshop: Workshop, rev: str) -> None:
    workshop.point("refs/heads/main", workshop.commit("fix: x"))
    with pytest.raises(RequestError, match="is not a revision"):
        History(workshop.path).resolve(rev)


@pytest.mark.parametrize("rev", ["nope", "0" * 40, "f" * 40, "main:file", "main@{1}", "main~99"])
def test_a_revision_that_is_not_there_is_named(workshop: Workshop, rev: str) -> None:
    workshop.point("refs/heads/main", workshop.commit("fix: x"))
    history = History(workshop.path)
    assert not history.exists(rev)
    with pytest.raises(RepositoryError, match="no commit is called") as refusal:
        history.resolve(rev)
    assert rev in str(refusal.value)


def test_tags_lead_to_commits_however_deep_and_others_are_left_out(workshop: Workshop) -> None:
    sha = workshop.commit("fix: x", files={"a": "a"})
    person = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "advice.nestedTag=false")
    workshop.git("tag", "light", sha)
    workshop.git(*person, "tag", "-a", "-m", "x", "heavy", sha)
    workshop.git(*person, "tag", "-a", "-m", "x", "nested", "heavy")
    workshop.git("tag", "a-tree", f"{sha}^{{tree}}")
    workshop.git(*person, "tag", "-a", "-m", "x", "a-tagged-blob", f"{sha}:a")
    found = {tag.name: (tag.sha, tag.annotated) for tag in History(workshop.path).tags()}
    assert found == {"light": (sha, False), "heavy": (sha, True), "nested": (sha, True)}


def test_the_last_release_is_the_highest_version_in_the_history_of_a_revision(
    workshop: Workshop,
) -> None:
    first, second, third = workshop.line("feat: a", "feat: b", "feat: c")
    (support,) = workshop.line("fix: d", after=first)
    for tag, sha in {
        "v2.9.0": first,
        "v2.10.0": second,
        "v2.11.0-rc.1": third,
        "v02.12.0": third,
        "3.0.0": third,
        "version-9": third,
        "v2.9.1": support,
    }.items():
        workshop.git("tag", tag, sha)
    history = History(workshop.path)

    def last(at: str, before: str | None = None) -> str | None:
        limit = Version.parse(before) if before else None
        release = history.last_release(at, before=limit)
        return release.tag if release else None

    assert last(third) == "v2.10.0"
    assert last(third, before="2.10.0") == "v2.9.0"
    assert last(third, before="2.9.0") is None
    assert last(support) == "v2.9.1"
    assert last(workshop.commit("feat: a new root")) is None


def test_a_file_is_read_from_a_commit_and_from_nothing_else(workshop: Workshop) -> None:
    blob = workshop.git("hash-object", "-w", "--stdin", stdin=b"\x00\xff raw")
    inner = workshop.git("mktree", stdin=f"100755 blob {blob}\tnaïve file\n".encode())
    gitlink = "1" * 40
    tree = workshop.git(
        "mktree", "--missing",
        stdin=f"040000 tree {inner}\tdir\n120000 blob {blob}\tlink\n160000 commit {gitlink}\tsub\n"
        .encode(),
    )  # fmt: skip
    sha = workshop.commit("fix: x", tree=tree)
    history = History(workshop.path)
    assert history.read_file(sha, "dir/naïve file") == b"\x00\xff raw"
    for path in ("dir", "link", "sub", "nope", "dir/nope", "dir/na*", ":/dir"):
        with pytest.raises(RepositoryError):
            history.read_file(sha, path)
    for path in ("/etc/passwd", "../x", "dir/../x", "./dir", "", "dir/", ".git/config", "a\0b"):
        with pytest.raises(RequestError):
            history.read_file(sha, path)


def test_commits_that_move_submodules_are_commits_like_others(workshop: Workshop) -> None:
    trees = [
        workshop.git("mktree", "--missing", stdin=f"160000 commit {digit * 40}\tsub\n".encode())
        for digit in "12"
    ]
    first = workshop.commit("chore: add the submodule", tree=trees[0])
    second = workshop.commit("chore: move the submodule", [first], tree=trees[1])
    found = History(workshop.path).commits(first, second)
    assert [commit.sha for commit in found] == [second]


def test_a_shallow_clone_answers_for_what_it_holds_and_refuses_the_rest(
    workshop: Workshop, tmp_path: Path
) -> None:
    shas = workshop.line(*[f"fix: {number}" for number in range(10)])
    workshop.point("refs/heads/main", shas[-1])
    clone = tmp_path / "clone"
    url = workshop.path.as_uri()
    subprocess.run(["git", "clone", "-q", "--depth=4", url, clone], check=True)
    history = History(clone)
    assert history.is_shallow
    assert [commit.sha for commit in history.commits(shas[6], "HEAD")] == shas[:6:-1]
    with pytest.raises(RepositoryError, match=r"the clone is shallow"):
        history.commits(shas[5], "HEAD")
    with pytest.raises(RepositoryError, match=r"git fetch --unshallow"):
        history.commits(None, "HEAD")


def test_a_merge_whose_side_was_cut_off_is_not_taken_for_all_there_is(
    workshop: Workshop, tmp_path: Path
) -> None:
    side = workshop.line(*[f"feat: side {number}" for number in range(5)])
    base, *_ = workshop.line("chore: base")
    merge = workshop.commit("Merge side", [base, side[-1]])
    workshop.point("refs/heads/main", merge)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=3", workshop.path.as_uri(), clone], check=True)
    with pytest.raises(RepositoryError, match="commits are missing"):
        History(clone).commits(base, "HEAD")


def test_a_shallow_clone_that_reaches_the_root_is_all_there(
    workshop: Workshop, tmp_path: Path
) -> None:
    shas = workshop.line("chore: root", "fix: a", "fix: b")
    long = workshop.line(*[f"docs: {number}" for number in range(6)])
    workshop.point("refs/heads/main", workshop.commit("Merge", [shas[-1], long[-1]]))
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=4", workshop.path.as_uri(), clone], check=True)
    found = History(clone).commits(None, shas[-1])
    assert [commit.sha for commit in found] == shas[::-1]


def test_a_work_tree_is_read_like_a_bare_repository(workshop: Workshop, tmp_path: Path) -> None:
    sha = workshop.commit("fix: x", files={"a": "a"})
    workshop.point("refs/heads/main", sha)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", workshop.path, clone], check=True)
    history = History(clone)
    assert not history.is_bare
    assert History(workshop.path).is_bare
    assert history.resolve("HEAD") == sha
    history.require_clean()
    (clone / "b").write_text("new")
    (clone / "a").write_text("changed")
    with pytest.raises(RepositoryError, match=r"not committed \(a, b\)"):
        history.require_clean()
    with pytest.raises(RepositoryError, match="is bare"):
        History(workshop.path).require_clean()


def test_what_is_no_repository_is_refused_with_the_reason(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    file = tmp_path / "file"
    file.write_text("x")
    for path, words in (
        (plain, "is not a git repository"),
        (file, "is not a directory"),
        (tmp_path / "missing", "does not exist"),
    ):
        with pytest.raises(RepositoryError, match=words):
            History(path)


def test_a_directory_inside_a_work_tree_is_not_taken_for_the_repository_around_it(
    tmp_path: Path,
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(RepositoryError, match="is not a git repository"):
        History(inner)


def test_a_damaged_repository_is_an_error_and_never_a_short_answer(workshop: Workshop) -> None:
    shas = workshop.line("fix: a", "feat: b", "fix: c")
    broken = workshop.path / "objects" / shas[1][:2] / shas[1][2:]
    broken.unlink()
    with pytest.raises(RepositoryError):
        History(workshop.path).commits(shas[0], shas[2])
    broken.write_bytes(b"garbage")
    with pytest.raises(RepositoryError):
        History(workshop.path).commits(shas[0], shas[2])


def test_a_repository_with_a_broken_configuration_is_refused_in_a_sentence(
    workshop: Workshop,
) -> None:
    (workshop.path / "config").write_text("[core\nnonsense")
    with pytest.raises(RepositoryError, match="bad config line 1"):
        History(workshop.path)


def test_git_that_gives_no_answer_in_time_is_an_error(workshop: Workshop) -> None:
    workshop.point("refs/heads/main", workshop.commit("fix: x"))
    with pytest.raises(RepositoryError, match="gave no answer within"):
        History(workshop.path, timeout=timedelta(microseconds=1))
