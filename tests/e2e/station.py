"""A running stack of a test's own, its rehearsals in seconds, and people who act on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from include.deploy.target import Colour
from include.deploy.targets.factory import open_target
from include.errors import ReleaseControlError
from include.ledger.connection import open_ledger
from include.rehearsal.airflow_api import AirflowApi
from include.rehearsal.cast import Cast
from include.rehearsal.rehearsal import Rehearsal, Rehearsed
from include.releases.repository import Repository
from include.settings import ROOT, Settings
from include.stack.layout import Layout
from include.stack.processes import belonging
from tests.integration.slack_sink import TOKEN, SlackSink
from tests.private_stack import private_settings

Answer = Callable[[str, Mapping[str, Any]], tuple[str, str] | None]


def yes(task_id: str, question: Mapping[str, Any]) -> tuple[str, str]:
    return str(question["options"][0]), "looks right"


class Station:
    """The stack, driven through its command line and Airflow's REST API."""

    def __init__(self, home: Path) -> None:
        self.settings: Settings = private_settings(home)
        _hurry(self.settings.directory)
        self.environment = {**os.environ, "HIMS_CONFIG": str(self.settings.directory)}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.slack = SlackSink()
        self.slack.__enter__()
        self.environment["AIRFLOW_CONN_SLACK_DEFAULT"] = json.dumps(
            {
                "conn_type": "slack",
                "password": TOKEN,
                "extra": {"base_url": self.slack.url, "channel": "#releases"},
            }
        )

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        done = subprocess.run(
            [str(ROOT / "hims"), *words],
            env={**self.environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def json(self, *words: str) -> Any:
        _, out, err = self.run(*words, "--json")
        assert out, err
        return json.loads(out)

    def stop(self) -> None:
        self.run("down")
        self.slack.__exit__()
        layout = Layout(self.settings.state_dir)
        left = belonging(layout.root, (), data_dir=layout.postgres / "data")
        for process in left:
            os.kill(process.pid, signal.SIGKILL)
        assert not left

    def end_trains(self) -> None:
        """Print where every train that is under way has got to, and end it."""
        admin, runs = self.person("admin"), "/api/v2/dags/release_train/dagRuns"
        for state in ("running", "queued"):
            for run in admin.request("GET", f"{runs}?state={state}").json()["dag_runs"]:
                path = f"{runs}/{quote(run['dag_run_id'])}"
                tasks = admin.request("GET", f"{path}/taskInstances?limit=200").json()
                begun = [
                    f"{item['task_id']} {item['state']}"
                    for item in tasks["task_instances"]
                    if item["state"] not in (None, "success")
                ]
                print(f"{run['dag_run_id']} is under way: {', '.join(begun)}")  # noqa: T201
                wait_for(
                    lambda path=path: (
                        admin.request(  # type: ignore[misc]
                            "PATCH", path, {"state": "failed"}
                        ).status_code
                        == 200
                    ),
                    seconds=20,
                )

    def print_story(self) -> None:
        """Print the last records about releases: what a failing test's train came to."""
        for record in [one for one in self.records() if one.get("release")][-40:]:
            what = (record["time"], record["release"], record["event"], record.get("outcome"))
            print(*what, str(record.get("message"))[:300])  # noqa: T201

    @cached_property
    def passwords(self) -> dict[str, str]:
        """Return everybody's password, as `./hims people` tells it."""
        return {str(item["user"]): str(item["password"]) for item in self.json("people")}

    @property
    def cast(self) -> Cast:
        return Cast(self.settings)

    def person(self, user: str) -> AirflowApi:
        return self.cast.session(user)

    @property
    def repository(self) -> Repository:
        return Repository(self.settings.path(self.settings.service("hims-api").repository.path))

    def train(
        self, version: str, *, answers: Answer = yes, strategy: str = "blue_green"
    ) -> Rehearsed:
        """Run one train to its end, answering as `answers` says."""
        rehearsal = self.rehearsal(answers)
        run_id = rehearsal.start(conf(version, strategy=strategy))
        return rehearsal.follow(f"hims-api-{version}", run_id, limit=400)

    def rehearsal(self, answers: Answer) -> Rehearsal:
        return Rehearsal(
            self.settings, open_ledger(self.settings), self.cast, say=_ignore, answers=answers
        )

    def records(self, release: str | None = None, event: str | None = None) -> list[dict[str, Any]]:
        words = ["audit", "list"]
        if release:
            words += ["--release", release]
        if event:
            words += ["--event", event]
        return list(self.json(*words)["records"])

    def served(self) -> dict[str, Any]:
        target = open_target(self.settings.service("hims-api"), "production", self.settings)
        with urllib.request.urlopen(f"{target.frontend()}/version", timeout=5) as answer:
            return dict(json.load(answer))

    def unlock(self) -> None:
        """Take a lock off as a second person, who signs in."""
        status, _, said = self.run(
            "unlock", "hims-api", "--user", "olga", "--reason", "seen",
            env={"HIMS_PASSWORD": self.passwords["olga"]},
        )  # fmt: skip
        assert status == 0, said

    @contextmanager
    def watched_traffic(self) -> Iterator[list[dict[Colour, int]]]:
        """Yield the list of every distribution of traffic that was seen meanwhile."""
        seen: list[dict[Colour, int]] = []
        stop = threading.Event()
        target = open_target(self.settings.service("hims-api"), "production", self.settings)

        def look() -> None:
            while not stop.wait(0.05):
                try:
                    weights = target.weights()
                except ReleaseControlError:
                    continue
                if weights not in seen:
                    seen.append(weights)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join()


def conf(version: str, **changes: Any) -> dict[str, Any]:
    return {
        "service": "hims-api",
        "version": version,
        "release_type": "minor",
        "target_window": None,
        "strategy": "blue_green",
        "rehearsal": True,
        **changes,
    }


def wait_for(what: Callable[[], Any], *, seconds: float, every: float = 0.2) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(every)
    return found


def bundles(*, beside: Path) -> dict[str, str]:
    """Return the variable that has Airflow read the Dags of a folder beside ours."""
    classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
    folders = {"dags-folder": {}, "beside": {"path": str(beside)}}
    return {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
            [
                {"name": name, "classpath": classpath, "kwargs": kwargs}
                for name, kwargs in folders.items()
            ]
        )
    }


def _ignore(record: Mapping[str, Any]) -> None:
    """Rehearsals report to nobody here; the tests read the ledger."""


def _hurry(directory: Path) -> None:
    profile = directory / "environments" / "rehearsal.yaml"
    content = yaml.safe_load(profile.read_text())
    content["leads"] = {"feature_freeze": "6s", "code_freeze": "4s"}
    content["watch"]["duration"] = "3s"
    # Browsers and other tests share two cores with it: what takes seconds may take a minute.
    content["durations"].update(backup="60s", deploy="90s")
    # A slow machine shall not lose the way back between two tests.
    content["blue_retention"] = "2h"
    profile.write_text(yaml.safe_dump(content))
    calendar = directory / content["calendar"]
    windows = yaml.safe_load(calendar.read_text())
    windows["windows"]["rehearsal"].update(every="20m", open_for="19m58s", cutoff="1s")
    calendar.write_text(yaml.safe_dump(windows))
