"""A backup: everything that a database held at one instant, and its figures.

With one job it is one file in PostgreSQL's custom format, written by pg_dump as a stream: its
blocks bear their lengths, so a missing end shows, and one pass writes and hashes it. With more jobs
it is a folder in the directory format, which several connections write at once; its digest is that
of the list of its files, each with size and digest. An encrypted one is always one stream, which
is encrypted before it reaches the disk; its digest is that of the file. Beside it lies `NAME.json`
with what was counted in the very snapshot that was dumped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from include.backups.cipher import Sealing
from include.backups.contents import read_contents
from include.backups.database import Database, one
from include.backups.postgres import PostgresTools
from include.durable import try_lock, write_json
from include.errors import BackupError, RequestError
from include.instants import format_instant, parse_instant

# How long pg_dump waits for a table that a migration holds.
_LOCK_WAIT = "60s"
_CHUNK = 1 << 20
_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A complete backup on disk.

    `digest` is `sha256:<hex>` over the file or folder, `size` its bytes; `counts` are rows by table
    as it holds them, `constraints` the number of valid constraints; `taken_at` is aware UTC.
    """

    path: Path
    digest: str
    size: int
    counts: Mapping[str, int]
    constraints: int
    taken_at: datetime
    server_version: str
    database: str

    @property
    def rows(self) -> int:
        """The rows of all tables together."""
        return sum(self.counts.values())


def take_backup(
    url: str, path: Path, tools: PostgresTools, now: datetime, *, jobs: int = 1
) -> Backup:
    """Dump the database at `url` to `path` and return the backup; with several `jobs` in parallel,
    unless `tools` encrypt.

    Killed at any instant and called again with the same path, it starts anew, or returns the
    complete backup that it finds after checking its digest. Writes to the database meanwhile are
    neither stopped nor seen: counts and dump share one snapshot.

    Raises BackupError when the database or the disk fails, when another process is at it, and when
    something else lies at `path`; nothing is ever overwritten.
    """
    return dump_database(Database.at(url), path, tools, now, jobs=jobs)


def dump_database(
    database: Database, path: Path, tools: PostgresTools, now: datetime, *, jobs: int = 1
) -> Backup:
    """Do what `take_backup` does, with a database in place of its URL."""
    path = path.absolute()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(path):
            found = _found(path, database.name)
            return found or _take(database, path, tools, now, jobs)
    except OSError as error:
        raise BackupError(f"{error.filename or path}: {error.strerror}; no backup was taken") from (
            error
        )


def find_backup(path: Path, database: str) -> Backup | None:
    """Return the complete backup of `database` at `path`, its digest checked; None without one.

    Raises BackupError when something else lies there, or when it has changed.
    """
    return _found(path.absolute(), database)


