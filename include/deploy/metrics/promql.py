"""Which series a PromQL query reads, as far as its text says: to tell none from a misspelt name."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"""(["'])(?:(?!\1)[^\\]|\\.)*\1|`[^`]*`""")
_COMMENT = re.compile(r"#[^\n]*")
# Between these parentheses stand labels, and no metrics.
_GROUPING = re.compile(
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", re.IGNORECASE
)
_SELECTOR = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)?\s*\{(?P<labels>[^}]*)\}")
_PRESENT = re.compile(r"([A-Za-z_]\w*)\s*=~?")
_RANGE = re.compile(r"\[[^\]]*\]")
_BARE = re.compile(r"(?<![\w.:])[A-Za-z_:][\w:]*(?![\w:]|\s*\()")
_EITHER = re.compile(r"\bor\b", re.IGNORECASE)
_KEYWORDS = "and or unless by without on ignoring group_left group_right bool offset inf nan atan2"
_WORDS = frozenset(_KEYWORDS.split())


def controls(query: str) -> tuple[str, ...]:
    """Return one query for each selector of `query`, which counts all series of its name that have
    the labels it asks for, whatever their values: nothing counted means that one is misspelt, or
    that nobody scrapes them.

    None for a query in which no selector is found, like `vector(0)`.
    """
    text = _COMMENT.sub(" ", _QUOTED.sub('""', query))
    found: dict[str, None] = {}
    for selector in _SELECTOR.finditer(text):
        labels = dict.fromkeys(_PRESENT.findall(selector["labels"]))
        labels.pop("__name__", None)
        asked = ",".join(f'{label}!=""' for label in labels)
        if selector["name"] or asked:
            found[f"count({selector['name'] or ''}{{{asked}}})"] = None
    rest = _RANGE.sub(" ", _GROUPING.sub(" ", _SELECTOR.sub(" ", text)))
    for name in _BARE.findall(rest):
        if name.lower() not in _WORDS:
            found[f"count({name}{{}})"] = None
    if found and _EITHER.search(rest):
        # Of what may be the one or the other, one that is known is enough.
        return (" or ".join(found),)
    return tuple(found)
