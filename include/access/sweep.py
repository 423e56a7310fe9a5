"""What Airflow's event log knows and the ledger does not: acts by hand that nobody recorded.

The api-server records every write that goes through it. It does not see Airflow's command line, an
api-server that ran without our plugin, or one that was killed between a write and its record. So
Airflow's own log is read through its REST API, and each act by hand that no record answers to is
added, with its outcome unknown: the log does not say whether an attempt was let through.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from include.instants import format_instant, parse_instant
from include.ledger import Actor, Ledger, Outcome, Source, Subject
from include.people import People
from include.releases.interventions import explain

# How far apart the clocks and a slow write may put an event and its record.
CLOSE = timedelta(minutes=1)
# Looked at again each time: a transaction of Airflow's may become visible late.
OVERLAP = timedelta(minutes=10)
FIRST_LOOK = timedelta(days=1)

# Recorded elsewhere (votes, releases), or nothing that changes a release.
_ELSEWHERE = frozenset(
    {
        "update_hitl_detail",
        "trigger_dag_run",
        "get_task_instances_batch",
        "get_list_dag_runs_batch",
        "favorite_dag",
        "unfavorite_dag",
    }
)
# Of the command line: parts that start, and looks.
_NO_ACTS = frozenset(
    f"cli_{name}"
    for name in (
        "scheduler", "api_server", "dag_processor", "triggerer", "standalone", "check", "checkdb",
        "migratedb", "kerberos", "celery_worker",
    )
)  # fmt: skip
_METHODS = ("POST", "PATCH", "PUT", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One line of Airflow's event log."""

    id: int
    event: str
    owner: str
    when: datetime
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    extra: Mapping[str, Any]

    @property
    def by_hand(self) -> bool:
        """Return whether somebody changed something: through the API, or on the command line."""
        if self.event in _ELSEWHERE or self.event in _NO_ACTS:
            return False
        return self.event.startswith("cli_") or self.extra.get("method") in _METHODS


class EventLog(Protocol):
    """Airflow's event log."""

    def event_logs(self, after: datetime) -> Sequence[Mapping[str, Any]]:
        """Return the lines after an instant as the API gives them, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many lines were looked at, and which were added to the ledger."""

    seen: int
    added: tuple[LogEvent, ...]
    cut: bool


def sweep(
    ledger: Ledger, log: EventLog, people: People, actor: Actor, source: Source, now: datetime
) -> Swept:
    """Add what the ledger lacks; asked again, it adds nothing twice."""
    last = _last(ledger)
    looked = parse_instant(str(last["until"])) if last else None
    after = (looked - OVERLAP) if looked is not None else now - FIRST_LOOK
    events = [item for line in log.event_logs(after) if (item := read_event(line)) is not None]
    newest = max((item.id for item in events), default=int(last.get("newest", 0)))
    # Numbers only grow: one that is lower now is another log than the one we knew.
    cut = bool(events) and newest < int(last.get("newest", 0))
    records = [json.loads(row["body"]) for row in ledger.records(since=after - CLOSE)]
    missing = unseen([item for item in events if item.by_hand], records)
    if missing or cut or last == {} or now - (looked or now) >= OVERLAP * 6:
        with ledger.write(actor, source, now) as unit:
            for item in missing:
                found = explain(unit.connection, [_touched(item)])
                unit.append(
                    "api_write.found",
                    Subject(kind="airflow", id=f"event {item.id}"),
                    outcome=Outcome.UNKNOWN,
                    reason="not_recorded_by_us",
                    message=_message(item, people),
                    release=found.release,
                    change=found.change,
                    details={
                        "event_log_id": item.id,
                        "event": item.event,
                        "when": format_instant(item.when),
                        "tasks": list(found.tasks),
                        "extra": json.dumps(dict(item.extra), sort_keys=True)[:2000],
                    },
                    actor=_actor(item, people),
                )
            unit.append(
                "airflow.swept",
                Subject(kind="airflow", id="event log"),
                outcome=Outcome.UNKNOWN if cut else Outcome.SUCCESS,
                reason="log_was_cut" if cut else "done",
                message=f"{len(events)} lines of Airflow's event log, {len(missing)} acts added"
                + ("; the log is not the one that it was: older lines are gone" if cut else ""),
                details={"until": format_instant(now), "newest": newest, "added": len(missing)},
            )
    return Swept(seen=len(events), added=tuple(missing), cut=cut)


