"""The readable page of a pack: plain HTML without a script, everything in it escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #1c1e21; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; overflow-wrap: anywhere;
         border-bottom: 1px solid #ddd }
th { background: #f4f5f7 } code { font-size: .85em } .bad { color: #b00020; font-weight: 600 }
"""


def render(pack: Mapping[str, Any], chapters: Mapping[str, Any]) -> str:
    """Return the page: `pack` is the list of files' head, `chapters` the parts by their name."""
    standing_out = exceptions(chapters)
    body = [
        f"<h1>Evidence pack: {escape(str(pack['id']))}</h1>",
        _facts(
            {
                "About": f"{pack['kind']} {pack['id']}",
                "Records": f"{pack['records']}, from {pack['from']} to {pack['to']}",
                "Ledger": f"{pack['origin']}, head of {pack['head']['size']} records, "
                f"root {pack['head']['root']}, signed {pack['head']['time']}",
                "Keys": ", ".join(pack["keys"]),
            }
        ),
        "<p>Verify with <code>python3 -I verify.py</code> in the unpacked directory, or "
        "<code>python3 -I verify.py PACK.zip</code>; it needs no network. Compare the key with the "
        "one that is published.</p>",
        "<h2>Exceptions</h2>",
        _items(standing_out) if standing_out else "<p>None.</p>",
        _table("Population: what was deployed to production", chapters["population"], (
            "id", "service", "version", "staged_at", "release", "change", "permit", "exceptions",
        )),
        *[_change(change) for change in chapters["changes"]],
        _table("Votes and decisions", chapters["votes"], (
            "seq", "time", "event", "outcome", "by", "auth", "meaning", "message",
        )),
        _table("Gates, backups and permits", chapters["gates"], (
            "seq", "time", "event", "outcome", "by", "message",
        )),
        _table("Evidence", chapters["evidence"], ("seq", "uri", "sha256", "status", "file")),
        _table("Deployment and rollback log", chapters["deployment"], (
            "seq", "time", "event", "outcome", "by", "message",
        )),
        _table("Notices", chapters["notices"], (
            "created_at", "severity", "title", "text", "exceptions",
        )),
        _table("Controls", chapters["controls"], (
            "feature", "records", "hipaa", "nist", "soc2", "part11",
        )),
    ]  # fmt: skip
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(str(pack['id']))}: evidence</title><style>{_STYLE}</style></head>\n<body>"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def exceptions(chapters: Mapping[str, Any]) -> list[str]:
    """Return, in sentences, what an auditor will ask about first."""
    words = {
        "no_change": "was deployed without a change",
        "no_permit": "was deployed without a permit",
        "gone": "is gone",
        "not_recorded": "is not what its record says",
        "release_not_recorded": "belongs to a release that is not what its record says",
        "permit_not_recorded": "was deployed with a permit that is not what its record says",
    }
    found = [
        f"Deployment {row['id']}: {row['service']} {row['version']} {words[item]}"
        for row in chapters["population"]
        for item in row["exceptions"]
    ]
    for change in chapters["changes"]:
        found += [f"Change {change['id']} {words[item]}" for item in change["exceptions"]]
        found += [
            f"Revision {revision['number']} of change {change['id']} {words[item]}"
            for revision in change["revisions"]
            for item in revision["exceptions"]
        ]
    found += [
        f"Notice {row['id']} of {row['created_at']} {words[item]}"
        for row in chapters["notices"]
        for item in row["exceptions"]
    ]
    shown = {
        row["row"]
        for row in (
            *chapters["population"],
            *chapters["changes"],
            *(revision for change in chapters["changes"] for revision in change["revisions"]),
            *chapters["notices"],
        )
    }
    found += [
        f"{row['row']}, of which record {row['seq']} speaks, {words[item]}"
        for row in chapters["rows"]
        for item in row["exceptions"]
        if row["row"] not in shown
    ]
    found += [
        f"Record {item['seq']}: {item['message']}"
        for item in chapters["evidence"]
        if item["status"] in ("missing", "differs")
    ]
    found += [
        f"No record in this pack speaks for: {row['feature']}"
        for row in chapters["controls"]
        if not row["records"]
    ]
    return found


def _change(change: Mapping[str, Any]) -> str:
    parts = [
        f"<h2>Change {escape(change['id'])}: {escape(change['title'])}</h2>",
        _facts({name: change[name] for name in ("type", "requester", "release", "content_hash")}),
    ]
    for revision in change["revisions"]:
        parts.append(
            f"<h3>Revision {revision['number']} by {escape(revision['author'])}, "
            f"{escape(revision['created_at'])}</h3>"
            + _facts(revision["difference"] or revision["content"])
        )
    return "\n".join(parts)


def _table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2><p>None.</p>"
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>\n{lines}</table>"


def _facts(facts: Mapping[str, Any]) -> str:
    lines = "\n".join(
        f"<tr><th>{escape(str(name))}</th><td>{_cell(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table>{lines}</table>"


def _items(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f'<li class="bad">{escape(line)}</li>' for line in lines) + "</ul>"


def _cell(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "—"
    if isinstance(value, list | tuple) and all(isinstance(item, str | int) for item in value):
        return escape(", ".join(str(item) for item in value))
    if isinstance(value, dict | list):
        return f"<code>{escape(json.dumps(value, ensure_ascii=False, sort_keys=True))}</code>"
    return escape(str(value))
