"""What people enter into the calendar, and what a window starts."""

from __future__ import annotations

from alembic import context, op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE SEQUENCE freeze_number;
CREATE TABLE calendar_freeze (
    id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('freeze', 'blackout')),
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    systems text[] NOT NULL CHECK (cardinality(systems) > 0),
    environments text[] NOT NULL CHECK (cardinality(environments) > 0),
    owner text NOT NULL,
    reason text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL,
    lifted_by text,
    lifted_at timestamptz,
    lift_reason text,
    CHECK (starts_at < ends_at)
);
CREATE INDEX freeze_end ON calendar_freeze (ends_at);

CREATE SEQUENCE exception_number;
CREATE TABLE calendar_exception (
    id text PRIMARY KEY,
    freeze_id text NOT NULL REFERENCES calendar_freeze,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    systems text[] NOT NULL CHECK (cardinality(systems) > 0),
    changes text[] NOT NULL,
    owner text NOT NULL,
    reason text NOT NULL,
    control text NOT NULL,
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL,
    lifted_by text,
    lifted_at timestamptz,
    lift_reason text,
    CHECK (starts_at < ends_at),
    CHECK (owner <> entered_by)
);
CREATE INDEX freeze_exception_freeze ON calendar_exception (freeze_id);

CREATE SEQUENCE extension_number;
CREATE TABLE calendar_extension (
    id text PRIMARY KEY,
    change_id text NOT NULL REFERENCES change,
    content_hash text NOT NULL,
    window_name text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    systems text[] NOT NULL CHECK (cardinality(systems) > 0),
    reason text NOT NULL,
    state text NOT NULL CHECK (state IN ('requested', 'granted', 'refused', 'withdrawn')),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    decision_reason text,
    CHECK (starts_at < ends_at),
    CHECK (state NOT IN ('granted', 'refused') OR decided_by IS NOT NULL),
    CHECK (state <> 'granted' OR decided_by <> requested_by)
);
CREATE INDEX extension_change ON calendar_extension (change_id);

CREATE TABLE calendar_turn (number bigint NOT NULL);
INSERT INTO calendar_turn VALUES (1);
CREATE FUNCTION turn_calendar() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE calendar_turn SET number = number + 1;
    PERFORM pg_notify('calendar', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER freeze_turns AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON calendar_freeze
    FOR EACH STATEMENT EXECUTE FUNCTION turn_calendar();
CREATE TRIGGER exception_turns AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON calendar_exception
    FOR EACH STATEMENT EXECUTE FUNCTION turn_calendar();
CREATE TRIGGER extension_turns AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON calendar_extension
    FOR EACH STATEMENT EXECUTE FUNCTION turn_calendar();

CREATE TABLE opening_start (
    change_id text NOT NULL REFERENCES change,
    opens_at timestamptz NOT NULL,
    window_name text NOT NULL,
    run_id text NOT NULL,
    priority text NOT NULL,
    decided_at timestamptz NOT NULL,
    started_at timestamptz,
    closing text CHECK (closing IN ('finish', 'hold', 'roll_back')),
    closed_at timestamptz,
    PRIMARY KEY (change_id, opens_at)
);
CREATE INDEX opening_start_opening ON opening_start (opens_at, window_name);
CREATE INDEX change_scheduled ON change (id) WHERE state = 'scheduled';
"""

STATE = "calendar_freeze, calendar_exception, calendar_extension, opening_start"


def upgrade() -> None:
    """Create everything, then give the application's role exactly what it needs."""
    # The driver's own cursor: SQL text with % in it must not pass through parameter formatting.
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(
        f"GRANT SELECT ON {STATE}, calendar_turn TO {role};"
        f"GRANT INSERT, UPDATE ON {STATE} TO {role};"
        f"GRANT USAGE ON SEQUENCE freeze_number, exception_number, extension_number TO {role};"
    )
