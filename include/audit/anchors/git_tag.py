"""Heads as signed git tags: a tag on a blob that holds the heads since the tag before it.

The tag is signed with the ledger's own key in git's SSH format, so `git verify-tag` checks it with
an allowed-signers file and nothing of ours.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from include.errors import LedgerError, RepositoryError
from include.ledger.entry import Head
from include.ledger.note import PublicKey, Signer
from include.releases.git import Git

_PREFIX = "ledger/"
_TAGGER = "Release Control ledger <ledger@release-control.invalid>"


@dataclass(frozen=True, slots=True)
class GitTagAnchor:
    """Tags `ledger/<size>` in a repository of their own."""

    repository: Path
    keys: Sequence[Signer]

    @property
    def name(self) -> str:
        """Return how reports call the place."""
        return "git"

    @property
    def patience(self) -> timedelta:
        """Return how long a head may take to get here: tags are made by the daily seal."""
        return timedelta(hours=26)

    def newest(self) -> int:
        """Return the size of the newest head that is tagged; 0 for none."""
        return max(self._sizes(), default=0)

    def keep(self, heads: Sequence[Head], now: datetime) -> str:
        """Write the heads as a blob and a signed tag on it; an existing tag is never moved."""
        if not self.keys:
            raise LedgerError("there is no key to sign the tag with")
        git = self._git()
        lines = "".join(f"{head.text()}\n" for head in heads)
        name = f"{_PREFIX}{heads[-1].size:012d}"
        try:
            blob = git.run("hash-object", "-w", "--stdin", stdin=lines.encode()).text
            text = (
                f"object {blob}\ntype blob\ntag {name}\n"
                f"tagger {_TAGGER} {int(now.timestamp())} +0000\n\n{heads[-1].note}"
            )
            signed = text + ssh_signature(text.encode(), self.keys[0])
            tag = git.run("mktag", stdin=signed.encode(), writes=True).text
            git.run("update-ref", f"refs/tags/{name}", tag, "0" * len(tag), writes=True)
        except RepositoryError as error:
            raise LedgerError(str(error)) from error
        return f"git:{self.repository}#refs/tags/{name}"

    def heads(self) -> Iterator[str]:
        """Yield the lines of all tags, by the size in their names."""
        for size in self._sizes():
            name = f"refs/tags/{_PREFIX}{size:012d}"
            try:
                content = self._git().run("cat-file", "blob", f"{name}^{{blob}}").output
            except RepositoryError as error:
                raise LedgerError(str(error)) from error
            yield from content.decode("utf-8", "replace").splitlines()

    def _sizes(self) -> list[int]:
        try:
            names = (
                self._git()
                .run("for-each-ref", "--format=%(refname)", f"refs/tags/{_PREFIX}")
                .text.splitlines()
            )
        except RepositoryError as error:
            raise LedgerError(str(error)) from error
        words = (name.rpartition("/")[2] for name in names)
        return sorted(int(word) for word in words if word.isascii() and word.isdigit())

    def _git(self) -> Git:
        return Git(self.repository, timedelta(seconds=60))


def ssh_signature(content: bytes, key: Signer) -> str:
    """Return the armoured SSH signature of `content` in git's namespace (PROTOCOL.sshsig)."""
    public = _string(b"ssh-ed25519") + _string(key.public.raw)
    digest = hashlib.sha512(content).digest()
    rest = _string(b"git") + _string(b"") + _string(b"sha512")
    signed = key.sign(b"SSHSIG" + rest + _string(digest))
    signature = _string(b"ssh-ed25519") + _string(signed)
    blob = b"SSHSIG" + struct.pack(">I", 1) + _string(public) + rest + _string(signature)
    text = base64.b64encode(blob).decode()
    lines = "\n".join(text[start : start + 70] for start in range(0, len(text), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n"


def allowed_signer(key: PublicKey) -> str:
    """Return the line of git's allowed-signers file for a public key."""
    public = _string(b"ssh-ed25519") + _string(key.raw)
    return f'* namespaces="git" ssh-ed25519 {base64.b64encode(public).decode()} {key.name}'


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content
