"""A repository cannot steer us: nothing in it or around it is run or believed."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.errors import RepositoryError
from include.releases.commits import Identity
from include.releases.history import History
from include.releases.repository import Repository
from tests.integration.releases.workshop import Workshop

AT = datetime(2026, 11, 20, tzinfo=UTC)
TRAIN = Identity("Release Train", "train@example.org")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that exists as soon as anything of the repository was run."""
    return tmp_path / "was-run"


@pytest.fixture
def trap(workshop: Workshop, tmp_path: Path, marker: Path) -> Path:
    """A work tree in which every program that git can be made to start leaves the marker."""
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\necho $0 $@ >> {marker}\nexit 0\n")
    script.chmod(0o755)
    sha = workshop.commit("fix: x", files={"a.txt": "a", ".gitattributes": "* filter=t diff=t"})
    workshop.point("refs/heads/main", sha)
    clone = tmp_path / "trap"
    subprocess.run(["git", "clone", "-q", workshop.path, clone], check=True)
    hooks = clone / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-checkout", "pre-commit", "post-index-change"):
        (hooks / name).symlink_to(script)
    for key, value in {
        "core.fsmonitor": str(script),
        "core.pager": str(script),
        "core.sshCommand": str(script),
        "core.editor": str(script),
        "filter.t.clean": str(script),
        "filter.t.smudge": str(script),
        "filter.t.process": str(script),
        "filter.t.required": "true",
        "diff.t.textconv": str(script),
        "diff.external": str(script),
        "gpg.program": str(script),
        "log.showSignature": "true",
        "tar.tar.command": str(script),
        "tar.tar.remote": "true",
        "alias.log": f"!{script}",
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::{script} %S",
        "protocol.ext.allow": "always",
        "remote.origin.promisor": "true",
    }.items():
        subprocess.run(["git", "-C", clone, "config", key, value], check=True)
    marker.unlink(missing_ok=True)
    return clone


def test_the_trap_is_a_trap(trap: Path, marker: Path) -> None:
    (trap / "a.txt").write_text("changed")
    subprocess.run(["git", "-C", trap, "status"], capture_output=True, check=False)
    assert marker.exists()
    marker.unlink()
    subprocess.run(["git", "-C", trap, "archive", "HEAD"], capture_output=True, check=False)
    assert marker.exists()
    marker.unlink()
    subprocess.run(
        ["git", "-C", trap, "update-ref", "refs/heads/x", "HEAD"], capture_output=True, check=False
    )
    assert marker.exists()
    marker.unlink()
    subprocess.run(
        ["git", "-C", trap, "cat-file", "-e", "1" * 40], capture_output=True, check=False
    )
    assert marker.exists()


def test_nothing_of_a_repository_is_run(trap: Path, marker: Path, tmp_path: Path) -> None:
    repository = Repository(trap)
    sha = repository.resolve("HEAD")
    assert repository.commits(None, "HEAD")[0].sha == sha
    assert repository.read_file(sha, "a.txt") == b"a"
    repository.require_clean()
    (trap / "a.txt").write_text("changed")
    with pytest.raises(RepositoryError):
        repository.require_clean()
    assert not repository.exists("1" * 40)
    repository.create_branch("release/v1.0.0", sha)
    new = repository.commit_files(
        "release/v1.0.0",
        {"VERSION": b"1.0.0"},
        message="chore: version 1.0.0",
        author=TRAIN,
        at=AT,
        expected_parent=sha,
        idempotency_key="k",
    )
    repository.create_tag("v1.0.0", new, message="Release 1.0.0", tagger=TRAIN, at=AT)
    assert [tag.name for tag in repository.tags()] == ["v1.0.0"]
    repository.create_branch("other", sha)
    repository.fast_forward("other", new)
    repository.export(new, tmp_path / "out")
    assert (tmp_path / "out" / "VERSION").read_bytes() == b"1.0.0"
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"a"
    assert not marker.exists(), marker.read_text()


def test_the_callers_git_variables_and_configuration_do_not_matter(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = workshop.commit("fix: x")
    workshop.point("refs/heads/main", sha)
    elsewhere = Workshop(tmp_path / "elsewhere.git")
    elsewhere.point("refs/heads/main", elsewhere.commit("feat: not this one"))
    (tmp_path / ".gitconfig").write_text("[log]\n\tshowSignature = nonsense\n[broken\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {
        "GIT_DIR": str(elsewhere.path),
        "GIT_OBJECT_DIRECTORY": str(elsewhere.path / "objects"),
        "GIT_WORK_TREE": "/",
        "GIT_INDEX_FILE": "/nonexistent",
        "GIT_NAMESPACE": "x",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.bare",
        "GIT_CONFIG_VALUE_0": "nonsense",
        "GIT_TRACE": "1",
        "GIT_CONFIG_PARAMETERS": "'core.bare'='nonsense'",
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de",
    }.items():
        monkeypatch.setenv(name, value)
    (commit,) = History(workshop.path).commits(None, "main")
    assert (commit.sha, commit.subject) == (sha, "fix: x")


def test_replaced_and_grafted_commits_are_read_as_they_were_made(workshop: Workshop) -> None:
    base, feature, top = workshop.line("chore: base", "feat: hidden", "fix: top")
    harmless = workshop.commit("fix: harmless", [base])
    workshop.point(f"refs/replace/{feature}", harmless)
    (workshop.path / "info").mkdir(exist_ok=True)
    (workshop.path / "info" / "grafts").write_text(f"{top} {base}\n")
    found = History(workshop.path).commits(base, top)
    assert [commit.subject for commit in found] == ["fix: top", "feat: hidden"]


def test_a_link_that_leads_out_of_an_export_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    target = workshop.git("hash-object", "-w", "--stdin", stdin=b"../../../etc/passwd")
    tree = workshop.git("mktree", stdin=f"120000 blob {target}\tlink\n".encode())
    sha = workshop.commit("fix: x", tree=tree)
    with pytest.raises(RepositoryError, match="cannot be exported"):
        Repository(workshop.path).export(sha, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["hims.git"]


def test_a_tree_that_leads_out_of_an_export_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    blob = workshop.git("hash-object", "-w", "--stdin", stdin=b"x")
    raw = b"100644 ..\0" + bytes.fromhex(blob)
    tree = workshop.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
    sha = workshop.commit("fix: x", tree=tree)
    with pytest.raises(RepositoryError):
        Repository(workshop.path).export(sha, tmp_path / "a" / "out")
    assert list((tmp_path / "a").iterdir()) == []


def test_a_repository_of_another_owner_is_read_because_it_was_named(
    workshop: Workshop,
) -> None:
    import os

    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    workshop.point("refs/heads/main", workshop.commit("fix: x"))
    for path in [workshop.path, *workshop.path.rglob("*")]:
        os.chown(path, 65534, 65534)
    refused = subprocess.run(
        ["git", "log", "-1", "main"], cwd=workshop.path, capture_output=True, check=False
    )
    assert b"dubious ownership" in refused.stderr
    assert len(History(workshop.path).commits(None, "main")) == 1
