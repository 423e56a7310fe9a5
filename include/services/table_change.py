"""What an ALTER TABLE, an index or a partition asks of the code of the release before.

Each question is answered by why older code may not work on, None where it does; what nobody can
tell is a reason too.
"""

from __future__ import annotations

import re
from collections.abc import Set

from include.services.sql_expression import (
    ANSWER_NULL,
    PURE,
    gives_by_call,
    gives_distinct,
    gives_value,
    never_fails,
    unknown_call,
)
from include.services.sql_text import inside, split

# A clause that takes nothing away, whatever stands behind.
_HARMLESS = re.compile(
    r"ALTER (COLUMN )?\S+ (DROP NOT NULL|SET STATISTICS|SET STORAGE)\b"
    r"|VALIDATE CONSTRAINT\b|CLUSTER ON\b"
)
_SETS_DEFAULT = re.compile(r"ALTER (?:COLUMN )?\S+ SET DEFAULT (.*)")
_SETS = re.compile(r"(?:RE)?SET \((.*)\)$")
# What a table is stored by; a view has parameters as well, which change what may be read and
# written through it.
_STORAGE = re.compile(
    r"(TOAST\.)?(AUTOVACUUM_\w+|LOG_AUTOVACUUM_MIN_DURATION|VACUUM_INDEX_CLEANUP|VACUUM_TRUNCATE)"
    r"|FILLFACTOR|PARALLEL_WORKERS|TOAST_TUPLE_TARGET"
)
_ADDS = re.compile(
    r"ADD (COLUMN )?+(IF NOT EXISTS )?+"
    r"(?!(CONSTRAINT|PRIMARY KEY|UNIQUE|CHECK|FOREIGN KEY|EXCLUDE|NOT NULL)\b)(?P<name>\S+) "
)
_GENERATED = re.compile(r"GENERATED ALWAYS AS ?\(")
# Into these every value goes as it is.
_TAKES_ALL = re.compile(r"(PG_CATALOG\.)?(TEXT|BOOLEAN|BOOL) ?")
_DIRECTION = re.compile(r"( ASC| DESC)?( NULLS (FIRST|LAST))?$")
_PLAIN_COLUMN = re.compile(
    r"[\w.$]+( COLLATE [\w.$]+)?( [\w.$]+)?( ASC| DESC)?( NULLS (FIRST|LAST))?"
)


def problem_of_changes(clauses: str, types: Set[str]) -> str | None:
    """Answer for what follows the name in an ALTER TABLE; `types` are those that ask for no
    value."""
    for clause in split(clauses):
        problem = _problem_of_clause(clause, types)
        if problem is not None:
            return problem
    return None


def _problem_of_clause(clause: str, types: Set[str]) -> str | None:
    if _HARMLESS.match(clause):
        return None
    shown = clause[:60]
    if default := _SETS_DEFAULT.match(clause):
        if gives_value(default[1]):
            return None
        return f"{shown} may be NULL or fail, where older code leaves it to the default"
    if parameters := _SETS.match(clause):
        names = [part.split("=")[0].strip() for part in split(parameters[1])]
        if all(_STORAGE.fullmatch(name) for name in names):
            return None
    if added := _ADDS.match(clause):
        why = _problem_of_column(added["name"], clause[added.end() :], types)
        return None if why is None else f"{shown} {why}"
    return f"{shown} takes away or changes what older code may use"


