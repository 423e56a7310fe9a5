"""What a release train writes into a repository: branches, commits, tags; and what it takes out.

Every operation reads back what it did and may be repeated: killed at any instant and called again
with the same arguments it finishes its work, and never does it twice. Nothing here needs or touches
a work tree, and a branch that is checked out in one is refused.
"""

from __future__ import annotations

import filecmp
import os
import posixpath
import re
import tarfile
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from include.errors import RepositoryError, RequestError
from include.releases.commits import Identity
from include.releases.history import History, check_path, is_full_sha

KEY_TRAILER = "Idempotency-Key"

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


class Repository(History):
    """A repository that a release train may also write to; see `History` for what it reads."""

    def create_branch(self, name: str, sha: str) -> str:
        """Make branch `name` point at commit `sha`, and return that sha.

        Nothing happens where it does already. Raises RepositoryError where it points elsewhere,
        even further on: whoever repeats more than this one call asks `branch` first.
        """
        commit = self._given_commit(sha)
        return self._create_ref(f"refs/heads/{self._checked_name(name)}", commit, commit)

    def create_tag(
        self, name: str, sha: str, *, message: str, tagger: Identity, at: datetime
    ) -> str:
        """Make an annotated tag of commit `sha`, dated `at`, and return that sha.

        Nothing happens where a tag of that name leads there already. Raises RepositoryError where
        it leads elsewhere.
        """
        commit = self._given_commit(sha)
        ref = f"refs/tags/{self._checked_name(name)}"
        if self._ref(ref) is None:
            text = (
                f"object {commit}\ntype commit\ntag {name}\n"
                f"tagger {tagger.name} <{tagger.email}> {int(at.timestamp())} +0000\n\n"
                f"{_checked_message(message)}\n"
            )
            tag = self._git.run("mktag", stdin=text.encode(), writes=True).text
        else:
            tag = commit
        return self._create_ref(ref, tag, commit)

    def commit_files(
        self,
        branch: str,
        files: Mapping[str, bytes],
        *,
        message: str,
        author: Identity,
        at: datetime,
        expected_parent: str,
        idempotency_key: str,
    ) -> str:
        """Put `files` (path from the top → content) onto `branch` as one commit; return its sha.

        The key goes into the message as a trailer. Where the branch already holds a commit with
        that key that is made of the parent and these files alone, that commit is the answer. Files
        that exist keep their mode; where none of them differs, nothing is committed and the tip is
        the answer. Raises RepositoryError where the branch is not at `expected_parent`, or where
        the key was used for anything else: whoever can push can write a key.
        """
        if not _KEY.fullmatch(idempotency_key):
            raise RequestError(f"{idempotency_key[:80]!r} is not an idempotency key")
        for path in files:
            check_path(path)
        parent = self._given_commit(expected_parent)
        tip = self._tip(branch)
        tree = self._tree_with(parent, files)
        done = self._commit_with_key(tip, idempotency_key, parent, tree)
        if done is not None:
            return done
        if tip != parent:
            raise RepositoryError(
                f"{self.path}: branch {branch} is at {tip[:12]}, not at {parent[:12]} as expected: "
                "somebody else has committed to it"
            )
        self._require_not_checked_out(branch)
        if tree == self._git.run("rev-parse", "--verify", f"{parent}^{{tree}}").text:
            return parent
        date = f"@{int(at.timestamp())} +0000"
        commit = self._git.run(
            "commit-tree", tree, "-p", parent, "-F", "-",
            stdin=f"{_checked_message(message)}\n\n{KEY_TRAILER}: {idempotency_key}\n".encode(),
            variables=_signature(author, date),
            writes=True,
        ).text  # fmt: skip
        refusal = self._move_branch(branch, commit, parent)
        if refusal is None:
            return commit
        # The same call may have run beside us, dated differently.
        done = self._commit_with_key(self._tip(branch), idempotency_key, parent, tree)
        if done is None:
            raise RepositoryError(refusal)
        return done

    def fast_forward(self, branch: str, sha: str) -> str:
        """Move `branch` forward to commit `sha`, and return the sha at its tip.

        Nothing happens where the branch holds that commit already. Raises RepositoryError where
        the branch holds commits that `sha` does not.
        """
        target = self._given_commit(sha)
        tip = self._tip(branch)
        if self.is_ancestor(target, tip):
            return tip
        if not self.is_ancestor(tip, target):
            raise RepositoryError(
                f"{self.path}: branch {branch} cannot be fast-forwarded to {target[:12]}: it holds "
                f"commits that are not in there; its tip is {tip[:12]}"
            )
        self._require_not_checked_out(branch)
        refusal = self._move_branch(branch, target, tip)
        if refusal is not None:
            raise RepositoryError(refusal)
        return target

    def recut(self, branch: str, sha: str, *, expected: str) -> str:
        """Move `branch` from `expected` to commit `sha`, wherever that lies, and return that sha.

        Nothing happens where it is there already. Raises RepositoryError where the branch is
        elsewhere: somebody else has moved it.
        """
        target = self._given_commit(sha)
        tip = self._tip(branch)
        if tip == target:
            return tip
        if tip != self._given_commit(expected):
            raise RepositoryError(
                f"{self.path}: branch {branch} is at {tip[:12]}, not at {expected[:12]} as "
                "expected: somebody else has moved it"
            )
        self._require_not_checked_out(branch)
        refusal = self._move_branch(branch, target, tip)
        if refusal is not None or self._tip(branch) != target:
            raise RepositoryError(refusal or f"{self.path}: branch {branch} was moved meanwhile")
        return target

    def merge(self, branch: str, sha: str, *, message: str, author: Identity, at: datetime) -> str:
        """Bring commit `sha` into `branch`, by fast-forward where that is possible; return the tip.

        Nothing happens where the branch holds that commit already. Raises RepositoryError where the
        two contradict each other: then a person has to merge.
        """
        target = self._given_commit(sha)
        tip = self._tip(branch)
        if self.is_ancestor(target, tip):
            return tip
        if self.is_ancestor(tip, target):
            return self.fast_forward(branch, target)
        self._require_not_checked_out(branch)
        answer = self._git.run(
            "merge-tree", "--write-tree", "--no-messages", tip, target, statuses=(0, 1), writes=True
        )
        if answer.status == 1:
            raise RepositoryError(
                f"{self.path}: {target[:12]} cannot be merged into {branch} by itself: both change "
                "the same lines; merge it by hand"
            )
        tree = answer.text.splitlines()[0]
        date = f"@{int(at.timestamp())} +0000"
        commit = self._git.run(
            "commit-tree", tree, "-p", tip, "-p", target, "-F", "-",
            stdin=f"{_checked_message(message)}\n".encode(),
            variables=_signature(author, date),
            writes=True,
        ).text  # fmt: skip
        refusal = self._move_branch(branch, commit, tip)
        if refusal is not None:
            raise RepositoryError(refusal)
        return commit

    def export(self, rev: str, directory: Path) -> None:
        """Write the files of commit `rev` into `directory`, which must not exist or be empty.

        It appears whole or not at all. Where it exists with the same files, nothing happens. Raises
        RepositoryError where it holds anything else, and where a link in the commit leads out.
        """
        sha = self.resolve(rev)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".export-") as scratch:
            fresh = Path(scratch) / "files"
            fresh.mkdir()
            self._extract(sha, Path(scratch) / "archive.tar", fresh)
            if directory.is_dir() and any(directory.iterdir()):
                if not _same_files(fresh, directory):
                    raise RepositoryError(
                        f"{directory} already holds something other than the files of {sha[:12]}; "
                        "name an empty directory"
                    )
                return
            try:
                fresh.rename(directory)
            except OSError as error:
                raise RepositoryError(f"{directory} cannot be written: {error.strerror}") from error

    def _given_commit(self, sha: str) -> str:
        """Return `sha` if it is a whole commit sha: what is written must not depend on names."""
        if not is_full_sha(sha):
            raise RequestError(f"{sha[:80]!r} is not a full commit sha")
        return self.resolve(sha)

    def _tip(self, branch: str) -> str:
        tip = self.branch(branch)
        if tip is None:
            raise RepositoryError(f"{self.path}: there is no branch {branch}")
        return tip

    def _create_ref(self, ref: str, target: str, commit: str) -> str:
        """Create `ref` at object `target`; a ref that leads to `commit` already is as good."""
        refused = ""
        if self._ref(ref) is None:
            # An empty old value means: it must not exist. Losing the race is found out below.
            answer = self._git.run(
                "update-ref", "--no-deref", ref, target, "", statuses=(0, 1, 128), writes=True
            )
            refused = answer.complaint
        found = self._ref(f"{ref}^{{commit}}")
        if found == commit:
            return commit
        if found is None:
            raise RepositoryError(f"{self.path}: {ref} was not created: {refused or 'no reason'}")
        raise RepositoryError(f"{self.path}: {ref} exists already, at {found[:12]}")

    def _move_branch(self, branch: str, commit: str, old: str) -> str | None:
        """Move `branch` from `old` to `commit`, read it back, and say why where it is not there."""
        answer = self._git.run(
            "update-ref", f"refs/heads/{branch}", commit, old, statuses=(0, 1, 128), writes=True
        )
        found = self._tip(branch)
        # Somebody may have built on our commit in between: then it is in, which is what was asked.
        if self.is_ancestor(commit, found):
            return None
        return (
            f"{self.path}: branch {branch} was not moved to {commit[:12]}, it is at {found[:12]}: "
            f"{answer.complaint or 'another process moved it'}"
        )

    def _require_not_checked_out(self, branch: str) -> None:
        answer = self._git.run("for-each-ref", "--format=%(worktreepath)", f"refs/heads/{branch}")
        # A bare repository's HEAD counts as checked out in the repository itself.
        if answer.text and not (self.is_bare and Path(answer.text) == self.git_directory):
            raise RepositoryError(
                f"{self.path}: branch {branch} is checked out in {answer.text}; the work tree "
                "there would no longer fit: use a bare repository, or check out another branch"
            )

    def _commit_with_key(self, tip: str, key: str, parent: str, tree: str) -> str | None:
        """Return the newest commit from `parent` to `tip` that bears the key as its trailer."""
        answer = self._git.run(
            "log", "-z", "--no-notes", "--fixed-strings", f"--grep={KEY_TRAILER}: {key}",
            f"--format=tformat:%H%x00%P%x00%T%x00%(trailers:key={KEY_TRAILER},valueonly,separator=%x2C)",
            tip, f"^{parent}", "--",
        )  # fmt: skip
        found = answer.text.split("\0")
        parts = zip(found[::4], found[1::4], found[2::4], found[3::4], strict=False)
        for sha, parents, its_tree, value in parts:
            if value != key:
                continue
            if (parents, its_tree) != (parent, tree):
                raise RepositoryError(
                    f"{self.path}: commit {sha[:12]} bears the idempotency key {key}, but is not "
                    f"{parent[:12]} with these files alone"
                )
            return sha
        return None

    def _blob(self, content: bytes) -> str:
        return self._git.run("hash-object", "-w", "--stdin", stdin=content, writes=True).text

    def _tree_with(self, parent: str, files: Mapping[str, bytes]) -> str:
        """Return the tree of `parent` with `files` put in, by way of an index of its own."""
        lines = []
        for path, content in files.items():
            lines.append(f"{self._mode(parent, path)} {self._blob(content)} 0\t{path}\0".encode())
        with tempfile.TemporaryDirectory(prefix="index-") as scratch:
            index = {"GIT_INDEX_FILE": os.path.join(scratch, "index")}  # noqa: PTH118
            self._git.run("read-tree", parent, variables=index)
            self._git.run(
                "update-index", "-z", "--index-info", stdin=b"".join(lines), variables=index
            )
            return self._git.run("write-tree", variables=index, writes=True).text

    def _mode(self, parent: str, path: str) -> str:
        """Return the mode that `path` has or gets; what is no file or directory is left alone."""
        mode, _ = self._find_entry(parent, path) or ("100644", "")
        above = [path[:end] for end, char in enumerate(path) if char == "/"]
        found = [self._find_entry(parent, directory) for directory in above]
        if mode not in ("100644", "100755") or any(item and item[0] != "040000" for item in found):
            raise RepositoryError(f"{self.path}: {path} would replace what is no regular file")
        return mode

    def _extract(self, sha: str, archive: Path, directory: Path) -> None:
        with archive.open("wb") as stream:
            self._git.run(
                "archive", "--format=tar", sha, stdout=stream,
                settings=self._git.without_filters() | {"tar.umask": "0022"},
            )  # fmt: skip
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                # tarfile's own filters came with Python 3.11.4; Debian 12 has 3.11.2.
                if _leads_out(member):
                    raise RepositoryError(
                        f"{self.path}: {sha[:12]} cannot be exported: {member.name!r} is, or links "
                        "to, something outside of the commit's own files"
                    )
                tar.extract(member, directory)


