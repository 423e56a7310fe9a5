#!/usr/bin/env python3
"""Verify an evidence pack of Release Control: with this file, Python 3.8 or newer, nothing else.

    python3 -I verify.py PACK.zip         or, where it was unpacked:  python3 -I verify.py DIRECTORY
    python3 -I verify.py PACK.zip --key NAME+ID+BASE64     (the key as you know it from elsewhere)

With -I Python loads no module that lies beside this file.

Checked is: every file against the signed list of files; every record against the signed head of the
ledger, by its inclusion proof (RFC 6962); every piece of evidence against the record that names it.
A pack proves no more than its key: compare the key that is printed with the published one, or give
the published one by --key. Nothing is unpacked, executed or fetched.

Exit status: 0 everything fits, 1 something does not, 2 it could not be looked at.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import struct
import sys
import zipfile
from contextlib import closing
from typing import IO, Any, Iterator, NoReturn, Sequence, Tuple, Union

Point = Tuple[int, int, int, int]
Key = Tuple[str, bytes, bytes]

# The keys that the ledger's heads were signed with when this pack was made.
KEYS: tuple[str, ...] = ()

MOST_FILES = 20000
MOST_BYTES = 2 << 30
MOST_TEXT = 256 << 20
MOST_LINE = 16 << 20
NOT_LISTED = ("pack.json", "pack.sig")
# How damaged archives fail, beside what the documentation of zipfile says.
DAMAGE = (
    OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError,
    OverflowError, MemoryError, struct.error,
)  # fmt: skip

# What pruning leaves of a record: no more than where it stood, when it was and what kind it was.
STUB = {
    "reason": "pruned",
    "message": "pruned after its retention; its leaf hash stands",
    "actor": {"user": "pruned", "name": "pruned", "auth": "none"},
    "source": {"kind": "pruned"},
    "subject": {"kind": "pruned", "id": "pruned"},
}
STUB_TEXTS = ("id", "time", "event", "outcome")

# --- Ed25519 (RFC 8032 §5.1), verification only -------------------------------------------------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_I = pow(2, (_P - 1) // 4, _P)


def _add(a: Point, b: Point) -> Point:
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    g, h = 2 * t1 * t2 * _D % _P, 2 * z1 * z2 % _P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _point(raw: bytes) -> Point | None:
    """Return the point that 32 bytes stand for; None if they stand for none."""
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _I % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


_BASE = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little")) or (0, 1, 1, 0)


def ed25519_holds(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether the signature (64 bytes) of the key (32 bytes) for the message is right."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r = _point(key), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= _L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _L
    left, right = _times(s, _BASE), _add(r, _times(h, a))
    return (
        not (left[0] * right[2] - right[0] * left[2]) % _P
        and not (left[1] * right[2] - right[1] * left[2]) % _P
    )


# --- Keys, notes, proofs ------------------------------------------------------------------------


class Unreadable(Exception):
    """The pack, or something in it, cannot be read as what it should be."""


def read_key(text: str) -> Key:
    """Return name, id and key of `name+id+base64`."""
    name, _, tail = text.strip().partition("+")
    identity, _, coded = tail.partition("+")
    try:
        raw = base64.b64decode(coded, validate=True)
    except ValueError:
        raw = b""
    right = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex()
    if len(raw) != 33 or raw[:1] != b"\x01" or identity != right:
        raise Unreadable("this is not a public key: " + repr(text[:100]))
    return name, bytes.fromhex(identity), raw[1:]


def signed_by(text: str, signatures: str, keys: Sequence[Key]) -> list[Key]:
    """Return those of `keys` that signed `text`."""
    found: list[Key] = []
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, coded = rest.partition(" ")
        try:
            raw = base64.b64decode(coded, validate=True)
        except ValueError:
            continue
        for item in keys:
            ours = mark == "\u2014" and item[:2] == (name, raw[:4]) and item not in found
            if ours and ed25519_holds(item[2], text.encode("utf-8"), raw[4:]):
                found.append(item)
    return found


def read_head(note: str) -> tuple[int, bytes, str]:
    """Return size, root and the signed text of a head."""
    text, gap, _ = note.partition("\n\n")
    try:
        _, size, root = text.split("\n")[:3]
        found = int(size), base64.b64decode(root, validate=True)
    except ValueError:
        raise Unreadable("head.txt is not a signed head") from None
    if not gap or len(found[1]) != 32:
        raise Unreadable("head.txt is not a signed head")
    return found[0], found[1], text + "\n"


def included(leaf: bytes, position: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the proof leads from the leaf to the root (RFC 9162 §2.1.3.2)."""
    if not 0 <= position < size:
        return False
    index, last, node = position, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index >>= 1
        last >>= 1
    return last == 0 and node == root


