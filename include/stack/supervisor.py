"""The daemon behind `./hims up`: starts everything, keeps it running, ends it in order.

One per state directory, by a lock that it holds as long as it lives. It writes what it sees to the
record, from which `up` and `status` read. Killed outright, it leaves its children running; its
successor takes over those that still are what they should be and ends the rest.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from include.durable import try_lock
from include.errors import ReleaseControlError, StackError
from include.people import load_people
from include.settings import Settings, load_settings
from include.stack.airflow import PARTS, Airflow
from include.stack.child import Child
from include.stack.component import Component
from include.stack.haproxy import haproxy_component
from include.stack.health_watch import HealthWatch, Watched
from include.stack.layout import Layout
from include.stack.ledger_sweep import LedgerSweep
from include.stack.logs import log_names, rotate, trim
from include.stack.node_agent import NodeAgent
from include.stack.ports import port_claims, refuse_taken
from include.stack.postgres import PostgresServer
from include.stack.processes import Identity, belonging, family, identify
from include.stack.record import Entry, StackRecord, read_record, write_record
from include.stack.secrets import ensure_secrets
from include.stack.shutdown import stop_everything

# Airflow itself calls a part unhealthy after 20 to 30 s without a heartbeat. One that has served
# and is still silent then may never notice that its database came back; a start may be slow.
HUNG_AFTER = 45.0
STARTS_WITHIN = 120.0
_TICK = 0.08
_TRIM_EVERY = 5.0
_PAUSE_AFTER_TROUBLE = 2.0


class Supervisor:
    """Everything that runs in one state directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._layout = Layout(settings.state_dir)
        self._stopping = threading.Event()
        self._children: dict[str, Child] = {}
        self._factories: dict[str, Callable[[], Component]] = {}
        self._needs: dict[str, tuple[str, ...]] = {}
        self._prepared = False
        self._told: StackRecord | None = None
        self._self = _identity_of_this_process()

    def run(self) -> int:
        """Supervise until told to stop; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        previous = read_record(self._layout)
        # On record at once: whoever looks knows that the stack has a master again.
        write_record(self._layout, replace(previous, supervisor=self._self, phase="starting"))
        try:
            self._set_up(previous)
        except ReleaseControlError as error:
            _say(f"giving up: {error}")
            failed = replace(previous, supervisor=self._self, phase="failed", failure=str(error))
            write_record(self._layout, failed)
            return 1
        self._watch.start()
        self._sweep.start()
        next_trim = 0.0
        while not self._stopping.is_set():
            try:
                self._tick()
                if time.monotonic() >= next_trim:
                    for name in log_names(self._layout):
                        trim(self._layout.log(name))
                    next_trim = time.monotonic() + _TRIM_EVERY
            except Exception:
                # Whatever it is (a full disk, say), everything else has to be kept running.
                _say(traceback.format_exc())
                self._stopping.wait(_PAUSE_AFTER_TROUBLE)
            self._stopping.wait(_TICK)
        return self._shut_down()

    def _set_up(self, previous: StackRecord) -> None:
        self._server = PostgresServer(self._settings)
        self._server.refuse_without_passwords()
        people = [person.user for person in load_people(self._settings).people]
        secrets = ensure_secrets(self._settings, people=people)
        claims = port_claims(self._settings)
        self._airflow = Airflow(self._settings, secrets)
        self._agent = NodeAgent(self._settings, secrets)
        self._watch = HealthWatch(self._settings, secrets, self._airflow.address)
        self._sweep = LedgerSweep(self._settings, secrets, _say)
        self._define()
        self._adopt(previous)
        self._clear_strays(previous)
        adopted = {name for name, child in self._children.items() if child.runs}
        adopted |= {slot.name for slot in self._agent.slots if slot.child.runs}
        # The two log servers belong to parts that may be adopted; they are claimed like all others.
        refuse_taken(claim for claim in claims if claim.component not in adopted)
        for name in self._children:
            if name not in adopted:
                rotate(self._layout.log(name))
        self._server.initialise(secrets, _say)

    def _define(self) -> None:
        airflow = {component.name: component for component in self._airflow.components()}
        self._add("postgres", self._start_postgres)
        self._add("haproxy", lambda: haproxy_component(self._settings))
        self._add("prepare", self._prepare, needs=("postgres",))
        for name in PARTS:
            component = airflow[name]
            self._add(name, partial(_same, component), needs=component.needs)

    def _add(
        self, name: str, factory: Callable[[], Component], *, needs: tuple[str, ...] = ()
    ) -> None:
        self._children[name] = Child(name, self._layout)
        self._factories[name] = factory
        self._needs[name] = needs

    def _start_postgres(self) -> Component:
        self._server.clear_stale()
        return self._server.component()

    def _prepare(self) -> Component:
        return Component(
            name="prepare",
            argv=(sys.executable, "-m", "include.stack.prepare"),
            environment=self._airflow.environment(),
            directory=self._layout.airflow,
        )

    def _adopt(self, previous: StackRecord) -> None:
        for name, child in self._children.items():
            entry = previous.entries.get(name)
            if name == "prepare" or entry is None or entry.identity is None:
                continue
            if identify(entry.identity.pid) != entry.identity:
                continue
            component = self._server.component() if name == "postgres" else self._factories[name]()
            if component.fingerprint == entry.fingerprint:
                _say(f"{name}: taken over (pid {entry.identity.pid})")
                child.adopt(component, entry.identity, entry.begun)
        living = {
            name: entry
            for name, entry in previous.entries.items()
            if entry.identity and identify(entry.identity.pid) == entry.identity
        }
        self._agent.adopt(living)

    def _clear_strays(self, previous: StackRecord) -> None:
        """End every process of this state directory that nobody here has taken over."""
        kept = set()
        for child in self._everyone():
            if child.identity:
                kept |= family(child.identity)
        data = self._server.data
        strays = belonging(self._layout.root, previous.identities(), data_dir=data) - kept
        if strays:
            _say(f"ending {len(strays)} processes that a former supervisor left behind")
            stop_everything(self._layout, previous, spare=kept)

    def _everyone(self) -> list[Child]:
        return [*self._children.values(), *(slot.child for slot in self._agent.slots)]

    def _tick(self) -> None:
        self._poll()
        problems = self._problems()
        for name, child in self._children.items():
            ready = all(self._met(need, problems) for need in self._needs[name])
            if child.may_start and ready and not (name == "prepare" and self._prepared):
                self._start(name, child)
        self._agent.tick(database_ready=problems["postgres"] is None)
        for child in self._everyone():
            if child.runs and problems.get(child.name, "") is None:
                child.healthy()
        self._restart_hung()
        self._watch.look_at(self._targets())
        self._tell(problems)

    def _poll(self) -> None:
        for name, child in self._children.items():
            before = child.identity
            child.poll()
            if before and not child.runs:
                if name == "prepare" and child.status == 0:
                    self._prepared = True
                    self._sweep.databases_ready()
                    child.healthy()
                _say(f"{name}: {child.message or 'ended'}")

    def _met(self, need: str, problems: dict[str, str | None]) -> bool:
        return self._prepared if need == "prepare" else problems.get(need, "") is None

    def _start(self, name: str, child: Child) -> None:
        try:
            component = self._factories[name]()
        except (ReleaseControlError, OSError) as error:
            child.refuse(str(error))
            return
        child.start(component)
        _say(f"{name}: started" + (f" (pid {child.identity.pid})" if child.identity else ""))

    def _problems(self) -> dict[str, str | None]:
        """Return what is wrong with each running child, None for nothing."""
        return {
            child.name: self._watch.problem(child.name, child.identity)
            for child in self._everyone()
        }

    def _targets(self) -> list[Watched]:
        watched = [
            Watched(name=name, identity=child.identity, begun=child.begun)
            for name, child in self._children.items()
            if child.identity and name != "prepare"
        ]
        for slot in self._agent.slots:
            if slot.child.identity and slot.unit:
                identity, begun = slot.child.identity, slot.child.begun
                unit = slot.unit
                watched.append(Watched(slot.name, identity, begun, port=unit.port, path=unit.ready))
        return watched

    def _restart_hung(self) -> None:
        """End what has not answered for long although all it needs is there; it starts anew."""
        for name in (*PARTS, "haproxy"):
            child = self._children[name]
            if child.identity is None or child.ending:
                continue
            served = self._watch.has_served(name, child.identity)
            limit = HUNG_AFTER if served else STARTS_WITHIN
            if self._watch.silent_for(name, child.identity) > limit:
                _say(f"{name}: no sign of life for {limit:.0f} s, starting it anew")
                child.request_stop()

    def _tell(self, problems: dict[str, str | None]) -> None:
        record = StackRecord(
            supervisor=self._self,
            phase="running",
            entries=self._entries(problems),
        )
        if record != self._told:
            write_record(self._layout, record)
            self._told = record

    def _entries(self, problems: dict[str, str | None]) -> dict[str, Entry]:
        entries = {}
        for name, child in self._children.items():
            problem = problems.get(name)
            state = "waiting"
            if name == "prepare" and self._prepared:
                state = "done"
            elif child.failures:
                state = "failing"
            elif child.runs:
                state = "running" if problem is None else "starting"
            entries[name] = Entry(
                name=name,
                state=state,
                message=child.message or (problem or "" if child.runs else ""),
                identity=child.identity,
                port=child.component.port if child.component else None,
                begun=child.begun,
                failures=child.failures,
                fingerprint=child.component.fingerprint if child.component else "",
            )
        entries |= {entry.name: entry for entry in self._agent.entries(problems)}
        return entries

    def _shut_down(self) -> int:
        _say("stopping")
        record = self._told or StackRecord(supervisor=self._self)
        write_record(self._layout, replace(record, phase="stopping"))

        def reap() -> None:
            for child in self._everyone():
                child.reap()

        left = stop_everything(self._layout, record, spare=[self._self], reap=reap)
        write_record(self._layout, record.stopped())
        for one in left:
            _say(f"process {one.pid} can't be ended")
        _say("stopped")
        return 1 if left else 0


def _same(component: Component) -> Component:
    return component


def _identity_of_this_process() -> Identity:
    identity = identify(os.getpid())
    if identity is None:
        raise StackError("/proc is not mounted; the local stack needs Linux")
    return identity


def _say(text: str) -> None:
    # The daemon's log; it is the only reader of its standard output.
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z {text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run as the daemon of the configured state directory."""
    settings = load_settings()
    lock = try_lock(Layout(settings.state_dir).supervisor_lock)
    if lock is None:
        _say("another supervisor is at work")
        return 1
    try:
        return Supervisor(settings).run()
    except Exception:
        _say(traceback.format_exc())
        raise
    finally:
        os.close(lock)


if __name__ == "__main__":
    raise SystemExit(main())
