"""One release train in rehearsal, from the trigger to the last word.

The timeline is the ledger's: every line that is shown is a record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Row

from include.deploy.smoke import request
from include.deploy.targets.factory import open_target
from include.errors import LedgerError, StackError
from include.ledger import Ledger, schema
from include.rehearsal.cast import Cast
from include.settings import Settings

POLL_SECONDS = 0.5

# (task id, question) → option and comment; None leaves the question to people. The question is
# Airflow's, with `url` (where it is answered) and `who` (the person we would ask) added.
Answers = Callable[[str, Mapping[str, Any]], tuple[str, str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How a rehearsal ended."""

    release: str
    outcome: str
    message: str
    planned: bool  # no release is, where the train refuses the request
    run_id: str
    run_url: str
    served_version: str | None
    seconds: float
    steps: tuple[Mapping[str, Any], ...]


def of_train(record: Mapping[str, Any], run_id: str) -> bool:
    """Return whether a record tells of the train that runs as `run_id`.

    Other trains run, and are refused, beside it. What people, commands and other Dags do to its
    release bears no train's run, and belongs to it.
    """
    source = record["source"]
    return bool(source.get("dag_id") != "release_train" or source.get("run_id") == run_id)


class Rehearsal:
    """Drives one train; `say` takes one line per record, `wait` what people are asked."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        cast: Cast,
        *,
        say: Callable[[Mapping[str, Any]], None],
        answers: Answers,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.cast = cast
        self.say = say
        self.answers = answers
        self._seen = 0
        self._answered: set[tuple[str, int]] = set()

    def start(self, conf: Mapping[str, Any]) -> str:
        """Start the train as the release manager and return its run id."""
        self._seen = self._newest()
        return self.cast.session(self.cast.release_manager().user).trigger(conf)

    def follow(self, release: str, run_id: str, *, limit: float = 1800) -> Rehearsed:
        """Follow the run to its end, answering what `answers` answers."""
        begin = time.monotonic()
        manager = self.cast.session(self.cast.release_manager().user)
        state = "queued"
        while state not in ("success", "failed"):
            if time.monotonic() - begin > limit:
                raise StackError(f"{release} has not ended after {limit:.0f} s; see {run_id}")
            time.sleep(POLL_SECONDS)
            try:
                self._show(release, run_id)
                state = manager.run_state(run_id)
                for question in manager.questions(run_id):
                    self._answer(run_id, question)
            except (LedgerError, StackError):
                # The stack may be restarting under us; the train goes on, and so do we.
                time.sleep(1)
        self._show(release, run_id)
        return self._ended(release, run_id, time.monotonic() - begin)

    def _answer(self, run_id: str, question: Mapping[str, Any]) -> None:
        instance = question["task_instance"]
        key = (str(instance["task_id"]), int(instance["map_index"]))
        if key in self._answered or instance["state"] != "awaiting_input":
            return
        person = self.cast.respondent(question, datetime.now(UTC))
        answer = self.answers(key[0], {**question, "url": self._url(run_id, *key), "who": person})
        if answer is None or person is None:
            return
        response = self.cast.session(person.user).answer(run_id, *key, *answer)
        if response.status_code in (200, 409):
            self._answered.add(key)

    def _url(self, run_id: str, task_id: str, map_index: int) -> str:
        return self.settings.task_url("release_train", run_id, task_id, map_index)

    def _newest(self) -> int:
        table = schema.record
        with self.ledger.read() as connection:
            newest = connection.execute(
                select(table.c.seq).order_by(table.c.seq.desc()).limit(1)
            ).scalar()
        return int(newest or 0)

    def _show(self, release: str, run_id: str) -> None:
        table = schema.record
        with self.ledger.read() as connection:
            rows = connection.execute(
                select(table.c.seq, table.c.body)
                .where(table.c.seq > self._seen)
                .where((table.c.release == release) | (table.c.event == "release.refused"))
                .order_by(table.c.seq)
            ).all()
        for row in rows:
            self._seen = int(row.seq)
            content = json.loads(row.body)
            if of_train(content, run_id):
                self.say(content)

    def _ended(self, release: str, run_id: str, seconds: float) -> Rehearsed:
        table = schema.release
        with self.ledger.read() as connection:
            row = connection.execute(
                select(table).where(table.c.id == release, table.c.run_id == run_id)
            ).first()
            steps = connection.execute(
                select(schema.step)
                .where(schema.step.c.release_id == release)
                .where(schema.step.c.attempt == (row.attempt if row else 0))
                .order_by(schema.step.c.started_at)
            ).all()
        return Rehearsed(
            release=release,
            outcome=str(row.state) if row is not None and row.state != "running" else "failed",
            message=self._last_word(row, run_id),
            planned=row is not None,
            run_id=run_id,
            run_url=self.settings.run_url("release_train", run_id),
            served_version=self._served(release.rpartition("-")[0]),
            seconds=round(seconds, 1),
            steps=tuple(
                {
                    "name": step.name,
                    "start": step.started_at,
                    "end": step.finished_at,
                    "verdict": {"done": "go", "failed": "no_go"}.get(step.state, "inconclusive"),
                }
                for step in steps
            ),
        )

    def _last_word(self, row: Row[Any] | None, run_id: str) -> str:
        """Return why it ended as it did, or why the run planned nothing."""
        if row is not None:
            return str(row.message or "the run ended without the train's last word; see its tasks")
        for refusal in self.ledger.records(event="release.refused"):
            content = json.loads(refusal["body"])
            if content["source"].get("run_id") == run_id:
                return str(content["message"])
        return "no release was planned"

    def _served(self, service: str) -> str | None:
        """Return the version that people get, asked as they would ask."""
        definition = self.settings.service(service)
        target = open_target(definition, "production", self.settings)
        answer = request(target.frontend() + definition.checks.version)
        try:
            return str(json.loads(answer.body)["version"])
        except (ValueError, KeyError, TypeError):
            return None