# --- Where the files are ------------------------------------------------------------------------


def proper(name: str) -> bool:
    """Return whether a file's name stays inside the pack."""
    parts = name.split("/")
    return (
        0 < len(name) <= 300
        and not any(part in ("", ".", "..") for part in parts)
        and "\\" not in name
        and ":" not in name
        and name.isprintable()
    )


class Archive:
    """A pack as a ZIP file; nothing is unpacked to a disk."""

    def __init__(self, path: str) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except DAMAGE as error:
            msg = f"this is not a pack: {error}"
            raise Unreadable(msg) from None
        names = [item.filename for item in self._zip.infolist()]
        if len(names) > MOST_FILES:
            raise Unreadable(f"more than {MOST_FILES} files are no pack")
        if len(set(names)) < len(names):
            raise Unreadable("a name stands twice in the archive")
        for item in self._zip.infolist():
            if item.flag_bits & 1:
                msg = f"{item.filename[:100]} is encrypted"
                raise Unreadable(msg)
            if not proper(item.filename) or (item.external_attr >> 16) & 0o170000 == 0o120000:
                msg = f"{item.filename[:100]!r} leads out of the pack"
                raise Unreadable(msg)
        self.names = names

    def open(self, name: str) -> IO[bytes]:
        return self._zip.open(name)

    def close(self) -> None:
        self._zip.close()


class Directory:
    """A pack that was unpacked."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.names: list[str] = []
        for folder, folders, files in os.walk(path, onerror=self._refuse):
            folders.sort()
            for name in folders:
                full = os.path.join(folder, name)
                if os.path.islink(full):
                    msg = f"{full!r} is a link: it leads out of the pack"
                    raise Unreadable(msg)
            for file in sorted(files):
                full = os.path.join(folder, file)
                if os.path.islink(full) or not os.path.isfile(full):
                    msg = f"{full!r} is not a plain file"
                    raise Unreadable(msg)
                self.names.append(os.path.relpath(full, path).replace(os.sep, "/"))
                if len(self.names) > MOST_FILES:
                    raise Unreadable(f"more than {MOST_FILES} files are no pack")

    def _refuse(self, error: OSError) -> NoReturn:
        raise Unreadable(f"it cannot be looked through: {error}") from None

    def open(self, name: str) -> IO[bytes]:
        return open(os.path.join(self._path, name), "rb")

    def close(self) -> None:
        pass


class Nothing:
    """A pack that could not even be opened."""

    names: Sequence[str] = ()

    def open(self, name: str) -> IO[bytes]:
        raise Unreadable(name)

    def close(self) -> None:
        pass


Place = Union[Archive, Directory, Nothing]


class Reader:
    """Reads a pack's files, and never more than a pack may hold."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.left = MOST_BYTES

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            with closing(self.place.open(name)) as stream:
                while True:
                    chunk = stream.read(1 << 16)
                    if not chunk:
                        return
                    self.left -= len(chunk)
                    if self.left < 0:
                        raise Unreadable(f"it unpacks to more than {MOST_BYTES} bytes")
                    yield chunk
        except DAMAGE as error:
            msg = f"{name} cannot be read: {error!r}"
            raise Unreadable(msg) from None
        except Exception as error:
            # zlib's and lzma's own: either module may be missing where this runs.
            if type(error).__name__ in ("error", "LZMAError"):
                msg = f"{name} cannot be read: {error!r}"
                raise Unreadable(msg) from None
            raise

    def digest(self, name: str) -> tuple[str, int]:
        """Return SHA-256 and length of a file."""
        total, size = hashlib.sha256(), 0
        for chunk in self.chunks(name):
            total.update(chunk)
            size += len(chunk)
        return total.hexdigest(), size

    def text(self, name: str) -> str:
        parts, size = [], 0
        for chunk in self.chunks(name):
            size += len(chunk)
            if size > MOST_TEXT:
                msg = f"{name} is too long"
                raise Unreadable(msg)
            parts.append(chunk)
        try:
            return b"".join(parts).decode("utf-8")
        except UnicodeDecodeError:
            msg = f"{name} is not UTF-8"
            raise Unreadable(msg) from None

    def lines(self, name: str) -> Iterator[bytes]:
        rest = b""
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > MOST_LINE:
                msg = f"{name} has a line that is too long"
                raise Unreadable(msg)
        if rest:
            yield rest


