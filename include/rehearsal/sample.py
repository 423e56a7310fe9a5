"""The sample service's repository, made from its folder with the history that the plan prescribes.

`main` is at the newest release, `staging` at that release's branch, `develop` ahead of both with
the work for the next one; every release has an annotated tag. The same folder gives the same shas.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from include.durable import locked
from include.errors import RepositoryError
from include.rehearsal.history import FOLDER, Patch, Series, read_patches, read_series
from include.rehearsal.work import FAULTS, add_work, present_faults
from include.releases.commits import Identity
from include.releases.git import Git
from include.releases.history import History
from include.releases.versions import ReleaseType, Version
from include.releases.versions import next_version as version_after

__all__ = ["FAULTS", "add_work", "next_version", "present_faults", "seed_repository"]

BRANCHES = ("main", "develop", "staging")
TIMEOUT = timedelta(minutes=1)

# The objects end up in one pack; until then a crash costs nothing but the work.
_UNFLUSHED = {"core.fsync": "none"}


def seed_repository(source: Path, repository: Path) -> None:
    """Make the bare repository of the sample service in `source`, unless it is there already.

    It appears whole or not at all: killed at any moment and called again, this finishes the work.
    Raises RepositoryError where `repository` is something else that must not be lost, or where a
    patch of the history does not apply to the tree in `source`; ConfigError for a series.yaml that
    cannot be used.
    """
    if _is_there(repository):
        return
    if not (source / FOLDER).is_dir():
        raise RepositoryError(f"{source} has no {FOLDER}/; name the sample service's directory")
    series, patches = read_series(source), read_patches(source)
    unfinished = repository.with_name(f".{repository.name}.unfinished")
    with locked(repository.with_name(f".{repository.name}.lock"), what=str(repository)):
        if _is_there(repository):
            return
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            git = Git(unfinished.resolve(), TIMEOUT)
            git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=main", ".")
            trees = _trees(git, source.resolve(), patches)
            stream = b"".join(_stream(series, patches, trees))
            git.run("fast-import", "--quiet", "--done", stdin=stream)
            # Into one pack, which is flushed: what is renamed into place is on the disk.
            git.run("repack", "-a", "-d", "--quiet")
            (unfinished / "index").unlink()
            if repository.is_dir() and not _is_empty(repository):
                # Begun by something else, and without a single ref: nothing in it to lose.
                shutil.rmtree(repository)
            unfinished.rename(repository)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def next_version(repository: Path) -> str:
    """Return the minor version that follows the newest final release tag, like `2.3.0`."""
    released = [version for tag in History(repository).tags() if (version := _final(tag.name))]
    if not released:
        raise RepositoryError(f"{repository} has no release tag like v2.2.0")
    return str(version_after(max(released), ReleaseType.MINOR))


def _final(tag: str) -> Version | None:
    return Version.from_tag(tag)


def _is_there(repository: Path) -> bool:
    """Return whether a seeded repository is there; refuse to go over anything worth keeping."""
    if not os.path.lexists(repository) or _is_empty(repository):
        return False
    history = History(repository)
    missing = [name for name in BRANCHES if history.branch(name) is None]
    if not any(_final(tag.name) for tag in history.tags()):
        missing.append("a release tag")
    if not missing:
        return True
    if len(missing) > len(BRANCHES) and not _has_refs(repository):
        return False
    raise RepositoryError(
        f"{repository} is a repository, but it lacks {', '.join(missing)}; "
        "move it away to have the sample made anew"
    )


def _is_empty(directory: Path) -> bool:
    return directory.is_dir() and not any(directory.iterdir())


def _has_refs(repository: Path) -> bool:
    return bool(Git(repository.resolve(), TIMEOUT).run("for-each-ref", "--count=1").text)


def _trees(git: Git, source: Path, patches: Iterable[Patch]) -> dict[str, str]:
    """Return the tree after each patch by its name, and that before the first under ""."""
    (git.directory / "info").mkdir(exist_ok=True)
    (git.directory / "info" / "exclude").write_text(f"/{FOLDER}/\n", encoding="utf-8")
    index = {"GIT_INDEX_FILE": str(git.directory / "index")}
    git.run(
        "add", "--all", ".",
        variables={**index, "GIT_WORK_TREE": str(source)}, settings=_UNFLUSHED,
    )  # fmt: skip
    trees = {}
    for patch in reversed(list(patches)):
        trees[patch.name] = git.run("write-tree", variables=index, settings=_UNFLUSHED).text
        try:
            git.run(
                "apply", "--cached", "--reverse", "--whitespace=nowarn",
                stdin=patch.difference, variables=index, settings=_UNFLUSHED,
            )  # fmt: skip
        except RepositoryError as error:
            raise RepositoryError(
                f"{source / FOLDER / patch.name} does not lead to the tree in {source}: {error}"
            ) from error
    trees[""] = git.run("write-tree", variables=index, settings=_UNFLUSHED).text
    return trees


class _Stream:
    """What `git fast-import` reads: commits and tags, each by the mark it is referred to with."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.marks = 0

    def commit(
        self,
        branch: str,
        tree: str,
        parents: Iterable[int],
        *,
        author: Identity,
        date: datetime,
        message: str,
    ) -> int:
        self.marks += 1
        who = f"{author.name} <{author.email}> {int(date.timestamp())} {date:%z}"
        text = message.encode()
        lines = [
            f"commit refs/heads/{branch}",
            f"mark :{self.marks}",
            f"author {who}",
            f"committer {who}",
            f"data {len(text)}",
        ]
        kinds = ["from", *["merge"] * 8]
        ancestry = [f"{kind} :{mark}" for kind, mark in zip(kinds, parents, strict=False)]
        self.parts += ["\n".join(lines).encode(), b"\n", text, b"\n"]
        self.parts.append("\n".join([*ancestry, f'M 040000 {tree} ""', "", ""]).encode())
        return self.marks

    def tag(self, name: str, mark: int, *, tagger: Identity, date: datetime, message: str) -> None:
        who = f"{tagger.name} <{tagger.email}> {int(date.timestamp())} {date:%z}"
        text = message.encode()
        head = f"tag {name}\nfrom :{mark}\ntagger {who}\ndata {len(text)}\n"
        self.parts += [head.encode(), text, b"\n"]


def _stream(series: Series, patches: Iterable[Patch], trees: dict[str, str]) -> list[bytes]:
    stream = _Stream()
    start = series.start
    released = {release.patch: release for release in series.releases}
    main = develop = stream.commit(
        "main", trees[""], (), author=start.author, date=start.date, message=start.message
    )
    for patch in patches:
        release = released.get(patch.name)
        tip = stream.commit(
            "staging" if release else "develop",
            trees[patch.name],
            (develop,),
            author=patch.author,
            date=patch.date,
            message=patch.message,
        )
        if release is None:
            develop = tip
            continue
        version, who, when = release.version, release.author, release.date
        message = f"Merge branch '{version.release_branch}'\n"
        tree = trees[patch.name]
        main = stream.commit("main", tree, (main, tip), author=who, date=when, message=message)
        stream.tag(version.tag, main, tagger=who, date=when, message=f"Release version {version}\n")
        develop = stream.commit(
            "develop",
            tree,
            (develop, main),
            author=who,
            date=when + timedelta(minutes=9),
            message="Merge branch 'main' into develop\n",
        )
    return [*stream.parts, b"done\n"]