def load_backup(path: Path) -> Backup:
    """Return the backup at `path` by what is written beside it; the file itself is not read.

    Raises BackupError when there is none or what is written is not readable.
    """
    beside = _figures(path)
    try:
        return _from_document(path, json.loads(beside.read_bytes()))
    except FileNotFoundError as error:
        raise BackupError(f"{path}: there is no backup here ({beside.name} is missing)") from error
    except OSError as error:
        raise BackupError(f"{beside}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RequestError) as error:
        raise BackupError(f"{beside}: does not describe a backup; take a new one") from error


def digest_of(path: Path) -> str:
    """Return `sha256:<hex>` over a file, or over the list of a folder's files."""
    if path.is_dir():
        lines = [
            f"{file.name} {file.stat().st_size} {digest_of(file)}\n"
            for file in sorted(path.iterdir())
        ]
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all of a folder's files."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return path.stat().st_size


def delete_backup(path: Path) -> None:
    """Delete a backup and its figures; what is gone already is no error."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    _figures(path).unlink(missing_ok=True)


def _take(database: Database, path: Path, tools: PostgresTools, now: datetime, jobs: int) -> Backup:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with database.connect() as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            tools.require(connection.info.server_version)
            snapshot = str(one(connection, "SELECT pg_export_snapshot()"))
            contents = read_contents(connection)
            if jobs == 1 or tools.encrypt:
                digest, size = _dump(database, snapshot, partial, tools)
            else:
                digest, size = _dump_folder(database, snapshot, partial, tools, jobs)
            version = str(one(connection, "SHOW server_version"))
        backup = Backup(
            path=path,
            digest=digest,
            size=size,
            counts=contents.counts,
            constraints=contents.constraints,
            taken_at=now,
            server_version=version.split()[0],
            database=database.name,
        )
        # The figures come first: a file at `path` without them is none of ours, and figures
        # without a file are a run that was killed here.
        write_json(_figures(path), _document(backup))
        partial.rename(path)
        _sync_directory(path.parent)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        partial.unlink(missing_ok=True)
    return backup


def _dump_folder(
    database: Database, snapshot: str, partial: Path, tools: PostgresTools, jobs: int
) -> tuple[str, int]:
    # Of a run that was killed; pg_dump wants to make its folder itself.
    shutil.rmtree(partial, ignore_errors=True)
    ran = tools.run(
        "pg_dump",
        [
            "--format=directory",
            f"--jobs={jobs}",
            f"--file={partial}",
            "--no-password",
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={_LOCK_WAIT}",
            f"--dbname={database.argument()}",
        ],
        database,
    )
    if ran.status != 0:
        raise BackupError(
            f"{database.place}: pg_dump failed: {ran.complaint or 'no reason given'}; "
            "no backup was taken"
        )
    partial.chmod(0o700)
    for file in partial.iterdir():
        file.chmod(0o600)
        _sync(file)
    _sync_directory(partial)
    return digest_of(partial), size_of(partial)


def _dump(
    database: Database, snapshot: str, partial: Path, tools: PostgresTools
) -> tuple[str, int]:
    arguments = [
        "--format=custom",
        "--no-password",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={_LOCK_WAIT}",
        f"--dbname={database.argument()}",
    ]
    hashed = hashlib.sha256()
    sealing = Sealing(tools.key()) if tools.encrypt else None
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with (
        os.fdopen(descriptor, "wb", buffering=0) as stream,
        tools.running("pg_dump", arguments, database) as program,
    ):

        def write(chunk: bytes) -> None:
            hashed.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[stream.write(rest) :]

        while chunk := program.output.read(_CHUNK):
            write(sealing.add(chunk) if sealing else chunk)
        if sealing:
            write(sealing.end())
        os.fsync(descriptor)
        size = os.fstat(descriptor).st_size
    if program.status != 0:
        raise BackupError(
            f"{database.place}: pg_dump failed: {program.complaint or 'no reason given'}; "
            "no backup was taken"
        )
    return f"sha256:{hashed.hexdigest()}", size


def _found(path: Path, database: str) -> Backup | None:
    if not path.exists():
        # Figures alone are those of a run that was killed before its file was in place.
        _figures(path).unlink(missing_ok=True)
        return None
    if not _figures(path).exists():
        raise BackupError(f"{path}: is there already and is no backup of ours; move it away")
    backup = load_backup(path)
    if backup.database != database:
        raise BackupError(
            f"{path}: holds a backup of {backup.database}, not of {database}; name another file"
        )
    if size_of(path) != backup.size or digest_of(path) != backup.digest:
        raise BackupError(
            f"{path}: has changed since the backup was taken at {format_instant(backup.taken_at)}; "
            "find out why, move it away, and take a new one"
        )
    return backup


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = try_lock(path.with_name(f".{path.name}.lock"))
    if lock is None:
        raise BackupError(f"{path}: another process is taking this backup; wait for it")
    try:
        yield
    finally:
        os.close(lock)


def _figures(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _document(backup: Backup) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "database": backup.database,
        "digest": backup.digest,
        "size": backup.size,
        "counts": dict(backup.counts),
        "constraints": backup.constraints,
        "taken_at": format_instant(backup.taken_at),
        "server_version": backup.server_version,
    }


def _from_document(path: Path, document: dict[str, Any]) -> Backup:
    if document["format"] != _FORMAT:
        raise ValueError(document["format"])
    return Backup(
        path=path,
        digest=str(document["digest"]),
        size=int(document["size"]),
        counts={str(table): int(rows) for table, rows in document["counts"].items()},
        constraints=int(document["constraints"]),
        taken_at=parse_instant(document["taken_at"]),
        server_version=str(document["server_version"]),
        database=str(document["database"]),
    )


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
