"""Texts that are said again, holds that reach from a release to its changes and back, and a look at
the sequencer."""

from __future__ import annotations

from alembic import context, op

revision = "0010"
down_revision = "0009"

FUNCTIONS = """
-- A hold on a release keeps its changes, too, and one on a change the release that it is for.
CREATE OR REPLACE FUNCTION held(of_release text, of_change text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM legal_hold h WHERE h.lifted_at IS NULL AND (
            h.kind = 'everything'
            OR (h.kind = 'release' AND (
                h.subject = of_release
                OR EXISTS (SELECT FROM change WHERE id = of_change AND release_id = h.subject)
                OR EXISTS (SELECT FROM release WHERE id = h.subject AND change_id = of_change)
            ))
            OR (h.kind = 'change' AND (
                h.subject = of_change
                OR EXISTS (SELECT FROM change WHERE id = h.subject AND release_id = of_release)
                OR EXISTS (SELECT FROM release WHERE id = of_release AND change_id = h.subject)
            ))
        )
    )
$$;

CREATE OR REPLACE FUNCTION text_stands() RETURNS trigger LANGUAGE plpgsql AS $$
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
    -- Said again after it was forgotten: the very text that the digest names, with a time anew.
    IF TG_OP = 'UPDATE' AND OLD.body IS NULL AND NEW.body IS NOT NULL
        AND NEW.digest = OLD.digest AND NEW.kept_at >= OLD.kept_at
        AND NEW.digest = 'sha256:' || encode(sha256(convert_to(NEW.body, 'UTF8')), 'hex') THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a text is kept for its time: this % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- The one way in which the application's role keeps a text again: the trigger says which.
CREATE FUNCTION keep_again(of_digest text, said text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    UPDATE kept_text SET body = said, kept_at = greatest(kept_at, at), forgotten_at = NULL
        WHERE digest = of_digest AND body IS NULL;
    RETURN FOUND;
END $$;

-- For verification: the application's role may not touch the table itself.
CREATE FUNCTION sequencer_stands() RETURNS SETOF sequencer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT * FROM sequencer
$$;
REVOKE ALL ON FUNCTION keep_again(text, text, timestamptz), sequencer_stands() FROM PUBLIC;
"""


def upgrade() -> None:
    """Replace what the triggers ask, and let the application call the two new functions."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(FUNCTIONS)
    role = '"' + context.config.attributes["app_role"].replace('"', '""') + '"'
    cursor.execute(
        f"GRANT EXECUTE ON FUNCTION keep_again(text, text, timestamptz), sequencer_stands()"
        f" TO {role};"
    )
