"""What the ledger's tables take no row without: keys, what may stand once, and what has to hold.

Verification finds what came in without them; this says that they are gone before anything does.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.engine import Connection

from include.ledger.rows import key_columns, state_tables

# By table and name, as the server writes it.
_CONSTRAINTS = {
    ("record", "record_pkey"): "PRIMARY KEY (seq)",
    ("record", "record_id_key"): "UNIQUE (id)",
    ("record", "record_leaf_hash_check"): (
        "CHECK ((pruned OR (leaf_hash ="
        " sha256(('\\x00'::bytea || convert_to(body, 'UTF8'::name))))))"
    ),
    ("record", "record_outcome_check"): (
        "CHECK ((outcome = ANY (ARRAY['success'::text, 'failure'::text, 'denied'::text,"
        " 'unknown'::text])))"
    ),
    ("leaf", "leaf_pkey"): 'PRIMARY KEY ("position")',
    ("leaf", "leaf_seq_key"): "UNIQUE (seq)",
    ("leaf", "leaf_position_check"): 'CHECK (("position" >= 0))',
    ("leaf", "leaf_leaf_hash_check"): "CHECK ((length(leaf_hash) = 32))",
    ("head", "head_pkey"): "PRIMARY KEY (size)",
    ("head", "head_size_check"): "CHECK ((size > 0))",
    ("head", "head_root_check"): "CHECK ((length(root) = 32))",
    ("sequencer", "sequencer_pkey"): "PRIMARY KEY (one)",
    ("sequencer", "sequencer_one_check"): "CHECK (one)",
    ("vote", "vote_ballot_id_seat_key"): "UNIQUE (ballot_id, seat)",
    ("vote", "vote_ballot_id_voter_key"): "UNIQUE (ballot_id, voter)",
    ("slot", "slot_not_double_booked"): (
        "EXCLUDE USING gist (system WITH =, during WITH &&) WHERE ((released_at IS NULL))"
    ),
}
# One that is not held against the rows there are, or whose index is no good, is written otherwise.
_FOUND = text(
    "SELECT t.relname, c.conname, pg_get_constraintdef(c.oid)"
    "  || CASE WHEN c.convalidated AND coalesce(i.indisvalid AND i.indislive, true)"
    "     THEN '' ELSE ' INVALID' END"
    " FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
    " LEFT JOIN pg_index i ON i.indexrelid = c.conindid"
    " WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('p', 'u', 'c', 'x')"
)
_KEYS = text(
    "SELECT t.relname, array_agg(a.attname::text ORDER BY a.attname::text)"
    " FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid"
    " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (i.indkey)"
    " WHERE t.relnamespace = 'public'::regnamespace AND i.indisprimary"
    " AND i.indisunique AND i.indisvalid AND i.indislive GROUP BY 1"
)
_COLUMNS = text(
    "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a"
    " JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE a.attrelid = 'public.record'::regclass AND a.attgenerated = 's'"
)
# What the database makes of a record's body.
_MADE = ("id", "time", "event", "outcome", "release", "change")


def lost_constraints(connection: Connection) -> Iterator[str]:
    """Yield each constraint, key and made column that is not as the migrations make it."""
    found = {(table, name): said for table, name, said in connection.execute(_FOUND)}
    for (table, name), said in _CONSTRAINTS.items():
        if found.get((table, name)) != said:
            yield _sentence(table, f"its constraint {name}")
    keys = {table: list(columns) for table, columns in connection.execute(_KEYS)}
    for state in state_tables():
        if keys.get(state.name) != list(key_columns(state)):
            yield _sentence(state.name, "its primary key")
    made = {str(column): said for column, said in connection.execute(_COLUMNS)}
    for name in _MADE:
        if made.get(name) != f"((body)::jsonb ->> '{name}'::text)":
            yield _sentence("record", f"what makes its column {name} of the body")


def _sentence(table: str, what: str) -> str:
    return (
        f"the database takes rows of {table} that it should refuse: {what} is missing or another "
        "one; put it back, and find out who took it away"
    )
