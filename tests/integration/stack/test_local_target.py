"""The local target with a real load balancer and real processes: what it promises, and what a
caller that dies in the middle leaves behind."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from include.deploy.target import Artefact, Colour
from include.deploy.targets.factory import open_target
from include.deploy.targets.local import LocalTarget
from include.errors import FencedOff, TargetError
from include.settings import ROOT, Settings, load_settings
from include.stack.child import Child
from include.stack.haproxy import haproxy_component
from include.stack.health import ask_haproxy
from include.stack.layout import Layout
from include.stack.node_agent import NodeAgent
from include.stack.secrets import Secrets
from tests.integration.stack.conftest import agent_at_work, running, until

BLUE, GREEN = Colour.BLUE, Colour.GREEN

SERVICE = """\
# {mark}
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        known = {{"version": os.environ["HIMS_VERSION"], "digest": os.environ["HIMS_DIGEST"],
                 "database": os.environ.get("DATABASE_URL"), "pid": os.getpid(),
                 "telemedicine": os.environ.get("HIMS_TELEMEDICINE"),
                 "airflow": [key for key in os.environ if key.startswith("AIRFLOW")]}}
        body = json.dumps(known).encode()
        self.send_response({{"/broken": 500, "/readyz": {ready}}}.get(self.path, 200))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 256

Server(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def artefact(settings: Settings, version: str, *, text: str = "", ready: int = 200) -> Artefact:
    path = settings.state_dir.parent / f"hims-api-{version}"
    path.write_text(text or SERVICE.format(mark=version, ready=ready))
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return Artefact(service="hims-api", version=version, digest=digest, path=path)


def ask(address: str, path: str = "/", method: str = "GET") -> tuple[int, dict[str, object]]:
    host, _, port = address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body.startswith(b"{") else {}
    finally:
        connection.close()


@pytest.fixture
def balancer(settings: Settings) -> Iterator[Child]:
    with running(settings, haproxy_component(settings)) as child:
        until(lambda: ask_haproxy(settings) is None)
        yield child


@pytest.fixture
def agent(settings: Settings, secrets: Secrets) -> Iterator[NodeAgent]:
    with agent_at_work(settings, secrets) as made:
        yield made


@pytest.fixture
def target(settings: Settings, balancer: Child, agent: NodeAgent) -> LocalTarget:
    return LocalTarget(
        settings.service("hims-api"),
        "production",
        settings.state_dir,
        settings.overall.ports.haproxy_admin,
        stage_timeout=15,
    )


@pytest.fixture
def live(target: LocalTarget, settings: Settings) -> LocalTarget:
    """Return the target with 2.2.0 serving from blue."""
    target.stage(artefact(settings, "2.2.0"), BLUE, 1)
    target.set_weights({BLUE: 100, GREEN: 0}, 1)
    return target


def test_an_untouched_target_is_empty(target: LocalTarget) -> None:
    assert target.staged(BLUE) is None
    assert target.weights() == {BLUE: 0, GREEN: 0}
    assert not target.health(BLUE).running
    assert ask(target.frontend())[0] == 503


def test_a_staged_slot_runs_what_was_asked_and_serves_nobody(
    live: LocalTarget, settings: Settings
) -> None:
    made = artefact(settings, "2.3.0")
    live.stage(made, GREEN, 2)
    health = live.health(GREEN)
    assert (health.running, health.ready) == (True, True)
    assert (health.version, health.digest) == ("2.3.0", made.digest)
    assert live.staged(GREEN) == made
    assert ask(live.address(GREEN))[1]["version"] == "2.3.0"
    assert {ask(live.frontend())[1]["version"] for _ in range(20)} == {"2.2.0"}


def test_a_slot_gets_its_database_and_config_and_nothing_of_airflow(
    live: LocalTarget, settings: Settings, secrets: Secrets
) -> None:
    told = ask(live.frontend())[1]
    port = settings.overall.ports.postgres
    assert told["database"] == secrets.database_url("hims_api", "hims_api", port)
    assert told["telemedicine"] == "true"
    assert told["airflow"] == []
    unit = (Layout(settings.state_dir).nodes / "production/hims-api/blue.json").read_text()
    assert secrets.password("hims_api") not in unit


def test_shares_are_what_people_get(live: LocalTarget, settings: Settings) -> None:
    live.stage(artefact(settings, "2.3.0"), GREEN, 2)
    live.set_weights({BLUE: 95, GREEN: 5}, 2)
    assert live.weights() == {BLUE: 95, GREEN: 5}
    before = live.traffic(GREEN).requests
    seen = Counter(ask(live.frontend())[1]["version"] for _ in range(200))
    assert seen["2.3.0"] in range(8, 13)
    assert live.traffic(GREEN).requests - before == seen["2.3.0"]


def test_nobody_notices_a_switch(live: LocalTarget, settings: Settings) -> None:
    live.stage(artefact(settings, "2.3.0"), GREEN, 2)
    answers: list[tuple[int, object]] = []
    over = threading.Event()

    def people() -> None:
        while not over.is_set():
            status, body = ask(live.frontend())
            answers.append((status, body.get("version")))

    threads = [threading.Thread(target=people) for _ in range(3)]
    for thread in threads:
        thread.start()
    for green in (100, 0, 100):
        time.sleep(0.2)
        live.set_weights({BLUE: 100 - green, GREEN: green}, 2)
    time.sleep(0.2)
    over.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"2.2.0", "2.3.0"}


