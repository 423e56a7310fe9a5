"""What people notice of a switch, a canary and a rollback, under a constant load of real clients.

Time from the first bad answer to the last request that the bad version served is held beside the
arithmetic of two other loops at the same interval: Flagger rolls back after `threshold` failed
checks (its documentation's example has 5), Argo Rollouts after a failed measurement at its default
`failureLimit` of 0. Both look once per interval.
"""

from __future__ import annotations

import http.client
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from include.deploy.targets.factory import open_target
from include.rehearsal.sample import add_work, next_version
from tests.bench.figures import Figure
from tests.e2e.station import Station

CLIENTS = 4
PATH = "/appointments?day=2026-12-01"
FLAGGER_THRESHOLD = 5


@dataclass
class Load:
    """What clients got; instants are by the monotonic clock."""

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, status: int, problem: str | None, at: float) -> None:
        """Count one request: 502 to 504 and no answer are the switch's, 500 is the version's."""
        with self.lock:
            self.requests += 1
            if problem is not None or status in (502, 503, 504):
                self.failed.append(problem or str(status))
            elif status == 500:
                self.bad.append(at)


@contextmanager
def load(url: str) -> Iterator[Load]:
    """Let clients ask as fast as they get answers, each over a connection that it keeps."""
    seen, over = Load(), threading.Event()
    place = urlsplit(url)

    def work() -> None:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        while not over.wait(0.02):
            try:
                connection.request("GET", PATH)
                answer = connection.getresponse()
                answer.read()
                seen.note(answer.status, None, time.monotonic())
            except (OSError, http.client.HTTPException) as error:
                seen.note(0, type(error).__name__, time.monotonic())
                connection.close()

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def figures() -> list[Figure]:
    """Run a blue-green release, a canary and a version that fails under load; count."""
    with tempfile.TemporaryDirectory(prefix="hims-switching-") as home:
        station = Station(Path(home))
        try:
            status, _, said = station.run("up")
            if status:
                raise RuntimeError(said)
            return [
                *_released(station, "blue_green", "a switch"),
                *_released(station, "canary", "a canary"),
                *_rolled_back(station),
            ]
        finally:
            station.stop()


def _front(station: Station) -> str:
    service = station.settings.service("hims-api")
    return open_target(service, "production", station.settings).frontend()


def _released(station: Station, strategy: str, name: str) -> list[Figure]:
    path = station.repository.path
    add_work(path)
    with load(_front(station)) as seen:
        ended = station.train(next_version(path), strategy=strategy)
    if ended.outcome != "released":
        raise RuntimeError(f"{strategy}: {ended.outcome}: {ended.message}")
    return [_failed(name, seen)]


def _rolled_back(station: Station) -> list[Figure]:
    path = station.repository.path
    add_work(path, fault="errors")
    with load(_front(station)) as seen:
        ended = station.train(next_version(path))
    if ended.outcome != "rolled_back" or not seen.bad:
        raise RuntimeError(f"errors: {ended.outcome}, {len(seen.bad)} bad answers")
    interval = station.settings.environment("rehearsal").watch.interval.total_seconds()
    return [
        _failed("a rollback (without the bad version's own errors)", seen),
        Figure(
            name="first bad answer to the last",
            ours=seen.bad[-1] - seen.bad[0],
            peer=FLAGGER_THRESHOLD * interval,
            times=1,
            note=f"beside Flagger's {FLAGGER_THRESHOLD} checks; Argo Rollouts' one measurement at "
            f"the same interval is {interval:.0f} s; {len(seen.bad)} bad answers",
        ),
    ]


def _failed(name: str, seen: Load) -> Figure:
    kinds = ", ".join(sorted(set(seen.failed)))
    return Figure(
        name=f"failed requests during {name}",
        ours=len(seen.failed),
        unit="",
        most=0,
        note=f"of {seen.requests:,} by {CLIENTS} clients" + (f": {kinds}" if kinds else ""),
    )