def unseen(events: Iterable[LogEvent], records: Sequence[Mapping[str, Any]]) -> list[LogEvent]:
    """Return the events to which no record answers; each record answers to one event at most."""
    known = {
        item["details"]["event_log_id"]
        for item in records
        if item["event"] == "api_write.found" and "event_log_id" in item.get("details", {})
    }
    free = [
        (item, datetime.fromisoformat(item["time"]))
        for item in records
        if item["event"] in ("api_write.requested", "api_write.denied")
    ]
    missing = []
    for event in sorted(events, key=lambda item: (item.when, item.id)):
        if event.id in known:
            continue
        # The nearest of those that fit: two clears in a row have a record each.
        fitting = [
            (abs(time - event.when), index)
            for index, (record, time) in enumerate(free)
            if abs(time - event.when) <= CLOSE and _answers(record, event)
        ]
        if fitting:
            free.pop(min(fitting)[1])
        else:
            missing.append(event)
    return missing


def read_event(line: Mapping[str, Any]) -> LogEvent | None:
    """Return a line of the API's answer, None for one that names nobody and nothing."""
    try:
        extra = json.loads(line.get("extra") or "{}")
    except (ValueError, RecursionError):
        extra = {"text": str(line.get("extra"))[:500]}
    index = line.get("map_index")
    return LogEvent(
        id=int(line["event_log_id"]),
        event=str(line.get("event") or ""),
        owner=str(line.get("owner") or "unknown"),
        when=parse_instant(str(line["when"])),
        dag_id=line.get("dag_id"),
        run_id=line.get("run_id"),
        task_id=line.get("task_id"),
        map_index=index if isinstance(index, int) and index >= 0 else None,
        extra=extra if isinstance(extra, dict) else {"value": str(extra)[:500]},
    )


def _answers(record: Mapping[str, Any], event: LogEvent) -> bool:
    if event.event.startswith("cli_") or record["actor"]["user"] != event.owner:
        return False
    source = record["source"]
    return (
        all(
            source.get(name) in (None, value)
            for name, value in (("dag_id", event.dag_id), ("run_id", event.run_id))
        )
        and source.get("dag_id") == event.dag_id
    )


def _touched(event: LogEvent) -> dict[str, Any]:
    index = event.map_index
    if index is None and str(event.extra.get("map_index", "")).isdigit():
        index = int(event.extra["map_index"])
    found = {
        "dag_id": event.dag_id,
        "run_id": event.run_id,
        "task_id": event.task_id,
        "map_index": index,
        "state": event.extra.get("new_state"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _actor(event: LogEvent, people: People) -> Actor:
    person = people.find(event.owner)
    auth = "shell" if event.event.startswith("cli_") else "airflow-event-log"
    return Actor(user=event.owner, name=person.name if person else event.owner, auth=auth)


def _message(event: LogEvent, people: People) -> str:
    what = "/".join(part for part in (event.dag_id, event.run_id, event.task_id) if part)
    door = "on Airflow's command line" if event.event.startswith("cli_") else "through the API"
    return (
        f"{_actor(event, people).name} did {event.event} {what} {door} at "
        f"{format_instant(event.when)}; the ledger had no line of it, and how it ended is unknown"
    )[:2000]


def _last(ledger: Ledger) -> Mapping[str, Any]:
    rows = ledger.records(event="airflow.swept")
    found: Mapping[str, Any] = json.loads(rows[-1]["body"])["details"] if rows else {}
    return found
