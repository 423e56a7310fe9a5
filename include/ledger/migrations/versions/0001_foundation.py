"""The ledger's foundation: append-only records and the state of a release train."""

from __future__ import annotations

from alembic import context, op

revision = "0001"
down_revision = None

TABLES = """
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE record (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text GENERATED ALWAYS AS ((body::jsonb) ->> 'id') STORED NOT NULL UNIQUE,
    time text GENERATED ALWAYS AS ((body::jsonb) ->> 'time') STORED NOT NULL,
    event text GENERATED ALWAYS AS ((body::jsonb) ->> 'event') STORED NOT NULL,
    outcome text GENERATED ALWAYS AS ((body::jsonb) ->> 'outcome') STORED NOT NULL
        CHECK (outcome IN ('success', 'failure', 'denied', 'unknown')),
    release text GENERATED ALWAYS AS ((body::jsonb) ->> 'release') STORED,
    change text GENERATED ALWAYS AS ((body::jsonb) ->> 'change') STORED,
    body text NOT NULL,
    leaf_hash bytea NOT NULL
        CHECK (leaf_hash = sha256('\\x00'::bytea || convert_to(body, 'UTF8')))
);
CREATE INDEX record_release ON record (release, seq) WHERE release IS NOT NULL;
CREATE INDEX record_change ON record (change, seq) WHERE change IS NOT NULL;
CREATE INDEX record_event ON record (event, seq);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER record_append_only BEFORE UPDATE OR DELETE ON record
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER record_no_truncate BEFORE TRUNCATE ON record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE release (
    id text PRIMARY KEY,
    service text NOT NULL,
    version text NOT NULL,
    type text NOT NULL,
    attempt integer NOT NULL,
    state text NOT NULL
        CHECK (state IN ('running', 'released', 'rejected', 'rolled_back', 'failed')),
    reason text,
    message text,
    plan jsonb NOT NULL,
    plan_hash text NOT NULL,
    dag_id text,
    run_id text,
    requested_by text NOT NULL,
    change_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (service, version)
);

CREATE TABLE step (
    release_id text NOT NULL REFERENCES release,
    attempt integer NOT NULL,
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('started', 'done', 'failed')),
    tries integer NOT NULL,
    result jsonb,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (release_id, attempt, name)
);

CREATE SEQUENCE change_number;
CREATE TABLE change (
    id text PRIMARY KEY,
    type text NOT NULL,
    state text NOT NULL,
    title text NOT NULL,
    revision integer NOT NULL,
    content_hash text NOT NULL,
    systems text[] NOT NULL,
    requester text NOT NULL,
    release_id text REFERENCES release,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
ALTER TABLE release ADD FOREIGN KEY (change_id) REFERENCES change;

CREATE TABLE revision (
    change_id text NOT NULL REFERENCES change,
    number integer NOT NULL,
    content jsonb NOT NULL,
    content_hash text NOT NULL,
    author text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (change_id, number)
);

CREATE TABLE vote (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change_id text NOT NULL REFERENCES change,
    content_hash text NOT NULL,
    seat text NOT NULL,
    voter text NOT NULL,
    choice text NOT NULL CHECK (choice IN ('approve', 'reject', 'abstain')),
    meaning text NOT NULL,
    comment text NOT NULL,
    cast_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    UNIQUE (change_id, content_hash, seat),
    UNIQUE (change_id, content_hash, voter)
);
CREATE TRIGGER vote_append_only BEFORE UPDATE OR DELETE ON vote
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER vote_no_truncate BEFORE TRUNCATE ON vote
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE gate (
    release_id text NOT NULL REFERENCES release,
    attempt integer NOT NULL,
    name text NOT NULL,
    commit text NOT NULL,
    digest text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('go', 'no_go', 'inconclusive')),
    reason text NOT NULL,
    message text NOT NULL,
    evidence jsonb NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (release_id, attempt, name, commit, digest)
);

CREATE TABLE slot (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change_id text NOT NULL REFERENCES change,
    system text NOT NULL,
    during tstzrange NOT NULL CHECK (NOT isempty(during)),
    window_name text NOT NULL,
    released_at timestamptz,
    CONSTRAINT slot_not_double_booked
        EXCLUDE USING gist (system WITH =, during WITH &&) WHERE (released_at IS NULL)
);

CREATE TABLE permit (
    fence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release_id text NOT NULL REFERENCES release,
    attempt integer NOT NULL,
    change_id text NOT NULL REFERENCES change,
    content_hash text NOT NULL,
    systems text[] NOT NULL,
    conditions jsonb NOT NULL,
    holder text NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    closed_at timestamptz
);

CREATE TABLE deployment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    environment text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    colour text NOT NULL CHECK (colour IN ('blue', 'green')),
    state text NOT NULL CHECK (state IN
        ('staging', 'staged', 'switching', 'live', 'standby', 'retired', 'returned')),
    release_id text REFERENCES release,
    attempt integer,
    fence bigint NOT NULL,
    staged_at timestamptz NOT NULL,
    switch_began_at timestamptz,
    live_at timestamptz,
    ended_at timestamptz
);
CREATE UNIQUE INDEX deployment_one_live ON deployment (service, environment) WHERE state = 'live';
CREATE INDEX deployment_release ON deployment (release_id, attempt);

CREATE TABLE backup (
    id text PRIMARY KEY,
    release_id text NOT NULL REFERENCES release,
    attempt integer NOT NULL,
    service text NOT NULL,
    database text NOT NULL,
    path text NOT NULL,
    digest text NOT NULL,
    size bigint NOT NULL,
    counts jsonb NOT NULL,
    taken_at timestamptz NOT NULL,
    proven_at timestamptz,
    proof jsonb
);

CREATE TABLE release_lock (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    release_id text NOT NULL REFERENCES release,
    reason text NOT NULL,
    locked_by text NOT NULL,
    locked_at timestamptz NOT NULL,
    unlocked_by text,
    unlock_reason text,
    unlocked_at timestamptz
);
CREATE UNIQUE INDEX release_lock_one_open ON release_lock (service) WHERE unlocked_at IS NULL;

CREATE TABLE incident (
    id text PRIMARY KEY,
    severity text NOT NULL CHECK (severity IN ('P1', 'P2', 'P3', 'P4')),
    title text NOT NULL,
    systems text[] NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz
);

CREATE TABLE notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dedupe_key text NOT NULL UNIQUE,
    event text NOT NULL,
    thread text NOT NULL,
    audience text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'action', 'warning', 'critical')),
    title text NOT NULL,
    text text NOT NULL,
    fields jsonb NOT NULL,
    link text,
    created_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'delivered', 'refused')),
    channel text,
    attempts integer NOT NULL,
    last_error text,
    not_before timestamptz,
    delivered_at timestamptz,
    message_id text,
    final boolean NOT NULL
);
CREATE INDEX notice_queued ON notice (thread, id) WHERE state = 'queued';
"""

STATE = "release, step, change, slot, permit, deployment, backup, release_lock, incident, notice"


def upgrade() -> None:
    """Create everything, then give the application's role exactly what it needs."""
    # The driver's own cursor: SQL text with % in it must not pass through parameter formatting.
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(
        f"GRANT USAGE ON SCHEMA public TO {role};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};"
        f"GRANT INSERT ON record, vote, revision, gate, {STATE} TO {role};"
        f"GRANT UPDATE ON {STATE} TO {role};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role};"
    )
