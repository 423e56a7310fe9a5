"""What an expression or a query does, read from its text (see `sql_text`).

There are three questions: whether it runs code that may do anything, whether it comes to a value
whatever it is computed from, and whether it is a value by itself.
"""

from __future__ import annotations

import re
from collections.abc import Set

# In a query, wherever it stands; `FOR UPDATE` only locks.
_LOSES_ROWS = re.compile(
    r"\b(DELETE FROM|(?<!FOR )(?<!FOR NO KEY )UPDATE(?! OF\b)|TRUNCATE|MERGE INTO)\b"
)
_CALL = re.compile(r"(?P<alias>\bAS )?(?<![\w.$])(?P<name>[\w.$]++) ?\(")
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
PURE = frozenset(_COMPUTES.split())
# Of these, what may come to something where a value is missing.
ANSWER_NULL = frozenset({"CASE", "COALESCE", "CONCAT", "CONCAT_WS", "FORMAT", "IS", "GREATEST",
                         "LEAST", "ARRAY", "ROW", "CARDINALITY", "NUM_NULLS"})  # fmt: skip
# What else may stand before one in the definition of a table.
_OF_TABLES = """
BRIN BTREE DEFAULT EXCLUDE GIN GIST HASH IDENTITY INCLUDE INHERITS KEY LIST NULL OPTIONS RANGE RESET
SET SPGIST UNIQUE WITH
"""
_DEFINES = frozenset(_OF_TABLES.split())

# Of what computes, what fails for no value: no arithmetic (it overflows) and no pattern.
_TOTAL = """
AND BTRIM CASE CHAR_LENGTH COALESCE ELSE GREATEST IN LEAST LENGTH LOWER LTRIM MD5 NOT NULLIF OR
RTRIM THEN UPPER WHEN
"""
_NEVER_FAILS = frozenset(_TOTAL.split())
_TOTAL_TOKEN = re.compile(
    r" |''|\d+(?:\.\d+)?(?![\w.])|<=|>=|<>|!=|=|<|>|\|\||->>|->|\(|\)|,"
    r"|(?P<word>[A-Z_][\w.$]*+)(?P<call> ?\()?"
)
_MAY_FAIL = frozenset({"AT", "CAST", "ESCAPE", "ILIKE", "LIKE", "SIMILAR"})
# Beside a text there is text on the other side; two columns may be arrays, which need not fit.
_JOINS_COLUMNS = re.compile(r"(?<!'')(?<!'' )\|\|(?! ?'')")
_CAST_OF_TEXT = re.compile(
    r"''::(?:TEXT|VARCHAR|JSONB|JSON|UUID|DATE|TIMESTAMPTZ|TIMESTAMP)\b(?! ?\()"
)

# A value by itself, and calls that give one each time.
_VALUE = r"(?:[-+] ?)?(?:\d[\d.]*|\.\d+)(?:E[-+]?\d+)?|(?:\w+ )?''|TRUE|FALSE|ARRAY ?\[[\d', ]*\]"
_CLOCKS = "CURRENT_DATE|CURRENT_TIMESTAMP|CURRENT_TIME|LOCALTIMESTAMP|LOCALTIME"
_DISTINCT = "NEXTVAL|GEN_RANDOM_UUID|UUIDV4|UUIDV7"
_GIVES = "NOW|RANDOM|CLOCK_TIMESTAMP|STATEMENT_TIMESTAMP|TRANSACTION_TIMESTAMP"
_CALLED = rf"{_CLOCKS}|CURRENT_USER|(?:{_DISTINCT}|{_GIVES}) ?\( ?(?:''(?:::REGCLASS)?)? ?\)"
_TYPE = r"[\w.$]+(?: PRECISION| VARYING| WITH(?:OUT)? TIME ZONE)?(?: ?\([\d, ]+\))?(?: ?\[\])*"
_FURTHER = r"NOT NULL|NULL|NOT DEFERRABLE|UNIQUE|PRIMARY|CHECK|REFERENCES|COLLATE"
_END = rf"(?= ?$| ?(?:{_FURTHER})\b)"
_GIVEN = re.compile(
    rf"[( ]*(?:{_VALUE}|(?P<call>{_CALLED}))[ )]*"
    rf"(?:(?:::{_TYPE}|AT TIME ZONE ''|[-+] ?INTERVAL '')[ )]*)*{_END}"
)
_NUMBERS = re.compile(
    rf"[( ]*(?:{_DISTINCT}) ?\([^()]*\)[ )]*(?:::(?:TEXT|BIGINT|INT|INTEGER|UUID)[ )]*)?{_END}"
)


def loses_rows(query: str) -> bool:
    """Tell whether a query changes or loses rows that are there."""
    return _LOSES_ROWS.search(query) is not None


def unknown_call(text: str, besides: Set[str] = frozenset()) -> str | None:
    """Return the first call of what may do anything, None without; `besides` are names that are
    known not to be calls."""
    for call in _CALL.finditer(text):
        if call["alias"] is None and call["name"] not in PURE and call["name"] not in besides:
            return f"{call['name'].lower()}()"
    return None


def unknown_call_in_table(definition: str, types: Set[str]) -> str | None:
    """Return the first such call in what defines a table or a part of one."""
    bare = re.sub(r"\bREFERENCES [\w.$]++ ?\(", "(", definition)
    return unknown_call(bare, types | _DEFINES)


def never_fails(expression: str) -> bool:
    """Tell whether an expression comes to a value, or to NULL, for whatever its columns hold."""
    text = _CAST_OF_TEXT.sub("''", expression)
    if _JOINS_COLUMNS.search(text):
        return False
    position = 0
    while position < len(text):
        token = _TOTAL_TOKEN.match(text, position)
        if token is None or token["word"] in _MAY_FAIL:
            return False
        if token["call"] and token["word"] not in _NEVER_FAILS:
            return False
        position = token.end()
    return True


def gives_value(default: str) -> bool:
    """Tell whether what stands behind DEFAULT is a literal or a call that gives a value each time:
    never NULL, and never an error."""
    return _GIVEN.match(default) is not None


def gives_by_call(default: str) -> bool:
    """Tell whether it is such a call."""
    given = _GIVEN.match(default)
    return given is not None and given["call"] is not None


def gives_distinct(default: str) -> bool:
    """Tell whether what stands behind DEFAULT never comes to the same twice."""
    return _NUMBERS.match(default) is not None
