"""Slack messages as their readers see them: blocks drawn as a page, for pictures and for eyes.

A likeness, not Slack: it shows text, fields, buttons and the order of a thread, no fonts or modes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_STYLE = """
body{margin:0;padding:22px 26px;background:#fff;color:#1d1c1d;width:640px;
font:15px/1.46 "Lato","DejaVu Sans",sans-serif}
.message{display:flex;gap:10px;padding:9px 0}.reply{margin-left:46px}
.face{flex:none;width:36px;height:36px;border-radius:6px;background:#0b5563;color:#fff;
font-weight:700;text-align:center;line-height:36px}
.body{min-width:0}.who{font-weight:800}.app{font-size:10px;background:#e8e8e8;border-radius:3px;
padding:1px 4px;margin-left:5px;color:#616061;font-weight:600}
h3{font-size:17px;margin:3px 0 6px}p{margin:0 0 8px;white-space:pre-wrap}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:6px 18px;margin:0 0 8px}
.fields div{white-space:pre-wrap;overflow-wrap:anywhere}
.button{display:inline-block;border:1px solid #bbb;border-radius:5px;padding:5px 12px;
font-weight:700;font-size:14px;margin:0 0 8px}
.primary{background:#007a5a;border-color:#007a5a;color:#fff}
.context{font-size:12px;color:#616061}
"""


def page(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return a page with the messages of one thread, the first of them its summary."""
    drawn = "".join(_message(message, reply=number > 0) for number, message in enumerate(messages))
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{drawn}"


def _message(message: Mapping[str, Any], *, reply: bool) -> str:
    blocks = "".join(_block(block) for block in message["blocks"])
    return (
        f'<div class="message{" reply" if reply else ""}"><div class="face">RC</div>'
        f'<div class="body"><span class="who">Release Control</span><span class="app">APP</span>'
        f"{blocks}</div></div>"
    )


def _block(block: Mapping[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{block['text']['text']}</h3>"
        case "section" if "fields" in block:
            cells = "".join(f"<div>{_marked(field['text'])}</div>" for field in block["fields"])
            return f'<div class="fields">{cells}</div>'
        case "section":
            return f"<p>{_marked(block['text']['text'])}</p>"
        case "actions":
            return "".join(
                f'<span class="button {item.get("style", "")}">{item["text"]["text"]}</span>'
                for item in block["elements"]
            )
        case _:
            said = " ".join(item["text"] for item in block["elements"])
            return f'<div class="context">{said}</div>'


def _marked(text: str) -> str:
    return re.sub(r"^\*(.*)\*$", r"<b>\1</b>", text, count=1, flags=re.MULTILINE)
