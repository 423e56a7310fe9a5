"""What a git repository holds: revisions, commits, tags, releases, files. It only reads.

Works on a bare repository as well as on a work tree, on several roots, octopus merges, messages in
any encoding and shallow clones; a history that is not all there is an error, never a short answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from include.errors import RepositoryError, RequestError
from include.releases.commits import Commit, cut_time
from include.releases.git import Git
from include.releases.versions import Version

DEFAULT_TIMEOUT = timedelta(minutes=2)

_FULL_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REV_REFUSED = re.compile(r"[\x00-\x20\x7f]|\.\.|^[-^]|^$")
_COMMIT_FORMAT = "%x00".join(("%H", "%P", "%an", "%ae", "%ct", "%B"))
_COMMIT_FIELDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag that leads to a commit: its name without refs/tags/, and that commit's sha."""

    name: str
    sha: str
    annotated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A final release as the repository knows it: a version tag and its commit."""

    version: Version
    tag: str
    sha: str


def is_full_sha(text: str) -> bool:
    """Whether `text` is a whole object name (40 or 64 lower-case hex digits)."""
    return _FULL_SHA.fullmatch(text) is not None


class History:
    """The repository at `path`: a bare one, or the top of a work tree.

    Every method raises RepositoryError when the repository is not what it should be, and
    RequestError for a revision or path that no repository could have.
    """

    def __init__(self, path: Path | str, *, timeout: timedelta = DEFAULT_TIMEOUT) -> None:
        named = Path(path)
        if not named.is_dir():
            problem = "is not a directory" if named.exists() else "does not exist"
            raise RepositoryError(f"{named} {problem}; name the directory of a git repository")
        self.path = named.resolve()
        self._git = Git(self.path, timeout)
        found = self._git.run(
            "rev-parse",
            "--absolute-git-dir",
            "--is-bare-repository",
            "--is-shallow-repository",
            statuses=(0, 128),
        )
        if found.status:
            raise RepositoryError(
                f"{named} is not a git repository that can be read "
                f"({found.complaint.splitlines()[0] if found.complaint else 'git says nothing'}); "
                "name a bare repository or the top of a work tree"
            )
        directory, bare, shallow = found.text.split("\n")
        self.git_directory = Path(directory)
        self.is_bare = bare == "true"
        self.is_shallow = shallow == "true"

    def resolve(self, rev: str) -> str:
        """Return the full sha of the commit that `rev` names (branch, tag, sha, HEAD~2 …)."""
        sha = self._commit_sha(rev)
        if sha is None:
            hint = "; the clone is shallow, perhaps it lies before its start" * self.is_shallow
            raise RepositoryError(f"{self.path}: no commit is called “{rev[:200]}”{hint}")
        return sha

    def exists(self, rev: str) -> bool:
        """Whether `rev` names a commit here."""
        return self._commit_sha(rev) is not None

    def branch(self, name: str) -> str | None:
        """Return the sha at the tip of branch `name`, None where there is no such branch."""
        return self._ref(f"refs/heads/{self._checked_name(name)}")

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether commit `older` is `newer` or in its history."""
        arguments = (self.resolve(older), self.resolve(newer))
        return self._git.run("merge-base", "--is-ancestor", *arguments, statuses=(0, 1)).status == 0

    def commits(self, base: str | None, head: str) -> tuple[Commit, ...]:
        """Return the commits of `base..head`, newest first, no parent before its child.

        `base` None means the whole history of `head`. Raises RepositoryError where a shallow clone
        was cut inside the range: commits would be missing from the answer.
        """
        head_sha = self.resolve(head)
        limits = [head_sha] if base is None else [head_sha, "^" + self.resolve(base)]
        answer = self._git.run(
            "log", "-z", "--topo-order", "--no-notes", f"--format=tformat:{_COMMIT_FORMAT}",
            *limits, "--",
        )  # fmt: skip
        commits = tuple(self._parsed(answer.output))
        if self.is_shallow:
            self._refuse_cut(commits)
        return commits

    def named(self, shas: Iterable[str]) -> tuple[Commit, ...]:
        """Return those of the commits, named by their full shas, that are here; no others."""
        asked = "".join(f"{sha}\n" for sha in shas if is_full_sha(sha)).encode()
        answer = self._git.run("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=asked)
        lines = (line.split(" ") for line in answer.text.split("\n"))
        here = "".join(f"{line[1]}\n" for line in lines if line[0] == "commit")
        if not here:
            return ()
        found = self._git.run(
            "log", "-z", "--no-walk=unsorted", "--no-notes", f"--format=tformat:{_COMMIT_FORMAT}",
            "--stdin", stdin=here.encode(),
        )  # fmt: skip
        return tuple(self._parsed(found.output))

    def tags(self) -> tuple[Tag, ...]:
        """Return all tags that lead to commits, by name."""
        return self._tags("refs/tags/")

    def last_release(self, at: str, *, before: Version | None = None) -> Release | None:
        """Return the highest version tag in the history of `at`, None where there is none.

        With `before`, the highest one below that version. Candidates (`v2.3.0-rc.1`) do not count.
        """
        sha = self.resolve(at)
        releases = [
            Release(version=version, tag=tag.name, sha=tag.sha)
            for tag in self._tags(f"--merged={sha}", "refs/tags/v*")
            if (version := Version.from_tag(tag.name)) and (before is None or version < before)
        ]
        return max(releases, key=lambda release: release.version, default=None)

    def read_file(self, rev: str, path: str) -> bytes:
        """Return the content of the regular file `path` (from the top, with `/`) in a commit."""
        sha = self.resolve(rev)
        mode, blob = self._entry(sha, path)
        if mode not in ("100644", "100755"):
            raise RepositoryError(f"{self.path}: {path} is no regular file in {sha[:12]}")
        return self._git.run("cat-file", "blob", blob).output

    def files(self, rev: str, folder: str) -> tuple[str, ...]:
        """Return the paths of the files under `folder` in a commit, sorted; none is no error."""
        check_path(folder)
        sha = self.resolve(rev)
        listed = self._git.run("ls-tree", "-r", "-z", "--full-tree", sha, "--", f"{folder}/").output
        entries = [entry.partition(b"\t") for entry in listed.split(b"\0") if entry]
        return tuple(
            sorted(
                name.decode("utf-8", "surrogateescape")
                for head, _, name in entries
                if head.split(b" ")[1] == b"blob"
            )
        )

    def require_clean(self) -> None:
        """Raise RepositoryError where the work tree differs from its commit, or there is none."""
        if self.is_bare:
            raise RepositoryError(f"{self.path} is bare: it has no work tree")
        status = self._git.run(
            "status", "--porcelain=v1", "-z", "--untracked-files=normal",
            "--ignore-submodules=dirty", settings=self._git.without_filters(),
        )  # fmt: skip
        changed = [entry[3:] for entry in status.text.split("\0") if entry]
        if changed:
            shown = ", ".join(changed[:5]) + (" …" if len(changed) > 5 else "")
            raise RepositoryError(
                f"{self.path} has changes that are not committed ({shown}); "
                "commit or stash them first"
            )

    def _commit_sha(self, rev: str) -> str | None:
        if len(rev) > 1000 or _REV_REFUSED.search(rev):
            raise RequestError(
                f"{rev[:80]!r} is not a revision; name a branch, a tag or a commit, like v2.2.0"
            )
        answer = self._git.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", rev + "^{commit}",
            statuses=(0, 1, 128),
        )  # fmt: skip
        return answer.text if is_full_sha(answer.text) and answer.status == 0 else None

    def _ref(self, ref: str) -> str | None:
        answer = self._git.run("rev-parse", "--verify", "--quiet", ref, statuses=(0, 1))
        return answer.text or None

    def _checked_name(self, name: str) -> str:
        """Return `name` if git accepts it for a branch or tag; git's rules are the rules."""
        plain = len(name) <= 200 and not name.startswith("-") and name.isprintable()
        known = plain and self._git.run("check-ref-format", f"refs/heads/{name}", statuses=(0, 1))
        if not known or known.status:
            raise RequestError(f"{name[:80]!r} is not a name that git allows for a branch or tag")
        return name

    def _parsed(self, output: bytes) -> Iterable[Commit]:
        fields = output.decode("utf-8", "replace").split("\0")
        if len(fields) % _COMMIT_FIELDS != 1:
            raise RepositoryError(f"{self.path}: git log gave an answer that cannot be read")
        for start in range(0, len(fields) - 1, _COMMIT_FIELDS):
            sha, parents, name, email, seconds, message = fields[start : start + _COMMIT_FIELDS]
            yield Commit(
                sha=sha,
                parents=tuple(parents.split()),
                author_name=name,
                author_email=email,
                time=cut_time(seconds),
                message=message,
            )

    def _refuse_cut(self, commits: Iterable[Commit]) -> None:
        """Raise where one of `commits` has parents that a shallow clone left behind."""
        shallow = self._git.run("rev-parse", "--path-format=absolute", "--git-path", "shallow").text
        listed = set(Path(shallow).read_text(encoding="ascii").split())
        for commit in commits:
            # A root that lies exactly at the depth is listed too, but nothing of it is missing.
            if (
                commit.sha in listed
                and b"\nparent "
                in self._git.run("cat-file", "commit", commit.sha).output.partition(b"\n\n")[0]
            ):
                raise RepositoryError(
                    f"{self.path} is a shallow clone that ends at {commit.sha[:12]}, inside the "
                    "range asked for: commits are missing; fetch them with "
                    "`git fetch --unshallow`"
                )

    def _tags(self, *selection: str) -> tuple[Tag, ...]:
        fields = ("refname:strip=2", "objectname", "objecttype", "*objectname", "*objecttype")
        form = "%00".join(f"%({field})" for field in fields)
        answer = self._git.run("for-each-ref", f"--format={form}", *selection)
        found = (self._tag(*line.split("\0")) for line in answer.text.split("\n") if line)
        return tuple(tag for tag in found if tag is not None)

    def _tag(self, name: str, sha: str, kind: str, inner: str, inner_kind: str) -> Tag | None:
        if kind == "commit":
            return Tag(name=name, sha=sha, annotated=False)
        if inner_kind == "tag":
            # A tag of a tag: for-each-ref looks through one layer only.
            innermost = self._commit_sha(f"refs/tags/{name}")
            return Tag(name=name, sha=innermost, annotated=True) if innermost else None
        return Tag(name=name, sha=inner, annotated=True) if inner_kind == "commit" else None

    def _entry(self, sha: str, path: str) -> tuple[str, str]:
        """Return the mode and object of `path` in commit `sha`."""
        found = self._find_entry(sha, path)
        if found is None:
            raise RepositoryError(f"{self.path}: there is no {path} in {sha[:12]}")
        return found

    def _find_entry(self, sha: str, path: str) -> tuple[str, str] | None:
        check_path(path)
        answer = self._git.run("ls-tree", "-z", "--full-tree", sha, "--", path)
        head, _, name = answer.output.rstrip(b"\0").partition(b"\t")
        if name != path.encode("utf-8", "surrogateescape"):
            return None
        mode, _, blob = head.decode("ascii").split(" ")
        return mode, blob


def check_path(path: str) -> None:
    """Raise RequestError unless `path` can name a file inside a repository."""
    parts = path.split("/")
    bad = any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
    if bad or "\0" in path or "\n" in path or len(path) > 4000:
        raise RequestError(
            f"{path[:80]!r} is not a path inside a repository; "
            "write it from the top, like src/app.py"
        )
