"""`./hims notices`: what was said, to whom, and when it arrived."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from include.instants import format_instant
from include.ledger import Ledger
from include.ledger.connection import open_ledger
from include.ledger.record import storable
from include.ledger.schema import notice, notice_channel, notice_delivery
from include.output import print_json, print_line
from include.settings import load_settings

_SHOWN = (
    "id", "event", "thread", "audience", "people", "severity", "title", "text", "link",
    "created_at",
)  # fmt: skip
_ARRIVAL = (
    "channel", "state", "attempts", "delivered_at", "late", "last_error", "not_before",
)  # fmt: skip
_MARKS = {"delivered": "✓", "queued": "…", "sending": "…", "refused": "✗", "dropped": "-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `notices`."""
    parser.add_argument("--release", metavar="R", help="only this release, like hims-api-2.3.0")
    parser.add_argument("--change", metavar="C", help="only this change, like CHG-7")
    parser.add_argument("--event", metavar="E", help="only this event, like checkpoint.asks")
    parser.add_argument("--state", choices=sorted(_MARKS), help="only what is so somewhere")
    parser.add_argument(
        "--catalogue", action="store_true", help="every event there is, and who hears of it"
    )
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """List the notices, oldest first; exit status 1 when there are none."""
    if options.catalogue:
        return _catalogue(options.json)
    ledger = open_ledger(load_settings())
    thread = options.release or options.change
    notices = list_notices(ledger, thread=thread, event=options.event, state=options.state)
    channels = list_channels(ledger)
    if options.json:
        print_json({"notices": notices, "channels": channels})
        return 0 if notices else 1
    for item in notices:
        _print(item)
    for channel in channels:
        if channel["not_before"] is not None:
            print_line(
                f"{channel['channel']}: {channel['last_error']}; "
                f"tried again after {format_instant(channel['not_before'])}"
            )
    if not notices:
        print_line("no notices")
    return 0 if notices else 1


def list_notices(
    ledger: Ledger,
    *,
    thread: str | None = None,
    event: str | None = None,
    state: str | None = None,
) -> list[dict[str, Any]]:
    """Return the notices that meet every condition, oldest first, each with its deliveries.

    `state`, `channel`, `attempts`, `delivered_at` and `last_error` of the notice itself are those
    of the channel that has it furthest behind: a notice is `delivered` when it is everywhere.
    """
    query = select(*(notice.c[name] for name in _SHOWN)).order_by(notice.c.id)
    if thread is not None:
        query = query.where(notice.c.thread == storable(thread))
    if event is not None:
        query = query.where(notice.c.event == storable(event))
    table = notice_delivery
    arrivals = (
        select(table)
        .where(table.c.notice_id.in_(query.with_only_columns(notice.c.id).order_by(None)))
        .order_by(table.c.notice_id, table.c.channel)
    )
    found: dict[int, list[dict[str, Any]]] = {}
    with ledger.read() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
        for one in connection.execute(arrivals).mappings():
            shown: dict[str, Any] = {name: one[name] for name in _ARRIVAL}
            shown["channel"] = one["address"] or one["channel"]
            found.setdefault(one["notice_id"], []).append(shown)
    for row in rows:
        row["deliveries"] = found.get(row["id"], [])
        row |= _whole(row["deliveries"])
    return [row for row in rows if state is None or _has(row, state)]


def list_channels(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the channels that have failed, and until when they are left alone."""
    query = select(notice_channel).order_by(notice_channel.c.channel)
    with ledger.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _whole(deliveries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("state", "channel", "attempts", "delivered_at", "last_error")
    if not deliveries:
        return dict(zip(names, ("queued", None, 0, None, None), strict=True))
    order = ("queued", "sending", "refused", "delivered", "dropped")
    behind = min(deliveries, key=lambda one: order.index(one["state"]))
    return {name: behind[name] for name in names}


def _has(row: Mapping[str, Any], state: str) -> bool:
    states = {one["state"] for one in row["deliveries"]} or {"queued"}
    return state in states


def _print(item: Mapping[str, Any]) -> None:
    to = f" to {', '.join(item['people'])}" if item["people"] else ""
    print_line(
        f"{item['id']:>6}  {format_instant(item['created_at'])}  {_MARKS[item['state']]} "
        f"{item['audience']}{to}: {item['title']}"
    )
    for one in item["deliveries"] or [_whole([])]:
        print_line(f"{'':>8}{_MARKS[one['state']]} {_arrival(one)}")


def _arrival(one: Mapping[str, Any]) -> str:
    where = one["channel"] or "no channel yet"
    if one["delivered_at"] is not None:
        late = ", late" if one.get("late") else ""
        return f"{where} {format_instant(one['delivered_at'])}{late}"
    if one["state"] == "dropped":
        return f"{where}: not sent, {one['last_error']}"
    if one["attempts"]:
        return f"{where}: {one['attempts']} failed: {one['last_error']}"[:120]
    return f"{where}: {one['state']}"


def _catalogue(as_json: bool) -> int:
    from include.notices.catalogue import EVENTS

    if as_json:
        print_json({"events": [event.document() for event in EVENTS.values()]})
        return 0
    for event in EVENTS.values():
        print_line(
            f"{event.name:<24} {event.audience:<12} {event.severity:<9} {event.tells}"
            f"{' (reminder)' if event.reminder else ''}"
        )
    return 0
