"""What a schema migration does, read from its SQL, against what it declares to do.

    expand        adds; the code of the release before works on
    contract      takes away or changes what older code may use
    irreversible  changes or loses data; the way back is a restore

A file declares it in a line `-- kind: expand`; of several such lines the worst counts. What the SQL
is seen to do must not be worse; what cannot be read (code that makes up statements while it runs, a
function that may do anything, an index or a constraint by whose name nobody can tell whether older
code's ON CONFLICT needs it, a type that may ask for a value) is no expansion. Nor is what is
computed from rows that older code writes, unless it fails for none. Whatever is done to a table
that the same file makes is one: no older code knows it, unless it is a partition, which older code
writes into.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from include.services.sql_expression import (
    PURE,
    loses_rows,
    unknown_call,
    unknown_call_in_table,
)
from include.services.sql_text import ESCAPED, around_as, statements
from include.services.table_change import (
    problem_of_changes,
    problem_of_index,
    problem_of_partition,
)


class Kind(IntEnum):
    """Ordered by what it costs to go back."""

    EXPAND = 1
    CONTRACT = 2
    IRREVERSIBLE = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file: what it declares (None without a readable word), what it does, and by which
    statement we know."""

    name: str
    declared: Kind | None
    found: Kind
    because: str

    @property
    def problem(self) -> str | None:
        """Return why it may not be released, None if it may."""
        if self.declared is None:
            return f"{self.name} does not say what it does; add a line like -- kind: expand"
        if self.found > self.declared:
            return f"{self.name} declares to be {self.declared} and is {self.found}: {self.because}"
        return None

    @property
    def kind(self) -> Kind:
        """Return the worse of what it says and does."""
        return max(self.declared or Kind.IRREVERSIBLE, self.found)


