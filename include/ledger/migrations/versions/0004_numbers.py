"""Changes and permits are numbered without gaps: a row counts, in the transaction that uses it."""

from __future__ import annotations

from alembic import context, op

revision = "0004"
down_revision = "0003"

COUNTERS = """
CREATE TABLE counter (
    name text PRIMARY KEY,
    value bigint NOT NULL CHECK (value >= 0)
);
INSERT INTO counter SELECT 'change', last_value FROM change_number WHERE is_called;
DO $$
DECLARE fences text := pg_get_serial_sequence('permit', 'fence');
BEGIN
    EXECUTE format('INSERT INTO counter SELECT ''permit'', last_value FROM %s WHERE is_called',
        fences);
END $$;
DROP SEQUENCE change_number;
ALTER TABLE permit ALTER COLUMN fence DROP IDENTITY;

CREATE FUNCTION count_by_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.value = 1 THEN
        RETURN NEW;
    ELSIF TG_OP = 'UPDATE' AND NEW.name = OLD.name AND NEW.value = OLD.value + 1 THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a counter begins at one and goes up by one: this % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER counter_by_one BEFORE INSERT OR UPDATE OR DELETE ON counter
    FOR EACH ROW EXECUTE FUNCTION count_by_one();
"""


def upgrade() -> None:
    """Count on from where the sequences are."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(COUNTERS)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(f"GRANT SELECT, INSERT, UPDATE (value) ON counter TO {role}")
