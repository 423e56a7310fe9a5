"""Alembic's entry: runs on the connection that `upgrade` handed in."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
context.run_migrations()