_DECLARED = re.compile(r"^--[ \t]*kind:[ \t]*(\w+)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)

# By the first words of a statement, in this order.
_STATEMENTS: tuple[tuple[str, Kind], ...] = (
    # Quotes would be read otherwise from there on.
    (r"SET (SESSION |LOCAL )?STANDARD_CONFORMING_STRINGS\b", Kind.CONTRACT),
    # So would be calls: PostgreSQL's own functions come first only where nobody says otherwise.
    (r"SET (SESSION |LOCAL )?SEARCH_PATH\b.*\bPG_CATALOG\b", Kind.CONTRACT),
    (r"(SET|RESET|SHOW|COMMENT|ANALYZE|LOCK|BEGIN|START|COMMIT|END|SAVEPOINT)\b", Kind.EXPAND),
    (r"CREATE (CONSTRAINT TRIGGER|TRIGGER|POLICY|UNIQUE INDEX)\b", Kind.CONTRACT),
    (r"GRANT\b", Kind.EXPAND),
    (r"(REINDEX|REFRESH MATERIALIZED VIEW)\b", Kind.EXPAND),
    (r"DROP STATISTICS\b", Kind.EXPAND),
    (r"ALTER TABLE\b", Kind.EXPAND),  # looked at clause by clause
    (r"ALTER TYPE \S+ ADD VALUE\b", Kind.EXPAND),
    (r"ALTER (INDEX|STATISTICS)\b(?!.* RENAME )", Kind.EXPAND),
)

_NAME = r"(\w[\w.$]*+)"
_TABLE = (
    rf"CREATE (?:(?:GLOBAL |LOCAL )?TEMP(?:ORARY)? |UNLOGGED )?TABLE (IF NOT EXISTS )?{_NAME} ?"
)
_CREATES_TABLE = re.compile(_TABLE)
_CREATES_VIEW = re.compile(r"CREATE (?:(MATERIALIZED )|(?:TEMP(?:ORARY)? )?(?:RECURSIVE )?)VIEW ")
_CREATES_INDEX = re.compile(
    rf"CREATE INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?(?:(?!ON )\S+ )?ON (?:ONLY )?{_NAME} ?"
    r"(?:USING \w+ ?)?(?=\()"
)
# The extensions that bring functions and types of their own and touch nothing that is there.
_EXTENSIONS = """
BTREE_GIN BTREE_GIST CITEXT CUBE FUZZYSTRMATCH HSTORE LTREE PGCRYPTO PG_STAT_STATEMENTS PG_TRGM
POSTGIS TABLEFUNC UNACCENT UUID_OSSP__ VECTOR
"""
# What else may be created beside what is there, and changes nothing of how older code works: no
# cast, operator or publication, which code meets that never named it.
_HARMLESS_KINDS = re.compile(
    rf"CREATE (SCHEMA (IF NOT EXISTS )?({_NAME}( AUTHORIZATION \w+)?|AUTHORIZATION \w+)$"
    rf"|EXTENSION (IF NOT EXISTS )?({'|'.join(_EXTENSIONS.split())})\b"
    r"|(TEMP(ORARY)? |UNLOGGED )?SEQUENCE\b|FOREIGN TABLE (?!.*\bPARTITION OF\b)"
    r"|(TYPE|DOMAIN|FUNCTION|PROCEDURE|AGGREGATE|COLLATION|STATISTICS|ROLE|GROUP|DATABASE"
    r"|TABLESPACE|TEXT SEARCH|SERVER)\b|USER (?!MAPPING\b))"
)
_CREATES_FUNCTION = re.compile(r"CREATE (?:FUNCTION|AGGREGATE) (?:[\w$]+\.)*([\w$]+)")
# After it a name may mean another table than before.
_RENAMES = re.compile(
    r"(SET|RESET)\b.*\b(SEARCH_PATH|SCHEMA|ALL)\b|ALTER TABLE\b.*\b(RENAME TO|SET SCHEMA)\b"
)
# The one table that a statement acts on.
_ACTS_ON = re.compile(
    r"(?:ALTER TABLE (?:IF EXISTS )?(?:ONLY )?|UPDATE (?:ONLY )?|DELETE FROM (?:ONLY )?"
    r"|COPY |INSERT INTO "
    r"|CREATE (?:UNIQUE INDEX|POLICY|(?:CONSTRAINT )?TRIGGER)\b.*? ON (?:ONLY )?)(\w[\w.$]*+)"
)
# A type of which a column without a value is one, and a domain, which is if its own type is and it
# checks nothing and gives no value of its own.
_MAKES_TYPE = re.compile(
    r"CREATE (?:TYPE (\w[\w.$]*) AS (?:ENUM|RANGE|\()"
    r"|DOMAIN (\w[\w.$]*) (?:AS )?(\w[\w.$]*)(?!.*\b(?:NOT NULL|CHECK|DEFAULT)\b))"
)
# PostgreSQL's own types by their first word, and those of its common extensions.
_ITS_OWN = """
BIGINT BIGSERIAL BIT BOOL BOOLEAN BOX BYTEA CHAR CHARACTER CIDR CIRCLE CITEXT CUBE DATE
DATEMULTIRANGE DATERANGE DECIMAL DOUBLE FLOAT FLOAT4 FLOAT8 GEOGRAPHY GEOMETRY HSTORE INET INT INT2
INT4 INT4MULTIRANGE INT4RANGE INT8 INT8MULTIRANGE INT8RANGE INTEGER INTERVAL JSON JSONB JSONPATH
LINE LSEG LTREE MACADDR MACADDR8 MONEY NAME NATIONAL NCHAR NUMERIC NUMMULTIRANGE NUMRANGE OID PATH
PG_LSN POINT POLYGON REAL REGCLASS SERIAL SERIAL2 SERIAL4 SERIAL8 SMALLINT SMALLSERIAL TEXT TIME
TIMESTAMP TIMESTAMPTZ TIMETZ TSMULTIRANGE TSQUERY TSRANGE TSTZMULTIRANGE TSTZRANGE TSVECTOR UUID
VARBIT VARCHAR VECTOR XML
"""
_TYPES = frozenset(_ITS_OWN.split())
_QUERIES = re.compile(r"(INSERT|SELECT|WITH|VALUES|TABLE|UPDATE|DELETE|TRUNCATE|COPY|MERGE)\b")


@dataclass(slots=True)
class _File:
    """What a file has done so far: the tables that it made, the types that ask for no value, and
    the code that waits behind what it made and runs with the next query that meets it."""

    made: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=lambda: set(_TYPES))
    waiting: str | None = None

    def forget(self) -> None:
        """Take no name for what it was."""
        self.made.clear()
        self.types = set(_TYPES)

    def notice(self, statement: str) -> None:
        """Take notice of what a statement makes that takes nothing away."""
        if _RENAMES.match(statement):
            self.forget()
        of = _MAKES_TYPE.match(statement)
        if of and (of[1] or of[3] in self.types):
            self.types.add(of[1] or of[2])
        table = _CREATES_TABLE.match(statement)
        if table and not table[1] and not re.search(r" (PARTITION OF|ON COMMIT DROP)\b", statement):
            self.made.add(table[2])


