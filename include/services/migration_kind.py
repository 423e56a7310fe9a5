"""What a schema migration does, read from its SQL, against what it declares to do.

    expand        adds; the code of the release before works on
    contract      takes away or changes what older code may use
    irreversible  changes or loses data; the way back is a restore

A file declares it in a line `-- kind: expand`; of several such lines the worst counts. What the SQL
is seen to do must not be worse; what cannot be read (code that makes up statements while it runs, a
function that may do anything, an index or a constraint by whose name nobody can tell whether older
code's ON CONFLICT needs it, a type that may ask for a value) is no expansion. Whatever is done to a
table that the same file makes is one: no older code knows it, unless it is a partition, which older
code writes into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum


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
    (r"(INSERT|SELECT|WITH|VALUES|TABLE)\b", Kind.EXPAND),  # looked at for what it calls
    (r"(SET|RESET|SHOW|COMMENT|ANALYZE|LOCK|BEGIN|START|COMMIT|END|SAVEPOINT)\b", Kind.EXPAND),
    (r"CREATE OR REPLACE\b", Kind.CONTRACT),
    (r"CREATE (RULE|TRIGGER|CONSTRAINT TRIGGER|POLICY|EVENT TRIGGER|UNIQUE INDEX)\b",
     Kind.CONTRACT),
    (r"CREATE\b", Kind.EXPAND),
    (r"GRANT\b", Kind.EXPAND),
    (r"(REINDEX|REFRESH MATERIALIZED VIEW)\b", Kind.EXPAND),
    (r"DROP STATISTICS\b", Kind.EXPAND),
    (r"ALTER TABLE\b", Kind.EXPAND),  # looked at clause by clause
    (r"ALTER TYPE \S+ ADD VALUE\b", Kind.EXPAND),
    (r"ALTER (INDEX|STATISTICS)\b(?!.* RENAME )", Kind.EXPAND),
    (r"(DELETE|TRUNCATE|UPDATE|MERGE|COPY)\b", Kind.IRREVERSIBLE),
)  # fmt: skip

# What an ALTER TABLE may do without a rival of the release before noticing.
_HARMLESS = re.compile(
    r"(ADD (COLUMN )?(IF NOT EXISTS )?(?!CONSTRAINT|PRIMARY|UNIQUE|CHECK|FOREIGN|EXCLUDE)\S+ "
    r"|ALTER (COLUMN )?\S+ (SET DEFAULT|DROP NOT NULL|SET STATISTICS|SET STORAGE)\b"
    r"|VALIDATE CONSTRAINT\b|SET \(|RESET \(|CLUSTER ON\b"
    r"|(ENABLE|FORCE) REPLICA\b)"
)
# In a query, wherever it stands; `FOR UPDATE` only locks.
_LOSES_ROWS = re.compile(
    r"\b(DELETE FROM|(?<!FOR )(?<!FOR NO KEY )UPDATE(?! OF\b)|TRUNCATE|MERGE INTO)\b"
)
_MAKES_TABLE = re.compile(
    r"CREATE ((GLOBAL |LOCAL )?TEMP(ORARY)? |UNLOGGED )?TABLE (?!IF NOT EXISTS)(\w[\w.$]*)"
)
# After it a name may mean another table than before.
_RENAMES = re.compile(
    r"(SET|RESET)\b.*\b(SEARCH_PATH|SCHEMA|ALL)\b|ALTER TABLE\b.*\b(RENAME TO|SET SCHEMA)\b"
)
# The one table that a statement acts on.
_ACTS_ON = re.compile(
    r"(?:ALTER TABLE (?:IF EXISTS )?(?:ONLY )?|UPDATE (?:ONLY )?|DELETE FROM (?:ONLY )?"
    r"|COPY |INSERT INTO "
    r"|CREATE (?:UNIQUE INDEX|POLICY|(?:CONSTRAINT )?TRIGGER)\b.*? ON (?:ONLY )?)"
    r"(\w[\w.$]*)"
)
# A type of which a column without a value is one, and a domain, which is if its own type is and it
# checks nothing.
_MAKES_TYPE = re.compile(
    r"CREATE (?:TYPE (\w[\w.$]*) AS (?:ENUM|RANGE|\()"
    r"|DOMAIN (\w[\w.$]*) (?:AS )?(\w[\w.$]*)(?!.*\b(?:NOT NULL|CHECK)\b))"
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
_QUERIES = re.compile(r"(INSERT|SELECT|WITH|VALUES|TABLE|UPDATE|DELETE|COPY)\b")
# A table or view that is filled by a query.
_FILLABLE = re.compile(
    r"CREATE (?:(?:GLOBAL |LOCAL )?TEMP(?:ORARY)? |UNLOGGED )?(?:TABLE|MATERIALIZED VIEW) "
)
_FILLED = re.compile(r" AS \(* ?(?=SELECT|WITH|EXECUTE)")
_CALL = re.compile(r"(?P<alias>\bAS )?(?P<name>[\w.$]+) ?\(")
# What may stand before a parenthesis in a query and does nothing but compute: words of the language
# and functions of PostgreSQL's own. Any other function may do anything.
_COMPUTES = """
ALL AND ANY ARRAY AS BETWEEN BY CASE CAST CHECK COALESCE COLLATE CONFLICT CROSS DISTINCT ELSE END
EXCEPT EXISTS EXTRACT FILTER FROM GREATEST GROUPING HAVING ILIKE IN INTERSECT INTERVAL IS JOIN
LATERAL LEAST LIKE LIMIT MATERIALIZED NOT NULLIF OFFSET ON ONLY OR OVER PARTITION RETURNING ROW
SELECT SETS SIMILAR SOME THEN TO TRIM UNION USING VALUES WHEN WHERE WITHIN BIT CHAR CHARACTER
DECIMAL NUMERIC TIME TIMESTAMP TIMESTAMPTZ TIMETZ VARCHAR VARYING ABS AGE ARRAY_AGG ARRAY_LENGTH
ARRAY_TO_STRING AVG BOOL_AND BOOL_OR BTRIM CARDINALITY CEIL CEILING CHAR_LENGTH CONCAT CONCAT_WS
COUNT DATE DATE_PART DATE_TRUNC DECODE DENSE_RANK DIV ENCODE FIRST_VALUE FLOOR FORMAT
GENERATE_SERIES GEN_RANDOM_UUID INITCAP JSONB_AGG JSONB_ARRAY_ELEMENTS JSONB_BUILD_ARRAY
JSONB_BUILD_OBJECT JSONB_OBJECT_AGG JSONB_SET JSON_AGG JSON_BUILD_ARRAY JSON_BUILD_OBJECT LAG
LAST_VALUE LEAD LEFT LENGTH LOWER LPAD LTRIM MAKE_DATE MAKE_INTERVAL MAKE_TIME MAX MD5 MIN MOD
NEXTVAL NOW NTILE OVERLAY PERCENT_RANK POSITION POWER RANDOM RANK REGEXP_REPLACE REPEAT REPLACE
REVERSE RIGHT ROUND ROW_NUMBER RPAD RTRIM SHA256 SIGN SPLIT_PART SQRT STRING_AGG STRING_TO_ARRAY
STRPOS SUBSTR SUBSTRING SUM TO_CHAR TO_DATE TO_JSON TO_JSONB TO_NUMBER TO_TIMESTAMP TRANSLATE
TRUNC UNNEST UPPER UUIDV4 UUIDV7
"""
_PURE = frozenset(_COMPUTES.split())

# Of these, what never comes to the same twice.
_DISTINCT = "NEXTVAL|GEN_RANDOM_UUID|UUIDV4|UUIDV7"
# Of these, what may come to something where a value is missing.
_ANSWER_NULL = frozenset({"CASE", "COALESCE", "CONCAT", "CONCAT_WS", "FORMAT", "IS", "GREATEST",
                          "LEAST", "ARRAY", "ROW", "CARDINALITY", "NUM_NULLS"})  # fmt: skip


def read_migration(name: str, sql: str) -> Migration:
    """Return what a migration's text declares and does."""
    words = [word.upper() for word in _DECLARED.findall(sql)]
    known = bool(words) and all(word in Kind.__members__ for word in words)
    found, because = Kind.EXPAND, "it only adds"
    made: set[str] = set()
    types = set(_TYPES)
    for statement in statements(sql):
        kind, why = _judge(statement, made, types)
        if kind > found:
            found, because = kind, why
        if _RENAMES.match(statement):
            # The same name may mean something else from here on.
            made.clear()
            types = set(_TYPES)
        of = _MAKES_TYPE.match(statement)
        if of and (of[1] or of[3] in types):
            types.add(of[1] or of[2])
        table = _MAKES_TABLE.match(statement)
        if table and not re.search(r" (PARTITION OF|ON COMMIT DROP)\b", statement):
            made.add(table[4])
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


