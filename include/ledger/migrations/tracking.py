"""Makes every table of state tell the unit of work which of its rows it has changed."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from include.ledger import rows
from include.ledger.record import Actor, Outcome, Record, Source, Subject, leaf_hash


def track_rows(connection: Connection) -> None:
    """Track every table that is not the ledger's own; adopt, with a record, what it held before."""
    connection.execute(text("SET LOCAL TimeZone = 'UTC'"))
    tracked = set(
        connection.execute(
            text(
                "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                " WHERE t.tgname = 'note_row'"
            )
        ).scalars()
    )
    adopted: dict[str, str | None] = {}
    there = set(inspect(connection).get_table_names(schema="public"))
    for table in rows.state_tables():
        name = table.name
        if name in tracked or name not in there:
            continue
        keys = ", ".join(f"'{column}'" for column in rows.key_columns(table))
        connection.execute(
            text(
                f'CREATE TRIGGER note_row AFTER INSERT OR UPDATE OR DELETE ON "{name}"'
                f" FOR EACH ROW EXECUTE FUNCTION note_row({keys})"
            )
        )
        adopted |= dict(rows.every_digest(connection, table))
    if adopted:
        _adopt(connection, adopted)


def _adopt(connection: Connection, adopted: dict[str, str | None]) -> None:
    line = Record(
        time=datetime.now(UTC),
        event="ledger.rows_adopted",
        outcome=Outcome.SUCCESS,
        reason="migrated",
        message=f"{len(adopted)} rows of state that were there before records vouched for rows",
        actor=Actor.service("migration"),
        source=Source(kind="cli"),
        subject=Subject(kind="ledger", id="rows"),
        rows=adopted,
    )
    body = line.body()
    connection.execute(
        text("INSERT INTO record (body, leaf_hash) VALUES (:body, :hash)"),
        {"body": body, "hash": leaf_hash(body)},
    )