def parsed(text: str | bytes, name: str) -> Any:
    """Return JSON of the kind that packs hold."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{name} is not JSON: {error}"
        raise Unreadable(msg) from None


def number(value: Any, name: str) -> int:
    """Return a whole number; JSON's other numbers, and True, are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"{name} is not a whole number: {value!r:.100}")
    return value


def plain(text: str) -> str:
    """Return text that can be printed anywhere: what moves a cursor, or is half a character, is
    written as an escape."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def is_stub(content: Any) -> bool:
    """Return whether a record's content is what pruning leaves, and nothing else."""
    if not isinstance(content, dict):
        return False
    rest = {name: value for name, value in content.items() if name not in STUB}
    rows = rest.pop("rows", {})
    return (
        {name: content.get(name) for name in STUB} == STUB
        and all(name in rest for name in STUB_TEXTS)
        and set(rest) <= {*STUB_TEXTS, "release", "change"}
        and all(isinstance(value, str) for value in rest.values())
        and isinstance(rows, dict)
        and all(isinstance(value, str) for value in rows.values())
    )


# --- The verification ---------------------------------------------------------------------------


class Doubts:
    """What else may speak against signatures that hold; the pack by itself knows of nothing."""

    def of_head(self, note: str) -> str | None:
        """Return what speaks against a signed head."""
        return None

    def of_pack(self, note: str, keys: Sequence[Key]) -> str | None:
        """Return what speaks against `keys` having signed a pack under that head."""
        return None


