"""Everything that a train needs and nothing of Airflow: PostgreSQL, HAProxy, the node agent, slots.

The phases run in this process, one after the other, as the Dag would run them.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from include.deploy.target import Colour, Target
from include.deploy.targets.factory import open_target
from include.deploy.targets.slot_store import SlotStore
from include.durable import write_json
from include.ledger import Actor, Ledger, Subject, schema
from include.permits.permit import newest_fence
from include.rehearsal.sample import add_work, next_version
from include.releases.commits import Identity
from include.releases.lock import unlock
from include.releases.phases import (
    cab,
    close,
    code_freeze,
    feature_freeze,
    production,
    rollback,
    staging,
    window,
)
from include.releases.repository import Repository
from include.releases.train import Done, Train, open_train
from include.settings import Settings, load_settings
from include.stack.haproxy import haproxy_component
from include.stack.health import ask_haproxy
from include.stack.layout import Layout
from include.stack.provision import provision
from include.stack.secrets import ensure_secrets
from tests.integration.conftest import PostgresServer
from tests.integration.stack.conftest import agent_at_work, running, until
from tests.integration.train.paper import DAG, PLANNED_AT, SEATS, Clock, Station
from tests.private_stack import private_settings

PASSWORD = "integration"
BACKUP_ROLE = "backup_operator"

PREPARATION = (
    feature_freeze.cut_release_branch,
    code_freeze.pin_commit,
    code_freeze.check_commits,
    code_freeze.bump_version,
    code_freeze.run_release_tests,
    code_freeze.build_artefact,
    code_freeze.tag_candidate,
    staging.deploy_staging,
    staging.test_staging,
)
PRODUCTION = (
    production.take_backup,
    production.prove_backup,
    production.deploy_green,
    production.smoke_test,
    production.warm_up,
    production.switch_traffic,
    production.watch_release,
)
CLOSING = (
    close.tag_release,
    close.publish_notes,
    close.close_change,
    close.schedule_retrospective,
)


@dataclass
class Works(Station):
    """A station with real parts behind it."""

    trains: int = 0

    @property
    def repository(self) -> Path:
        """Return where the sample service's repository is."""
        return self.settings.path(self.settings.service("hims-api").repository.path)

    @property
    def production(self) -> Target:
        """Return production as it is."""
        return open_target(self.settings.service("hims-api"), "production", self.settings)

    def served(self) -> str:
        """Return the version that people get."""
        return str(self.ask("/version").get("version"))

    def ask(self, path: str) -> dict[str, Any]:
        """Ask production as people do."""
        host, _, port = self.production.frontend().removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, (response.status, body[:200])
            found = json.loads(body)
            assert isinstance(found, dict)
            return found
        finally:
            connection.close()

    def schema_versions(self) -> list[tuple[Any, ...]]:
        """Return what the service's migrations have written about themselves."""
        database = self.settings.service("hims-api").environments["production"].database
        assert self.server is not None
        with psycopg.connect(self.server.url(database or "")) as connection:
            return connection.execute("SELECT * FROM schema_version ORDER BY 1").fetchall()

    def secret(self, name: str) -> str:
        """Return the URL behind the name of an Airflow connection."""
        assert self.server is not None
        if name == "backup_db":
            return self.server.url("postgres", BACKUP_ROLE)
        return self.server.url(name.removesuffix("_db"), "hims_api")

    def board_train(self, run_id: str) -> Train:
        """Return the train of a run as a task would get it."""
        return open_train(
            self.ledger,
            self.settings,
            run_id=run_id,
            actor=Actor.service("release_train"),
            source=DAG,
            clock=self.clock,
            secrets=self.secret,
        )

    def depart(
        self,
        *,
        fault: str | None = None,
        strategy: str = "blue_green",
        files: dict[str, str] | None = None,
    ) -> Train:
        """Start a train with new work, and `files` on top, and take it to production's door.

        One that a failed test left under way counts as ended by hand: it stops no other test.
        """
        left = {f"run-{number}": "failed" for number in range(1, self.trains + 1)}
        self.trains += 1
        run_id = f"run-{self.trains}"
        add_work(self.repository, fault=fault)
        if files:
            repository = Repository(self.repository)
            repository.commit_files(
                "develop",
                {path: text.encode() for path, text in files.items()},
                message="chore(schema): take away what nobody uses\n",
                author=Identity("Mei Tan", "mei.tan@arocord.example"),
                at=self.clock(),
                expected_parent=repository.resolve("develop"),
                idempotency_key=run_id,
            )
        self.clock.now += timedelta(days=1)
        version = next_version(self.repository)
        plan = self.begin(
            run_id, version=version, target_window=None, strategy=strategy, states=left
        )
        train = self.board_train(run_id)
        self.clock.now = plan.feature_freeze
        for phase in PREPARATION:
            done = phase(train)
            assert done.ok, done.message
        assert self.answer(train, "uat", "quinn").ok
        assert cab.open_release_change(train).ok
        for seat, user in SEATS.items():
            assert self.vote(train, seat, user).ok
        assert cab.tally_votes(train).ok
        assert self.answer(train, "go_no_go", "olga").ok
        self.clock.now = plan.slot.start
        entered = window.enter_window(train)
        assert isinstance(entered, Done)
        assert entered.ok, entered.message
        return train

    def begin_again(self, train: Train) -> Train:
        """Take a release over whose run was ended by hand."""
        self.trains += 1
        run_id = f"run-{self.trains}"
        states = {train.run_id: "failed"}
        self.begin(run_id, version=train.plan.version, target_window=None, states=states)
        return self.board_train(run_id)

    def newest_fence(self) -> int:
        """Return a fence above all others."""
        with self.ledger.write(Actor.service("test"), DAG, self.clock()) as unit:
            fence = newest_fence(unit)
            unit.append(
                "fence.taken",
                Subject(kind="service", id="hims-api"),
                message="taken",
                details={"fence": fence},
            )
        return fence

    def stop_slot(self, colour: Colour) -> None:
        """End a slot's process for good, behind the target's back."""
        store = SlotStore(self.settings.state_dir, "hims-api", "production")
        store.remove_unit(colour)
        until(lambda: not self.production.health(colour).running)

    def until_no(self, train: Train, *phases: Callable[[Train], Done]) -> Done:
        """Run phases in order up to the first that says no, and return the last answer."""
        done = Done(message="nothing was run")
        for phase in phases:
            done = phase(train)
            self.clock.now += timedelta(seconds=30)
            if not done.ok:
                break
        return done

    def conclude(self, train: Train, *, failed: bool) -> Done:
        """Run what runs at the end: the way back if something failed, and the last word."""
        if failed:
            assert rollback.roll_back(train).ok
        return close.conclude(train)

    def unlock(self) -> None:
        """Take the lock off as a second person."""
        olga = self.people.find("olga")
        assert olga is not None
        with self.ledger.write(Actor.service("test"), DAG, self.clock()) as unit:
            assert unlock(unit, "hims-api", olga, "understood and mended").ok

    def one(self, table: Any, train: Train) -> Any:
        """Return the one row of a table that belongs to this attempt."""
        (row,) = [
            row
            for row in self.rows(table)
            if (row.release_id, row.attempt) == (train.release, train.plan.attempt)
        ]
        return row

    def state(self, train: Train) -> tuple[str, str | None]:
        """Return how the release stands, and why."""
        (row,) = [row for row in self.rows(schema.release) if row.id == train.release]
        return row.state, row.reason

    @contextmanager
    def people_at_work(self) -> Iterator[Counter[object]]:
        """Let people use production meanwhile; yield what they got, counted."""
        seen: Counter[object] = Counter()
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.02):
                try:
                    seen[self.ask("/version")["version"]] += 1
                except (OSError, AssertionError, ValueError, http.client.HTTPException) as error:
                    seen[f"failed: {error}"] += 1

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()


