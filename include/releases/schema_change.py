"""Which schema migrations lie between two commits, and what going back over them costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from include.releases.history import History
from include.services.migration_kind import Kind, Migration, read_migration, worst
from include.services.service import Service

_SQL = ".sql"
# What commonly lies beside migrations and is none.
_NO_MIGRATION = (".md", ".txt", "__init__.py", ".gitkeep")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """The migrations that one version has and another lacks; `problems` say what is wrong."""

    migrations: tuple[Migration, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind | None:
        """Return the worst kind, None without any migration."""
        return worst(self.migrations)

    @property
    def code_may_go_back(self) -> bool:
        """Return whether older code works on, so that nothing but code has to go back."""
        return self.kind in (None, Kind.EXPAND)

    def words(self) -> str:
        """Return `, with 2 migrations (contract)`, or nothing."""
        number = len(self.migrations)
        if not number:
            return ""
        return f", with {number} migration{'' if number == 1 else 's'} ({self.kind})"


def migrations_between(history: History, service: Service, base: str, head: str) -> SchemaChange:
    """Return what `head` brings that `base` has not.

    A migration that was released is never edited or withdrawn: databases have had it. One whose
    text says something else than it does is a problem too, and so is what is new in their folder
    and no SQL: it may do anything to the schema.
    """
    folder = service.migrations
    if folder is None:
        return SchemaChange()
    unread = _unread(history, folder, head) - _unread(history, folder, base)
    before, after = _files(history, folder, base), _files(history, folder, head)
    problems = [f"{name} was released and is gone" for name in before if name not in after]
    brought = []
    for name, text in after.items():
        if name not in before:
            brought.append(read_migration(name, text))
        elif before[name] != text:
            problems.append(f"{name} was released and is edited; add a new migration instead")
    problems += [item.problem for item in brought if item.problem is not None]
    problems += [
        f"{name} lies among the migrations of {service.name} and can't be read; write it as SQL, "
        "in a file that ends in .sql, or put what is no migration elsewhere"
        for name in sorted(unread)
    ]
    return SchemaChange(migrations=tuple(brought), problems=tuple(problems))


def _files(history: History, folder: str, rev: str) -> dict[str, str]:
    return {
        _name(path, folder): history.read_file(rev, path).decode("utf-8", "replace")
        for path in history.files(rev, folder)
        if path.endswith(_SQL)
    }


def _unread(history: History, folder: str, rev: str) -> set[str]:
    names = {_name(path, folder) for path in history.files(rev, folder)}
    return {name for name in names if not name.endswith((_SQL, *_NO_MIGRATION))}


def _name(path: str, folder: str) -> str:
    return str(PurePosixPath(path).relative_to(folder))