def statements(sql: str) -> Iterator[str]:
    """Yield each statement in capitals and single spaces, without comments and quoted text."""
    for statement in _bare(sql).split(";"):
        words = " ".join(statement.upper().split())
        if words:
            yield words


def _judge(statement: str, made: Set[str], types: Set[str]) -> tuple[Kind, str]:
    """Return what one statement does; `made` are the tables that this file has made before, and
    `types` those that ask for no value."""
    shown = statement[:60]
    if "\\" in statement:
        return Kind.CONTRACT, f"{shown} … is a command of psql, which may run anything"
    kind = next((kind for words, kind in _STATEMENTS if re.match(words, statement)), None)
    if kind is None:
        return Kind.CONTRACT, f"{shown} … takes something away, or can't be told not to"
    acts_on = _ACTS_ON.match(statement)
    own = acts_on is not None and acts_on[1] in made
    if statement.startswith("ALTER TABLE"):
        if own and not re.search(r"\b(ATTACH|INHERIT)\b", statement):
            return Kind.EXPAND, ""
        return _judge_table(statement, types)
    query = _query_of(statement, acts_on, own=own)
    if query is not None and (lost := _judge_query(query)) is not None:
        return lost[0], f"{shown} … {lost[1]}"
    if own and re.match(r"COPY\b.* PROGRAM\b", statement):
        return Kind.CONTRACT, f"{shown} … runs a program, which may do anything"
    if own:
        return Kind.EXPAND, ""
    if kind is Kind.IRREVERSIBLE:
        return kind, f"{shown} … changes or loses rows that are there"
    return kind, f"{shown} … changes what older code may use"


