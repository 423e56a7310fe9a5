"""Delivery of ten thousand queued notices to Slack, against slack_sdk posting the same messages.

Both go to the same endpoint on this machine, which checks every message as Slack would. The peer
keeps nothing: no state, no record, no thread that shows where it stands.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slack_sdk import WebClient

from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.migrations import upgrade
from include.notices import Audience, Notice, Severity, queue
from include.notices.delivery import deliver_queued
from include.notices.notice import Standing
from include.notices.queue_state import anything_open
from include.notices.slack import SlackChannel
from include.output import print_progress
from tests.bench.figures import Figure
from tests.integration.conftest import OwnServer
from tests.integration.slack_sink import TOKEN, SlackSink

NOTICES = 10_000
IN_A_THREAD = 20
AT = datetime(2026, 11, 28, 7, tzinfo=UTC)
PHASES = ("planned", "code freeze", "in staging", "before the board", "deploying")


def figures(notices: int = NOTICES) -> list[Figure]:
    """Return what a queue of so many notices takes to be delivered."""
    with tempfile.TemporaryDirectory(prefix="bench-notices-") as scratch:
        home = Path(scratch) / "postgres"
        home.mkdir()
        own = OwnServer(home, fsync="on")
        try:
            own.start()
            own.server.create_role("ledger_owner")
            own.server.create_role("ledger_app")
            name = own.server.create_database(owner="ledger_owner")
            upgrade(own.server.url(name, "ledger_owner"), app_role="ledger_app")
            return list(_measured(Ledger(own.server.url(name, "ledger_app"), keep=2), notices))
        finally:
            own.remove()


def _measured(ledger: Ledger, notices: int) -> Iterator[Figure]:
    _fill(ledger, notices)
    print_progress(f"delivering {notices:,} notices")
    with SlackSink() as slack:
        channel = SlackChannel(_client(slack), "#releases")
        begin = time.perf_counter()
        at = AT
        while anything_open(ledger):
            deliver_queued(ledger, {"slack": channel}, at, limit=1000, budget=600)
            at += timedelta(seconds=1)
        ours = time.perf_counter() - begin
        taken = [message.get("posted", message) for message in slack.taken]
        edits = slack.edits
    if len(taken) != notices:
        raise RuntimeError(f"{len(taken)} messages arrived, not {notices}")
    peer = _posted(taken)
    yield Figure(
        name=f"deliver {notices:,} notices to Slack",
        ours=ours,
        peer=peer,
        note=(
            f"{notices / ours:.0f} a second, and {edits} summaries shown; "
            f"slack_sdk alone posts {notices / peer:.0f} a second"
        ),
    )


def _posted(messages: Sequence[Mapping[str, Any]]) -> float:
    """Return how long slack_sdk alone takes for the same messages, threads and all."""
    with SlackSink() as slack:
        client = _client(slack)
        roots: dict[str, str] = {}
        begin = time.perf_counter()
        for message in messages:
            said = {key: value for key, value in message.items() if key != "ts"}
            if "thread_ts" in said:
                said["thread_ts"] = roots[said["thread_ts"]]
            answer = client.chat_postMessage(**said)
            if "thread_ts" not in said:
                roots[message["ts"]] = str(answer["ts"])
        return time.perf_counter() - begin


def _client(slack: SlackSink) -> WebClient:
    return WebClient(token=TOKEN, base_url=slack.url, retry_handlers=[])


def _fill(ledger: Ledger, notices: int) -> None:
    """Queue threads of some notices each, as that many releases at once would."""
    about = Subject(kind="outbox", id="notices")
    for first in range(0, notices, 500):
        with ledger.write(Actor.service("bench"), Source(kind="cli"), AT) as unit:
            unit.append("bench.queued", about, message="queued")
            for number in range(first, min(first + 500, notices)):
                queue(unit, _notice(number))


def _notice(number: int) -> Notice:
    thread, place = f"hims-api-{1 + number // IN_A_THREAD}.0.0", number % IN_A_THREAD
    phase = PHASES[place * len(PHASES) // IN_A_THREAD]
    return Notice(
        event="phase.began",
        thread=thread,
        audience=Audience.TEAM,
        severity=Severity.INFO,
        title=f"{thread}: {phase}, step {place}",
        text="What happened is said in one or two sentences; what to do about it, too.",
        fields={"Version": thread, "Window": "Sat 28 Nov 2026 02:00–04:00 EST (07:00–09:00 UTC)"},
        dedupe_key=f"bench|{number}",
        link="http://localhost:8080/dags/release_train/runs/manual/required_actions",
        standing=Standing(phase=phase, next="Sat 28 Nov 2026 02:00 EST (07:00 UTC)"),
    )