def test_a_switch_is_seen_before_or_after_it_and_never_half(
    live: LocalTarget, settings: Settings
) -> None:
    live.stage(artefact(settings, "2.3.0"), GREEN, 2)
    seen: list[dict[Colour, int]] = []
    over = threading.Event()

    def observer() -> None:
        while not over.is_set():
            seen.append(live.weights())

    threads = [threading.Thread(target=observer) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(200):
        live.set_weights({BLUE: 100 * (step % 2), GREEN: 100 * ((step + 1) % 2)}, 2)
    over.set()
    for thread in threads:
        thread.join()
    assert {frozenset(one.items()) for one in seen} == {
        frozenset({BLUE: 100, GREEN: 0}.items()),
        frozenset({BLUE: 0, GREEN: 100}.items()),
    }


def test_a_killed_slot_costs_nobody_a_request_and_comes_back(
    live: LocalTarget, settings: Settings
) -> None:
    live.stage(artefact(settings, "2.3.0"), GREEN, 2)
    live.set_weights({BLUE: 50, GREEN: 50}, 2)
    pid = ask(live.address(GREEN))[1]["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    assert {ask(live.frontend())[0] for _ in range(100)} == {200}
    until(lambda: live.health(GREEN).ready)
    assert ask(live.address(GREEN))[1]["pid"] != pid


def test_errors_of_a_version_reach_people_and_are_counted(live: LocalTarget) -> None:
    before = live.traffic(BLUE)
    assert [ask(live.frontend(), "/broken")[0] for _ in range(5)] == [500] * 5
    after = live.traffic(BLUE)
    assert after.server_errors - before.server_errors == 5
    assert after.requests - before.requests == 5
    assert after.failed_connections == before.failed_connections


def test_staging_what_is_there_already_changes_nothing(
    live: LocalTarget, settings: Settings
) -> None:
    pid = ask(live.address(BLUE))[1]["pid"]
    live.stage(artefact(settings, "2.2.0"), BLUE, 5)
    assert ask(live.address(BLUE))[1]["pid"] == pid


def test_a_slot_that_serves_people_is_neither_staged_over_nor_retired(
    live: LocalTarget, settings: Settings
) -> None:
    with pytest.raises(TargetError, match=r"serves 100 % of the traffic"):
        live.stage(artefact(settings, "2.3.0"), BLUE, 2)
    with pytest.raises(TargetError, match=r"serves 100 % of the traffic"):
        live.retire(BLUE, 2)
    assert ask(live.frontend())[1]["version"] == "2.2.0"


def test_an_older_permit_can_do_nothing(live: LocalTarget, settings: Settings) -> None:
    live.stage(artefact(settings, "2.3.0"), GREEN, 7)
    with pytest.raises(FencedOff):
        live.stage(artefact(settings, "2.2.1"), GREEN, 6)
    with pytest.raises(FencedOff):
        live.set_weights({BLUE: 0, GREEN: 100}, 6)
    with pytest.raises(FencedOff):
        live.retire(GREEN, 6)
    assert live.weights() == {BLUE: 100, GREEN: 0}
    assert live.health(GREEN).version == "2.3.0"
    live.set_weights({BLUE: 0, GREEN: 100}, 7)


def test_traffic_never_leaves_a_serving_slot_for_one_that_is_not_ready(
    live: LocalTarget, settings: Settings
) -> None:
    with pytest.raises(TargetError, match="is empty"):
        live.set_weights({BLUE: 0, GREEN: 100}, 2)
    live.stage(artefact(settings, "2.3.0", ready=503), GREEN, 2)
    assert not live.health(GREEN).ready
    with pytest.raises(TargetError, match="stays where it is"):
        live.set_weights({BLUE: 0, GREEN: 100}, 2)
    assert live.weights() == {BLUE: 100, GREEN: 0}


@pytest.mark.parametrize("shares", [{}, {BLUE: 99}, {BLUE: 101, GREEN: -1}, {GREEN: 50}])
def test_shares_that_do_not_add_up_are_refused(
    live: LocalTarget, shares: dict[Colour, int]
) -> None:
    with pytest.raises(TargetError, match="add up to 100"):
        live.set_weights(shares, 2)


def test_a_version_that_does_not_start_is_shown_with_its_log(
    live: LocalTarget, settings: Settings
) -> None:
    broken = artefact(settings, "2.3.0", text="raise SystemExit('the schema is too old')")
    begun = time.monotonic()
    with pytest.raises(TargetError, match="the schema is too old"):
        live.stage(broken, GREEN, 2)
    assert time.monotonic() - begun < 10
    fixed = artefact(settings, "2.3.1")
    live.stage(fixed, GREEN, 2)
    assert live.health(GREEN).version == "2.3.1"


def test_a_version_that_claims_to_be_another_is_not_staged(
    settings: Settings, target: LocalTarget
) -> None:
    text = SERVICE.format(mark="liar", ready=200).replace('os.environ["HIMS_VERSION"]', '"9.9.9"')
    quick = LocalTarget(
        settings.service("hims-api"),
        "production",
        settings.state_dir,
        settings.overall.ports.haproxy_admin,
        stage_timeout=1.5,
    )
    with pytest.raises(TargetError, match=r"version 9\.9\.9"):
        quick.stage(artefact(settings, "2.3.0", text=text), GREEN, 1)


def test_a_changed_artefact_is_refused_before_anything_happens(
    live: LocalTarget, settings: Settings
) -> None:
    made = artefact(settings, "2.3.0")
    made.path.write_text(made.path.read_text() + "\n# tampered with")
    with pytest.raises(TargetError, match="its digest is"):
        live.stage(made, GREEN, 2)
    assert live.staged(GREEN) is None


def test_a_retired_slot_is_empty_and_its_process_gone(
    live: LocalTarget, settings: Settings
) -> None:
    live.stage(artefact(settings, "2.3.0"), GREEN, 2)
    pid = ask(live.address(GREEN))[1]["pid"]
    live.retire(GREEN, 2)
    live.retire(GREEN, 2)
    assert live.staged(GREEN) is None
    assert not Path(f"/proc/{pid}").exists()


def test_a_load_balancer_that_starts_anew_keeps_the_shares(
    live: LocalTarget, settings: Settings, balancer: Child
) -> None:
    live.stage(artefact(settings, "2.3.0"), GREEN, 2)
    live.set_weights({BLUE: 25, GREEN: 75}, 2)
    assert balancer.identity
    os.kill(balancer.identity.pid, signal.SIGKILL)
    until(lambda: balancer.poll() or not balancer.runs)
    with pytest.raises(TargetError, match="does not answer"):
        live.set_weights({BLUE: 0, GREEN: 100}, 2)
    balancer.start(haproxy_component(settings))
    until(lambda: ask_haproxy(settings) is None)
    assert live.weights() == {BLUE: 25, GREEN: 75}


def test_a_successor_of_the_agent_takes_over_what_runs(
    settings: Settings, secrets: Secrets, balancer: Child
) -> None:
    service = settings.service("hims-api")
    admin = settings.overall.ports.haproxy_admin
    target = LocalTarget(service, "production", settings.state_dir, admin, stage_timeout=15)
    first = NodeAgent(settings, secrets)
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            first.tick(database_ready=True)

    thread = threading.Thread(target=work)
    thread.start()
    target.stage(artefact(settings, "2.2.0"), BLUE, 1)
    over.set()
    thread.join()
    pid = ask(target.address(BLUE))[1]["pid"]
    entries = {entry.name: entry for entry in first.entries({})}
    second = NodeAgent(settings, secrets)
    second.adopt(entries)
    second.tick(database_ready=True)
    assert ask(target.address(BLUE))[1]["pid"] == pid
    (slot,) = [slot for slot in second.slots if slot.child.runs]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    until(lambda: (second.tick(database_ready=True), slot.child.failures > 0)[1])
    until(lambda: (second.tick(database_ready=True), target.health(BLUE).ready)[1])
    assert slot.child.identity
    os.killpg(slot.child.identity.pid, signal.SIGKILL)


DEPLOY = """\
import sys
from pathlib import Path
from include.deploy.target import Artefact, Colour
from include.deploy.targets.factory import open_target
from include.settings import load_settings

settings = load_settings(Path(sys.argv[1]))
target = open_target(settings.service("hims-api"), "production", settings)
target.stage(Artefact(service="hims-api", version="2.3.0", digest=sys.argv[2],
                      path=Path(sys.argv[3])), Colour.GREEN, 2)
if target.staged(Colour.BLUE):
    target.set_weights({Colour.BLUE: 50, Colour.GREEN: 50}, 2)
    target.set_weights({Colour.BLUE: 0, Colour.GREEN: 100}, 2)
target.retire(Colour.BLUE, 2)
"""


def test_a_deploy_that_is_killed_anywhere_and_made_again_ends_the_same(
    live: LocalTarget, settings: Settings
) -> None:
    made = artefact(settings, "2.3.0")
    argv = [sys.executable, "-c", DEPLOY, str(settings.directory), made.digest, str(made.path)]
    chance = random.Random(20261128)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(8):
        attempt = subprocess.Popen(argv, env=environment)
        time.sleep(chance.uniform(0.05, 1.2))
        attempt.kill()
        attempt.wait()
        # Whatever it got to, people are served.
        assert ask(live.frontend())[0] == 200
        assert sum(live.weights().values()) == 100
    subprocess.run(argv, env=environment, check=True, timeout=60)
    assert live.weights() == {BLUE: 0, GREEN: 100}
    assert live.staged(BLUE) is None
    assert live.staged(GREEN) == made
    assert ask(live.frontend())[1]["version"] == "2.3.0"


def test_the_factory_opens_what_the_configuration_names(settings: Settings) -> None:
    opened = open_target(settings.service("hims-api"), "staging", settings)
    placement = settings.service("hims-api").environments["staging"]
    assert placement.ports
    assert opened.frontend() == f"http://127.0.0.1:{placement.ports.frontend}"


def test_what_the_slot_cannot_have_is_refused(settings: Settings, target: LocalTarget) -> None:
    path = settings.directory / "services/hims-api.yaml"
    document = yaml.safe_load(path.read_text())
    document["commands"]["run"] = ["{python}", "{source}/run.py", "{port}"]
    path.write_text(textwrap.dedent(yaml.safe_dump(document)))
    changed = open_target(
        load_settings(settings.directory).service("hims-api"), "production", settings
    )
    with pytest.raises(TargetError, match=r"uses \{source\}"):
        changed.stage(artefact(settings, "2.2.0"), BLUE, 1)
