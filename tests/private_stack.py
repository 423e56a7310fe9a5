"""A configuration for a stack of a test's own: another state directory, free ports."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import socket
from pathlib import Path
from typing import Any

import yaml

from include.settings import ROOT, Settings, load_settings

# Each of several workers has a range of its own, below the ports that the system gives to
# connections by itself: none is lost to one of them before it is used.
_RANGE = 2_000
_LOW = 12_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10 * _RANGE
_ports = itertools.cycle(random.sample(range(_LOW, _LOW + _RANGE), _RANGE))


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody listens on now, all different from those given lately."""
    found: list[int] = []
    for port in itertools.islice(_ports, _RANGE):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports are left")


def private_settings(home: Path) -> Settings:
    """Copy config/ into `home` with state below `home` and ports of its own, and load it."""
    directory = home / "config"
    shutil.copytree(ROOT / "config", directory)
    overall = _read(directory / "global.yaml")
    overall["state_dir"] = str(home / "run")
    overall["ports"] = dict(zip(overall["ports"], free_ports(len(overall["ports"])), strict=True))
    overall.pop("ui_url", None)
    _write(directory / "global.yaml", overall)
    for path in (directory / "services").glob("*.yaml"):
        service = _read(path)
        repository = service["repository"]
        repository["path"] = str(home / "repositories" / Path(repository["path"]).name)
        for placement in service["environments"].values():
            if "ports" in placement:
                names = ("frontend", "blue", "green")
                placement["ports"] = dict(zip(names, free_ports(3), strict=True))
        _write(path, service)
    return load_settings(directory)


def _read(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