class Check:
    """Goes through a pack and notes what does not fit."""

    def __init__(self, place: Place, keys: Sequence[Key], doubts: Doubts) -> None:
        self.reader = Reader(place)
        self.doubts = doubts
        self.names = set(place.names)
        self.keys = keys
        self.findings: list[dict[str, Any]] = []
        self.signers: list[Key] = []
        self.size, self.root = 0, b""
        self.records, self.pruned = 0, 0
        self.seqs: set[int] = set()
        self.named: dict[tuple[int, str, str], bool] = {}
        self.pack: dict[str, Any] = {}

    def find(
        self, kind: str, message: str, seq: int | None = None, file: str | None = None
    ) -> None:
        if len(self.findings) < 200:
            named = None if file is None else plain(file)
            item = {"kind": kind, "seq": seq, "file": named, "message": plain(message)}
            self.findings.append(item)

    def run(self) -> dict[str, Any]:
        """Check everything; the outcome is what `--json` prints."""
        try:
            self._manifest()
            self._files()
            self._head()
            self._records()
            self._evidence()
        except Unreadable as error:
            self.find("unreadable", str(error))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            self.find("unreadable", f"the pack is not built as one: {error!r}")
        return self.outcome()

    def outcome(self) -> dict[str, Any]:
        ok = not self.findings
        bad = [item["seq"] for item in self.findings if item["seq"] is not None]
        files = [item["file"] for item in self.findings if item["file"] is not None]
        first = bad[0] if bad else files[0] if files else None
        key = self.signers[0][0] if self.signers else None
        about = self.pack.get("id")
        if ok:
            message = (
                f"{self.records} records and {len(self.pack['files'])} files fit the head of "
                f"{self.size} records of {self.pack['origin']}, signed by {key}"
            )
            if self.pruned:
                message += f"; of {self.pruned} that were pruned only the place is proven"
        else:
            count = len(self.findings)
            what = "1 thing does" if count == 1 else f"{count} things do"
            message = f"{what} not fit: this pack proves nothing"
        return {
            "ok": ok,
            "size": self.size,
            "root": "sha256:" + self.root.hex() if self.root else None,
            "first_bad": first,
            "records": self.records,
            "pruned": self.pruned,
            "key": key,
            "id": plain(about) if isinstance(about, str) else None,
            "message": plain(message),
            "findings": self.findings,
        }

    def _manifest(self) -> None:
        text = self.reader.text("pack.json") if "pack.json" in self.names else ""
        if not text:
            raise Unreadable("there is no pack.json in it")
        found = parsed(text, "pack.json")
        if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
            raise Unreadable("pack.json is no list of files")
        self.pack = found
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        signatures = self.reader.text("pack.sig") if "pack.sig" in self.names else ""
        signed = f"hims evidence pack\n{digest}\n"
        self.signers = signed_by(signed, signatures, self.keys)
        if not self.signers:
            self.find(
                "pack_unsigned", "the list of files is signed by no key that we know",
                file="pack.sig",
            )  # fmt: skip

    def _files(self) -> None:
        listed = self.pack["files"]
        for name in sorted(set(listed) - self.names):
            self.find("file_missing", f"{name} is listed and not there", file=name)
        for name in sorted(self.names - set(listed) - set(NOT_LISTED)):
            self.find("file_unlisted", f"{name} is there and not listed", file=name)
        for name in sorted(set(listed) & self.names):
            if [*self.reader.digest(name)] != [listed[name]["sha256"], listed[name]["size"]]:
                self.find("file_changed", f"{name} is not the file that was packed", file=name)

    def _head(self) -> None:
        note = self.reader.text("head.txt")
        self.size, self.root, text = read_head(note)
        if not signed_by(text, note.partition("\n\n")[2], self.keys):
            self.find("head_unsigned", "the head is signed by no key that we know", file="head.txt")
        elif why := self.doubts.of_head(note):
            self.find("head_refused", why, file="head.txt")
        elif self.signers and (why := self.doubts.of_pack(note, self.signers)):
            self.find("pack_refused", why, file="pack.sig")
        if text.split("\n")[0] != self.pack["origin"]:
            self.find("head_foreign", "the head is one of another ledger", file="head.txt")

    def _records(self) -> None:
        before = -1
        for line in self.reader.lines("records.jsonl"):
            item = parsed(line, "records.jsonl")
            seq, body = number(item["seq"], "a record's seq"), item["body"]
            position = number(item["position"], f"the position of record {seq}")
            content = parsed(body, f"record {seq}")
            leaf = hashlib.sha256(b"\x00" + body.encode("utf-8")).digest()
            if "pruned" in item:
                # Its time was over: its place is proven, its content is no longer anywhere.
                leaf = bytes.fromhex(item["pruned"])
                self.pruned += 1
                if not is_stub(content):
                    message = f"record {seq} says more than is left of one that was pruned"
                    self.find("record", message, seq=seq)
            proof = [bytes.fromhex(node) for node in item["proof"]]
            if not included(leaf, position, self.size, proof, self.root):
                self.find("record", f"record {seq} is not the one in the ledger", seq=seq)
            if position <= before:
                self.find("record_order", f"record {seq} stands out of order", seq=seq)
            before = position
            self.records += 1
            self.seqs.add(seq)
            for piece in content.get("evidence", ()):
                if "uri" in piece and "sha256" in piece:
                    self.named.setdefault((seq, piece["uri"], piece["sha256"]), False)
        if self.records != self.pack["records"]:
            self.find(
                "record_missing",
                f"{self.records} records are there, {self.pack['records']} were packed",
                file="records.jsonl",
            )

    def _evidence(self) -> None:
        items = parsed(self.reader.text("evidence.json"), "evidence.json")
        there = {item["uri"] for item in items if item["status"] == "included"}
        for item in items:
            key = (number(item["seq"], "the seq of evidence"), item["uri"], item["sha256"])
            if key not in self.named:
                self.find(
                    "evidence_unproven", "no record names {}".format(item["uri"]),
                    seq=item["seq"], file=item["file"],
                )  # fmt: skip
                continue
            self.named[key] = True
            if item["status"] == "included":
                digest = "sha256:" + self.reader.digest(item["file"])[0]
                if digest != item["sha256"]:
                    self.find(
                        "evidence_changed",
                        "{} is not what record {} names".format(item["file"], item["seq"]),
                        seq=item["seq"], file=item["file"],
                    )  # fmt: skip
            elif item["status"] in ("missing", "differs"):
                self.find("evidence_" + item["status"], item["message"], seq=item["seq"])
            elif item["status"] == "superseded" and (item["uri"] in there or self._later(item)):
                continue
            elif item["status"] != "by_digest":
                self.find("evidence_missing", f"{item['uri']} is left out", seq=item["seq"])
        for (seq, uri, _), seen in sorted(self.named.items()):
            if not seen:
                self.find("evidence_missing", f"{uri} is left out", seq=seq)

    def _later(self, item: dict[str, Any]) -> bool:
        """Return whether the record by which evidence is superseded lies outside the pack."""
        by = item.get("by")
        return isinstance(by, int) and by != item["seq"] and by not in self.seqs


