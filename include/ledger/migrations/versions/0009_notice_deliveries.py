"""Notices go to several channels, each with a state of its own."""

from __future__ import annotations

from alembic import context, op

revision = "0009"
down_revision = "0008"

TABLES = """
ALTER TABLE notice
    ADD COLUMN people text[] NOT NULL DEFAULT '{}',
    ADD COLUMN standing jsonb,
    ADD COLUMN reminds text,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN routed_at timestamptz;

CREATE TABLE notice_delivery (
    notice_id bigint NOT NULL REFERENCES notice,
    channel text NOT NULL,
    address text,
    thread text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'sending', 'delivered', 'dropped', 'refused')),
    attempts integer NOT NULL,
    last_error text,
    not_before timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    message_id text,
    late boolean NOT NULL,
    PRIMARY KEY (channel, notice_id)
);
CREATE INDEX notice_delivery_queued ON notice_delivery (channel, notice_id)
    WHERE state IN ('queued', 'sending');
CREATE INDEX notice_delivery_notice ON notice_delivery (notice_id);

CREATE TABLE notice_thread (
    channel text NOT NULL,
    thread text NOT NULL,
    root_id text NOT NULL,
    place text,
    shown text,
    stale boolean NOT NULL,
    PRIMARY KEY (channel, thread)
);
CREATE INDEX notice_thread_stale ON notice_thread (channel) WHERE stale;

CREATE TABLE notice_channel (
    channel text PRIMARY KEY,
    failures integer NOT NULL,
    not_before timestamptz,
    last_error text
);

INSERT INTO notice_delivery (notice_id, channel, address, thread, state, attempts, last_error,
                             delivered_at, message_id, late)
    SELECT id, channel, channel, thread, 'delivered', attempts, last_error, delivered_at,
           message_id, false
    FROM notice WHERE state = 'delivered' AND channel IS NOT NULL;
UPDATE notice SET routed_at = created_at WHERE state <> 'queued';
INSERT INTO notice_thread (channel, thread, root_id, stale)
    SELECT DISTINCT ON (channel, thread) channel, thread, message_id, false
    FROM notice_delivery WHERE message_id IS NOT NULL ORDER BY channel, thread, notice_id;
DROP INDEX notice_queued;
ALTER TABLE notice
    DROP COLUMN state, DROP COLUMN channel, DROP COLUMN attempts, DROP COLUMN last_error,
    DROP COLUMN not_before, DROP COLUMN delivered_at, DROP COLUMN message_id;
CREATE INDEX notice_unrouted ON notice (id) WHERE routed_at IS NULL;
CREATE INDEX notice_thread_order ON notice (thread, id);
"""

STATE = "notice_delivery, notice_thread, notice_channel"


def upgrade() -> None:
    """Create the tables, move what was delivered, and give the role exactly what it needs."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(f"GRANT SELECT, INSERT, UPDATE ON {STATE} TO {role};")
