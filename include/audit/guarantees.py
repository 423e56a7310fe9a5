"""What the database itself promises: the ledger's tables take new rows and refuse every change.

Hashes show that something was changed; these triggers and grants are what keeps people from it
(NIST 800-53 AU-9). One that is gone is no edited record, but nobody may believe it is still there.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.engine import Connection

_APPEND_ONLY = ("record", "leaf", "head", "vote", "gate", "revision", "rollback_vote")
# Kind of trigger: before each row that is updated or deleted, before the table is truncated.
_ROWS, _TRUNCATE = 27, 34
# By table and trigger, its kind and the function that it calls.
_GUARDS: dict[tuple[str, str], tuple[int, str]] = {
    **{(name, f"{name}_append_only"): (_ROWS, "refuse_change") for name in _APPEND_ONLY},
    **{(name, f"{name}_no_truncate"): (_TRUNCATE, "refuse_change") for name in _APPEND_ONLY},
    ("record", "record_append_only"): (_ROWS, "record_stands"),
    ("legal_hold", "legal_hold_stands"): (_ROWS, "hold_stands"),
    ("kept_text", "kept_text_stands"): (_ROWS, "text_stands"),
    # Before an insert, too.
    ("counter", "counter_by_one"): (_ROWS | 4, "count_by_one"),
}
# How the text of each function that refuses, or that one of them asks, begins in SHA-256.
_FUNCTIONS = {
    "count_by_one": "b243a103389b88af",
    "forget_texts": "208c1cdf15d71f6a",
    "held": "2aecef5dabb349bc",
    "hold_stands": "9c49c329436c3ccd",
    "keep_again": "96a24ad19a1b8d0d",
    "note_row": "355f87c6156a9fe6",
    "past_retention": "353fd5554b3bb75d",
    "prune_records": "534dde1316e8be82",
    "record_stands": "402568b4bc3579c9",
    "refuse_change": "a800602358516a68",
    "sequence_records": "cda7a2c0712c4770",
    "sequencer_stands": "eac54b83d9e86bea",
    "stub": "dd558d6d6e626426",
    "text_stands": "a244816b2ae5b664",
}
_TRIGGERS = text(
    "SELECT c.relname, t.tgname, t.tgtype, p.proname FROM pg_trigger t"
    " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid"
    " WHERE c.relnamespace = 'public'::regnamespace AND p.pronamespace = c.relnamespace"
    # For every row and column, not only for some.
    " AND t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL AND t.tgattr::text = ''"
)
# What could bend a row on its way in: nobody here made it.
_STRANGERS = text(
    "SELECT 'trigger', t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (:tables)"
    " AND NOT t.tgisinternal AND t.tgname <> ALL (:known)"
    " UNION ALL SELECT 'rule', rulename, tablename FROM pg_rules"
    " WHERE schemaname = 'public' AND tablename = ANY (:tables) ORDER BY 1, 2"
)
_OWNER = text(
    "SELECT current_user FROM pg_class c JOIN pg_roles r ON r.rolname = current_user"
    " WHERE c.oid = 'public.record'::regclass"
    " AND (r.rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER'))"
)
_SOURCES = text(
    "SELECT proname, left(encode(sha256(convert_to(prosrc, 'UTF8')), 'hex'), 16) FROM pg_proc"
    " WHERE pronamespace = 'public'::regnamespace AND proname = ANY (:names)"
)
_GRANTS = text(
    "SELECT c.relname, coalesce(nullif(a.grantee, 0)::regrole::text, 'everybody'),"
    " string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type)"
    " FROM pg_class c CROSS JOIN LATERAL ("
    "   SELECT (aclexplode(c.relacl)).* UNION ALL"
    "   SELECT (aclexplode(f.attacl)).* FROM pg_attribute f WHERE f.attrelid = c.oid"
    " ) a WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (:tables)"
    " AND a.grantee <> c.relowner"
    " AND (a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')"
    "   OR a.privilege_type = 'INSERT' AND c.relname IN ('leaf', 'sequencer'))"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)


def lost_guarantees(connection: Connection) -> Iterator[str]:
    """Yield each guarantee of the database that does not hold, as a sentence."""
    there = {
        (table, trigger): (kind, function)
        for table, trigger, kind, function in connection.execute(_TRIGGERS)
    }
    for (table, trigger), guard in _GUARDS.items():
        if there.get((table, trigger)) != guard:
            yield (
                f"the database does not refuse changes of {table}: its trigger {trigger} is "
                "missing, disabled or another one; put it back, and find out who took it away"
            )
    sources = connection.execute(_SOURCES, {"names": list(_FUNCTIONS)}).all()
    for name, digest in _FUNCTIONS.items():
        # One of that name with other arguments would be called in the place of the right one.
        if [found for function, found in sources if function == name] != [digest]:
            yield (
                f"the database may not refuse what it should: its function {name} is not the one "
                "that the migrations make; migrate (`./hims up`), or find out who changed it"
            )
    tables = [*_APPEND_ONLY, "sequencer"]
    known = ["note_row", *(trigger for _, trigger in _GUARDS)]
    strangers = connection.execute(_STRANGERS, {"tables": tables, "known": known})
    for kind, name, table in strangers:
        yield (
            f"the {kind} {name} on {table} may change what is written there, and no migration made "
            "it; drop it, and find out who made it"
        )
    if (role := connection.execute(_OWNER).scalar()) is not None:
        yield (
            f"{role}, which this signs in as, may act as the owner of the ledger's tables; the "
            "application's role may append and read, no more"
        )
    for table, role, rights in connection.execute(_GRANTS, {"tables": tables}):
        yield (
            f"{role} was granted {rights} on {table}, which nobody but its owner may have; "
            "revoke it, and find out who granted it"
        )
