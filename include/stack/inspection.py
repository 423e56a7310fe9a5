"""How the stack is at this moment, seen from outside: what `./hims status` says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from include.deploy.target import Colour
from include.deploy.targets.slot_store import SlotStore
from include.deploy.targets.slot_unit import slot_name
from include.settings import Settings
from include.stack.airflow import API_SERVER, PARTS, Airflow
from include.stack.health import ask_airflow, ask_haproxy, ask_postgres, ask_slot
from include.stack.layout import Layout
from include.stack.processes import alive
from include.stack.record import Entry, StackRecord, read_record
from include.stack.secrets import Secrets, load_secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentState:
    """One component: `state` is running, starting, failing, waiting, stopped, or empty (a slot)."""

    name: str
    state: str
    message: str = ""
    pid: int | None = None
    port: int | None = None
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """The whole stack; healthy when the supervisor and all that is required run and answer."""

    ui: str
    components: tuple[ComponentState, ...]

    @property
    def healthy(self) -> bool:
        """Say whether everything that people rely on is there."""
        return all(one.state == "running" for one in self.components if one.required)


def inspect(settings: Settings) -> StackState:
    """Ask every component itself; takes a moment, changes nothing."""
    layout = Layout(settings.state_dir)
    record = read_record(layout)
    secrets = load_secrets(layout.root)
    supervisor = ComponentState(
        name="supervisor",
        state="running" if record.supervised else "stopped",
        pid=record.supervisor.pid if record.supervisor and record.supervised else None,
    )
    parts = [_look(entry) for entry in _expected(settings, record)]
    if secrets is not None:
        parts = _ask(settings, secrets, record, parts)
    return StackState(ui=settings.ui_url, components=(supervisor, *parts))


def _expected(settings: Settings, record: StackRecord) -> list[Entry]:
    """Return an entry for everything that there should be, whether it was ever started or not."""
    ports = settings.overall.ports
    known = {"postgres": ports.postgres, "haproxy": ports.haproxy_admin, API_SERVER: ports.airflow}
    names = ["postgres", "haproxy", *PARTS]
    entries = [
        replace(record.entries.get(name, Entry(name=name, state="stopped")), port=known.get(name))
        for name in names
    ]
    for service in settings.services:
        for environment, placement in sorted(settings.service(service).environments.items()):
            if placement.target != "local" or placement.ports is None:
                continue
            store = SlotStore(settings.state_dir, service, environment)
            weights = store.weights()
            for colour in Colour:
                name = slot_name(service, environment, colour)
                port = placement.ports.blue if colour is Colour.BLUE else placement.ports.green
                entry = record.entries.get(name, Entry(name=name, state="empty"))
                if entry.identity is None and store.unit(colour) is None:
                    entry = replace(entry, state="empty")
                entries.append(replace(entry, port=port, required=weights[colour] > 0))
    return entries


def _look(entry: Entry) -> ComponentState:
    living = alive(entry.identity)
    state = entry.state
    if not living and state not in ("empty", "failing", "waiting"):
        state = "stopped"
    return ComponentState(
        name=entry.name,
        state=state,
        message=entry.message,
        pid=entry.identity.pid if entry.identity and living else None,
        port=entry.port,
        required=entry.required,
    )


def _ask(
    settings: Settings, secrets: Secrets, record: StackRecord, parts: list[ComponentState]
) -> list[ComponentState]:
    begun = {entry.name: entry.begun for entry in record.entries.values()}
    living = {part.name for part in parts if part.pid}
    problems: dict[str, str | None] = {}
    if "postgres" in living:
        problems["postgres"] = ask_postgres(settings, secrets)
    if "haproxy" in living:
        problems["haproxy"] = ask_haproxy(settings)
    if living & set(PARTS):
        problems |= ask_airflow(Airflow(settings, secrets).address, begun)
    for part in parts:
        if part.name.startswith("slot-") and part.pid and part.port:
            problems[part.name] = ask_slot(part.port, _ready_path(settings, part.name))
    return [_judged(part, problems) for part in parts]


def _judged(part: ComponentState, problems: dict[str, str | None]) -> ComponentState:
    if part.pid is None or part.name not in problems:
        return part
    problem = problems[part.name]
    if problem is None:
        return replace(part, state="running", message="")
    state = "starting" if part.state in ("starting", "waiting") else "failing"
    return replace(part, state=state, message=problem)


def _ready_path(settings: Settings, slot: str) -> str:
    for service in settings.services:
        if slot.startswith(f"slot-{service}-"):
            return settings.service(service).checks.ready
    return "/"
