"""Slack's documented limits, written down once more and apart from the code that keeps them.

https://docs.slack.dev/reference/block-kit/blocks and …/block-elements/button-element; lengths are
counted in UTF-16 units, the strictest reading.
"""

from __future__ import annotations

import re
from typing import Any

# Of a `&` that begins no entity, and of any `<` or `>`, Slack makes markup.
MARKUP = re.compile(r"[<>]|&(?!(?:amp|lt|gt);)")
TEXT_LIMIT = 40_000
ALLOWED = {
    "header": {"type", "text", "block_id"},
    "section": {"type", "text", "fields", "accessory", "block_id", "expand"},
    "actions": {"type", "elements", "block_id"},
    "context": {"type", "elements", "block_id"},
}


def length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def problems(message: dict[str, Any]) -> list[str]:
    """Return everything that Slack would refuse in a message, or make markup of."""
    found: list[str] = []
    text = message.get("text", "")
    if length(text) > TEXT_LIMIT:
        found.append("text is too long")
    if not text and not message.get("blocks"):
        found.append("no_text")
    if MARKUP.search(text):
        found.append("text holds markup")
    blocks = message.get("blocks", [])
    if len(blocks) > 50:
        found.append("more than 50 blocks")
    for index, block in enumerate(blocks):
        found += [f"block {index}: {said}" for said in _block(block)]
    return found


def _block(block: dict[str, Any]) -> list[str]:
    kind = block.get("type")
    if kind not in ALLOWED:
        return [f"unknown type {kind}"]
    found = [f"unknown key {key}" for key in set(block) - ALLOWED[kind]]
    if kind == "header":
        found += _text(block["text"], 150, kinds=("plain_text",))
    if kind == "section":
        if "text" not in block and not block.get("fields"):
            found.append("neither text nor fields")
        if "text" in block:
            found += _text(block["text"], 3000)
        if len(block.get("fields", [])) > 10:
            found.append("more than 10 fields")
        for item in block.get("fields", []):
            found += _text(item, 2000)
    if kind == "context":
        if not 1 <= len(block["elements"]) <= 10:
            found.append("not 1 to 10 elements")
        for item in block["elements"]:
            found += _text(item, 3000)
    if kind == "actions":
        if not 1 <= len(block["elements"]) <= 25:
            found.append("not 1 to 25 elements")
        names = [item.get("action_id") for item in block["elements"]]
        if len(set(names)) != len(names):
            found.append("two elements share an action_id")
        for item in block["elements"]:
            found += _button(item)
    return found


def _button(item: dict[str, Any]) -> list[str]:
    if item.get("type") != "button":
        return [f"unknown element {item.get('type')}"]
    found = _text(item["text"], 75, kinds=("plain_text",))
    if length(item.get("url", "")) > 3000:
        found.append("url is too long")
    if not re.match(r"https?://[^\s]+$", item.get("url", "http://x")):
        found.append("url is none")
    if length(item.get("action_id", "")) > 255:
        found.append("action_id is too long")
    if item.get("style", "primary") not in ("primary", "danger"):
        found.append("unknown style")
    return found


def _text(
    item: dict[str, Any], limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")
) -> list[str]:
    found = []
    if item.get("type") not in kinds:
        found.append(f"text of type {item.get('type')}")
    text = item.get("text", "")
    if not 1 <= length(text) <= limit:
        found.append(f"text of {length(text)} characters, 1 to {limit} are allowed")
    if MARKUP.search(text):
        found.append("text holds markup")
    return found
