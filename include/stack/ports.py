"""Loopback ports: who wants which, and who holds one that is taken."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from include.errors import StackError
from include.settings import Settings
from include.stack.processes import process_table

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortClaim:
    """A port that configuration gives to a component; `key` says where."""

    port: int
    component: str
    file: str
    key: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}"


def port_claims(settings: Settings) -> tuple[PortClaim, ...]:
    """Return every port that the configuration gives away.

    Raises StackError when two components are given the same one.
    """
    ports = settings.overall.ports
    overall = settings.label("global.yaml")
    claims = [
        PortClaim(port=number, component=component, file=overall, key=f"ports.{key}")
        for key, component, number in (
            ("airflow", "airflow-api-server", ports.airflow),
            ("postgres", "postgres", ports.postgres),
            ("haproxy_admin", "haproxy", ports.haproxy_admin),
            ("haproxy_metrics", "haproxy", ports.haproxy_metrics),
            ("worker_logs", "airflow-scheduler", ports.worker_logs),
            ("trigger_logs", "airflow-triggerer", ports.trigger_logs),
        )
    ]
    for name in settings.services:
        for environment, placement in sorted(settings.service(name).environments.items()):
            if placement.target != "local" or placement.ports is None:
                continue
            file = settings.label(f"services/{name}.yaml")
            key = f"environments.{environment}.ports"
            slot = f"slot-{name}-{environment}"
            for colour, component, number in (
                ("frontend", "haproxy", placement.ports.frontend),
                ("blue", f"{slot}-blue", placement.ports.blue),
                ("green", f"{slot}-green", placement.ports.green),
            ):
                claims.append(
                    PortClaim(port=number, component=component, file=file, key=f"{key}.{colour}")
                )
    _refuse_double(claims)
    return tuple(claims)


def _refuse_double(claims: Iterable[PortClaim]) -> None:
    first: dict[int, PortClaim] = {}
    for claim in claims:
        other = first.setdefault(claim.port, claim)
        if other is not claim:
            raise StackError(
                f"port {claim.port} is given twice: {other}, and {claim}; give one another port"
            )


def refuse_taken(claims: Iterable[PortClaim]) -> None:
    """Raise StackError if a port is taken, with the key that names it and who holds it."""
    taken = [claim for claim in claims if not is_free(claim.port)]
    if not taken:
        return
    lines = [
        f"port {claim.port} ({claim}, for {claim.component}) is taken{_held_by(claim.port)}"
        for claim in taken
    ]
    raise StackError("; ".join(lines) + ". Stop what holds it, or change the key")


def is_free(port: int) -> bool:
    """Say whether something could listen on the loopback port now."""
    with socket.socket() as probe:
        # Without this, connections of a former listener that still linger would count as one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _held_by(port: int) -> str:
    holder = holder_of(port)
    return f' by "{holder[1]}" (pid {holder[0]})' if holder else ""


def holder_of(port: int) -> tuple[int, str] | None:
    """Return pid and command of the process that listens on `port`, None if it can't be seen."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for pid in process_table():
        if any(link in wanted for link in _open_files(pid)):
            try:
                raw = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                raw = b""
            return pid, _one_line(raw.decode(errors="replace"))[:80]
    return None


def _one_line(text: str) -> str:
    """Return `text` fit for a message: another program's words may hold anything."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _open_files(pid: int) -> Iterator[str]:
    with suppress(OSError):  # another user's process, or one that has just ended
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                yield str(entry.readlink())


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(fields[9])
    return inodes


def host() -> str:
    """Return the name under which Airflow's parts know this machine: loopback."""
    return HOST
