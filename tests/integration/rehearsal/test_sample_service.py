"""The sample service as it is released: built from its repository, on a real PostgreSQL."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from include.deploy.smoke import run_smoke_tests
from include.rehearsal.sample import FAULTS, add_work, seed_repository
from include.rehearsal.work import SOURCE
from include.services.service import Checks
from include.settings import ROOT, load_settings
from tests.integration.conftest import PostgresServer
from tests.integration.rehearsal.running import (
    DAY,
    Answer,
    Service,
    ask,
    build,
    free_port,
    migrate,
    run,
    schema,
    serving,
)

BOOKING = {"patient": 7, "clinic": "C01", "day": "2027-03-01", "time": "09:30", "minutes": 20}

NewDatabase = Callable[[], str]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "hims-api.git"
    seed_repository(SOURCE, path)
    return path


@pytest.fixture(scope="module")
def old(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artefact of v2.2.0."""
    return build(repository, "v2.2.0", tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def new(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artefact of develop."""
    return build(repository, "develop", tmp_path_factory.mktemp("new"))


@pytest.fixture
def empty(postgres: PostgresServer, database: NewDatabase) -> str:
    """The URL of an empty database."""
    return postgres.url(database())


@pytest.fixture
def migrated(empty: str, new: Path) -> str:
    """The URL of a database with the newest schema."""
    migrate(new, empty)
    return empty


def digest(artefact: Path) -> str:
    return hashlib.sha256(artefact.read_bytes()).hexdigest()


def checks() -> Checks:
    return load_settings(ROOT / "config").service("hims-api").checks


# --- the build


def test_the_same_commit_gives_the_same_bytes_wherever_and_whenever_it_is_built(
    repository: Path, new: Path, old: Path, tmp_path: Path
) -> None:
    source = tmp_path / "elsewhere" / "source"
    again = build(repository, "develop", source.parent)
    for path in source.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    # What running the tests leaves behind must not get in.
    subprocess.run([sys.executable, "-m", "compileall", "-q", "src"], cwd=source, check=True)
    assert list(source.rglob("*.pyc"))
    elsewhere = tmp_path / "elsewhere" / "other.pyz"
    built = subprocess.run(
        [sys.executable, str(source / "tools" / "build.py"), "--output", str(elsewhere)],
        cwd="/", env={"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}, umask=0o077,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert digest(again) == digest(new) == digest(elsewhere) != digest(old)
    assert built.stdout.strip() == f"sha256:{digest(new)}"


def test_the_artefact_knows_its_version_and_is_told_its_digest(old: Path, migrated: str) -> None:
    with serving(old, migrated, HIMS_DIGEST=f"sha256:{digest(old)}") as service:
        answer = service.get("/version")
    assert answer.body == {
        "service": "hims-api",
        "version": "2.2.0",
        "digest": f"sha256:{digest(old)}",
    }


def test_the_version_that_is_set_is_the_version_that_is_built(
    repository: Path, migrated: str, tmp_path: Path
) -> None:
    build(repository, "develop", tmp_path)
    source = tmp_path / "source"
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    for _ in range(2):
        subprocess.run([sys.executable, "tools/set_version.py", "2.3.0"], cwd=source, check=True)
    changed = {path.name for path in before if path.read_bytes() != before[path]}
    assert changed == {"VERSION", "CHANGELOG.md"}
    assert "## 2.3.0\n" in (source / "CHANGELOG.md").read_text()
    assert "Unreleased" not in (source / "CHANGELOG.md").read_text()
    artefact = tmp_path / "2.3.0.pyz"
    subprocess.run(
        [sys.executable, "tools/build.py", "--output", str(artefact)],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip
    with serving(artefact, migrated) as service:
        assert service.get("/version").body["version"] == "2.3.0"


@pytest.mark.parametrize("version", ["2.1.9", "v2.3.0", "2.3", "2.3.0; rm -rf /", "../2.3.0", ""])
def test_a_version_that_cannot_be_next_is_refused_and_nothing_is_written(
    repository: Path, tmp_path: Path, version: str
) -> None:
    build(repository, "develop", tmp_path)
    source = tmp_path / "source"
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    done = subprocess.run(
        [sys.executable, "tools/set_version.py", "--", version],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("set_version: ")
    assert {path: path.read_bytes() for path in before} == before


# --- starting


def test_it_is_ready_well_within_a_second_and_a_half(new: Path, migrated: str) -> None:
    quickest = 99.0
    for _ in range(3):
        begin = time.monotonic()
        with serving(new, migrated) as service:
            service.wait_for("/readyz", 200)
            quickest = min(quickest, time.monotonic() - begin)
    assert quickest < 1.5


def test_a_port_that_is_taken_is_said_in_one_line(new: Path, migrated: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = run(new, "serve", "--port", str(port), database=migrated)
    assert done.returncode == 1
    assert done.stderr == f"hims-api: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (("serve", "--port", "70000"), {"DATABASE_URL": "postgresql://x"}, '"70000" is not a port'),
        (("serve", "--port", "8101"), {}, "DATABASE_URL must be set"),
        (("migrate",), {"DATABASE_URL": "sqlite://x"}, "DATABASE_URL must be set"),
        (
            ("migrate",),
            {"DATABASE_URL": "postgresql://x", "HIMS_TELEMEDICINE": "yes"},
            'HIMS_TELEMEDICINE is "yes"',
        ),
    ],
)
def test_misuse_ends_with_status_2_and_the_reason(
    new: Path, words: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    done = run(new, *words, database=None, **variables)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# --- migrations


def test_migrations_run_once_in_order_and_say_what_they_did(
    old: Path, new: Path, empty: str
) -> None:
    assert [entry["version"] for entry in schema(new, empty)["pending"]] == [1, 2]
    assert migrate(old, empty) == "applied 0001 appointments (expand)\n"
    status = schema(new, empty)
    assert (status["schema"], status["needed"]) == (1, 2)
    assert status["pending"] == [{"version": 2, "name": "channel", "kind": "expand"}]
    assert migrate(new, empty) == "applied 0002 channel (expand)\n"
    for artefact in (new, old):
        assert migrate(artefact, empty) == "nothing to do: the schema is at 0002\n"
    status = schema(new, empty)
    assert status["pending"] == []
    assert [(e["version"], e["kind"]) for e in status["applied"]] == [(1, "expand"), (2, "expand")]
    with psycopg.connect(empty) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM patient), count(*), count(DISTINCT patient),"
            " count(channel) FROM appointment"
        ).fetchone()
    # As many as it takes for nobody's book to look empty; none has a channel.
    assert counts == (48, 528, 47, 0)


def test_many_at_once_apply_each_migration_once(new: Path, empty: str) -> None:
    with ThreadPoolExecutor(5) as pool:
        said = list(pool.map(lambda _: migrate(new, empty), range(5)))
    lines = "".join(said).splitlines()
    assert sum(line.startswith("applied 0001") for line in lines) == 1
    assert sum(line.startswith("applied 0002") for line in lines) == 1


def with_migration(source: Path, directory: Path, name: str, sql: str) -> Path:
    """Build an artefact that has one more migration than the source beside `source`."""
    shutil.copytree(source.parent / "source", directory / "source")
    (directory / "source" / "src" / "hims_api" / "migrations" / name).write_text(sql)
    artefact = directory / "hims-api.pyz"
    subprocess.run(
        [sys.executable, "tools/build.py", "--output", str(artefact)],
        cwd=directory / "source", check=True, capture_output=True,
    )  # fmt: skip
    return artefact


def test_a_migration_that_fails_leaves_no_trace(new: Path, empty: str, tmp_path: Path) -> None:
    broken = with_migration(
        new,
        tmp_path,
        "0003_broken.sql",
        "-- kind: expand\nCREATE TABLE half (x integer);\nSELECT 1 / 0;\n",
    )
    done = run(broken, "migrate", database=empty)
    assert done.returncode == 1
    assert "0003 broken (expand) failed: division by zero" in done.stderr
    assert "Traceback" not in done.stderr
    assert schema(broken, empty)["schema"] == 2
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)


def test_a_migration_that_was_edited_after_it_was_applied_is_refused(
    new: Path, migrated: str, tmp_path: Path
) -> None:
    sql = (new.parent / "source/src/hims_api/migrations/0002_channel.sql").read_text()
    edited = with_migration(new, tmp_path, "0002_channel.sql", sql + "\n-- a word more\n")
    done = run(edited, "migrate", database=migrated)
    assert done.returncode == 1
    assert "0002 channel (expand) was applied with another text" in done.stderr


def test_a_migration_does_not_wait_for_ever_behind_a_long_transaction(
    old: Path, new: Path, empty: str
) -> None:
    migrate(old, empty)
    with psycopg.connect(empty) as reader:
        reader.execute("SELECT count(*) FROM appointment")
        begin = time.monotonic()
        done = run(new, "migrate", database=empty)
    assert done.returncode == 1
    assert "lock timeout" in done.stderr
    assert time.monotonic() - begin < 15
    assert migrate(new, empty) == "applied 0002 channel (expand)\n"


def test_a_database_that_is_not_there_is_said_in_one_line(new: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    done = run(new, "migrate", database=url)
    assert done.returncode == 1
    assert done.stderr.startswith("hims-api: the database does not answer: ")
    assert len(done.stderr.splitlines()) == 1


# --- two versions on one database


def test_old_code_works_on_the_new_schema_beside_the_new_code(
    old: Path, new: Path, migrated: str
) -> None:
    with serving(old, migrated) as blue, serving(new, migrated, HIMS_TELEMEDICINE="true") as green:
        for service in (blue, green):
            assert service.wait_for("/readyz", 200).body == {"ready": True, "schema": 2}
            results = run_smoke_tests(service.url, checks().smoke)
            assert all(result.passed for result in results), results

        by_old = blue.ask("POST", "/appointments", BOOKING)
        by_new = green.ask("POST", "/appointments", {**BOOKING, "time": "10:30"})
        video = green.ask("POST", "/appointments", {**BOOKING, "time": "11:30", "channel": "video"})
        assert [answer.status for answer in (by_old, by_new, video)] == [201, 201, 201]
        assert blue.ask("POST", "/appointments", {**BOOKING, "time": "10:30"}).status == 409

        seen_by_old = blue.get("/appointments?day=2027-03-01").body["appointments"]
        seen_by_new = green.get("/appointments?day=2027-03-01").body["appointments"]
        assert [entry["id"] for entry in seen_by_old] == [entry["id"] for entry in seen_by_new]
        assert [entry["channel"] for entry in seen_by_new] == ["in_person", "in_person", "video"]
        assert green.get("/patients/7/summary").body["channels"]["video"] == 1

        number = video.body["appointment"]["id"]
        assert blue.ask("DELETE", f"/appointments/{number}").status == 200
        assert green.get("/patients/7/summary").body["channels"]["video"] == 0
        assert blue.get("/patients/7/summary").body["appointments"]["cancelled"] == 1


def test_new_code_waits_for_its_schema(old: Path, new: Path, empty: str) -> None:
    with serving(new, empty) as service:
        assert service.wait_for("/readyz", 503).body["reason"] == "schema_too_old"
        migrate(old, empty)
        assert service.get("/readyz").body["reason"] == "schema_too_old"
        migrate(new, empty)
        assert service.get("/readyz").status == 200


def test_old_code_refuses_a_schema_that_was_contracted(
    old: Path, new: Path, empty: str, tmp_path: Path
) -> None:
    sql = "-- kind: contract\nALTER TABLE appointment DROP COLUMN note;\n"
    newest = with_migration(new, tmp_path, "0003_no_notes.sql", sql)
    migrate(newest, empty)
    with serving(old, empty) as service:
        answer = service.wait_for("/readyz", 503)
    assert answer.body["reason"] == "schema_too_new"
    assert "0003 (contract)" in answer.body["message"]


def test_telemedicine_is_what_the_environment_says(new: Path, migrated: str) -> None:
    with serving(new, migrated, HIMS_TELEMEDICINE="false") as staging:
        answer = staging.ask("POST", "/appointments", {**BOOKING, "channel": "video"})
        assert answer.body["error"]["code"] == "telemedicine_off"
        assert "channels" not in staging.get("/patients/1/summary").body


# --- answers


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("GET", "/appointments", None, 400, "invalid_day"),
        ("GET", "/appointments?day=2026-02-30", None, 400, "invalid_day"),
        ("GET", "/appointments?day=%00", None, 400, "invalid_day"),
        ("GET", "/appointments?day=2026-12-01'--", None, 400, "invalid_day"),
        ("GET", "/patients/999999/summary", None, 404, "unknown_patient"),
        ("GET", "/patients/99999999999/summary", None, 404, "unknown_patient"),
        ("GET", f"/patients/{'9' * 5000}/summary", None, 404, "unknown_patient"),
        ("GET", "/patients/x/summary", None, 400, "invalid_patient"),
        ("GET", "/nothing", None, 404, "not_found"),
        ("PUT", "/appointments", None, 405, "method_not_allowed"),
        ("POST", "/appointments", b"{", 400, "invalid_json"),
        ("POST", "/appointments", b"\xff", 400, "invalid_json"),
        ("POST", "/appointments", b"[" * 10_000, 400, "invalid_json"),
        ("POST", "/appointments", b"x" * 20_000, 413, "body_too_long"),
        ("POST", "/appointments", [1], 400, "invalid_body"),
        ("POST", "/appointments", {**BOOKING, "patient": 999}, 422, "unknown_patient"),
        ("POST", "/appointments", {**BOOKING, "patient": 10**30}, 422, "invalid_patient"),
        ("POST", "/appointments", {**BOOKING, "note": "x" * 201}, 422, "invalid_note"),
        ("POST", "/appointments", {**BOOKING, "note": "a\x00b"}, 422, "invalid_note"),
        ("POST", "/appointments", {**BOOKING, "note": "\ud800"}, 422, "invalid_note"),
        ("POST", "/appointments", {**BOOKING, "time": "03:00"}, 422, "outside_hours"),
        ("DELETE", "/appointments/999999", None, 404, "unknown_appointment"),
    ],
)
def test_bad_requests_get_a_code_and_a_sentence(
    answering: Service, method: str, target: str, body: object, status: int, code: str
) -> None:
    answer = answering.ask(method, target, body)
    assert (answer.status, answer.body["error"]["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.body["error"]["message"].endswith(".")
    assert "Traceback" not in answering.log.read_text()


@pytest.fixture(scope="module")
def answering(
    postgres: PostgresServer, new: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    name = postgres.create_database()
    url = postgres.url(name)
    migrate(new, url)
    artefact = tmp_path_factory.mktemp("answering") / "hims-api.pyz"
    shutil.copy(new, artefact)
    with serving(artefact, url) as service:
        service.wait_for("/readyz", 200)
        yield service
    postgres.drop_database(name)


def test_of_two_who_want_the_same_time_one_gets_it(answering: Service) -> None:
    wanted = {**BOOKING, "day": "2027-04-01"}
    with ThreadPoolExecutor(8) as pool:
        statuses = list(
            pool.map(lambda _: answering.ask("POST", "/appointments", wanted).status, range(8))
        )
    assert sorted(statuses) == [201] + [409] * 7


def test_a_failure_shows_nothing_of_the_inside(new: Path, migrated: str) -> None:
    with serving(new, migrated) as service:
        service.wait_for("/readyz", 200)
        with psycopg.connect(migrated, autocommit=True) as connection:
            connection.execute("ALTER TABLE appointment RENAME COLUMN minutes TO length")
        answer = service.get(DAY)
        assert (answer.status, answer.body["error"]["code"]) == (500, "internal_error")
        assert "minutes" not in str(answer.body)
        deadline = time.monotonic() + 5
        while "minutes" not in service.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_while_the_database_is_away_it_says_so_and_recovers_by_itself(
    postgres: PostgresServer, new: Path, migrated: str
) -> None:
    name = migrated.rpartition("/")[2]
    with serving(new, migrated) as service:
        service.wait_for("/readyz", 200)
        postgres.execute(
            f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false',
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",  # noqa: S608
        )
        answer = service.get("/readyz")
        assert (answer.status, answer.body["reason"]) == (503, "database_unavailable")
        assert service.get("/healthz").status == 200
        answer = service.get(DAY)
        assert (answer.status, answer.body["error"]["code"]) == (503, "database_unavailable")
        postgres.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        service.wait_for("/readyz", 200)
        assert service.get(DAY).status == 200


# --- stopping


def test_no_request_is_lost_while_traffic_moves_and_the_old_version_stops(
    old: Path, new: Path, migrated: str
) -> None:
    """Half of the clients keep their connection, the others connect for every request; all go
    elsewhere once an answer says `Connection: close`."""
    with serving(old, migrated) as blue, serving(new, migrated) as green:
        for service in (blue, green):
            service.wait_for("/readyz", 200)
        over = threading.Event()
        served: list[tuple[str, int]] = []
        lost: list[str] = []

        def client(number: int) -> None:
            current, connection = blue, blue.connect()
            while not over.is_set():
                target = f"/patients/{1 + number}/summary" if number % 2 else DAY
                try:
                    if number < 6:
                        connection.close()
                    answer = ask(connection, "GET", target)
                except OSError as error:
                    lost.append(repr(error))
                    return
                served.append(("blue" if current is blue else "green", answer.status))
                if answer.headers.get("connection") == "close":
                    connection.close()
                    current, connection = green, green.connect()
            connection.close()

        threads = [threading.Thread(target=client, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        status = blue.stop()
        time.sleep(0.3)
        over.set()
        for thread in threads:
            thread.join()
    assert lost == []
    assert status == 0
    assert {answer for _, answer in served} == {200}
    counts = {name: sum(colour == name for colour, _ in served) for name in ("blue", "green")}
    assert min(counts.values()) > 50, counts


def until_refused(service: Service, target: str) -> list[Answer]:
    """Ask until no connection is taken any more."""
    answers = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            answers.append(service.get(target))
        except (ConnectionRefusedError, ConnectionResetError):
            # Reset: it was in the queue, not yet taken, when the listener closed.
            return answers
    pytest.fail("it still takes connections")


def test_an_open_request_is_finished_after_sigterm(new: Path, migrated: str) -> None:
    with serving(new, migrated) as service, psycopg.connect(migrated) as holder:
        service.wait_for("/readyz", 200)
        holder.execute("LOCK TABLE appointment IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(service.get, DAY)
            time.sleep(0.3)
            service.process.terminate()
            answers = until_refused(service, "/readyz")
            assert (answers[-1].status, answers[-1].body["reason"]) == (503, "stopping")
            assert not waiting.done()
            holder.rollback()
            assert waiting.result(timeout=10).status == 200
        assert service.process.wait(10) == 0


# --- faults


@pytest.fixture(scope="module")
def faulty(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The artefact of each fault."""
    built = {}
    for fault in FAULTS:
        directory = tmp_path_factory.mktemp(fault)
        shutil.copytree(repository, directory / "hims-api.git")
        sha = add_work(directory / "hims-api.git", fault=fault)
        built[fault] = build(directory / "hims-api.git", sha, directory)
    return built


def warm_up(service: Service) -> None:
    for _ in range(10):
        for path in checks().warm_up:
            assert service.get(path).status == 200


def load(service: Service, requests: int, *, clients: int = 6) -> tuple[float, float]:
    """Send requests, a few at a time; return the share of 500s and the 95th percentile in s."""
    paths = [DAY, "/patients/3/summary"]

    def one(number: int) -> tuple[int, float]:
        answer = service.get(paths[number % 2])
        return answer.status, answer.seconds

    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(one, range(requests)))
    assert {status for status, _ in answers} <= {200, 500}
    ordered = sorted(seconds for _, seconds in answers)
    return sum(status == 500 for status, _ in answers) / requests, ordered[int(0.95 * requests)]


def test_without_a_fault_nothing_fails_under_load(new: Path, migrated: str) -> None:
    with serving(new, migrated, HIMS_TELEMEDICINE="true") as service:
        service.wait_for("/readyz", 200)
        errors, p95 = load(service, 300)
    assert errors == 0
    assert p95 < 1


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_passes_in_staging(faulty: dict[str, Path], migrated: str, fault: str) -> None:
    migrate(faulty[fault], migrated)
    with serving(faulty[fault], migrated, HIMS_TELEMEDICINE="false") as staging:
        staging.wait_for("/readyz", 200)
        results = run_smoke_tests(staging.url, checks().smoke)
    assert all(result.passed for result in results), results


def test_the_smoke_fault_fails_the_smoke_tests_in_production_alone(
    faulty: dict[str, Path], migrated: str
) -> None:
    with serving(faulty["smoke"], migrated, HIMS_TELEMEDICINE="true") as production:
        production.wait_for("/readyz", 200)
        results = run_smoke_tests(production.url, checks().smoke)
        answer = production.get("/patients/1/summary")
    assert [result.name for result in results if not result.passed] == ["patient summary"]
    assert (answer.status, answer.body["error"]["code"]) == (500, "internal_error")


def test_the_errors_fault_shows_only_under_load_and_then_in_a_third_of_the_requests(
    faulty: dict[str, Path], migrated: str
) -> None:
    with serving(faulty["errors"], migrated, HIMS_TELEMEDICINE="true") as production:
        production.wait_for("/readyz", 200)
        results = run_smoke_tests(production.url, checks().smoke)
        assert all(result.passed for result in results), results
        warm_up(production)
        errors, _ = load(production, 200)
        assert production.get("/readyz").status == 200
    assert 0.28 < errors < 0.36


def test_the_latency_fault_shows_only_under_load_and_then_above_the_ceiling(
    faulty: dict[str, Path], migrated: str
) -> None:
    ceiling = load_settings(ROOT / "config").environment("production").watch.max_p95
    assert ceiling is not None
    with serving(faulty["latency"], migrated, HIMS_TELEMEDICINE="true") as production:
        production.wait_for("/readyz", 200)
        results = run_smoke_tests(production.url, checks().smoke)
        assert all(result.passed for result in results), results
        begin = time.monotonic()
        warm_up(production)
        assert time.monotonic() - begin < ceiling.total_seconds()
        errors, p95 = load(production, 100)
        assert production.get("/readyz").seconds < 1
    assert errors == 0
    assert p95 > ceiling.total_seconds()
