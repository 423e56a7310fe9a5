"""A git repository that a test builds object by object, with the git that everybody uses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

EPOCH = 1_770_000_000


class Workshop:
    """A bare repository; commits are written as raw objects, so that any message is possible."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = 0
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
        self.empty_tree = self.git("hash-object", "-w", "-t", "tree", "/dev/null")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run git here as a developer would and return its output."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode("utf-8", "replace").strip()

    def tree(self, files: Mapping[str, str]) -> str:
        """Write a flat tree of text files."""
        lines = []
        for name, text in sorted(files.items()):
            blob = self.git("hash-object", "-w", "--stdin", stdin=text.encode())
            lines.append(f"100644 blob {blob}\t{name}\n")
        return self.git("mktree", stdin="".join(lines).encode())

    def commit(
        self,
        message: str | bytes,
        parents: Sequence[str] = (),
        *,
        files: Mapping[str, str] | None = None,
        tree: str | None = None,
        encoding: str | None = None,
        time: str | None = None,
    ) -> str:
        """Write a commit, a minute after the one before, and return its sha."""
        self.made += 1
        raw = message if isinstance(message, bytes) else message.encode()
        when = time or str(EPOCH + 60 * self.made)
        chosen = tree or (self.tree(files) if files else self.empty_tree)
        head = [f"tree {chosen}", *(f"parent {sha}" for sha in parents)]
        head += [f"author Ada <ada@example.org> {when} +0000"]
        head += [f"committer Ada <ada@example.org> {when} +0000"]
        head += [f"encoding {encoding}"] if encoding else []
        content = "\n".join(head).encode() + b"\n\n" + raw
        return self.git(
            "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=content
        )

    def line(self, *messages: str | bytes, after: str | None = None) -> list[str]:
        """Write commits one upon the other and return their shas, oldest first."""
        shas: list[str] = []
        for message in messages:
            parent = shas[-1] if shas else after
            shas.append(self.commit(message, [parent] if parent else []))
        return shas

    def point(self, ref: str, sha: str) -> None:
        """Set a ref."""
        self.git("update-ref", ref, sha)

    def refs(self) -> dict[str, str]:
        """Return every ref with the object it points at."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)


def run_hims(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `./hims` as a CI job does."""
    root = Path(__file__).resolve().parents[3]
    environment = {key: value for key, value in os.environ.items() if key != "HIMS_CONFIG"}
    return subprocess.run(
        [root / "hims", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