def _query_of(statement: str, acts_on: re.Match[str] | None, *, own: bool) -> str | None:
    """Return the part of a statement that is computed now, None where nothing is."""
    if _FILLABLE.match(statement) and (filled := _FILLED.search(statement)):
        return statement[filled.end() :]
    if not _QUERIES.match(statement):
        return None
    # Neither a table's name with its columns is a call, nor writing to what is new a loss.
    query = statement[acts_on.end() :] if acts_on is not None else statement
    return re.sub(r"\bDO UPDATE\b", "DO", query) if own else query


def _judge_query(query: str) -> tuple[Kind, str] | None:
    """Return why a query does more than compute, None if it does not."""
    if _LOSES_ROWS.search(query):
        return Kind.IRREVERSIBLE, "changes or loses rows that are there"
    if query.startswith("EXECUTE"):
        return Kind.CONTRACT, "runs what cannot be read here"
    for call in _CALL.finditer(query):
        if call["alias"] is None and call["name"] not in _PURE:
            return Kind.CONTRACT, f"calls {call['name'].lower()}(), which may do anything"
    return None


def _judge_table(statement: str, types: Set[str]) -> tuple[Kind, str]:
    clauses = re.sub(r"^ALTER TABLE (IF EXISTS )?(ONLY )?\S+ ?\*? ?", "", statement)
    for clause in _split(clauses):
        if not _HARMLESS.match(clause):
            return Kind.CONTRACT, f"ALTER TABLE … {clause[:60]} takes away or changes"
        if not clause.startswith("ADD "):
            continue
        problem = _judge_added(clause, types)
        if problem is not None:
            return problem[0], f"{clause[:60]} {problem[1]}"
    return Kind.EXPAND, ""