@contextmanager
def open_works(postgres: PostgresServer, ledger_url: str, home: Path) -> Iterator[Works]:
    """Start everything, put the first version live, and end everything."""
    settings = _settings(postgres, home)
    layout = Layout(settings.state_dir)
    write_json(layout.secrets, {"passwords": {"hims_api": PASSWORD, "postgres": PASSWORD}})
    secrets = ensure_secrets(settings, people=[])
    with (
        running(settings, haproxy_component(settings)),
        agent_at_work(settings, secrets) as agent,
    ):
        until(lambda: ask_haproxy(settings) is None)
        works = Works(Ledger(ledger_url), settings, server=postgres)
        works.clock = Clock(PLANNED_AT)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
            provision(settings, say=lambda line: None)
        try:
            yield works
        finally:
            for slot in agent.slots:
                slot.store.remove_unit(slot.colour)
            with suppress(AssertionError):
                until(lambda: not any(slot.child.runs for slot in agent.slots), 20)


def _settings(postgres: PostgresServer, home: Path) -> Settings:
    """Return a configuration on the session's PostgreSQL whose watches take a second."""
    made = private_settings(home)
    postgres.create_role("hims_api")
    postgres.create_role(BACKUP_ROLE, "LOGIN CREATEDB")
    postgres.execute(f"GRANT pg_read_all_data TO {BACKUP_ROLE}")

    def change(name: str, edit: Callable[[dict[str, Any]], None]) -> None:
        path = made.directory / name
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        edit(document)
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def service(document: dict[str, Any]) -> None:
        for placement in document["environments"].values():
            placement["database"] = postgres.create_database(owner="hims_api")

    change("global.yaml", lambda document: document["ports"].update(postgres=postgres.port))
    change("services/hims-api.yaml", service)
    quick = {"duration": "2s", "interval": "1s"}
    change("environments/production.yaml", lambda document: document["watch"].update(quick))
    (made.directory / "services" / "hims-web.yaml").unlink()
    return load_settings(made.directory)
