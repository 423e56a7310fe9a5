"""Which data an NRQL query reads, as far as its text says: to tell none from a misspelt name."""

from __future__ import annotations

import re

_TEXT = r"'(?:[^'\\]|\\.|'')*'"
_COMMENT = re.compile(rf"({_TEXT})|/\*.*?\*/|(?:--|//)[^\n]*", re.DOTALL)
_NAME = r"(`[^`]+`|[A-Za-z_][\w.:]*)"
_FROM = re.compile(rf"\bFROM ({_NAME}(?: ?, ?{_NAME})*)(?! ?\()", re.IGNORECASE)
# What comes out of another query, or of a table, has names of its own.
_OTHER = re.compile(r"\bFROM ?\(|\bFROM lookup ?\(|\bJOIN\b", re.IGNORECASE)
# What is not asked to be there need not be known.
_WITHOUT = re.compile(r"\bNOT ?\([^()]*\)", re.IGNORECASE)
_ASKED = (
    rf"(?<!\bNOT )(?<![\w.:`]){_NAME} ?(?:=|<(?!>)|>)",
    rf"(?<!\bNOT )(?<![\w.:`]){_NAME} (?:LIKE|RLIKE|IN|IS TRUE|IS NOT NULL)\b",
    # A truth by itself.
    rf"\b(?:WHERE|AND|OR) {_NAME}(?= ?\)| ?$| (?:AND|OR|FROM|SELECT)\b)",
)
_PRESENT = tuple(re.compile(pattern, re.IGNORECASE) for pattern in _ASKED)
_GIVEN = re.compile(rf"(\w+) ?\( ?{_NAME} ?[,)]")
_OF_AN_ATTRIBUTE = frozenset({"numeric", "string", "boolean", "lower", "upper", "substring"})
# Every metric has this name; it is the value that may be misspelt.
_METRIC = re.compile(rf"\bmetricName ?(?:=|LIKE) ?{_TEXT}", re.IGNORECASE)
_EITHER = re.compile(r"\bOR\b", re.IGNORECASE)
_KEYWORDS = "and or not in is like rlike where select from true false null metricname timestamp"
_WORDS = frozenset(_KEYWORDS.split())


def controls(query: str) -> tuple[str, ...]:
    """Return one query for each attribute that `query` asks for, which counts what has it, whatever
    its value, and one for its data type where it asks for none: nothing counted means that a name
    is misspelt, or that nobody reports it.

    None for a query that reads another query, or whose data type is not found.
    """
    spaced = " ".join(_COMMENT.sub(lambda found: found[1] or " ", query).split())
    text = _WITHOUT.sub(" ", re.sub(_TEXT, "''", spaced))
    read = _FROM.search(text)
    if read is None or _OTHER.search(text):
        return ()
    of = read[1]
    every = f"SELECT count(*) FROM {of}"  # noqa: S608 - NRQL only reads
    found: dict[str, None] = {}
    for metric in _METRIC.finditer(spaced):
        found[f"{every} WHERE {metric.group()}"] = None
    asked = [name for pattern in _PRESENT for name in pattern.findall(text)]
    for function, name in _GIVEN.findall(text):
        if of.lower() == "metric" and function.lower() not in _OF_AN_ATTRIBUTE:
            plain = name.strip("`")
            found[f"{every} WHERE metricName = '{plain}'"] = None
        else:
            asked.append(name)
    known = [f"{name} IS NOT NULL" for name in dict.fromkeys(asked) if name.lower() not in _WORDS]
    if _EITHER.search(text):
        # Agents call one thing by different names: one that is reported is enough.
        known = [" OR ".join(known)] if known else []
    for condition in known:
        found[f"{every} WHERE {condition}"] = None
    return tuple(found) or (every,)
