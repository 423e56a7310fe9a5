"""A train's progress for a person: the ledger's records as they come, one line each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TextIO

from include.rehearsal.rehearsal import Rehearsed


class Timeline:
    """Prints what a person wants to follow; records of mere bookkeeping are left out."""

    QUIET = (
        "step.began",
        "gate.",
        "notice.",
        "release.branch_chosen",
        "release.change_opened",
        "change.scheduled",
        "staging.began",
        "permit.held",
        "schema.migrating",
        "deploy.switch_began",
    )
    SAYS_NO = (".rejected", ".cancelled", ".rolled_back")

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begin = time.monotonic()
        self._colour = bool(stream.isatty())
        self._asked: set[tuple[str, int]] = set()

    def title(self, service: str, version: str, strategy: str, url: str) -> None:
        """Say what is about to happen, and where to watch it."""
        self._begin = time.monotonic()
        self._print("")
        self._print(f"  {service} {version} — a whole release train, in rehearsal ({strategy})")
        self._print(f"  watch it: {url}")
        self._print("")

    def record(self, content: Mapping[str, Any]) -> None:
        """Show one record."""
        event = str(content["event"])
        if event.startswith(self.QUIET):
            return
        mark, code = {
            "success": ("✓", "32"),
            "failure": ("✗", "31"),
            "denied": ("⊘", "31"),
        }.get(str(content["outcome"]), ("?", "33"))
        if event.endswith(".asked"):
            mark, code = "…", "36"
        elif event.endswith(self.SAYS_NO):
            # It was recorded well, but nobody reads a tick beside "rejected" as that.
            mark, code = "✗", "31"
        passed = int(time.monotonic() - self._begin)
        stamp = f"{passed // 60:02d}:{passed % 60:02d}"
        phase = _phase(content)
        self._print(f"  {stamp}  {self._paint(mark, code)} {phase:<15} {content['message']}")

    def leave_to_people(self, task_id: str, question: Mapping[str, Any]) -> None:
        """Show once where a person has to answer."""
        instance = question["task_instance"]
        key = (str(instance["task_id"]), int(instance["map_index"]))
        if key not in self._asked:
            self._asked.add(key)
            who = question["who"]
            asked = f"{who.name} ({who.user})" if who is not None else "nobody can answer"
            self._print(f"         ? {'answer needed':<15} {question['subject']} — {asked}")
            self._print(f"           {'':<15} {question['url']}")

    def end(self, ended: Rehearsed, version: str) -> None:
        """Say how it ended."""
        good = ended.outcome == "released" and ended.served_version == version
        self._print("")
        word = self._paint(ended.outcome.replace("_", " "), "32" if good else "31")
        self._print(f"  {ended.release}: {word} after {ended.seconds:.0f} s — {ended.message}")
        self._print(f"  people are served {ended.served_version or 'nothing'}")
        records = f"--release {ended.release}" if ended.planned else "--event release.refused"
        self._print(f"  the record: ./hims audit list {records}")
        self._print("")

    def _paint(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def _phase(content: Mapping[str, Any]) -> str:
    task = str(content["source"].get("task_id") or "")
    return (task.split(".")[0] or "ledger").replace("_", " ")