def verify(path: str, keys: Sequence[str], doubts: Doubts | None = None) -> dict[str, Any]:
    """Return what is wrong with the pack at `path`, by `keys` as published; raises nothing for a
    pack that is damaged or hostile. `doubts` are asked about signatures that hold."""
    place = None
    doubts = doubts or Doubts()
    try:
        known = [read_key(text) for text in keys]
        place = Directory(path) if os.path.isdir(path) else Archive(path)
        return Check(place, known, doubts).run()
    except Unreadable as error:
        check = Check(Nothing(), (), doubts)
        check.find("unreadable", str(error))
        return check.outcome()
    finally:
        if place is not None:
            place.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program."""
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pack", nargs="?", default=here, help="the pack, or where it was unpacked")
    parser.add_argument("--key", action="append", help="a public key from elsewhere")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not os.path.exists(options.pack):
        sys.stderr.write(f"verify: {options.pack} is not there\n")
        return 2
    outcome = verify(options.pack, options.key or KEYS)
    if options.json:
        json.dump(outcome, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        if hasattr(sys.stdout, "reconfigure"):
            # Whatever a terminal can show, what was found is said.
            sys.stdout.reconfigure(errors="backslashreplace")
        sys.stdout.write(outcome["message"] + "\n")
        for item in outcome["findings"]:
            sys.stdout.write("  {}: {}\n".format(item["kind"], item["message"]))
        if not options.key:
            sys.stdout.write(
                "The key came with this pack. Compare it with the published one:\n"
                + "".join(f"  {key}\n" for key in KEYS)
            )
    return 0 if outcome["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
