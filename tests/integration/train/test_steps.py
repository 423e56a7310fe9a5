"""The journal of a train: each step once, whatever dies in between, and never two at a time."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import insert

from include.errors import LedgerError, RecordMissing, RequestError, TargetError
from include.ledger import Unit, schema
from include.notices import texts
from include.releases.train import Done, Train, Withdrawn
from include.settings import ROOT
from tests.integration.conftest import PostgresServer
from tests.integration.train.paper import Station, note


@pytest.fixture
def train(station: Station) -> Train:
    return station.train()


def step(station: Station, name: str = "build") -> tuple[str, int] | None:
    """Return the state and the tries of a step."""
    rows = [row for row in station.rows(schema.step) if row.name == name]
    return (rows[0].state, rows[0].tries) if rows else None


def test_a_step_runs_once_and_says_what_it_said_then(station: Station, train: Train) -> None:
    runs = []

    def effect() -> Done:
        runs.append(1)
        return Done(message="built", result={"digest": "sha256:1"})

    first = train.step("build", "release.built", effect)
    again = train.step("build", "release.built", effect)
    assert len(runs) == 1
    assert (first.ok, first.message) == (True, "built")
    assert (again.ok, again.reason, again.result) == (True, "already_done", {"digest": "sha256:1"})
    assert train.result("build") == {"digest": "sha256:1"}
    assert train.has("build")
    own = [item["event"] for item in station.bodies() if item["subject"]["kind"] == "release"]
    assert own == ["release.planned", "step.began", "release.built"]
    assert station.bodies("release.built")[0]["details"] == {"digest": "sha256:1", "step": "build"}


def test_another_attempt_has_steps_of_its_own(station: Station, train: Train) -> None:
    note(train, "build", digest="sha256:1")
    second = station.train("run-2", states={"run-1": None})
    assert not second.has("build")
    note(second, "build", digest="sha256:2")
    assert second.result("build") == {"digest": "sha256:2"}


def test_what_depends_on_a_step_that_is_not_done_stops(train: Train) -> None:
    with pytest.raises(RecordMissing, match="no completed step build"):
        train.result("build")
    with pytest.raises(RecordMissing):
        train.done("build")
    train.step("build", "release.built", lambda: Done(ok=False, reason="no", message="no"))
    with pytest.raises(RecordMissing):
        train.result("build")
    assert not train.has("build")


def test_a_no_is_on_record_writes_no_state_and_may_be_asked_again(
    station: Station, train: Train
) -> None:
    def must_not_run(unit: Unit) -> None:
        raise AssertionError

    done = train.step(
        "build",
        "release.built",
        lambda: Done(ok=False, reason="tests_failed", message="2 failed", write=must_not_run),
    )
    assert not done.ok
    assert step(station) == ("failed", 1)
    (record,) = station.bodies("release.built")
    assert record["outcome"] == "failure"
    assert (record["reason"], record["message"]) == ("tests_failed", "2 failed")
    assert train.step("build", "release.built", lambda: Done(message="built")).ok
    assert step(station) == ("done", 2)
    assert station.bodies("step.began")[-1]["message"] == "build begins again (try 2)"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TargetError("slot blue does not answer"), "TargetError"),
        (RequestError("no such thing"), "RequestError"),
        (OSError(28, "No space left on device"), "OSError"),
        (KeyError("version"), "KeyError"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (RuntimeError("\x00 and \ud800"), "RuntimeError"),
    ],
)
def test_whatever_goes_wrong_is_recorded_and_raised_again(
    station: Station, train: Train, error: Exception, reason: str
) -> None:
    def effect() -> Done:
        raise error

    with pytest.raises(type(error)) as raised:
        train.step("build", "release.built", effect)
    assert raised.value is error
    assert step(station) == ("failed", 1)
    (record,) = station.bodies("release.built")
    assert (record["outcome"], record["reason"]) == ("failure", reason)
    assert record["message"]


def test_what_cannot_be_written_down_is_recorded_as_failed(station: Station, train: Train) -> None:
    with pytest.raises(LedgerError, match="the ledger refuses"):
        train.step("build", "release.built", lambda: Done(message="x", result={"n": math.nan}))
    assert step(station) == ("failed", 1)

    def twice(unit: Unit) -> None:
        for _ in range(2):
            unit.execute(
                insert(schema.incident).values(
                    id="INC-1", severity="P3", title="x", systems=[], opened_at=unit.now
                )
            )

    with pytest.raises(LedgerError, match="duplicate key"):
        train.step("build", "release.built", lambda: Done(message="x", write=twice))
    assert step(station) == ("failed", 2)
    assert station.rows(schema.incident) == []


def test_state_notices_and_record_are_one(station: Station, train: Train) -> None:
    def write(unit: Unit) -> None:
        unit.execute(
            insert(schema.incident).values(
                id="INC-1", severity="P3", title="x", systems=[], opened_at=unit.now
            )
        )

    told = texts.rolled_back(release="hims-api-2.3.0", version="2.3.0", back_to="2.2.0", reason="r")
    before = len(station.rows(schema.notice))
    train.step("build", "x", lambda: Done(message="x", write=write, notices=[told, told]))
    assert len(station.rows(schema.incident)) == 1
    assert len(station.rows(schema.notice)) == before + 1


def test_a_step_that_withdraws_is_neither_done_nor_failed(station: Station, train: Train) -> None:
    def write(unit: Unit) -> None:
        raise Withdrawn

    with pytest.raises(Withdrawn):
        train.step("build", "release.built", lambda: Done(message="x", write=write))
    assert step(station) == ("started", 1)
    assert station.bodies("release.built") == []


def test_results_keep_what_a_database_s_text_cannot_hold_out(train: Train) -> None:
    train.step("build", "x", lambda: Done(message="\x00", result={"a": ["\x00", "\ud800"]}))
    assert train.result("build") == {"a": ["�", "?"]}


class Killed(BaseException):
    """As if the process had been killed: nothing of ours handles it."""


def test_a_step_that_is_killed_before_it_is_recorded_runs_again(
    station: Station, train: Train
) -> None:
    effects = []

    def killed() -> Done:
        effects.append(1)
        raise Killed

    with pytest.raises(Killed):
        train.step("build", "release.built", killed)
    assert step(station) == ("started", 1)

    def whole() -> Done:
        effects.append(2)
        return Done(message="built")

    assert train.step("build", "release.built", whole).ok
    assert effects == [1, 2]
    assert step(station) == ("done", 2)


PROCESS = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from include.ledger import Actor, Ledger, Source
from include.releases.train import Done, open_train
from include.settings import load_settings

url, config, marks, seconds = sys.argv[1:5]
train = open_train(
    Ledger(url), load_settings(Path(config)), run_id="run-1", actor=Actor.service("t"),
    source=Source(kind="dag"), clock=lambda: datetime(2026, 11, 2, 12, tzinfo=UTC), secrets=str,
)

def effect():
    Path(marks, f"began-{os.getpid()}").touch()
    time.sleep(float(seconds))
    Path(marks, f"ended-{os.getpid()}").touch()
    return Done(message="built", result={"by": os.getpid()})

print(train.step("build", "release.built", effect).reason, flush=True)
"""


