"""The Merkle tree over the records, its signed heads, and rows that their records vouch for."""

from __future__ import annotations

from alembic import context, op

revision = "0003"
down_revision = "0002"

TABLES = """
-- A record's place in the tree. Records get their seq when they are written and their place when
-- they are visible to all, so neither order follows from the other.
CREATE TABLE leaf (
    position bigint PRIMARY KEY CHECK (position >= 0),
    seq bigint NOT NULL UNIQUE,
    leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32)
);
CREATE TRIGGER leaf_append_only BEFORE UPDATE OR DELETE ON leaf
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER leaf_no_truncate BEFORE TRUNCATE ON leaf
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE head (
    size bigint PRIMARY KEY CHECK (size > 0),
    root bytea NOT NULL CHECK (length(root) = 32),
    sealed_at timestamptz NOT NULL,
    note text NOT NULL,
    entry text NOT NULL
);
CREATE TRIGGER head_append_only BEFORE UPDATE OR DELETE ON head
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER head_no_truncate BEFORE TRUNCATE ON head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A verdict and a revision stand as they were given, for the owner of the tables, too.
CREATE TRIGGER gate_append_only BEFORE UPDATE OR DELETE ON gate
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER gate_no_truncate BEFORE TRUNCATE ON gate
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER revision_append_only BEFORE UPDATE OR DELETE ON revision
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER revision_no_truncate BEFORE TRUNCATE ON revision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Where the sequencer stands: the tree's size; the seq from which on records may still be without
-- a place; the next such bound, good once all transactions before `next_xid` are over; and the
-- highest seq that has a place.
CREATE TABLE sequencer (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL DEFAULT 0,
    low bigint NOT NULL DEFAULT 0,
    next_low bigint NOT NULL DEFAULT 0,
    next_xid xid8 NOT NULL DEFAULT '0',
    highest bigint NOT NULL DEFAULT 0
);
INSERT INTO sequencer DEFAULT VALUES;

-- Gives every visible record without a place the next ones, in the order of seq, and returns how
-- many got one; -1 when another is at it. The row lock lets one in at a time, and nobody waits.
-- `thorough` looks at all records, not only at those that may be new.
CREATE FUNCTION sequence_records(thorough boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public
-- However young its statistics are, the few new records are found by the index.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    state sequencer;
    placed bigint;
    top bigint;
    settled boolean;
BEGIN
    IF thorough THEN
        SELECT * INTO state FROM sequencer FOR UPDATE;
    ELSE
        SELECT * INTO state FROM sequencer FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN -1;
        END IF;
    END IF;
    -- Asked before the look at the records: who is over by now is visible to it.
    settled := pg_snapshot_xmin(pg_current_snapshot()) >= state.next_xid;
    IF thorough THEN
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true);
    END IF;
    -- Planned anew each time: a plan from when the tables were empty would read all of them.
    EXECUTE 'WITH fresh AS (
            SELECT r.seq, r.leaf_hash FROM record r
            WHERE r.seq >= $1 AND NOT EXISTS (SELECT FROM leaf l WHERE l.seq = r.seq)
        ), added AS (
            INSERT INTO leaf (position, seq, leaf_hash)
            SELECT $2 + row_number() OVER (ORDER BY seq) - 1, seq, leaf_hash FROM fresh
            RETURNING seq
        )
        SELECT count(*), max(seq) FROM added'
        INTO placed, top
        USING CASE WHEN thorough THEN (-9223372036854775808)::bigint ELSE state.low END, state.size;
    IF placed = 0 AND NOT (settled AND state.low < state.highest) THEN
        RETURN 0;
    END IF;
    -- A seq that is missing below the highest so far may belong to a transaction under way. That
    -- one has its id by now, and a lower one than ours: a record is inserted only after its
    -- transaction got one, and what was the highest was visible before we got ours. (The xmax of a
    -- snapshot would not do: it is the end of what is completed, not of what has begun.)
    IF settled THEN
        state.low := state.next_low;
        state.next_low := state.highest;
        state.next_xid := pg_current_xact_id();
    END IF;
    UPDATE sequencer SET size = state.size + placed, low = state.low, next_low = state.next_low,
        next_xid = state.next_xid, highest = greatest(state.highest, top);
    RETURN placed;
END $$;
REVOKE ALL ON FUNCTION sequence_records(boolean) FROM PUBLIC;

-- Tells the unit of work under way which rows it has changed, whoever made the statement.
CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    content jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    key jsonb := '[]';
    name text;
BEGIN
    FOREACH name IN ARRAY TG_ARGV LOOP
        key := key || jsonb_build_array(content ->> name);
    END LOOP;
    PERFORM set_config('hims.rows', coalesce(current_setting('hims.rows', true), '')
        || TG_TABLE_NAME || ' ' || key::text || E'\\n', true);
    RETURN NULL;
END $$;

CREATE INDEX record_rows ON record USING gin (((body::jsonb) -> 'rows'))
    WHERE ((body::jsonb) -> 'rows') IS NOT NULL;
"""


def upgrade() -> None:
    """Create the tree; the application's role reads it and may ask for new places, no more."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(
        f"GRANT SELECT ON leaf, head TO {role};"
        f"GRANT INSERT ON head TO {role};"
        f"GRANT EXECUTE ON FUNCTION sequence_records(boolean) TO {role};"
    )
