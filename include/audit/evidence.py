"""Evidence files: what records name, as it is on the disk now.

Files below the state directory's `evidence` go into packs and are verified with the ledger. Backups
do not: they hold patients' data, and their digest and proof are in the records.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.audit.selection import PackRecord

LARGEST = 64 << 20

# Of each URI the newest record in the tree that names it, as it was written.
_NEWEST = text(
    "SELECT DISTINCT ON (uri) item ->> 'uri' AS uri, r.seq, item ->> 'sha256'"
    " FROM record r JOIN leaf l ON l.seq = r.seq"
    " AND l.leaf_hash = sha256('\\x00'::bytea || convert_to(r.body, 'UTF8'))"
    " CROSS JOIN LATERAL jsonb_path_query(r.body::jsonb, 'lax $.evidence[*]') AS item"
    """ WHERE r.body LIKE '%"evidence":[{%' AND item ->> 'uri' = ANY (CAST(:uris AS text[]))"""
    " ORDER BY uri, l.position DESC"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of evidence that a record names. `content` is the file's, where it is packed.

    `status` is `included`, `by_digest` (not for packs), `superseded` (a later record names what the
    file holds now: `by`, which need not be in the pack), `missing` or `differs`.
    """

    seq: int
    uri: str
    sha256: str
    status: str
    message: str
    file: str | None = None
    content: bytes | None = None
    by: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the piece as the pack lists it."""
        return {
            "seq": self.seq,
            "uri": self.uri,
            "sha256": self.sha256,
            "status": self.status,
            "message": self.message,
            "file": self.file,
            "by": self.by,
        }


def gather(connection: Connection, records: Sequence[PackRecord], root: Path) -> list[Piece]:
    """Return every piece of evidence in the order of records; `root` holds what may be packed.

    What a file holds now may be what a record names that is not among `records`."""
    named = [item for record in records for item in named_evidence(record.seq, record.content)]
    newest = {uri: (seq, sha256) for seq, uri, sha256 in named}
    pieces = [_piece(*item, newest[item[1]], root) for item in named]
    # To ask for newer ones means to read all records: for what differs alone.
    if differing := {piece.uri for piece in pieces if piece.status == "differs"}:
        newest |= _newest(connection, differing)
        pieces = [
            _piece(*item, newest[item[1]], root) if item[1] in differing else piece
            for item, piece in zip(named, pieces, strict=True)
        ]
    packed = set[str]()
    for index, piece in enumerate(pieces):
        if piece.file in packed:
            # The same file for another record: once is enough.
            pieces[index] = replace(piece, content=None)
        elif piece.file is not None:
            packed.add(piece.file)
    return pieces


def _newest(connection: Connection, uris: Iterable[str]) -> dict[str, tuple[int, str]]:
    found = connection.execute(_NEWEST, {"uris": sorted(uris)})
    return {uri: (int(seq), str(sha256)) for uri, seq, sha256 in found}


def named_evidence(seq: int, content: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Yield seq, URI and digest of every piece of evidence that a record's content names."""
    listed = content.get("evidence")
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict) and "uri" in item and "sha256" in item:
            yield seq, str(item["uri"]), str(item["sha256"])


def evidence_below(named: Iterable[tuple[int, str, str]], root: Path) -> list[tuple[int, str, str]]:
    """Return those pieces of evidence that are files below `root`."""
    return [item for item in named if _inside(item[1], root) is not None]


def changed_evidence(
    named: Sequence[tuple[int, str, str]], root: Path
) -> Iterator[tuple[str, int, str]]:
    """Yield status (`missing` or `differs`), seq and sentence for every file below `root` that is
    no longer what its record names; `named` is in the order of records."""
    newest = {uri: sha256 for _, uri, sha256 in named}
    actual: dict[str, str] = {}
    for seq, uri, sha256 in named:
        path = _inside(uri, root)
        if path is None:
            continue
        if uri not in actual:
            try:
                with _read(path, root) as stream:
                    actual[uri] = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                actual[uri] = _why(error)
        if not actual[uri].startswith("sha256:"):
            yield "missing", seq, _missing(path, seq, actual[uri])
        elif actual[uri] not in (sha256, newest[uri]):
            yield "differs", seq, _differs(path, seq)


def _why(error: OSError) -> str:
    said = error.strerror or str(error)
    return said if error.errno == errno.ELOOP else f"cannot be read: {said}"


def _missing(path: Path, seq: int, why: str) -> str:
    return f"{path}, which record {seq} names, {why}"


def _differs(path: Path, seq: int) -> str:
    return f"{path} is not what record {seq} names: it was changed since"


def _inside(uri: str, root: Path) -> Path | None:
    """Return the file that a URI names if that is below `root`, by name or by where it leads."""
    try:
        parts = urlsplit(uri)
        path = Path(os.path.normpath(unquote(parts.path)))
        whole = root.resolve()
        below = any(path.is_relative_to(one) for one in (root.absolute(), whole))
        below = below or path.resolve().is_relative_to(whole)
    except (OSError, ValueError):
        return None
    return path if parts.scheme == "file" and below else None


def _read(path: Path, root: Path) -> BufferedReader:
    """Open a file of evidence; OSError where a link leads out of `root`: what is read there is
    nobody's evidence."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise OSError(errno.ELOOP, "is a link that leads out of the evidence")
    return path.open("rb")


def _piece(seq: int, uri: str, sha256: str, newest: tuple[int, str], root: Path) -> Piece:
    def said(status: str, message: str, **rest: Any) -> Piece:
        return Piece(seq=seq, uri=uri, sha256=sha256, status=status, message=message, **rest)

    if not uri.startswith("file:"):
        return said("by_digest", "not a file on this machine")
    path = _inside(uri, root)
    if path is None:
        return said("by_digest", "kept where it is: only its digest is packed")
    try:
        with _read(path, root) as stream:
            if os.fstat(stream.fileno()).st_size > LARGEST:
                only = f"larger than {LARGEST >> 20} MiB: only its digest is packed"
                return said("by_digest", only)
            content = stream.read()
    except OSError as error:
        return said("missing", _missing(path, seq, _why(error)))
    actual = "sha256:" + hashlib.sha256(content).hexdigest()
    if actual == sha256:
        name = "".join(char if char.isalnum() or char in "._-" else "_" for char in path.name)
        file = f"evidence/{sha256.removeprefix('sha256:')[:16]}-{name[-80:]}"
        return said("included", "as it was recorded", file=file, content=content)
    by, last = newest
    if last == actual:
        message = f"written anew by a later try: record {by} names it as it is now"
        return said("superseded", message, by=by)
    return said("differs", _differs(path, seq))
