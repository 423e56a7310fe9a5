"""What one request would change in Airflow, as far as its path and body say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.types import Scope

MAX_BODY = 1_000_000

# From the beginning: a variable may be called a/dags/b, and its body is a secret.
_DAG = re.compile(r"/api/v2/dags/(?P<dag>[^/]+)")
_RUN = re.compile(r"/dagRuns/(?P<run>[^/]+)")
_TASK = re.compile(r"/taskInstances/(?P<task>[^/]+)(?:/(?P<index>-?\d+))?")
_GROUP = re.compile(r"/taskGroupInstances/(?P<group>[^/]+)")
# What follows are whole paths with their methods: a run or task may be called `dry_run` or `list`,
# and what is done to it must not pass for a rehearsal or a look.
_RUNS = r"/api/v2/dags/[^/]+/dagRuns"
_TASKS = rf"{_RUNS}/[^/]+/taskInstances"
# Reading by POST, rehearsals, and what concerns only the reader's own screen and sign-in.
_HARMLESS = re.compile(
    rf"POST {_RUNS}/list|POST {_TASKS}/list"
    rf"|PATCH {_TASKS}/[^/]+(/-?\d+)?/dry_run"
    rf"|PATCH {_RUNS}/[^/]+/taskGroupInstances/[^/]+/dry_run"
    r"|POST /api/v2/backfills/dry_run"
    r"|POST /api/v2/dags/[^/]+/(un)?favorite|POST /ui/auth/token"
)
# These do nothing when their body says that it is a rehearsal.
_CLEARS = re.compile(
    rf"POST {_RUNS}/[^/]+/clear"
    r"|POST /api/v2/dags/[^/]+/clear(TaskInstances|DagRuns|Partitions)"
)
_ANSWER = re.compile(rf"PATCH {_TASKS}/[^/]+/-?\d+/hitlDetails")
_TRIGGER = re.compile(rf"POST {_RUNS}")
_SIGN_IN = re.compile(r"POST /auth/token(/cli|/login)?")
_XCOM = re.compile(rf"[A-Z]+ {_TASKS}/[^/]+/xcomEntries.*")


class Write:
    """One request that is neither GET nor HEAD nor OPTIONS."""

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.method = str(scope["method"])
        self.path = path_of(scope)
        self.request = f"{self.method} {self.path}"
        self.address = str((scope.get("client") or ("?",))[0])
        self.content = _json(body)
        dag = _DAG.match(self.path)
        run, task, group = (
            pattern.search(self.path) if dag else None for pattern in (_RUN, _TASK, _GROUP)
        )
        self.dag_id = dag["dag"] if dag else None
        self.run_id = run["run"] if run else self._text("dag_run_id") if dag else None
        self.task_id = task["task"] if task else None
        self.group_id = group["group"] if group else None
        self.map_index = int(task["index"]) if task and task["index"] else None

    @property
    def harmless(self) -> bool:
        """Return whether the request changes nothing that a release depends on."""
        if _HARMLESS.fullmatch(self.request):
            return True
        rehearsed = isinstance(self.content, dict) and self.content.get("dry_run") is True
        return rehearsed and _CLEARS.fullmatch(self.request) is not None

    @property
    def sign_in(self) -> bool:
        """Return whether somebody tries to sign in."""
        return _SIGN_IN.fullmatch(self.request) is not None

    @property
    def forcing(self) -> bool:
        """Return whether it changes something other than by answering a task or starting a run."""
        return not (_ANSWER.fullmatch(self.request) or _TRIGGER.fullmatch(self.request))

    def asked(self) -> Iterator[Mapping[str, Any]]:
        """Yield the task instances and runs that the request names."""
        state = self._text("new_state")
        if self.task_id:
            yield self._touch(self.task_id, self.map_index, state)
            return
        named = self.content.get("task_ids") if isinstance(self.content, dict) else None
        for item in named if isinstance(named, list) else ():
            if isinstance(item, str):
                yield self._touch(item, None, state)
            elif isinstance(item, list) and len(item) == 2:
                yield self._touch(item[0], item[1], state)
        for entity in self._entities():
            yield self._touch(
                entity.get("task_id"),
                entity.get("map_index"),
                entity.get("new_state") or entity.get("state"),
                entity,
            )
        if self.run_id and not named and not self.group_id and "taskInstances" not in self.path:
            yield self._touch(None, None, self._text("state"))

    def describe(self) -> str:
        """Return what it would do, in words, for the record's message."""
        what = "/".join(
            part for part in (self.dag_id, self.run_id, self.task_id or self.group_id) if part
        )
        # -1 is Airflow's word for a task that is not mapped.
        mapped = f"[{self.map_index}]" if self.map_index not in (None, -1) else ""
        state = self._text("new_state") or self._text("state")
        if _ANSWER.fullmatch(self.request):
            return f"answer {what}{mapped}"
        if _TRIGGER.fullmatch(self.request):
            return f"start a run of {what}"
        if _CLEARS.fullmatch(self.request):
            return f"clear tasks of {what}, so that they run again"
        if _XCOM.fullmatch(self.request):
            return f"{self.method} an XCom of {what}{mapped}"
        if state:
            return f"set {what}{mapped} to state {state[:40]}"
        if self.method == "DELETE" and self.run_id:
            return f"delete {what}{mapped}"
        return f"{self.method} {what or self.path}{mapped}"

    def details(self) -> dict[str, Any]:
        """Return what the record keeps of the request."""
        details: dict[str, Any] = {
            "method": self.method,
            "path": self.path[:500],
            "address": self.address,
        }
        # Bodies of connections and variables hold secrets: their path is enough.
        if self.dag_id and self.content is not None:
            details["body"] = json.dumps(self.content, sort_keys=True)[:2000]
        return details

    def _entities(self) -> Iterator[Mapping[str, Any]]:
        actions = self.content.get("actions") if isinstance(self.content, dict) else None
        for action in actions if self.dag_id and isinstance(actions, list) else ():
            entities = action.get("entities") if isinstance(action, dict) else None
            for entity in entities if isinstance(entities, list) else ():
                if isinstance(entity, dict):
                    yield entity
                elif isinstance(entity, str):
                    in_runs = "taskInstances" not in self.path
                    yield {"dag_run_id": entity} if in_runs else {"task_id": entity}

    def _touch(
        self, task: Any, index: Any, state: Any, entity: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        given = entity or {}
        found = {
            "dag_id": given.get("dag_id") or self.dag_id,
            "run_id": given.get("dag_run_id") or self.run_id,
            "task_id": task,
            "state": state,
        }
        texts = {name: value[:500] for name, value in found.items() if isinstance(value, str)}
        return texts | ({"map_index": index} if isinstance(index, int) else {})

    def _text(self, key: str) -> str | None:
        value = self.content.get(key) if isinstance(self.content, dict) else None
        return value if isinstance(value, str) and value else None


def path_of(scope: Scope) -> str:
    """Return the path below the prefix under which Airflow is served (`[api] base_url`)."""
    path, prefix = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body and len(body) <= MAX_BODY else None
    except (ValueError, RecursionError):
        return None
