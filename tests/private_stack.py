"""A configuration for a stack of a test's own: another state directory, free ports."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from include.settings import ROOT, Settings, load_settings

# Below the ports that the system gives to connections by itself: none is lost to one of them before
# it is used.
_LOW, _HIGH = 12_000, 32_000
# Nobody listens here, and nobody is going to.
_CLOSED = range(11_900, 12_000)


class Ports:
    """Ports of a range, each given once: a stack may begin to listen long after it was made, and
    the service of another must not stand there by then."""

    def __init__(self, numbers: range) -> None:
        self._left = iter(random.sample(numbers, len(numbers)))

    def take(self, count: int) -> list[int]:
        """Return loopback ports that nobody listens on now."""
        found: list[int] = []
        for port in self._left:
            if _is_free(port):
                found.append(port)
            if len(found) == count:
                return found
        raise AssertionError("no free ports are left")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _mine() -> range:
    """Return this worker's share of the ports."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = (_HIGH - _LOW) // workers
    return range(_LOW + number * share, _LOW + (number + 1) * share)


_ports = Ports(_mine())


def private_settings(home: Path) -> Settings:
    """Copy config/ into `home` with state below `home` and ports of its own, and load it."""
    return _settings(home, _ports.take)


def paper_settings(home: Path) -> Settings:
    """Do the same for a test in which nothing listens."""
    closed = iter(_CLOSED)
    return _settings(home, lambda count: list(itertools.islice(closed, count)))


def _settings(home: Path, ports: Callable[[int], list[int]]) -> Settings:
    directory = home / "config"
    shutil.copytree(ROOT / "config", directory)
    overall = _read(directory / "global.yaml")
    overall["state_dir"] = str(home / "run")
    overall["ports"] = dict(zip(overall["ports"], ports(len(overall["ports"])), strict=True))
    overall.pop("ui_url", None)
    _write(directory / "global.yaml", overall)
    for path in (directory / "services").glob("*.yaml"):
        service = _read(path)
        repository = service["repository"]
        repository["path"] = str(home / "repositories" / Path(repository["path"]).name)
        for placement in service["environments"].values():
            if "ports" in placement:
                names = ("frontend", "blue", "green")
                placement["ports"] = dict(zip(names, ports(3), strict=True))
        _write(path, service)
    return load_settings(directory)


def _read(path: Path) -> dict[str, Any]:
    document = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    assert isinstance(document, dict)
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False)
    path.write_text(text, encoding="utf-8")
