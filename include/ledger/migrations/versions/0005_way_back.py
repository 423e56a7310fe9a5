"""The way back: rollbacks by hand, votes on restoring a database, quarantined commits."""

from __future__ import annotations

from alembic import context, op

revision = "0005"
down_revision = "0004"

TABLES = """
ALTER TABLE release_lock ADD COLUMN commits jsonb;
-- Drift locks a service that no release has to do with.
ALTER TABLE release_lock ALTER COLUMN release_id DROP NOT NULL;

ALTER TABLE backup ADD COLUMN pruned_at timestamptz, ADD COLUMN drilled_at timestamptz;

CREATE TABLE rollback (
    id text PRIMARY KEY,
    run_id text NOT NULL UNIQUE,
    release_id text NOT NULL REFERENCES release,
    attempt integer NOT NULL,
    service text NOT NULL,
    from_version text NOT NULL,
    to_version text NOT NULL,
    to_digest text NOT NULL,
    to_path text,
    reason text NOT NULL,
    database boolean NOT NULL,
    requested_by text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE rollback_vote (
    rollback_id text NOT NULL REFERENCES rollback,
    content_hash text NOT NULL,
    voter text NOT NULL,
    choice text NOT NULL CHECK (choice IN ('approve', 'reject')),
    meaning text NOT NULL,
    comment text NOT NULL,
    cast_at timestamptz NOT NULL,
    PRIMARY KEY (rollback_id, content_hash, voter)
);
CREATE TRIGGER rollback_vote_append_only BEFORE UPDATE OR DELETE ON rollback_vote
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER rollback_vote_no_truncate BEFORE TRUNCATE ON rollback_vote
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    """Create the tables and give the application's role what it needs."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(
        f"GRANT SELECT, INSERT ON rollback, rollback_vote TO {role};"
        f"GRANT UPDATE ON rollback TO {role};"
    )
