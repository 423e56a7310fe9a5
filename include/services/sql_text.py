"""SQL as text: its statements in capitals and single spaces, without comments and quoted text."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What a statement holds, and nothing else does, where a name in it is spelt by escapes.
ESCAPED = '"'

_TOKEN = re.compile(
    r"""--[^\r\n]*                        # a comment to the line's end
      | /\*                               # a comment that may hold others
      | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)   # text with escapes
      | '(?:[^']|'')*(?:'|\Z)             # text
      | (?:(?<![\w$])[uU]&)?"(?:[^"]|"")*(?:"|\Z)   # a quoted name
      | (?<![\w$])\$(?:[^\W\d]\w*)?\$    # text in dollars; names may hold them too
    """,
    re.VERBOSE | re.DOTALL,
)
# Without quotes these are no names, so quoted they must not be taken for what they mean elsewhere.
_NO_NAMES = """
all analyse analyze and any array as asc asymmetric both case cast check collate column
constraint create cross current_date current_time current_timestamp current_user default
deferrable desc distinct do else end except false fetch for foreign freeze from full grant group
having ilike in initially inner intersect into is isnull join lateral leading left like limit
localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing
primary references returning right select session_user similar some symmetric table then to
trailing true union unique user using variadic when where window with
"""
_RESERVED = frozenset(_NO_NAMES.split())
_DOT = re.compile(r"(?<![\w$])([\w$]+) ?\. ?(?=[^\W\d]|\*)")


def statements(sql: str) -> Iterator[str]:
    """Yield each statement of `sql`; a name of several parts is one word, like AUDIT.LOG."""
    for statement in _bare(sql).split(";"):
        words = " ".join(statement.upper().split())
        if words:
            yield _DOT.sub(_joined, words)


def _joined(part: re.Match[str]) -> str:
    return part.group() if part[1].isdigit() else f"{part[1]}."


def split(clauses: str) -> Iterator[str]:
    """Yield the parts between commas that are in no parentheses or brackets."""
    depth, begin = 0, 0
    for mark in re.finditer(r"[()\[\],]", clauses):
        depth += (mark.group() in "([") - (mark.group() in ")]")
        if mark.group() == "," and depth == 0:
            yield clauses[begin : mark.start()].strip()
            begin = mark.end()
    if clauses[begin:].strip():
        yield clauses[begin:].strip()


def inside(text: str) -> tuple[str, str]:
    """Return what comes before the parenthesis that closes one opened before `text`, and what
    comes after it."""
    depth = 1
    for mark in re.finditer(r"[()]", text):
        depth += 1 if mark.group() == "(" else -1
        if depth == 0:
            return text[: mark.start()], text[mark.end() :]
    return text, ""


def around_as(text: str) -> tuple[str, str | None]:
    """Return what stands before and behind the AS that is in no parentheses, None without one."""
    depth = 0
    for mark in re.finditer(r"[()]|\bAS\b", text):
        depth += (mark.group() == "(") - (mark.group() == ")")
        if mark.group() == "AS" and depth == 0:
            return text[: mark.start()], text[mark.end() :]
    return text, None


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
        elif '"' in quoted[:3]:
            parts.append(ESCAPED)
        else:
            parts.append("''")
    parts.append(sql[position:])
    return "".join(parts)


def _plain_name(quoted: str) -> str:
    name = quoted[1:-1] if len(quoted) > 1 and quoted.endswith('"') else quoted[1:]
    # Written without quotes it would be another name, or none.
    plain = re.fullmatch(r"[a-z_][a-z0-9_$]*", name) and name not in _RESERVED
    return re.sub(r"\W", "_", name) + ("" if plain else "__")


def _end_of_comment(sql: str, position: int) -> int:
    depth = 1
    for mark in re.finditer(r"/\*|\*/", sql[position:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return position + mark.end()
    return len(sql)
