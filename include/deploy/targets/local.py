"""The local target: slots are processes on this machine, behind a real HAProxy.

What it changes are files (see `SlotStore`), which the node agent in the stack's supervisor makes
true, and the weights in HAProxy, by its runtime API. A call that is killed at any point and made
again ends in the same state.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from include.deploy.target import Artefact, Colour, Health, Traffic
from include.deploy.targets.haproxy import HOST, HaproxyAdmin
from include.deploy.targets.slot_store import SlotStore, backend_name
from include.deploy.targets.slot_unit import SlotUnit, slot_name
from include.errors import FencedOff, TargetError
from include.services.service import Placement, Service, SlotPorts
from include.stack.layout import Layout
from include.stack.logs import tail
from include.stack.processes import process

_POLL = 0.05
_CRASHES = 3

# Several of the load balancer's checks, which come every half second.
_CHECKED_WITHIN = 3.0

# A switch is over within a millisecond; who still sees more than 100 % then sees what is.
_LOOKS = 20
_BETWEEN_LOOKS = 0.005


class LocalTarget:
    """One service in one environment of the local stack; see `Target` for what each call promises.

    `stage_timeout` and `retire_timeout` are seconds.
    """

    def __init__(
        self,
        service: Service,
        environment: str,
        state_dir: Path,
        admin_port: int,
        *,
        stage_timeout: float = 60.0,
        retire_timeout: float = 30.0,
    ) -> None:
        if environment not in service.environments:
            raise TargetError(f'{service.name} has no environment "{environment}"')
        placement = service.environments[environment]
        if placement.target != "local" or placement.ports is None:
            raise TargetError(f"{service.name} in {environment} is not on the local target")
        self._service = service
        self._environment = environment
        self._placement: Placement = placement
        self._ports: SlotPorts = placement.ports
        self._layout = Layout(state_dir)
        self._store = SlotStore(state_dir, service.name, environment)
        self._balancer = HaproxyAdmin(admin_port)
        self._backend = backend_name(service.name, environment)
        self._stage_timeout = stage_timeout
        self._retire_timeout = retire_timeout

    def staged(self, slot: Colour) -> Artefact | None:
        """Return what the slot holds, None when it is empty."""
        unit = self._store.unit(slot)
        return unit.artefact if unit else None

    def stage(self, artefact: Artefact, slot: Colour, fence: int) -> None:
        """Put `artefact` in the slot and start it; return once it says that it is this artefact.

        Raises TargetError when the file is not what its digest says, when the slot serves people,
        and, with the end of its log, when the process does not answer; FencedOff as `Target` says.
        """
        if artefact.service != self._service.name:
            raise TargetError(f"{artefact.service} can't be staged as {self._service.name}")
        with self._store.lock():
            stored = self._store.keep(artefact)
            self._store.advance(fence)
            wanted = self._unit(artefact, slot, fence, stored)
            present = self._store.unit(slot)
            if present is None or present.fingerprint != wanted.fingerprint:
                self._refuse_serving(slot, "staged over")
            if present != wanted:
                self._store.put_unit(wanted)
            self._store.forget_artefacts()
        self._wait(lambda: self._runs(wanted), self._stage_timeout, self._not_staged(wanted))

    def health(self, slot: Colour) -> Health:
        """Return how the slot is now."""
        checks = self._service.checks
        try:
            version = self._get_json(slot, checks.version)
            status, _ = self._get(slot, checks.ready)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return self._silent(slot, str(error))
        ready = status == 200
        return Health(
            running=True,
            ready=ready,
            message="ready" if ready else f"{checks.ready} answers {status}",
            version=_text(version, "version"),
            digest=_text(version, "digest"),
        )

    def address(self, slot: Colour) -> str:
        """Return the base URL that reaches this slot alone, past the load balancer."""
        return f"http://{HOST}:{self._port(slot)}"

    def frontend(self) -> str:
        """Return the base URL that people use."""
        return f"http://{HOST}:{self._ports.frontend}"

    def weights(self) -> dict[Colour, int]:
        """Return the share of traffic per slot in percent, read from the load balancer.

        What rises is set before what falls, in one message; whoever reads between the two sees
        more than 100 % and reads again. Only a state that stays is returned as it is.
        """
        for _ in range(_LOOKS):
            found = self._balancer.weights(self._backend)
            try:
                shares = {colour: found[str(colour)] for colour in Colour}
            except KeyError as error:
                raise TargetError(
                    f"the load balancer knows no server {error.args[0]!r} of {self._backend}; "
                    "`./hims up` starts it with both slots"
                ) from error
            if sum(shares.values()) <= 100:
                break
            time.sleep(_BETWEEN_LOOKS)
        return shares

    def set_weights(self, weights: Mapping[Colour, int], fence: int) -> None:
        """Set the shares and read them back; see `Target`.

        Raises TargetError, with nothing changed, where traffic would move from a slot that serves
        to one that is empty or that the load balancer does not find ready.
        """
        wanted = {colour: weights.get(colour, 0) for colour in Colour}
        if sum(wanted.values()) != 100 or min(wanted.values()) < 0:
            raise TargetError(f"shares must be 0 or more and add up to 100, not {_words(wanted)}")
        with self._store.lock():
            self._store.advance(fence)
            for colour, weight in wanted.items():
                if weight and self._store.unit(colour) is None:
                    raise TargetError(f"{self._name(colour)} is empty, it can't serve people")
            present = self.weights()
            if present == wanted == self._store.weights():
                return
            self._refuse_unready(present, wanted)
            # The file first: a load balancer that starts anew from here on takes the new shares.
            self._store.put_weights(wanted)
            self._balancer.set_weights(self._backend, {str(c): w for c, w in wanted.items()})
            found = self.weights()
        if found != wanted:
            raise TargetError(
                f"{self._backend}: the load balancer was given {_words(wanted)} and says "
                f"{_words(found)}"
            )

    def configuration(self, slot: Colour) -> Mapping[str, str]:
        """Return the settings that the slot runs with."""
        unit = self._store.unit(slot)
        return dict(unit.config) if unit else {}

    def traffic(self, slot: Colour) -> Traffic:
        """Return the load balancer's counters of the slot."""
        row = self._balancer.server(self._backend, slot)
        answered = sum(
            int(row.get(f"hrsp_{kind}") or 0)
            for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "other")
        )
        failed = int(row.get("econ") or 0) + int(row.get("eresp") or 0)
        return Traffic(
            requests=answered + failed,
            server_errors=int(row.get("hrsp_5xx") or 0),
            failed_connections=failed,
        )

    def retire(self, slot: Colour, fence: int) -> None:
        """Stop and empty a slot that has no traffic; return once its process has ended."""
        with self._store.lock():
            self._store.advance(fence)
            if self._store.unit(slot) is not None:
                self._refuse_serving(slot, "retired")
                self._store.remove_unit(slot)
            self._store.forget_artefacts()
        self._wait(lambda: self._is_gone(slot), self._retire_timeout, lambda: self._not_gone(slot))

    def _unit(self, artefact: Artefact, slot: Colour, fence: int, stored: Path) -> SlotUnit:
        port = self._port(slot)
        known = {
            "python": sys.executable,
            "version": artefact.version,
            "artefact": str(stored),
            "digest": artefact.digest,
            "port": str(port),
        }
        try:
            argv = tuple(word.format_map(known) for word in self._service.commands.run)
        except KeyError as error:
            raise TargetError(
                f"{self._service.name}: commands.run uses {{{error.args[0]}}}, which a slot on "
                "this machine does not have"
            ) from error
        return SlotUnit(
            service=self._service.name,
            environment=self._environment,
            colour=slot,
            version=artefact.version,
            digest=artefact.digest,
            origin=artefact.path.absolute(),
            stored=stored,
            argv=argv,
            port=port,
            ready=self._service.checks.ready,
            config=dict(self._placement.config),
            database=self._placement.database,
            fence=fence,
        )

    def _refuse_serving(self, slot: Colour, done: str) -> None:
        # The balancer and what it would start with again: whichever says that people are served.
        share = max(self.weights()[slot], self._store.weights()[slot])
        if share > 0:
            raise TargetError(
                f"{self._name(slot)} serves {share} % of the traffic and can't be {done}; "
                "move the traffic to the other slot first"
            )

    def _refuse_unready(self, present: Mapping[Colour, int], wanted: Mapping[Colour, int]) -> None:
        """Wait for the load balancer's next check of a slot that gets more; refuse if it fails.

        Where nothing serves as it is, the shares are set all the same: it does no harm and may be
        the remedy.
        """
        for colour in Colour:
            if wanted[colour] <= present[colour]:
                continue
            deadline = time.monotonic() + _CHECKED_WITHIN
            while not self._balancer.is_up(self._backend, colour):
                if time.monotonic() > deadline:
                    serving = present[colour.other] > 0
                    if serving and self._balancer.is_up(self._backend, colour.other):
                        raise TargetError(
                            f"{self._name(colour)} is not ready as the load balancer sees it, so "
                            f"the traffic stays where it is: {_words(present)}"
                        )
                    break
                time.sleep(_POLL)

    def _runs(self, unit: SlotUnit) -> bool:
        present = self._store.unit(unit.colour)
        if present is None or present.fingerprint != unit.fingerprint:
            if self._store.fence() > unit.fence:
                raise FencedOff(
                    f"{unit.name}: while {unit.version} was starting, a newer permit (fence "
                    f"{self._store.fence()}) has put something else there"
                )
            raise TargetError(f"{unit.name}: was changed by somebody else meanwhile")
        state = self._store.state(unit.colour)
        if state.get("unit") == unit.fingerprint and state.get("failures", 0) >= _CRASHES:
            raise TargetError(self._not_staged(unit)())
        if state.get("running") != unit.fingerprint:
            return False
        health = self.health(unit.colour)
        return health.version == unit.version and health.digest == unit.digest

    def _not_staged(self, unit: SlotUnit) -> Callable[[], str]:
        def explain() -> str:
            state = self._store.state(unit.colour)
            if state.get("unit") != unit.fingerprint:
                return (
                    f"{unit.name}: nobody takes notice of the new version; "
                    "`./hims status` says whether the supervisor runs"
                )
            health = self.health(unit.colour)
            said = f"version {health.version}, digest {health.digest}"
            why = said if health.version else state.get("message") or health.message
            lines = "\n".join(f"    {line}" for line in tail(self._layout.log(unit.name), 15))
            return f"{unit.name}: {unit.version} ({unit.digest}) does not run: {why}" + (
                f"\n  the end of its log:\n{lines}" if lines else ""
            )

        return explain

    def _is_gone(self, slot: Colour) -> bool:
        if self._store.state(slot):
            return False
        return not self.health(slot).running

    def _not_gone(self, slot: Colour) -> str:
        return (
            f"{self._name(slot)} does not end; `./hims status` says whether the supervisor, which "
            "has to end it, runs"
        )

    def _silent(self, slot: Colour, reason: str) -> Health:
        unit = self._store.unit(slot)
        pid = self._store.state(slot).get("pid")
        running = isinstance(pid, int) and process(pid) is not None
        if unit is None and not running:
            return Health(running=False, ready=False, message="empty")
        return Health(running=running, ready=False, message=f"does not answer ({reason})")

    def _wait(self, done: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TargetError(f"{explain()}\n  (waited {seconds:.0f} s)")
            time.sleep(_POLL)

    def _get_json(self, slot: Colour, path: str) -> Any:
        status, body = self._get(slot, path)
        if status != 200:
            message = f"{path} answers {status}"
            raise ValueError(message)
        return json.loads(body)

    def _get(self, slot: Colour, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self._port(slot), timeout=3)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read(100_000)
        finally:
            connection.close()

    def _port(self, slot: Colour) -> int:
        return self._ports.blue if slot is Colour.BLUE else self._ports.green

    def _name(self, slot: Colour) -> str:
        return slot_name(self._service.name, self._environment, slot)


def _text(document: Any, key: str) -> str | None:
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, str) else None


def _words(weights: Mapping[Colour, int]) -> str:
    return ", ".join(f"{colour} {weight}" for colour, weight in weights.items())
