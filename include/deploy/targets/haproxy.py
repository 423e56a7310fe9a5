"""HAProxy's runtime API, spoken over its admin port on loopback.

Source: HAProxy 2.8 management guide, section 9.3. An empty reply means success, so whoever changes
something reads it back.
"""

from __future__ import annotations

import csv
import io
import socket

from include.errors import TargetError

HOST = "127.0.0.1"
_LARGEST_REPLY = 4_000_000


class HaproxyAdmin:
    """The admin port of one running HAProxy."""

    def __init__(self, port: int, *, timeout: float = 3.0) -> None:
        self._port = port
        self._timeout = timeout

    def ask(self, command: str) -> str:
        """Return the reply to one command (several are joined by `;`).

        Raises TargetError when nobody answers.
        """
        reply = bytearray()
        try:
            with socket.create_connection((HOST, self._port), timeout=self._timeout) as connection:
                connection.sendall(command.encode() + b"\n")
                while part := connection.recv(65536):
                    reply += part
                    if len(reply) > _LARGEST_REPLY:
                        break
        except OSError as error:
            raise TargetError(
                f"the load balancer does not answer on {HOST}:{self._port} ({error}); "
                "`./hims status` says whether it runs"
            ) from error
        return reply.decode(errors="replace").strip()

    def weights(self, backend: str) -> dict[str, int]:
        """Return the weight, 0 to 256, of each server of a backend at one moment.

        One command: asked one by one, two answers could stand on either side of a switch and
        together say what never was.
        """
        _, _, text = self.ask(f"show servers state {backend}").partition("# ")
        rows = csv.DictReader(io.StringIO(text), delimiter=" ")
        found = {row.get("srv_name"): row.get("srv_uweight") for row in rows}
        weights = {str(name): int(word) for name, word in found.items() if word and word.isdigit()}
        if not weights or len(weights) != len(found):
            raise TargetError(f"the load balancer says nothing of {backend} that is understood")
        return weights

    def set_weights(self, backend: str, weights: dict[str, int]) -> None:
        """Set the weights of several servers; those that rise first, so that one always serves."""
        rising = sorted(weights.items(), key=lambda item: -item[1])
        commands = [f"set server {backend}/{server} weight {weight}" for server, weight in rising]
        reply = self.ask(";".join(commands))
        if reply:
            raise TargetError(f"the load balancer refused {commands}: {' '.join(reply.split())}")

    def is_up(self, backend: str, server: str) -> bool:
        """Say whether the last readiness check of a server was good."""
        return self.server(backend, server).get("check_status", "").removeprefix("* ") == "L7OK"

    def server(self, backend: str, server: str) -> dict[str, str]:
        """Return a server's line of `show stat` by column name."""
        # By type and not by name: a frontend of the same name would be taken for the backend.
        text = self.ask("show stat -1 4 -1").removeprefix("# ")
        for row in csv.DictReader(io.StringIO(text)):
            if (row.get("pxname"), row.get("svname")) == (backend, server):
                return row
        raise TargetError(f"the load balancer knows no {backend}/{server}")