def start(station: Station, url: str, marks: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROCESS), url, str(station.settings.directory),
         str(marks), str(seconds)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def until_began(marks: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(list(marks.glob("began-*"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_processes_that_ask_for_one_step_do_it_once(
    station: Station, train: Train, ledger_url: str, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    processes = [start(station, ledger_url, marks, 1.0) for _ in range(3)]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert said == ["already_done", "already_done", "done"]
    assert len(list(marks.glob("began-*"))) == 1
    assert step(station) == ("done", 1)
    assert len(station.bodies("release.built")) == 1


def test_a_retry_waits_for_the_one_that_was_given_up_for_dead_and_takes_over_when_it_is(
    station: Station, train: Train, ledger_url: str, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    first = start(station, ledger_url, marks, 120)
    until_began(marks, 1)
    second = start(station, ledger_url, marks, 0)
    time.sleep(1.0)
    assert second.poll() is None
    assert len(list(marks.glob("began-*"))) == 1
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.communicate(timeout=60)[0].strip() == "done"
    assert step(station) == ("done", 2)
    assert not list(marks.glob(f"ended-{first.pid}"))


def test_different_steps_do_not_wait_for_each_other(train: Train) -> None:
    inner: list[Done] = []

    def outer() -> Done:
        other = threading.Thread(
            target=lambda: inner.append(train.step("b", "b", lambda: Done(message="b")))
        )
        other.start()
        other.join(20)
        return Done(message="a")

    assert train.step("a", "a", outer).ok
    assert [done.ok for done in inner] == [True]


def test_a_step_outlives_the_loss_of_its_lock_s_connection(
    station: Station, train: Train, postgres: PostgresServer, ledger_url: str
) -> None:
    """PostgreSQL restarts while an effect is under way: what was done is still written down."""

    def effect() -> Done:
        postgres.disconnect(ledger_url.rpartition("/")[2])
        return Done(message="built")

    assert train.step("build", "release.built", effect).ok
    assert step(station) == ("done", 1)


def test_a_failure_is_raised_also_where_it_cannot_be_recorded(
    station: Station, train: Train, postgres: PostgresServer, ledger_url: str
) -> None:
    name = ledger_url.rpartition("/")[2]

    def effect() -> Done:
        postgres.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        postgres.disconnect(name)
        raise TargetError("slot blue does not answer")

    try:
        with pytest.raises(TargetError, match="slot blue"):
            train.step("build", "release.built", effect)
    finally:
        postgres.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert step(station) == ("started", 1)
    assert train.step("build", "release.built", lambda: Done(message="built")).ok
