"""What a release train writes: killed at every step and repeated, it is done once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.errors import RepositoryError, RequestError
from include.releases.commits import Identity
from include.releases.repository import Repository
from tests.integration.releases.workshop import Workshop

AT = datetime(2026, 11, 20, tzinfo=UTC)
TRAIN = Identity("Release Train", "train@example.org")
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def tip(workshop: Workshop) -> str:
    """A commit with some files, at develop."""
    sha = workshop.commit("feat: x", files={"VERSION": "2.2.0\n", "app.py": "print()\n"})
    workshop.point("refs/heads/develop", sha)
    return sha


def bump(repository: Repository, parent: str, *, at: datetime = AT, key: str = "rel-1:bump") -> str:
    return repository.commit_files(
        "release/v2.3.0",
        {"VERSION": b"2.3.0\n", "docs/notes/2.3.0.md": b"# Release 2.3.0\n"},
        message="chore(release): version 2.3.0",
        author=TRAIN,
        at=at,
        expected_parent=parent,
        idempotency_key=key,
    )


def cut_and_tag(path: Path, base: str, out: Path) -> None:
    """What a train does to a repository, all of it."""
    repository = Repository(path)
    if repository.branch("release/v2.3.0") is None:
        repository.create_branch("release/v2.3.0", base)
    sha = bump(repository, base)
    repository.create_tag("v2.3.0-rc.1", sha, message="Candidate 1", tagger=TRAIN, at=AT)
    repository.fast_forward("develop", sha)
    repository.export(sha, out)


def test_a_train_cuts_commits_tags_and_exports(
    workshop: Workshop, tip: str, tmp_path: Path
) -> None:
    cut_and_tag(workshop.path, tip, tmp_path / "out")
    repository = Repository(workshop.path)
    (commit,) = repository.commits(tip, "release/v2.3.0")
    assert commit.parents == (tip,)
    assert (commit.author_name, commit.time) == ("Release Train", AT)
    assert commit.subject == "chore(release): version 2.3.0"
    assert commit.body == "Idempotency-Key: rel-1:bump"
    assert repository.read_file(commit.sha, "VERSION") == b"2.3.0\n"
    assert repository.read_file(commit.sha, "app.py") == b"print()\n"
    assert repository.branch("develop") == commit.sha
    (tag,) = repository.tags()
    assert (tag.name, tag.sha, tag.annotated) == ("v2.3.0-rc.1", commit.sha, True)
    assert (tmp_path / "out" / "docs" / "notes" / "2.3.0.md").read_text() == "# Release 2.3.0\n"
    subprocess.run(["git", "fsck", "--strict"], cwd=workshop.path, check=True)


def test_everything_repeated_changes_nothing(workshop: Workshop, tip: str, tmp_path: Path) -> None:
    cut_and_tag(workshop.path, tip, tmp_path / "out")
    refs = workshop.refs()
    for _ in range(3):
        cut_and_tag(workshop.path, tip, tmp_path / "out")
    assert workshop.refs() == refs


# Only commands that write are counted: killed at one that reads is killed before the next write.
KILLER = """#!/bin/sh
case $1 in
hash-object|read-tree|update-index|write-tree|commit-tree|mktag|update-ref|archive) ;;
*) exec "$REAL_GIT" "$@" ;;
esac
count=$(($(cat "$KILL_COUNT") + 1))
echo $count > "$KILL_COUNT"
[ $count = "$KILL_AT" ] && [ "$KILL_WHEN" = before ] && kill -9 $PPID && exit 1
"$REAL_GIT" "$@"
status=$?
[ $count = "$KILL_AT" ] && kill -9 $PPID
exit $status
"""


@pytest.fixture
def run_killed(tmp_path: Path) -> Callable[..., bool]:
    """Run a function in a process killed at its n-th writing git command; True if it survives.

    `before` kills it before that command does anything, `after` when it has done all.
    """
    killer = tmp_path / "bin" / "git"
    killer.parent.mkdir()
    killer.write_text(KILLER)
    killer.chmod(0o755)
    count = tmp_path / "count"

    def run(work: Callable[[], None], number: int, when: str) -> bool:
        count.write_text("0")

        def inner() -> None:
            os.environ.update(
                REAL_GIT=shutil.which("git") or "",
                KILL_COUNT=str(count),
                KILL_AT=str(number),
                KILL_WHEN=when,
                PATH=f"{killer.parent}:{os.environ['PATH']}",
            )
            work()

        process = FORK.Process(target=inner)
        process.start()
        process.join()
        assert process.exitcode in (0, -9), process.exitcode
        return process.exitcode == 0

    return run


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_git_command_and_repeated_it_is_done_once(
    tmp_path: Path, run_killed: Callable[..., bool], when: str
) -> None:
    kills = 0
    while True:
        kills += 1
        workshop = Workshop(tmp_path / f"{when}-{kills}.git")
        tip = workshop.commit("feat: x", files={"VERSION": "2.2.0\n"})
        workshop.point("refs/heads/develop", tip)
        out = tmp_path / f"{when}-{kills}-out"

        def work(path: Path = workshop.path, tip: str = tip, out: Path = out) -> None:
            cut_and_tag(path, tip, out)

        survived = run_killed(work, kills, when)
        work()
        repository = Repository(workshop.path)
        (commit,) = repository.commits(tip, "release/v2.3.0")
        assert set(workshop.refs()) == {
            "refs/heads/develop",
            "refs/heads/release/v2.3.0",
            "refs/tags/v2.3.0-rc.1",
        }
        assert repository.branch("develop") == repository.tags()[0].sha == commit.sha
        assert (out / "VERSION").read_text() == "2.3.0\n"
        if survived:
            break
    assert kills > 10


def test_a_train_killed_at_every_command_in_turn_arrives_all_the_same(
    workshop: Workshop, tip: str, tmp_path: Path, run_killed: Callable[..., bool]
) -> None:
    number = 1
    while not run_killed(lambda: cut_and_tag(workshop.path, tip, tmp_path / "o"), number, "after"):
        number += 1
    assert len(Repository(workshop.path).commits(tip, "release/v2.3.0")) == 1
    assert number > 3


def test_a_git_command_in_flight_finishes_although_its_caller_is_killed(
    workshop: Workshop, tip: str, tmp_path: Path
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(
        '#!/bin/sh\nif [ "$1" = update-ref ]; then echo $$ > "$STARTED"; sleep 0.5; fi\n'
        'exec "$REAL_GIT" "$@"\n'
    )
    slow.chmod(0o755)
    started = tmp_path / "started"

    def work() -> None:
        os.setpgid(0, 0)
        os.environ.update(
            REAL_GIT=shutil.which("git") or "",
            STARTED=str(started),
            PATH=f"{slow.parent}:{os.environ['PATH']}",
        )
        Repository(workshop.path).create_branch("release/v2.3.0", tip)

    process = FORK.Process(target=work)
    process.start()
    while not started.exists() or not started.read_text().strip():
        assert process.is_alive()
    os.killpg(process.pid or 0, 9)
    process.join()
    git = int(started.read_text())
    while Path(f"/proc/{git}").exists() and "Z" not in Path(f"/proc/{git}/stat").read_text():
        pass
    assert Repository(workshop.path).branch("release/v2.3.0") == tip


def test_eight_at_once_make_one_commit_and_one_tag(
    workshop: Workshop, tip: str, tmp_path: Path
) -> None:
    Repository(workshop.path).create_branch("release/v2.3.0", tip)

    def work(number: int) -> None:
        # Each has its own clock, as retries have.
        repository = Repository(workshop.path)
        sha = bump(repository, tip, at=AT + timedelta(seconds=number))
        repository.create_tag(
            "v2.3.0", sha, message="x", tagger=TRAIN, at=AT + timedelta(seconds=number)
        )

    processes = [FORK.Process(target=work, args=(number,)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    repository = Repository(workshop.path)
    (commit,) = repository.commits(tip, "release/v2.3.0")
    assert [tag.sha for tag in repository.tags()] == [commit.sha]


def test_a_retry_with_a_later_clock_finds_the_first_commit(workshop: Workshop, tip: str) -> None:
    repository = Repository(workshop.path)
    repository.create_branch("release/v2.3.0", tip)
    first = bump(repository, tip)
    assert bump(repository, tip, at=AT + timedelta(days=1)) == first
    assert bump(repository, first) == first
    (later,) = workshop.line("fix: y", after=first)
    workshop.point("refs/heads/release/v2.3.0", later)
    assert bump(repository, tip) == first
    assert repository.branch("release/v2.3.0") == later


def test_a_key_in_the_words_of_a_commit_is_no_key(workshop: Workshop, tip: str) -> None:
    quoting = workshop.commit(
        "docs: x\n\nIdempotency-Key: rel-1:bump\n\nThis paragraph makes it prose.", [tip]
    )
    longer = workshop.commit("docs: y\n\nIdempotency-Key: rel-1:bump-2\n", [quoting])
    workshop.point("refs/heads/release/v2.3.0", longer)
    sha = bump(Repository(workshop.path), longer)
    assert sha not in (quoting, longer)


@pytest.mark.parametrize("more", [{}, {"VERSION": "2.3.0\n"}])
def test_a_forged_key_over_other_content_is_not_taken_for_the_work(
    workshop: Workshop, tip: str, more: dict[str, str]
) -> None:
    """Also not where it holds all that the work would, and something more."""
    files = {"VERSION": "2.2.0\n", "app.py": "steal()\n", **more}
    forged = workshop.commit("fix: y\n\nIdempotency-Key: k\n", [tip], files=files)
    workshop.point("refs/heads/release/v2.3.0", forged)
    repository = Repository(workshop.path)
    with pytest.raises(RepositoryError, match="bears the idempotency key k, but is not"):
        repository.commit_files(
            "release/v2.3.0", {"VERSION": b"2.3.0\n"}, message="chore(release): version 2.3.0",
            author=TRAIN, at=AT, expected_parent=tip, idempotency_key="k",
        )  # fmt: skip
    assert repository.branch("release/v2.3.0") == forged


def test_a_key_before_the_parent_is_part_of_what_was_pinned(workshop: Workshop, tip: str) -> None:
    forged = workshop.commit("fix: y\n\nIdempotency-Key: rel-1:bump\n", [tip])
    workshop.point("refs/heads/release/v2.3.0", forged)
    repository = Repository(workshop.path)
    made = bump(repository, forged)
    assert made != forged
    assert bump(repository, forged) == made


def test_a_commit_is_refused_where_somebody_else_has_committed(
    workshop: Workshop, tip: str
) -> None:
    (other,) = workshop.line("fix: y", after=tip)
    workshop.point("refs/heads/release/v2.3.0", other)
    with pytest.raises(RepositoryError, match="somebody else has committed"):
        bump(Repository(workshop.path), tip)
    assert workshop.refs()["refs/heads/release/v2.3.0"] == other


def test_files_that_do_not_differ_make_no_commit(workshop: Workshop, tip: str) -> None:
    repository = Repository(workshop.path)
    sha = repository.commit_files(
        "develop",
        {"VERSION": b"2.2.0\n"},
        message="chore: version",
        author=TRAIN,
        at=AT,
        expected_parent=tip,
        idempotency_key="k",
    )
    assert sha == tip
    assert repository.branch("develop") == tip


def test_a_file_keeps_its_mode_and_a_link_or_submodule_is_left_alone(workshop: Workshop) -> None:
    blob = workshop.git("hash-object", "-w", "--stdin", stdin=b"app.py")
    tree = workshop.git(
        "mktree", "--missing",
        stdin=f"100755 blob {blob}\trun\n120000 blob {blob}\tlink\n160000 commit {'1' * 40}\tsub\n"
        .encode(),
    )  # fmt: skip
    base = workshop.commit("chore: base", tree=tree)
    workshop.point("refs/heads/develop", base)
    repository = Repository(workshop.path)

    def put(path: str) -> str:
        return repository.commit_files(
            "develop", {path: b"new"}, message="chore: x", author=TRAIN, at=AT,
            expected_parent=base, idempotency_key=f"k-{path}",
        )  # fmt: skip

    for path in ("link", "sub", "run/inside", "sub/inside", "link/inside"):
        with pytest.raises(RepositoryError):
            put(path)
    for path in ("../x", "/x", ".git/hooks/x", "a//b", ".GIT/config"):
        with pytest.raises(RequestError):
            put(path)
    sha = put("run")
    listed = workshop.git("ls-tree", sha)
    assert "100755 blob" in listed
    assert f"160000 commit {'1' * 40}\tsub" in listed


def test_a_branch_or_tag_that_is_elsewhere_is_not_moved(workshop: Workshop, tip: str) -> None:
    (other,) = workshop.line("fix: y", after=tip)
    repository = Repository(workshop.path)
    repository.create_branch("release/v2.3.0", tip)
    repository.create_tag("v2.3.0", tip, message="x", tagger=TRAIN, at=AT)
    before = workshop.refs()
    with pytest.raises(RepositoryError, match=r"refs/heads/release/v2\.3\.0 exists already"):
        repository.create_branch("release/v2.3.0", other)
    with pytest.raises(RepositoryError, match=r"refs/tags/v2\.3\.0 exists already"):
        repository.create_tag("v2.3.0", other, message="x", tagger=TRAIN, at=AT)
    assert workshop.refs() == before


def test_a_branch_goes_forward_only(workshop: Workshop, tip: str) -> None:
    left, right = (workshop.line(f"fix: {name}", after=tip)[0] for name in ("l", "r"))
    workshop.point("refs/heads/main", tip)
    repository = Repository(workshop.path)
    assert repository.fast_forward("main", left) == left
    assert repository.fast_forward("main", tip) == left
    with pytest.raises(RepositoryError, match="cannot be fast-forwarded"):
        repository.fast_forward("main", right)
    with pytest.raises(RepositoryError, match="there is no branch nowhere"):
        repository.fast_forward("nowhere", right)
    assert repository.branch("main") == left


def test_a_branch_is_cut_anew_only_from_where_it_is_known_to_be(
    workshop: Workshop, tip: str
) -> None:
    repository = Repository(workshop.path)
    (old,) = workshop.line("chore: version", after=tip)
    (new,) = workshop.line("feat: more", after=tip)
    workshop.point("refs/heads/release/v2.3.0", old)
    with pytest.raises(RepositoryError, match="somebody else has moved it"):
        repository.recut("release/v2.3.0", new, expected=tip)
    assert repository.branch("release/v2.3.0") == old
    for _ in range(2):
        assert repository.recut("release/v2.3.0", new, expected=old) == new
    assert repository.branch("release/v2.3.0") == new
    # Back to a commit that the tip already holds is a move like any other.
    assert repository.recut("release/v2.3.0", tip, expected=new) == tip


def test_a_release_is_merged_into_a_branch_that_has_moved_on(workshop: Workshop, tip: str) -> None:
    repository = Repository(workshop.path)
    base = workshop.commit("fix: base", [tip], files={"a": "1", "b": "1"})
    release = workshop.commit("chore: 2.3.0", [base], files={"a": "2", "b": "1"})
    moved_on = workshop.commit("feat: next", [base], files={"a": "1", "b": "2"})
    workshop.point("refs/heads/develop", moved_on)
    merged = repository.merge("develop", release, message="chore: merge", author=TRAIN, at=AT)
    assert repository.merge("develop", release, message="x", author=TRAIN, at=AT) == merged
    assert repository.read_file(merged, "a") == b"2"
    assert repository.read_file(merged, "b") == b"2"
    assert set(repository.commits(moved_on, "develop")[0].parents) == {moved_on, release}
    subprocess.run(["git", "fsck", "--strict"], cwd=workshop.path, check=True)


def test_a_merge_that_contradicts_is_left_to_a_person(workshop: Workshop, tip: str) -> None:
    repository = Repository(workshop.path)
    base = workshop.commit("fix: base", [tip], files={"a": "1"})
    release = workshop.commit("chore: 2.3.0", [base], files={"a": "2"})
    other = workshop.commit("feat: next", [base], files={"a": "3"})
    workshop.point("refs/heads/develop", other)
    with pytest.raises(RepositoryError, match="merge it by hand"):
        repository.merge("develop", release, message="x", author=TRAIN, at=AT)
    assert repository.branch("develop") == other


@pytest.mark.parametrize("name", ["", "-d", "a..b", "a b", "a~1", "x.lock", "/a", "a\n", "@{1}"])
def test_a_name_that_git_forbids_is_refused(workshop: Workshop, tip: str, name: str) -> None:
    repository = Repository(workshop.path)
    with pytest.raises(RequestError, match="not a name that git allows"):
        repository.create_branch(name, tip)
    with pytest.raises(RequestError, match="not a name that git allows"):
        repository.create_tag(name, tip, message="x", tagger=TRAIN, at=AT)


def test_what_is_written_is_named_by_a_whole_sha(workshop: Workshop, tip: str) -> None:
    repository = Repository(workshop.path)
    for rev in ("develop", tip[:12], "HEAD"):
        with pytest.raises(RequestError, match="not a full commit sha"):
            repository.create_branch("x", rev)
    with pytest.raises(RepositoryError, match="no commit is called"):
        repository.create_branch("x", "1" * 40)


def test_a_branch_that_is_checked_out_is_not_moved_under_its_work_tree(
    workshop: Workshop, tip: str, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "-b", "develop", workshop.path, clone], check=True)
    (new,) = workshop.line("fix: y", after=tip)
    workshop.point("refs/heads/develop", new)
    subprocess.run(["git", "fetch", "-q"], cwd=clone, check=True)
    repository = Repository(clone)
    with pytest.raises(RepositoryError, match="is checked out in"):
        repository.fast_forward("develop", new)
    assert repository.branch("develop") == tip


def test_a_bare_repositorys_head_branch_can_be_moved(workshop: Workshop, tip: str) -> None:
    workshop.point("refs/heads/main", tip)
    (new,) = workshop.line("fix: y", after=tip)
    assert Repository(workshop.path).fast_forward("main", new) == new


def test_a_lock_that_a_dead_git_left_is_named(workshop: Workshop, tip: str) -> None:
    lock = workshop.path / "refs" / "heads" / "stuck.lock"
    lock.touch()
    with pytest.raises(RepositoryError, match=r"stuck\.lock"):
        Repository(workshop.path).create_branch("stuck", tip)


def test_an_export_that_is_there_already_must_be_the_same(
    workshop: Workshop, tip: str, tmp_path: Path
) -> None:
    repository = Repository(workshop.path)
    out = tmp_path / "deep" / "out"
    repository.export(tip, out)
    repository.export(tip, out)
    (out / "app.py").write_text("changed")
    with pytest.raises(RepositoryError, match="already holds something other"):
        repository.export(tip, out)
    assert (out / "app.py").read_text() == "changed"
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]


def test_an_export_holds_files_modes_and_links_as_committed(
    workshop: Workshop, tmp_path: Path
) -> None:
    blob = workshop.git("hash-object", "-w", "--stdin", stdin=b"run")
    tree = workshop.git(
        "mktree", stdin=f"100755 blob {blob}\trun\n120000 blob {blob}\tlink\n".encode()
    )
    Repository(workshop.path).export(workshop.commit("fix: x", tree=tree), tmp_path / "out")
    assert os.access(tmp_path / "out" / "run", os.X_OK)
    assert (tmp_path / "out" / "link").readlink() == Path("run")


@pytest.mark.parametrize("message", ["", "  \n", "a\0b"])
def test_a_commit_without_words_is_refused(workshop: Workshop, tip: str, message: str) -> None:
    repository = Repository(workshop.path)
    with pytest.raises(RequestError, match="needs a message"):
        repository.create_tag("v9.0.0", tip, message=message, tagger=TRAIN, at=AT)
