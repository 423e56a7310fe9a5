"""Ways into the ledger by time: what reports and metrics ask for."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

INDEXES = """
CREATE INDEX record_event_time ON record (event, time) INCLUDE (change);
CREATE INDEX slot_of_change ON slot (change_id, id);
CREATE INDEX vote_of_change ON vote (change_id, id);
CREATE INDEX deployment_switched ON deployment (environment, switch_began_at);
CREATE INDEX gate_decided ON gate (decided_at);
CREATE INDEX incident_opened ON incident (opened_at);
"""


def upgrade() -> None:
    """Create the indexes."""
    op.get_bind().connection.cursor().execute(INDEXES)