def read_migration(name: str, sql: str) -> Migration:
    """Return what a migration's text declares and does."""
    words = [word.upper() for word in _DECLARED.findall(sql)]
    known = bool(words) and all(word in Kind.__members__ for word in words)
    found, because = Kind.EXPAND, "it only adds"
    file = _File()
    for statement in statements(sql):
        kind, why = _judge(statement, file)
        if kind > found:
            found, because = kind, f"{_shown(statement)} … {why}"
        if kind is Kind.EXPAND:
            file.notice(statement)
        else:
            # It may have taken away what was made, and an older thing has the name again.
            file.forget()
    return Migration(
        name=name,
        declared=max(Kind[word] for word in words) if known else None,
        found=found,
        because=because,
    )


def worst(migrations: Sequence[Migration]) -> Kind | None:
    """Return what going back over all of them costs; None without any."""
    return max((migration.kind for migration in migrations), default=None)


def expands(noted: Mapping[str, str]) -> bool:
    """Return whether a migration, as a release's check of its commits noted it, only expands."""
    return noted["kind"] == str(Kind.EXPAND)


def _shown(statement: str) -> str:
    # Of many clauses the one that matters is named by what is said of it.
    return (
        " ".join(statement.split()[:3]) if statement.startswith("ALTER TABLE") else statement[:60]
    )


def _judge(statement: str, file: _File) -> tuple[Kind, str]:
    """Return what one statement does, after those of the file before it."""
    if "\\" in statement:
        return Kind.CONTRACT, "is a command of psql, which may run anything"
    if ESCAPED in statement:
        return Kind.CONTRACT, "spells a name by escapes, which is not read here"
    if _QUERIES.match(statement):
        return _judge_query(statement, file)
    if (created := _judge_created(statement, file)) is not None:
        return created
    kind = next((kind for words, kind in _STATEMENTS if re.match(words, statement)), None)
    if kind is None:
        return Kind.CONTRACT, "takes something away, or can't be told not to"
    acts_on = _ACTS_ON.match(statement)
    own = acts_on is not None and acts_on[1] in file.made
    if acts_on is None or not own or re.search(r"\b(ATTACH|INHERIT)\b", statement):
        if statement.startswith("ALTER TABLE"):
            clauses = re.sub(r"^ALTER TABLE (IF EXISTS )?(ONLY )?\S+ ?\*? ?", "", statement)
            return _contract(problem_of_changes(clauses, file.types))
        return kind, "changes what older code may use"
    called = unknown_call_in_table(statement[acts_on.end() :], file.types)
    if re.match(r"CREATE (CONSTRAINT TRIGGER|TRIGGER|POLICY)\b", statement):
        # Nothing runs before somebody writes to it.
        file.waiting = file.waiting or called
        return Kind.EXPAND, ""
    return _contract(called and f"calls {called}, which may do anything")