def _judge_added(clause: str, types: Set[str]) -> tuple[Kind, str] | None:
    """Return why an added column does more than add, None if it does not."""
    # Names may be spelled like the words that are looked for.
    bare = re.sub(r"^ADD (COLUMN )?+(IF NOT EXISTS )?+\S+ |\bCONSTRAINT \S+ ", "", clause)
    default = re.search(r"\bDEFAULT\b *(.*)", bare)
    generated = re.search(r"\bGENERATED (?:ALWAYS|BY DEFAULT) (AS .*)", bare)
    numbered = bool(
        re.match(r"(SMALL|BIG)?SERIAL\b", bare)
        or (generated and generated[1].startswith("AS IDENTITY"))
        or (default and re.match(rf"[( ]*({_DISTINCT})\b", default[1]))
    )
    given = bool(default and not re.match(r"[( ]*NULL\b", default[1]))
    supplied = numbered or generated is not None or given
    if re.search(r"\bNOT NULL\b|\bPRIMARY KEY\b", bare) and not supplied:
        return Kind.CONTRACT, "asks older code for a value that it has not"
    of = re.match(r"(?:PG_CATALOG\.)?([\w.$]+)(.*)", bare)
    several = of is not None and re.match(r" ?(\[|ARRAY\b)", of[2])
    if not supplied and not several and (of is None or of[1] not in types):
        return Kind.CONTRACT, (
            "is of a type that may be a domain, which asks older code for a value; a default "
            "gives it"
        )
    unique = re.search(r"\b(UNIQUE|PRIMARY KEY)\b", bare) is not None
    if unique and ((supplied and not numbered) or " NULLS NOT DISTINCT" in bare):
        return Kind.CONTRACT, "lets older code write one row and no second"
    if not _passes_without_value(clause):
        return Kind.CONTRACT, "checks what older code writes"
    # A default is computed for the rows that are there, a generated value for new ones too.
    computed = generated[1] if generated else default[1] if default else ""
    return _judge_query(re.sub(r"\bREFERENCES \S+? ?\(", "(", computed))


def _passes_without_value(clause: str) -> bool:
    """Tell whether every CHECK of an added column lets a row pass that has no value for it: it
    looks at this column alone, by nothing that makes something of NULL."""
    name = re.match(r"ADD (?:COLUMN )?+(?:IF NOT EXISTS )?+(\S+)", clause)
    for check in re.finditer(r"\bCHECK ?\(", clause):
        words = set(re.findall(r"(?<!:)\b[A-Z_]\w*", _inside(clause[check.end() :])))
        if name is None or words - {name[1]} - (_PURE - _ANSWER_NULL):
            return False
    return True


def _inside(text: str) -> str:
    """Return what comes before the parenthesis that closes one which was opened before `text`."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[:place]
    return text


def _split(clauses: str) -> Iterator[str]:
    """Yield the parts between commas that are in no parentheses."""
    depth, part = 0, ""
    for letter in clauses:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += letter
    if part.strip():
        yield part.strip()


_TOKEN = re.compile(
    r"""--[^\r\n]*                        # a comment to the line's end
      | /\*                               # a comment that may hold others
      | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)   # text with escapes
      | '(?:[^']|'')*(?:'|\Z)             # text
      | "(?:[^"]|"")*(?:"|\Z)             # a quoted name
      | (?<![\w$])\$(?:[^\W\d]\w*)?\$    # text in dollars; names may hold them too
    """,
    re.VERBOSE | re.DOTALL,
)


def _bare(sql: str) -> str:
    """Return the SQL with comments gone, texts empty and quoted names as plain words."""
    parts: list[str] = []
    position = 0
    while match := _TOKEN.search(sql, position):
        parts.append(sql[position : match.start()])
        quoted = match.group()
        position = match.end()
        if quoted.startswith("--"):
            parts.append(" ")
        elif quoted == "/*":
            position = _end_of_comment(sql, position)
            parts.append(" ")
        elif quoted.startswith("$"):
            end = sql.find(quoted, position)
            position = len(sql) if end < 0 else end + len(quoted)
            parts.append("''")
        elif quoted.startswith('"'):
            parts.append(_plain_name(quoted))
        else:
            parts.append("''")
    parts.append(sql[position:])
    return "".join(parts)


def _plain_name(quoted: str) -> str:
    name = quoted[1:-1] if len(quoted) > 1 and quoted.endswith('"') else quoted[1:]
    # Written without quotes it would be another name.
    mark = "" if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else "__"
    return re.sub(r"\W", "_", name) + mark


def _end_of_comment(sql: str, position: int) -> int:
    depth = 1
    for mark in re.finditer(r"/\*|\*/", sql[position:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return position + mark.end()
    return len(sql)