def _leads_out(member: tarfile.TarInfo) -> bool:
    """Whether an entry would be written, or would point, outside the directory of the export."""
    inside = posixpath.normpath(member.name)
    if member.issym():
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(inside), member.linkname))
    elif not (member.isreg() or member.isdir()):
        return True
    return inside.startswith(("/", "../")) or inside == ".." or ".." in member.name.split("/")


def _signature(author: Identity, date: str) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": author.name,
        "GIT_COMMITTER_EMAIL": author.email,
        "GIT_COMMITTER_DATE": date,
    }


def _checked_message(message: str) -> str:
    text = message.strip()
    if not text or "\0" in text:
        raise RequestError("a commit or tag needs a message, and no NUL characters in it")
    return text


def _same_files(left: Path, right: Path) -> bool:
    """Whether two directories hold the same names, kinds, contents and links."""
    names = sorted(entry.name for entry in left.iterdir())
    if names != sorted(entry.name for entry in right.iterdir()):
        return False
    return all(_same_entry(left / name, right / name) for name in names)


def _same_entry(left: Path, right: Path) -> bool:
    if left.is_symlink() or right.is_symlink():
        return left.is_symlink() and right.is_symlink() and left.readlink() == right.readlink()
    if left.is_dir() or right.is_dir():
        return left.is_dir() and right.is_dir() and _same_files(left, right)
    same_mode = bool(left.stat().st_mode & 0o100) == bool(right.stat().st_mode & 0o100)
    return same_mode and right.is_file() and filecmp.cmp(left, right, shallow=False)