def _judge_query(statement: str, file: _File) -> tuple[Kind, str]:
    acts_on = _ACTS_ON.match(statement)
    own = acts_on is not None and acts_on[1] in file.made
    # Neither a table's name with its columns is a call, nor writing to what is new a loss.
    query = statement[acts_on.end() :] if acts_on is not None else statement
    if own:
        query = re.sub(r"\bDO UPDATE\b", "DO", query)
    loses = re.match(r"(DELETE|TRUNCATE|UPDATE|MERGE|COPY)\b", statement) and not own
    if loses or loses_rows(query):
        return Kind.IRREVERSIBLE, "changes or loses rows that are there"
    if own and re.match(r"COPY\b.* PROGRAM\b", statement):
        return Kind.CONTRACT, "runs a program, which may do anything"
    return _computes(query, file)


def _computes(query: str, file: _File) -> tuple[Kind, str]:
    """Return what a query does beside losing rows."""
    if loses_rows(query):
        return Kind.IRREVERSIBLE, "changes or loses rows that are there"
    if query.lstrip("( ").startswith("EXECUTE"):
        return Kind.CONTRACT, "runs what cannot be read here"
    if (called := unknown_call(query)) is not None:
        return Kind.CONTRACT, f"calls {called}, which may do anything"
    if file.waiting is not None:
        return Kind.CONTRACT, f"may run {file.waiting}, which may do anything"
    return Kind.EXPAND, ""


def _judge_created(statement: str, file: _File) -> tuple[Kind, str] | None:
    """Return what a CREATE does; None for other statements, and for those that `_STATEMENTS`
    knows."""
    if table := _CREATES_TABLE.match(statement):
        return _judge_table(statement[table.end() :], file)
    if view := _CREATES_VIEW.match(statement):
        _, query = around_as(statement[view.end() :])
        if query is None:
            return Kind.CONTRACT, "has no query that can be read"
        if view[1]:
            return _computes(query, file)
        file.waiting = file.waiting or unknown_call(query)
        return Kind.EXPAND, ""
    if index := _CREATES_INDEX.match(statement):
        definition = statement[index.end() :]
        if index[1] not in file.made:
            return _contract(problem_of_index(definition))
        called = unknown_call_in_table(definition, file.types)
        return _contract(called and f"calls {called}, which may do anything")
    function = _CREATES_FUNCTION.match(statement)
    if function and function[1] in PURE:
        return Kind.CONTRACT, "is called by a name of PostgreSQL's own, for what that does not take"
    if _HARMLESS_KINDS.match(statement):
        domain = statement.startswith("CREATE DOMAIN")
        called = unknown_call(statement, file.types) if domain else None
        return _contract(called and f"calls {called}, which may do anything")
    return None


def _judge_table(rest: str, file: _File) -> tuple[Kind, str]:
    """Return what a CREATE TABLE does by what stands behind the table's name."""
    part = re.match(rf"PARTITION OF {_NAME}", rest)
    if part and part[1] not in file.made:
        problem = problem_of_partition(rest[part.end() :])
        if problem is not None:
            return Kind.CONTRACT, problem
    if part and (called := unknown_call_in_table(rest[part.end() :], file.types)) is not None:
        return Kind.CONTRACT, f"calls {called}, which may do anything"
    definition, query = around_as(rest)
    if query is not None:
        return _computes(query, file)
    # What stands there by default is computed when a row is written.
    file.waiting = file.waiting or unknown_call_in_table(definition, file.types)
    return Kind.EXPAND, ""


def _contract(problem: str | None) -> tuple[Kind, str]:
    return (Kind.EXPAND, "") if problem is None else (Kind.CONTRACT, problem)
