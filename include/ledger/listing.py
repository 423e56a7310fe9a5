"""`./hims audit list`: the ledger's records, oldest first, for people and for programs.

People get one line per record under the day (UTC) on which it was written, with what an auditor
looks for below it: which tasks were cleared or forced by hand, what differs, which evidence there
is. Programs get every record as it is hashed, with its place and its leaf hash.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from include.errors import RequestError
from include.instants import format_instant, parse_instant
from include.ledger.connection import open_ledger
from include.output import print_json, print_line
from include.settings import load_settings

_MARKS = {"success": "✓", "failure": "✗", "denied": "⊘", "unknown": "?"}
_INDENT = " " * 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the filters; they are combined."""
    parser.add_argument("--release", help="only this release, like hims-api-2.3.0")
    parser.add_argument("--change", help="only this change, like CHG-000001")
    parser.add_argument(
        "--event", help="only this event, like permit.refused, or a whole family, like permit"
    )
    parser.add_argument("--actor", help="only this person or service, by sign-in, like sam")
    parser.add_argument(
        "--from", dest="since", metavar="T", help="from this instant, like 2026-11-28T07:00:00Z"
    )
    parser.add_argument("--to", dest="until", metavar="T", help="before this instant")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """List the records; exit status 1 when there are none."""
    since, until = (
        parse_instant(text) if text else None for text in (options.since, options.until)
    )
    if since is not None and until is not None and until < since:
        raise RequestError(
            f"--to {format_instant(until)} lies before --from {format_instant(since)}"
        )
    rows = open_ledger(load_settings()).records(
        release=options.release,
        change=options.change,
        event=options.event,
        actor=options.actor,
        since=since,
        until=until,
    )
    records = [_entry(row["seq"], row["body"], row["leaf_hash"]) for row in rows]
    if options.json:
        print_json({"records": records})
    else:
        for line in lines(records):
            print_line(line)
    return 0 if records else 1


def lines(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what people read: days, records, and how many of them ended how."""
    if not records:
        yield "no records"
        return
    day = ""
    for record in records:
        when = datetime.fromisoformat(record["time"])
        if day != (day := f"{when:%A} {when.day} {when:%B %Y}"):
            yield f"{day} (UTC)"
        yield (
            f"{record['seq']:>7}  {when:%H:%M:%S}  {_MARKS[record['outcome']]} "
            f"{record['event']:<24} {record['message']}  — {_who(record)}"
        )
        for detail in _below(record):
            yield f"{_INDENT}{detail}"
    counted = Counter(record["outcome"] for record in records)
    shares = ", ".join(f"{counted[name]} {name}" for name in _MARKS if counted[name])
    noun = "record" if len(records) == 1 else "records"
    yield f"{len(records)} {noun}: {shares}"


def _who(record: Mapping[str, Any]) -> str:
    actor, source = record["actor"], record["source"]
    name = actor["name"] if actor["name"] in actor["user"] else f"{actor['name']} {actor['user']}"
    task = source.get("task_id") if source["kind"] == "dag" else None
    account = f" as {source['account']}" if source.get("account") else ""
    return f"{name} ({actor['auth']}), {task or source['kind']}{account}"


def _below(record: Mapping[str, Any]) -> Iterator[str]:
    details = record.get("details", {})
    for task in details.get("tasks", ()):
        yield f"→ {task_text(task)}"
    if record["outcome"] != "success" and record["reason"] != record["outcome"]:
        yield f"because: {record['reason']}"
    for name, change in record.get("difference", {}).items():
        if isinstance(change, Mapping) and {"from", "to"} <= set(change):
            yield f"{name}: {_short(change['from'])} → {_short(change['to'])}"
    for item in record.get("evidence", ()):
        yield f"evidence: {item.get('uri', '?')} {item.get('sha256', '')[:19]}"


def task_text(task: Mapping[str, Any]) -> str:
    """Return one task of an act by hand in words: Dag, run, task, map index, whose vote it is."""
    index = task.get("map_index")
    mapped = f"[{index}]" if index is not None else ""
    seat = f", {task['seat'].replace('_', ' ')}’s vote" if task.get("seat") else ""
    state = f" → {task['state']}" if task.get("state") else ""
    where = " · ".join(str(task[name]) for name in ("dag_id", "run_id") if task.get(name))
    return f"{task.get('task_id') or 'the whole run'}{mapped}{seat}{state}  ({where})"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _entry(seq: int, body: str, leaf: bytes) -> dict[str, Any]:
    content = json.loads(body)
    return {"seq": seq, **content, "leaf_hash": "sha256:" + bytes(leaf).hex()}