def _problem_of_column(name: str, definition: str, types: Set[str]) -> str | None:
    # A constraint's name may be spelled like the words that are looked for.
    bare = re.sub(r"\bCONSTRAINT \S+ ", "", definition)
    bare = re.sub(r"\bGENERATED (ALWAYS|BY DEFAULT) AS IDENTITY\b", "IDENTITY", bare)
    if generated := _GENERATED.search(bare):
        return _problem_of_generated(bare, generated)
    found = re.search(r"\bDEFAULT\b *(.*)", bare)
    default = found[1] if found else ""
    given = found is not None and not re.match(r"[( ]*NULL\b", default)
    numbered = gives_distinct(default) or bool(
        re.match(r"(SMALL|BIG)?SERIAL[248]?\b", bare) or re.search(r"\bIDENTITY\b", bare)
    )
    supplied = numbered or (given and gives_value(default))
    if re.search(r"\bNOT NULL\b|\bPRIMARY KEY\b", bare) and not supplied:
        return "asks older code for a value that it has not"
    of = re.match(r"(?:PG_CATALOG\.)?([\w.$]+)(.*)", bare)
    several = of is not None and re.match(r" ?(\[|ARRAY\b)", of[2])
    if not supplied and not several and (of is None or of[1] not in types):
        return (
            "is of a type that may be a domain, which asks older code for a value; a default "
            "gives it"
        )
    if given or numbered:
        return _problem_of_value(bare, default, given=given, numbered=numbered)
    if re.search(r"\b(UNIQUE|PRIMARY KEY)\b.* NULLS NOT DISTINCT\b", bare):
        return "lets older code write one row and no second"
    if not _passes_without_value(name, bare):
        return "checks what older code writes"
    return None


def _problem_of_value(bare: str, default: str, *, given: bool, numbered: bool) -> str | None:
    """Answer for a column to which older code gives what is there by default."""
    if re.search(r"\b(CHECK|REFERENCES)\b", bare):
        return "gives older code's rows a value, and nobody can tell whether it is allowed"
    if re.search(r"\b(UNIQUE|PRIMARY KEY)\b", bare) and not numbered:
        return "lets older code write one row and no second"
    if not given:
        return None
    if (called := unknown_call(default)) is not None:
        return f"calls {called}, which may do anything"
    # A literal is tried out when the column is added; of a call each value may be too long.
    narrow = re.match(r"(?!TIME)\w+( VARYING)? ?\(", bare) is not None
    if not gives_value(default) or (narrow and gives_by_call(default)):
        return "may fail to come to a value that fits, where older code leaves it to the default"
    return None


def _problem_of_generated(bare: str, generated: re.Match[str]) -> str | None:
    """Answer for a generated column: it is computed for each row that older code writes."""
    expression, rest = inside(bare[generated.end() :])
    if not _TAKES_ALL.fullmatch(bare[: generated.start()]) or not re.fullmatch(
        r" ?(STORED|VIRTUAL)?", rest
    ):
        return "holds what older code writes to a type or a constraint, which may refuse it"
    if not never_fails(expression):
        return "is computed from what older code writes, and may fail for it"
    return None


def _passes_without_value(name: str, bare: str) -> bool:
    """Tell whether every CHECK of an added column lets a row pass that has no value for it: it
    looks at this column alone, by nothing that makes something of NULL."""
    for check in re.finditer(r"\bCHECK ?\(", bare):
        words = set(re.findall(r"(?<!:)\b[A-Z_]\w*", inside(bare[check.end() :])[0]))
        if words - {name} - (PURE - ANSWER_NULL):
            return False
    return True


def problem_of_index(definition: str) -> str | None:
    """Answer for what follows the table in a CREATE INDEX: older code's rows come into it."""
    columns, rest = inside(definition.partition("(")[2])
    if not all(
        _PLAIN_COLUMN.fullmatch(column) or never_fails(_DIRECTION.sub("", column))
        for column in split(columns)
    ):
        return "is computed from what older code writes, and may fail for it"
    where = re.search(r"\bWHERE\b(.*)", rest)
    if where and not never_fails(where[1]):
        return "looks at what older code writes, and may fail for it"
    return None


def problem_of_partition(definition: str) -> str | None:
    """Answer for what follows the parent's name in PARTITION OF: older code's rows come into it."""
    if not re.match(r" ?(FOR VALUES|DEFAULT)\b", definition):
        return "may refuse what older code writes into the table of which it is a part"
    if re.search(r"\bPARTITION BY\b", definition):
        return "has parts of its own, and refuses what older code writes into none of them"
    return None
