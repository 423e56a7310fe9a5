"""A notice may have reached some of its people while others are still to get it."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

COLUMN = """
ALTER TABLE notice_delivery ADD COLUMN waiting text[];
CREATE INDEX notice_delivery_waiting ON notice_delivery (channel, notice_id)
    WHERE waiting IS NOT NULL;
"""


def upgrade() -> None:
    """Add the column; the application's role may write the whole table already."""
    op.get_bind().connection.cursor().execute(COLUMN)
