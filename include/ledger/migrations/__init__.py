"""Brings the ledger's schema up to date with Alembic, as the role that owns it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from include.ledger.migrations.tracking import track_rows

HERE = Path(__file__).resolve().parent


def upgrade(owner_url: str, *, app_role: str) -> None:
    """Run all pending migrations on `owner_url` (the owning role); safe to call again.

    `app_role` is the existing role under which Release Control works: it gets what it needs to
    insert and read records, and nothing that could change or remove one. Tables that hold state
    are tracked from here on: their rows count only with the record that vouches for them.
    """
    engine = create_engine(
        make_url(owner_url).set(drivername="postgresql+psycopg2"), poolclass=NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    with engine.begin() as connection:
        # Two `up`s at once must not run the same migration twice.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7301)")
        config.attributes["connection"] = connection
        config.attributes["app_role"] = app_role
        command.upgrade(config, "head")
        track_rows(connection)
    engine.dispose()
