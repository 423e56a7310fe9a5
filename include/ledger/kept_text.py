"""Texts that lie outside of the tree, under their hashes: comments, files of policy.

A record holds the hash. So the text can be forgotten after its time, and the record still proves
that it was this one as long as it is there.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from include.ledger import schema
from include.ledger.ledger import Unit
from include.ledger.record import storable


def keep_text(unit: Unit, text: str, *, digest: str | None = None) -> str:
    """Keep `text` in the unit's transaction and return its name, `sha256:<hex>` of its UTF-8 bytes.

    `digest` is given where the text stands for bytes that were hashed as they were. A text that was
    forgotten is kept again, but one that is not what its name says word for word.
    """
    held = str(storable(text))
    name = digest or _name(held)
    statement = insert(schema.kept_text).values(digest=name, body=held, kept_at=unit.now)
    if unit.execute(statement.on_conflict_do_nothing()).rowcount == 0 and name == _name(held):
        # Said before; what was forgotten meanwhile is kept anew, with its time from here on.
        unit.execute(select(func.keep_again(name, held, unit.now)))
    return name


def kept_text(connection: Connection, digest: str) -> str | None:
    """Return a text by its name; None where there is none, or none any more."""
    found: str | None = connection.execute(
        select(schema.kept_text.c.body).where(schema.kept_text.c.digest == digest)
    ).scalar()
    return found


def _name(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()
