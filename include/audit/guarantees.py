"""What the database itself promises: the ledger's tables take new rows and refuse every change.

Hashes show that something was changed; these triggers and grants are what keeps people from it
(NIST 800-53 AU-9). One that is gone is no edited record, but nobody may believe it is still there.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.engine import Connection

_APPEND_ONLY = ("record", "leaf", "head", "vote", "gate", "revision", "rollback_vote")
_GUARDS = {
    **{name: (f"{name}_append_only", f"{name}_no_truncate") for name in _APPEND_ONLY},
    "legal_hold": ("legal_hold_stands",),
    "kept_text": ("kept_text_stands",),
    "counter": ("counter_by_one",),
}
_TRIGGERS = text(
    "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE c.relnamespace = 'public'::regnamespace AND t.tgenabled IN ('O', 'A')"
)
_GRANTS = text(
    "SELECT c.relname, coalesce(nullif(a.grantee, 0)::regrole::text, 'everybody'),"
    " string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type)"
    " FROM pg_class c CROSS JOIN LATERAL ("
    "   SELECT (aclexplode(c.relacl)).* UNION ALL"
    "   SELECT (aclexplode(f.attacl)).* FROM pg_attribute f WHERE f.attrelid = c.oid"
    " ) a WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (:tables)"
    " AND a.grantee <> c.relowner"
    " AND a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)


def lost_guarantees(connection: Connection) -> Iterator[str]:
    """Yield each guarantee of the database that does not hold, as a sentence."""
    enabled = set(connection.execute(_TRIGGERS).scalars())
    for table, triggers in _GUARDS.items():
        for trigger in triggers:
            if trigger not in enabled:
                yield (
                    f"the database does not refuse changes of {table}: its trigger {trigger} is "
                    "missing or disabled; put it back, and find out who took it away"
                )
    for table, role, rights in connection.execute(_GRANTS, {"tables": list(_APPEND_ONLY)}):
        yield (
            f"{role} was granted {rights} on {table}, which nobody but its owner may have; "
            "revoke it, and find out who granted it"
        )
