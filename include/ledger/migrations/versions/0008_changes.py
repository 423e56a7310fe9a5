"""Changes: their states, ballots, checklists, standard models, flags and resolved configuration."""

from __future__ import annotations

from alembic import context, op

revision = "0008"
down_revision = "0007"

TABLES = """
ALTER TABLE change
    ADD COLUMN priority text
        CHECK (priority IN ('critical', 'high', 'normal', 'low')),
    ADD COLUMN team text,
    ADD COLUMN incident_id text,
    ADD COLUMN model text,
    ADD COLUMN risk_level text CHECK (risk_level IN ('low', 'medium', 'high', 'critical')),
    ADD COLUMN planned_start timestamptz,
    ADD COLUMN planned_end timestamptz,
    ADD COLUMN outcome text CHECK (outcome IN
        ('successful', 'successful_with_issues', 'rolled_back', 'failed')),
    ADD COLUMN held_because text,
    ADD COLUMN started_at timestamptz,
    ADD COLUMN finished_at timestamptz,
    ADD COLUMN closed_at timestamptz,
    ADD CONSTRAINT change_type CHECK (type IN
        ('standard', 'normal', 'major', 'emergency', 'retroactive')),
    ADD CONSTRAINT change_state CHECK (state IN
        ('draft', 'assessing', 'authorizing', 'scheduled', 'implementing', 'validating',
         'rolling_back', 'review', 'closed', 'rejected', 'cancelled'));
CREATE INDEX change_live ON change (state, id) WHERE state NOT IN ('closed', 'cancelled');
CREATE INDEX change_model ON change (model, closed_at) WHERE model IS NOT NULL;
CREATE INDEX slot_change ON slot (change_id) WHERE released_at IS NULL;
CREATE INDEX slot_when ON slot USING gist (during) WHERE released_at IS NULL;

CREATE TABLE ballot (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change_id text NOT NULL REFERENCES change,
    content_hash text NOT NULL,
    rule jsonb NOT NULL,
    parties jsonb NOT NULL,
    policy_hash text NOT NULL,
    meaning text NOT NULL CHECK (meaning IN ('approval', 'retroactive_acknowledgement')),
    state text NOT NULL CHECK (state IN
        ('open', 'approved', 'acknowledged', 'rejected', 'expired', 'void', 'superseded',
         'withdrawn')),
    reason text,
    message text,
    meeting text,
    opened_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    votes_last_until timestamptz NOT NULL,
    decided_at timestamptz
);
CREATE UNIQUE INDEX ballot_one_open ON ballot (change_id) WHERE state = 'open';
CREATE INDEX ballot_change ON ballot (change_id, id);

-- A vote belongs to one ballot: content that comes back after an edit has to be voted on again.
ALTER TABLE vote
    ADD COLUMN ballot_id bigint REFERENCES ballot,
    DROP CONSTRAINT vote_change_id_content_hash_seat_key,
    DROP CONSTRAINT vote_change_id_content_hash_voter_key,
    ADD UNIQUE (ballot_id, seat),
    ADD UNIQUE (ballot_id, voter);

CREATE TABLE checklist (
    change_id text NOT NULL REFERENCES change,
    content_hash text NOT NULL,
    item text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('go', 'no_go', 'inconclusive')),
    message text NOT NULL,
    evidence jsonb NOT NULL,
    decided_by text NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (change_id, content_hash, item)
);

CREATE TABLE work (
    change_id text NOT NULL REFERENCES change,
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('started', 'done', 'failed')),
    tries integer NOT NULL,
    result jsonb,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (change_id, name)
);

CREATE TABLE model (
    name text NOT NULL,
    digest text NOT NULL,
    version integer NOT NULL,
    change_id text NOT NULL REFERENCES change,
    approved_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    suspended_at timestamptz,
    suspended_because text,
    PRIMARY KEY (name, digest)
);

CREATE TABLE flag (
    service text NOT NULL,
    environment text NOT NULL,
    name text NOT NULL,
    value jsonb NOT NULL,
    change_id text NOT NULL REFERENCES change,
    fence bigint NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (service, environment, name)
);

CREATE TABLE configuration (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    environment text NOT NULL,
    digest text NOT NULL,
    content jsonb NOT NULL,
    change_id text REFERENCES change,
    release_id text REFERENCES release,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX configuration_where ON configuration (service, environment, id);

ALTER TABLE permit ALTER COLUMN release_id DROP NOT NULL, ALTER COLUMN attempt DROP NOT NULL;
CREATE INDEX permit_change ON permit (change_id);
"""

STATE = "ballot, checklist, work, model, flag"


def upgrade() -> None:
    """Create everything, then give the application's role exactly what it needs."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(
        f"GRANT SELECT, INSERT ON {STATE}, configuration TO {role};"
        f"GRANT UPDATE ON {STATE} TO {role};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role};"
    )
