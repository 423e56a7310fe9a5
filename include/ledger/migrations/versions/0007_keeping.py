"""What is kept how long: texts outside of the tree, policy as it was, holds, pruned records."""

from __future__ import annotations

from alembic import context, op

revision = "0007"
down_revision = "0006"

TABLES = """
-- Free text and policy, by hash; records hold the hash. A text that was forgotten leaves its row.
CREATE TABLE kept_text (
    digest text PRIMARY KEY,
    body text,
    kept_at timestamptz NOT NULL,
    forgotten_at timestamptz,
    CHECK ((body IS NULL) = (forgotten_at IS NOT NULL))
);

CREATE TABLE policy_file (
    name text PRIMARY KEY,
    sha256 text,
    noted_at timestamptz NOT NULL
);

CREATE TABLE legal_hold (
    id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('everything', 'release', 'change')),
    subject text,
    reason text NOT NULL,
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL,
    lifted_by text,
    lifted_at timestamptz,
    lift_reason text,
    CHECK ((kind = 'everything') = (subject IS NULL)),
    CHECK ((lifted_by IS NULL) = (lifted_at IS NULL))
);
CREATE FUNCTION hold_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL
        AND (NEW.id, NEW.kind, NEW.reason, NEW.placed_by, NEW.placed_at)
            = (OLD.id, OLD.kind, OLD.reason, OLD.placed_by, OLD.placed_at)
        AND NEW.subject IS NOT DISTINCT FROM OLD.subject THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a legal hold stands until it is lifted: this % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER legal_hold_stands BEFORE UPDATE OR DELETE ON legal_hold
    FOR EACH ROW EXECUTE FUNCTION hold_stands();

-- Six years, a day for leap years; the exact day is the caller's, never an earlier one.
CREATE FUNCTION past_retention(since timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT since < now() - interval '6 years'
$$;

CREATE FUNCTION held(of_release text, of_change text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM legal_hold WHERE lifted_at IS NULL AND (
            kind = 'everything'
            OR (kind = 'release' AND subject = of_release)
            OR (kind = 'change' AND subject = of_change)
        )
    )
$$;

ALTER TABLE record ADD COLUMN pruned boolean NOT NULL DEFAULT false;
ALTER TABLE record DROP CONSTRAINT record_check;
ALTER TABLE record ADD CONSTRAINT record_leaf_hash_check CHECK (
    pruned OR leaf_hash = sha256('\\x00'::bytea || convert_to(body, 'UTF8'))
);

-- What is left of a record after its time: its place, its leaf hash, when it was and what kind.
CREATE FUNCTION stub(body text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'id', b -> 'id', 'time', b -> 'time', 'event', b -> 'event', 'outcome', b -> 'outcome',
        'release', b -> 'release', 'change', b -> 'change', 'reason', 'pruned',
        'message', 'pruned after its retention; its leaf hash stands',
        'actor', jsonb_build_object('user', 'pruned', 'name', 'pruned', 'auth', 'none'),
        'source', jsonb_build_object('kind', 'pruned'),
        'subject', jsonb_build_object('kind', 'pruned', 'id', 'pruned'),
        'rows', b -> 'rows'
    ))::text FROM (SELECT body::jsonb AS b) AS given
$$;

DROP TRIGGER record_append_only ON record;
CREATE FUNCTION record_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.pruned AND NOT OLD.pruned
        AND NEW.seq = OLD.seq AND NEW.leaf_hash = OLD.leaf_hash AND NEW.body = stub(OLD.body)
        AND past_retention(OLD.time::timestamptz) AND NOT held(OLD.release, OLD.change) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER record_append_only BEFORE UPDATE OR DELETE ON record
    FOR EACH ROW EXECUTE FUNCTION record_stands();

CREATE FUNCTION text_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.body IS NOT NULL AND NEW.body IS NULL
        AND NEW.digest = OLD.digest AND NEW.kept_at = OLD.kept_at
        AND past_retention(OLD.kept_at) AND NOT held(NULL, NULL)
        AND NOT EXISTS (
            SELECT FROM record WHERE NOT pruned AND strpos(body, OLD.digest) > 0
                AND held(release, change)
        ) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a text is kept for its time: this % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER kept_text_stands BEFORE UPDATE OR DELETE ON kept_text
    FOR EACH ROW EXECUTE FUNCTION text_stands();

-- The one way in which the application's role prunes: the triggers say what may go.
CREATE FUNCTION prune_records(seqs bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE done bigint;
BEGIN
    UPDATE record SET body = stub(body), pruned = true WHERE seq = ANY (seqs) AND NOT pruned;
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END $$;
CREATE FUNCTION forget_texts(digests text[], at timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE done bigint;
BEGIN
    UPDATE kept_text SET body = NULL, forgotten_at = at
        WHERE digest = ANY (digests) AND body IS NOT NULL;
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END $$;
REVOKE ALL ON FUNCTION prune_records(bigint[]), forget_texts(text[], timestamptz) FROM PUBLIC;
"""


def upgrade() -> None:
    """Let the application keep texts, note policy, place holds, and prune what its time is over."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(TABLES)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(
        f"GRANT SELECT, INSERT ON kept_text, policy_file, legal_hold TO {role};"
        f"GRANT UPDATE ON policy_file TO {role};"
        f"GRANT UPDATE (lifted_by, lifted_at, lift_reason) ON legal_hold TO {role};"
        f"GRANT EXECUTE ON FUNCTION prune_records(bigint[]), forget_texts(text[], timestamptz)"
        f" TO {role};"
    )
