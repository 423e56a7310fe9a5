"""Ports: each is claimed once, and a taken one is an error that says what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from include.errors import StackError
from include.settings import Settings, load_settings
from include.stack.ports import PortClaim, holder_of, is_free, port_claims, refuse_taken


def claim(port: int) -> PortClaim:
    return PortClaim(port=port, component="haproxy", file="config/global.yaml", key="ports.some")


def test_a_taken_port_names_its_key_and_who_holds_it() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StackError) as caught:
            refuse_taken([claim(port)])
    text = str(caught.value)
    assert f"port {port}" in text
    assert "config/global.yaml: ports.some" in text
    assert f"(pid {os.getpid()})" in text


def test_who_holds_a_port_is_named_on_one_line_without_control_characters() -> None:
    script = (
        "#\n#\033[31m\nimport socket, sys\nholder = socket.socket()\n"
        "holder.bind(('127.0.0.1', 0))\nholder.listen()\n"
        "print(holder.getsockname()[1], flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        held = holder_of(int(process.stdout.readline()))
        assert process.stdin is not None
        process.stdin.close()
    assert held is not None
    pid, command = held
    assert pid == process.pid
    assert command.startswith(sys.executable)
    assert command.isprintable()


def test_a_port_that_is_taken_on_all_addresses_is_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))  # noqa: S104
        holder.listen()
        assert not is_free(holder.getsockname()[1])


def test_a_free_port_is_free_and_held_by_nobody() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert is_free(port)
    assert holder_of(port) is None
    refuse_taken([claim(port)])


def test_every_configured_port_is_claimed_under_its_key(settings: Settings) -> None:
    claims = {one.port: one for one in port_claims(settings)}
    ports = settings.overall.ports
    assert claims[ports.postgres].key == "ports.postgres"
    assert claims[ports.airflow].component == "airflow-api-server"
    placement = settings.service("hims-api").environments["production"]
    assert placement.ports
    green = claims[placement.ports.green]
    assert green.key == "environments.production.ports.green"
    assert green.file.endswith("services/hims-api.yaml")
    assert green.component == "slot-hims-api-production-green"
    assert claims[placement.ports.frontend].component == "haproxy"


def test_a_port_that_is_given_twice_is_refused_with_both_keys(settings: Settings) -> None:
    path = settings.directory / "global.yaml"
    document = yaml.safe_load(path.read_text())
    document["ports"]["postgres"] = document["ports"]["airflow"]
    Path(path).write_text(yaml.safe_dump(document))
    with pytest.raises(StackError, match=r"ports\.airflow.*ports\.postgres"):
        port_claims(load_settings(settings.directory))
