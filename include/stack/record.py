"""What the supervisor says about itself and its children, in one file that others read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from include.durable import read_json, write_json
from include.errors import StackError
from include.stack.layout import Layout
from include.stack.processes import Identity, alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One component; `begun` is the instant of its start in seconds since the epoch.

    `state` is waiting, starting, running, failing, stopped or (a step that ends) done; `failures`
    counts ends since it was last healthy.
    """

    name: str
    state: str
    message: str = ""
    identity: Identity | None = None
    port: int | None = None
    begun: float = 0.0
    failures: int = 0
    fingerprint: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRecord:
    """The whole stack as its supervisor last saw it; `failure` is why it gave up."""

    supervisor: Identity | None = None
    phase: str = "stopped"
    failure: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def supervised(self) -> bool:
        """Say whether the supervisor that wrote this still lives."""
        return alive(self.supervisor)

    def identities(self) -> list[Identity]:
        """Return every process that is on record."""
        found = [entry.identity for entry in self.entries.values() if entry.identity]
        return [*found, self.supervisor] if self.supervisor else found

    def stopped(self) -> StackRecord:
        """Return the record of the same components with nothing running."""
        entries = {
            name: Entry(name=name, state="stopped", port=entry.port, required=entry.required)
            for name, entry in self.entries.items()
        }
        return StackRecord(entries=entries)


def read_record(layout: Layout) -> StackRecord:
    """Return the record; an empty one where there is none or it can't be made sense of.

    Nothing depends on it alone: processes are also found by their marker.
    """
    try:
        document = read_json(layout.record)
        return StackRecord() if document is None else _parse(document)
    except (StackError, KeyError, TypeError, ValueError, AttributeError):
        return StackRecord()


def write_record(layout: Layout, record: StackRecord) -> None:
    """Replace the record."""
    write_json(layout.record, _document(record))


def _document(record: StackRecord) -> dict[str, Any]:
    return {
        "supervisor": _identity_document(record.supervisor),
        "phase": record.phase,
        "failure": record.failure,
        "components": [
            {
                "name": entry.name,
                "state": entry.state,
                "message": entry.message,
                "process": _identity_document(entry.identity),
                "port": entry.port,
                "begun": entry.begun,
                "failures": entry.failures,
                "fingerprint": entry.fingerprint,
                "required": entry.required,
            }
            for entry in record.entries.values()
        ],
    }


def _parse(document: dict[str, Any]) -> StackRecord:
    entries = [
        Entry(
            name=str(item["name"]),
            state=str(item["state"]),
            message=str(item["message"]),
            identity=_identity(item["process"]),
            port=item["port"],
            begun=float(item["begun"]),
            failures=int(item["failures"]),
            fingerprint=str(item["fingerprint"]),
            required=bool(item["required"]),
        )
        for item in document["components"]
    ]
    return StackRecord(
        supervisor=_identity(document["supervisor"]),
        phase=str(document["phase"]),
        failure=str(document["failure"]),
        entries={entry.name: entry for entry in entries},
    )


def _identity_document(identity: Identity | None) -> dict[str, int] | None:
    return {"pid": identity.pid, "started": identity.started} if identity else None


def _identity(document: dict[str, Any] | None) -> Identity | None:
    return Identity(int(document["pid"]), int(document["started"])) if document else None
