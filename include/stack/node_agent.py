"""Runs on each slot what its unit file says: the local stand-in for an orchestrator's agent.

It compares files with processes a dozen times a second and does the next step towards agreement.
It keeps nothing in memory that the files and the process table do not say, so it may die anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from include.deploy.target import Colour
from include.deploy.targets.slot_store import SlotStore
from include.deploy.targets.slot_unit import SlotUnit, slot_name
from include.errors import ReleaseControlError
from include.settings import Settings
from include.stack.child import Child
from include.stack.component import Component
from include.stack.environment import plain
from include.stack.layout import Layout
from include.stack.logs import rotate
from include.stack.record import Entry
from include.stack.secrets import Secrets, service_role


class Slot:
    """One slot: the file that says what to run, and the process that runs it."""

    def __init__(self, store: SlotStore, colour: Colour, layout: Layout) -> None:
        self.store = store
        self.colour = colour
        self.name = slot_name(store.service, store.environment, colour)
        self.child = Child(self.name, layout)
        self.unit: SlotUnit | None = None
        self.problem = ""
        self._stamp: tuple[int, int] | None = None
        self._told: dict[str, object] | None = None

    def read(self) -> None:
        """Take notice of a changed unit file; one that can't be read changes nothing."""
        path = self.store.directory / f"{self.colour}.json"
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            stamp = None
        if stamp == self._stamp:
            return
        try:
            self.unit = self.store.unit(self.colour)
            self.problem = ""
        except ReleaseControlError as error:
            self.problem = str(error)
        self._stamp = stamp

    def tell(self) -> None:
        """Say what runs in the slot, for whoever waits for it."""
        document: dict[str, object] | None = None
        if self.unit or self.child.runs or self.problem:
            identity, component = self.child.identity, self.child.component
            lasting = component is not None and identity is not None and not self.child.ending
            document = {
                "unit": self.unit.fingerprint if self.unit else None,
                "running": component.content if component and lasting else None,
                "pid": identity.pid if identity else None,
                "failures": self.child.failures,
                "message": self.problem or self.child.message,
            }
        if document != self._told:
            self.store.put_state(self.colour, document)
            self._told = document


class NodeAgent:
    """All slots of the services that are placed on this machine."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._layout = Layout(settings.state_dir)
        self._secrets = secrets
        self._port = settings.overall.ports.postgres
        self.slots = [
            Slot(SlotStore(settings.state_dir, name, environment), colour, self._layout)
            for name in settings.services
            for environment, placement in sorted(settings.service(name).environments.items())
            if placement.target == "local"
            for colour in Colour
        ]

    def adopt(self, entries: Mapping[str, Entry]) -> None:
        """Take over the slots' processes that an earlier supervisor started and that still fit."""
        for slot in self.slots:
            slot.read()
            entry = entries.get(slot.name)
            if slot.unit is None or entry is None or entry.identity is None:
                continue
            component = self._component(slot.unit)
            if component.fingerprint == entry.fingerprint:
                slot.child.adopt(component, entry.identity, entry.begun)

    def tick(self, *, database_ready: bool) -> None:
        """Do what can be done now towards every slot running what its unit says."""
        for slot in self.slots:
            slot.read()
            slot.child.poll()
            self._converge(slot, database_ready=database_ready)
            slot.tell()

    def _converge(self, slot: Slot, *, database_ready: bool) -> None:
        child, unit = slot.child, slot.unit
        if slot.problem:
            return
        if unit is None:
            child.request_stop()
            return
        running = child.component
        if child.runs:
            if running is None or running.content != unit.fingerprint:
                child.request_stop()
            return
        fresh = running is None or running.content != unit.fingerprint
        if (fresh or child.may_start) and (database_ready or not unit.database):
            if fresh:
                child.failures = 0
                child.message = ""
                rotate(self._layout.log(slot.name))
            child.start(self._component(unit))

    def _component(self, unit: SlotUnit) -> Component:
        work = self._layout.nodes / unit.environment / unit.service / "work" / unit.colour
        return Component(
            name=unit.name,
            argv=unit.argv,
            environment=self._environment(unit),
            directory=work,
            port=unit.port,
            content=unit.fingerprint,
        )

    def _environment(self, unit: SlotUnit) -> dict[str, str]:
        environment = plain(self._layout.root)
        environment["PYTHONUNBUFFERED"] = "1"
        environment["HIMS_VERSION"] = unit.version
        environment["HIMS_DIGEST"] = unit.digest
        for key, value in unit.config.items():
            environment[f"HIMS_{key.upper().replace('-', '_')}"] = value
        if unit.database:
            environment["DATABASE_URL"] = self._secrets.database_url(
                service_role(unit.service), unit.database, self._port
            )
        return environment

    def entries(self, problems: Mapping[str, str | None]) -> Iterable[Entry]:
        """Return what is to be recorded about the slots; `problems` is what they last answered."""
        for slot in self.slots:
            child, unit = slot.child, slot.unit
            if unit is None and not child.runs:
                yield Entry(name=slot.name, state="empty", required=False)
                continue
            answer = problems.get(slot.name, "not asked yet")
            state = "running" if child.runs and answer is None else "starting"
            if child.failures or (slot.problem and not child.runs):
                state = "failing"
            yield Entry(
                name=slot.name,
                state=state,
                message=slot.problem or child.message or answer or "",
                identity=child.identity,
                port=unit.port if unit else None,
                begun=child.begun,
                failures=child.failures,
                fingerprint=child.component.fingerprint if child.component else "",
                required=slot.store.weights()[slot.colour] > 0,
            )
