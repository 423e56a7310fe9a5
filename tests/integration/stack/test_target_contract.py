"""What every target promises, whatever runs behind it: one suite for all of them.

`local` is real processes behind a real HAProxy. `ecs` speaks boto3's own clients to moto, `ecs
itself` to moto with deployments that pause (`ecs_deployments`), `kubernetes` REST to a fake API
server, and `helm` runs a stand-in for it; what moves people's traffic there is nowhere asserted.

What moto fakes, and is asserted nowhere: that tasks run at all (a service's running count is what
was asked for), that a deployment takes time or fails, that targets are healthy (they always are),
that weights share out requests, and CloudWatch's counts.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from include.deploy.target import Artefact, Colour, Target
from include.deploy.targets.ecs import EcsTarget
from include.deploy.targets.ecs_native import EcsNativeTarget
from include.deploy.targets.factory import open_target
from include.deploy.targets.helm import HelmTarget
from include.deploy.targets.kubernetes import KubernetesTarget
from include.deploy.targets.local import LocalTarget
from include.errors import FencedOff, TargetError
from include.services.cloud import Ecs, EcsNative, Helm, Kubernetes, SlotNames
from include.services.service import Service
from include.settings import Settings
from include.stack.haproxy import haproxy_component
from include.stack.health import ask_haproxy
from include.stack.secrets import Secrets
from tests.aws import empty_account
from tests.integration.stack import fake_helm
from tests.integration.stack.conftest import agent_at_work, running, until
from tests.integration.stack.ecs_deployments import PausingEcs, pausing
from tests.integration.stack.fake_kubernetes import NAMESPACE, STRATEGIC, TOKEN, FakeKubernetes
from tests.integration.stack.test_local_target import SERVICE
from tests.unit.deploy.hand_target import serving

BLUE, GREEN = Colour.BLUE, Colour.GREEN
Change = Callable[[dict[str, Any]], None]
NAMES = SlotNames(blue="hims-api-blue", green="hims-api-green")


@dataclass
class Place:
    """A target with 2.2.0 serving from blue under fence 1, and how versions are made for it."""

    target: Target
    make: Callable[[str], Artefact]
    fake: FakeKubernetes | None = None
    pauses: PausingEcs | None = None
    account: Aws | None = None
    # Changes the container that green runs past us, as somebody with a console does.
    by_hand: Callable[[Change], None] | None = None
    # Lets something happen once, right before the next write to a slot arrives there.
    delay: Callable[[Callable[[], None]], None] | None = None
    # In an order that every platform of this kind can take.
    shares: tuple[int, ...] = (5, 25, 50, 100, 0, 100)


def on_local(settings: Settings, secrets: Secrets, stack: ExitStack) -> Place:
    stack.enter_context(running(settings, haproxy_component(settings)))
    until(lambda: ask_haproxy(settings) is None)
    stack.enter_context(agent_at_work(settings, secrets))
    target = LocalTarget(
        settings.service("hims-api"),
        "production",
        settings.state_dir,
        settings.overall.ports.haproxy_admin,
        stage_timeout=15,
    )

    def make(version: str) -> Artefact:
        path = settings.state_dir.parent / f"hims-api-{version}"
        path.write_text(SERVICE.format(mark=version, ready=200))
        digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        return Artefact(service="hims-api", version=version, digest=digest, path=path)

    return Place(target=target, make=make)


def in_registry(settings: Settings) -> Callable[[str], Artefact]:
    """Return what makes an artefact that only a registry has."""

    def make(version: str) -> Artefact:
        digest = "sha256:" + hashlib.sha256(version.encode()).hexdigest()
        path = settings.state_dir / "nowhere"
        return Artefact(service="hims-api", version=version, digest=digest, path=path)

    return make


def placed(settings: Settings, **cloud: Any) -> Service:
    service = settings.service("hims-api")
    placement = service.environments["production"].model_copy(update=cloud)
    environments = {**service.environments, "production": placement}
    return service.model_copy(update={"environments": environments})


def slots_that_answer(stack: ExitStack, place: list[Place]) -> SlotNames:
    """Serve, for each slot, what the platform says that it holds."""

    def reply(colour: Colour) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            held = place[0].target.staged(colour) if place else None
            known = {"version": held.version, "digest": held.digest} if held else {}
            body = json.dumps(known).encode()
            handler.send_response(200 if held else 503)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    return SlotNames(
        blue=stack.enter_context(serving(reply(BLUE))),
        green=stack.enter_context(serving(reply(GREEN))),
    )


@dataclass
class Aws:
    """An account with a load balancer, two target groups and a cluster, all of them moto's."""

    ecs: Any
    elb: Any
    watch: Any
    listener: str
    groups: dict[Colour, str]

    def forward(self) -> list[dict[str, Any]]:
        """Return a weighted forward that gives green everything."""
        shares = [
            {"TargetGroupArn": self.groups[slot], "Weight": weight}
            for slot, weight in ((BLUE, 0), (GREEN, 100))
        ]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}]

    def names(self) -> SlotNames:
        """Return the target groups by slot."""
        return SlotNames(blue=self.groups[BLUE], green=self.groups[GREEN])


def aws(stack: ExitStack) -> Aws:
    session = stack.enter_context(empty_account())
    ecs, elb, watch, ec2 = (session.client(name) for name in ("ecs", "elbv2", "cloudwatch", "ec2"))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{z}")[
            "Subnet"
        ]["SubnetId"]
        for n, z in enumerate("ab")
    ]
    balancer = elb.create_load_balancer(Name="hims", Subnets=subnets)["LoadBalancers"][0]
    groups = {
        colour: elb.create_target_group(
            Name=f"hims-{colour}", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in Colour
    }
    for colour in Colour:
        elb.register_targets(TargetGroupArn=groups[colour], Targets=[{"Id": "10.0.0.9"}])
    made = Aws(ecs=ecs, elb=elb, watch=watch, listener="", groups=groups)
    made.listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=made.forward(),
    )["Listeners"][0]["ListenerArn"]
    ecs.create_cluster(clusterName="hims")
    ecs.register_task_definition(
        family="hims-api",
        containerDefinitions=[
            {"name": "hims-api", "image": "nothing", "cpu": 128, "memory": 128},
            {"name": "sidecar", "image": "proxy:1", "cpu": 128, "memory": 128},
        ],
    )
    return made


class Delaying:
    """The genuine client; `meanwhile` happens once, before the next call that changes a slot."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.meanwhile: Callable[[], None] | None = None

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name not in ("update_service", "continue_service_deployment"):
            return call

        def late(**given: Any) -> Any:
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            return call(**given)

        return late

    def delay(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile


def another_revision(account: Aws, definition: str, change: Change) -> str:
    """Register a task definition like `definition` whose first container is changed."""
    found = account.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    change(found["containerDefinitions"][0])
    made = account.ecs.register_task_definition(
        family=found["family"], containerDefinitions=found["containerDefinitions"]
    )
    return str(made["taskDefinition"]["taskDefinitionArn"])


def on_ecs(settings: Settings, secrets: Secrets, stack: ExitStack) -> Place:
    account = aws(stack)
    for colour in Colour:
        account.ecs.create_service(
            cluster="hims",
            serviceName=f"hims-api-{colour}",
            taskDefinition="hims-api",
            desiredCount=0,
        )
    place: list[Place] = []
    where = Ecs(
        cluster="hims",
        services=NAMES,
        target_groups=account.names(),
        listener=account.listener,
        container="hims-api",
        image="registry.example/hims-api",
        addresses=slots_that_answer(stack, place),
        frontend="http://127.0.0.1:1",
    )
    service = placed(settings, target="ecs", ecs=where)
    delaying = Delaying(account.ecs)
    clients = delaying, account.elb, account.watch
    target = EcsTarget(
        service, "production", *clients, clock=lambda: datetime.now(UTC), stage_timeout=5
    )

    def by_hand(change: Change) -> None:
        (found,) = account.ecs.describe_services(cluster="hims", services=[NAMES.green])["services"]
        revision = another_revision(account, found["taskDefinition"], change)
        account.ecs.update_service(cluster="hims", service=NAMES.green, taskDefinition=revision)

    place.append(
        Place(
            target=target,
            make=in_registry(settings),
            account=account,
            by_hand=by_hand,
            delay=delaying.delay,
        )
    )
    return place[0]


def on_ecs_itself(
    settings: Settings, secrets: Secrets, stack: ExitStack, canary: int | None = 25
) -> Place:
    account = aws(stack)
    account.ecs.create_service(
        cluster="hims", serviceName="hims-api", taskDefinition="hims-api", desiredCount=1
    )
    rule = account.elb.create_rule(
        ListenerArn=account.listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/*"]}],
        Actions=account.forward(),
    )["Rules"][0]["RuleArn"]
    fake = stack.enter_context(
        pausing(PausingEcs(account.elb, rule, list(account.groups.values())))
    )
    place: list[Place] = []
    where = Ecs(
        cluster="hims",
        services=SlotNames(blue="hims-api", green="hims-api"),
        target_groups=account.names(),
        container="hims-api",
        image="registry.example/hims-api",
        addresses=slots_that_answer(stack, place),
        frontend="http://127.0.0.1:1",
        native=EcsNative(rule=rule, canary_percent=canary),
    )
    service = placed(settings, target="ecs", ecs=where)
    delaying = Delaying(account.ecs)
    clients = delaying, account.elb, account.watch
    target = EcsNativeTarget(
        service, "production", *clients, clock=lambda: datetime.now(UTC), stage_timeout=5
    )

    def by_hand(change: Change) -> None:
        (found,) = account.ecs.describe_services(cluster="hims", services=["hims-api"])["services"]
        account.ecs.update_service(
            cluster="hims",
            service="hims-api",
            taskDefinition=another_revision(account, found["taskDefinition"], change),
            # ECS keeps what the service was told last; moto has to be told again.
            deploymentConfiguration=fake.configurations[-1],
        )

    place.append(
        Place(
            target=target,
            make=in_registry(settings),
            pauses=fake,
            account=account,
            by_hand=by_hand,
            delay=delaying.delay,
            shares=(25, 100, 0),
        )
    )
    return place[0]


def on_kubernetes(
    settings: Settings, secrets: Secrets, stack: ExitStack, helm: Helm | None = None
) -> Place:
    fake = stack.enter_context(FakeKubernetes().open())
    for name in (NAMES.blue, NAMES.green):
        fake.add_deployment(name, "hims-api")
    fake.add_route("hims-api", {NAMES.blue: 0, NAMES.green: 100})
    place: list[Place] = []
    where = Kubernetes(
        deployments=NAMES,
        services=NAMES,
        route="hims-api",
        container="hims-api",
        image="registry.example/hims-api",
        addresses=slots_that_answer(stack, place),
        frontend="http://127.0.0.1:1",
        helm=helm,
    )
    client = stack.enter_context(
        httpx.Client(base_url=fake.url, headers={"Authorization": f"Bearer {TOKEN}"})
    )
    service = placed(settings, target="kubernetes", kubernetes=where)
    target = KubernetesTarget(service, "production", client, NAMESPACE, stage_timeout=5)
    if helm is not None:
        access = {"HELM_KUBEAPISERVER": fake.url, "HELM_KUBETOKEN": TOKEN}
        target = HelmTarget(
            service,
            "production",
            client,
            NAMESPACE,
            access=access,
            clock=lambda: datetime.now(UTC),
            stage_timeout=5,
        )

    def by_hand(change: Change) -> None:
        path = fake.deployment(NAMES.green)
        containers = fake.objects[path]["spec"]["template"]["spec"]["containers"]
        changed = json.loads(json.dumps(containers[0]))
        change(changed)
        patch = {"spec": {"template": {"spec": {"containers": [changed]}}}}
        assert fake.answer("PATCH", path, TOKEN, patch, STRATEGIC)[0] == 200

    def delay(meanwhile: Callable[[], None]) -> None:
        def before(method: str, path: str, body: Any) -> None:
            if method == "PATCH" and "spec" in body:
                fake.before = None
                meanwhile()

        fake.before = before

    place.append(
        Place(target=target, make=in_registry(settings), fake=fake, by_hand=by_hand, delay=delay)
    )
    return place[0]


def on_helm(
    settings: Settings, secrets: Secrets, stack: ExitStack, chart: str = "charts/hims"
) -> Place:
    program = settings.directory.parent / "helm"
    program.write_text(
        f'#!/bin/sh\nexport FAKE_HELM_HOME="{program.parent}"\n'
        f'exec "{sys.executable}" "{fake_helm.__file__}" "$@"\n'
    )
    program.chmod(0o755)
    helm = Helm(chart=chart, releases=NAMES, program=str(program))
    return on_kubernetes(settings, secrets, stack, helm)


PLACES = {
    "local": on_local,
    "ecs": on_ecs,
    "ecs itself": on_ecs_itself,
    "kubernetes": on_kubernetes,
    "helm": on_helm,
}


@contextmanager
def opened(name: str, settings: Settings, secrets: Secrets) -> Iterator[Place]:
    """Open one target, with 2.2.0 serving from blue."""
    with ExitStack() as stack:
        made = PLACES[name](settings, secrets, stack)
        made.target.stage(made.make("2.2.0"), BLUE, 1)
        made.target.set_weights({BLUE: 100, GREEN: 0}, 1)
        yield made


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, settings: Settings, secrets: Secrets) -> Iterator[Place]:
    """Return each target in turn, with 2.2.0 serving from blue."""
    with opened(request.param, settings, secrets) as made:
        yield made


@pytest.fixture(params=[name for name in PLACES if name != "local"])
def cloud(request: pytest.FixtureRequest, settings: Settings, secrets: Secrets) -> Iterator[Place]:
    """Return each target in turn whose slots run containers, with 2.2.0 serving from blue."""
    with opened(request.param, settings, secrets) as made:
        yield made


def test_what_was_staged_is_read_back_and_serves_nobody(place: Place) -> None:
    target, new = place.target, place.make("2.3.0")
    assert target.staged(GREEN) is None
    target.stage(new, GREEN, 2)
    held = target.staged(GREEN)
    assert held is not None
    assert (held.version, held.digest) == (new.version, new.digest)
    health = target.health(GREEN)
    assert (health.running, health.ready) == (True, True)
    assert (health.version, health.digest) == (new.version, new.digest)
    assert target.weights() == {BLUE: 100, GREEN: 0}


def test_staging_again_and_shares_again_change_nothing(place: Place) -> None:
    target, new = place.target, place.make("2.3.0")
    for _ in range(2):
        target.stage(new, GREEN, 2)
    for _ in range(2):
        target.set_weights({BLUE: 75, GREEN: 25}, 2)
        assert target.weights() == {BLUE: 75, GREEN: 25}
    assert target.staged(BLUE) is not None


def test_every_share_can_be_set_and_is_read_back(place: Place) -> None:
    target = place.target
    target.stage(place.make("2.3.0"), GREEN, 2)
    for share in place.shares:
        target.set_weights({GREEN: share, BLUE: 100 - share}, 2)
        assert target.weights() == {GREEN: share, BLUE: 100 - share}


@pytest.mark.parametrize("shares", [{BLUE: 50}, {BLUE: 110, GREEN: -10}, {}, {BLUE: 60, GREEN: 60}])
def test_shares_that_do_not_add_up_are_refused(place: Place, shares: dict[Colour, int]) -> None:
    with pytest.raises(TargetError, match="add up to 100"):
        place.target.set_weights(shares, 2)
    assert place.target.weights() == {BLUE: 100, GREEN: 0}


def test_an_empty_slot_gets_no_traffic(place: Place) -> None:
    assert not place.target.health(GREEN).ready
    with pytest.raises(TargetError, match="empty"):
        place.target.set_weights({BLUE: 50, GREEN: 50}, 2)
    assert place.target.weights() == {BLUE: 100, GREEN: 0}


def test_a_slot_that_serves_is_neither_staged_over_nor_retired(place: Place) -> None:
    target = place.target
    before = target.staged(BLUE)
    with pytest.raises(TargetError, match="serves"):
        target.stage(place.make("2.3.0"), BLUE, 2)
    with pytest.raises(TargetError, match="serves"):
        target.retire(BLUE, 2)
    after = target.staged(BLUE)
    assert before is not None
    assert after is not None
    assert after.digest == before.digest


def test_an_older_fence_can_do_nothing(place: Place) -> None:
    target, new = place.target, place.make("2.3.0")
    target.stage(new, GREEN, 7)
    for attempt in (
        lambda: target.stage(place.make("2.4.0"), GREEN, 6),
        lambda: target.set_weights({BLUE: 0, GREEN: 100}, 6),
        lambda: target.retire(GREEN, 6),
    ):
        with pytest.raises(FencedOff):
            attempt()
    held = target.staged(GREEN)
    assert held is not None
    assert held.digest == new.digest
    assert target.weights() == {BLUE: 100, GREEN: 0}
    target.set_weights({BLUE: 0, GREEN: 100}, 7)


def test_traffic_goes_back_under_a_newer_fence_without_staging_anew(place: Place) -> None:
    target = place.target
    target.stage(place.make("2.3.0"), GREEN, 2)
    target.set_weights({GREEN: 100, BLUE: 0}, 2)
    target.set_weights({GREEN: 0, BLUE: 100}, 3)
    assert target.weights() == {GREEN: 0, BLUE: 100}


def test_a_deploy_that_is_overtaken_by_a_newer_one_is_told_so(cloud: Place) -> None:
    assert cloud.delay is not None
    target, newer = cloud.target, cloud.make("2.4.0")
    cloud.delay(lambda: target.stage(newer, GREEN, 9))
    with pytest.raises(FencedOff):
        target.stage(cloud.make("2.3.0"), GREEN, 5)
    # Whatever that has left: the newer one goes on with its own.
    target.stage(newer, GREEN, 9)
    held = target.staged(GREEN)
    assert held is not None
    assert held.digest == newer.digest


def test_emptying_that_is_overtaken_by_a_newer_deploy_is_told_so(cloud: Place) -> None:
    assert cloud.delay is not None
    target, newer = cloud.target, cloud.make("2.4.0")
    target.stage(cloud.make("2.3.0"), GREEN, 4)
    cloud.delay(lambda: target.stage(newer, GREEN, 9))
    with pytest.raises(FencedOff):
        target.retire(GREEN, 5)
    target.stage(newer, GREEN, 9)
    held = target.staged(GREEN)
    assert held is not None
    assert held.digest == newer.digest


def test_a_retired_slot_is_empty_and_can_be_retired_again(place: Place) -> None:
    target = place.target
    target.stage(place.make("2.3.0"), GREEN, 2)
    for _ in range(2):
        target.retire(GREEN, 2)
        assert target.staged(GREEN) is None
        assert not target.health(GREEN).ready
        assert target.configuration(GREEN) == {}
    target.stage(place.make("2.4.0"), GREEN, 3)
    held = target.staged(GREEN)
    assert held is not None
    assert held.version == "2.4.0"


def test_a_slot_runs_with_the_settings_of_its_service(place: Place) -> None:
    place.target.stage(place.make("2.3.0"), GREEN, 2)
    assert place.target.configuration(GREEN) == {"telemedicine": "true"}


def setting(container: dict[str, Any], name: str, value: str) -> None:
    """Add a variable to a container, as each platform calls it."""
    key = "environment" if "environment" in container else "env"
    container[key] = [*container.get(key, ()), {"name": name, "value": value}]


def test_a_setting_that_config_names_no_more_is_still_what_a_slot_runs_with(cloud: Place) -> None:
    target = cloud.target
    target.stage(cloud.make("2.3.0"), GREEN, 2)
    assert isinstance(target, EcsTarget | KubernetesTarget)
    target._placement = target._placement.model_copy(update={"config": {}})
    assert target.configuration(GREEN) == {"telemedicine": "true"}


def test_a_variable_that_is_added_by_hand_is_a_setting_until_the_next_version(
    cloud: Place,
) -> None:
    assert cloud.by_hand is not None
    target = cloud.target
    target.stage(cloud.make("2.3.0"), GREEN, 2)
    cloud.by_hand(lambda container: setting(container, "HIMS_DEBUG_SQL", "1"))
    cloud.by_hand(lambda container: setting(container, "TZ", "UTC"))
    assert target.configuration(GREEN) == {"telemedicine": "true", "debug_sql": "1"}
    target.stage(cloud.make("2.4.0"), GREEN, 3)
    left = {"debug_sql": "1"} if isinstance(target, HelmTarget) else {}
    assert target.configuration(GREEN) == {"telemedicine": "true", **left}


def test_a_secret_is_no_setting_and_stays_where_it_comes_from(
    settings: Settings, secrets: Secrets
) -> None:
    with opened("kubernetes", settings, secrets) as place:
        assert place.fake is not None
        assert place.by_hand is not None
        secret = {"name": "HIMS_KEY", "valueFrom": {"secretKeyRef": {"name": "hims", "key": "k"}}}
        # As the API says of a variable whose value is empty.
        empty = {"name": "HIMS_TELEMEDICINE"}
        place.by_hand(lambda container: container.update(env=[secret]))
        place.target.stage(place.make("2.3.0"), GREEN, 2)
        assert place.target.configuration(GREEN) == {"telemedicine": "true"}
        found = place.fake.objects[place.fake.deployment(NAMES.green)]
        container = found["spec"]["template"]["spec"]["containers"][0]
        assert secret in container["env"]
        container["env"] = [secret, empty]
        assert place.target.configuration(GREEN) == {"telemedicine": ""}


def test_of_two_writers_the_cluster_refuses_the_one_that_read_an_older_route(
    settings: Settings, secrets: Secrets
) -> None:
    with ExitStack() as stack:
        place = on_kubernetes(settings, secrets, stack)
        assert place.fake is not None
        path = next(path for path in place.fake.objects if "httproutes" in path)
        stale = json.loads(json.dumps(place.fake.objects[path]))
        place.target.stage(place.make("2.2.0"), BLUE, 3)
        status, said = place.fake.answer("PUT", path, TOKEN, stale, "")
        assert (status, said["reason"]) == (409, "Conflict")


LATE = {
    "stage": lambda place: place.target.stage(place.make("2.5.0"), GREEN, 5),
    "retire": lambda place: place.target.retire(GREEN, 5),
}
NEWER = {
    "another version": lambda place: place.target.stage(place.make("2.4.0"), GREEN, 9),
    "what is there already": lambda place: place.target.stage(place.make("2.3.0"), GREEN, 9),
    "traffic": lambda place: place.target.set_weights({BLUE: 0, GREEN: 100}, 9),
}


@pytest.mark.parametrize("newer", NEWER)
@pytest.mark.parametrize("late", LATE)
def test_what_an_older_permit_writes_late_never_reaches_a_slot_of_the_cluster(
    settings: Settings, secrets: Secrets, late: str, newer: str
) -> None:
    with opened("kubernetes", settings, secrets) as place:
        assert place.fake is not None
        assert place.delay is not None
        place.target.stage(place.make("2.3.0"), GREEN, 4)
        place.delay(lambda: NEWER[newer](place))
        with pytest.raises(FencedOff):
            LATE[late](place)
        held = place.target.staged(GREEN)
        assert held is not None
        assert held.version == ("2.4.0" if newer == "another version" else "2.3.0")


def test_what_a_controller_writes_in_between_keeps_nobody_from_staging(
    settings: Settings, secrets: Secrets
) -> None:
    with opened("kubernetes", settings, secrets) as place:
        assert place.fake is not None
        assert place.delay is not None
        assert place.by_hand is not None
        change = place.by_hand
        place.delay(lambda: change(lambda container: container.update(imagePullPolicy="Always")))
        new = place.make("2.3.0")
        place.target.stage(new, GREEN, 5)
        held = place.target.staged(GREEN)
        assert held is not None
        assert held.digest == new.digest


def test_what_is_changed_while_it_starts_is_not_taken_for_staged(
    settings: Settings, secrets: Secrets
) -> None:
    with opened("kubernetes", settings, secrets) as place:
        assert place.fake is not None
        fake, green, wanted = place.fake, place.fake.deployment(NAMES.green), place.make("2.3.0")

        def before(method: str, path: str, body: Any) -> None:
            assert place.by_hand is not None
            if wanted.digest in json.dumps(fake.objects[green]):
                fake.before = None
                place.by_hand(lambda container: container.update(image="registry.example/hims:x"))

        fake.before = before
        with pytest.raises(TargetError, match=r"somebody else has changed it meanwhile"):
            place.target.stage(wanted, GREEN, 5)


def test_a_slot_whose_deployment_is_gone_keeps_nobody_from_the_other(
    settings: Settings, secrets: Secrets
) -> None:
    with opened("kubernetes", settings, secrets) as place:
        assert place.fake is not None
        del place.fake.objects[place.fake.deployment(NAMES.green)]
        place.target.set_weights({BLUE: 100}, 7)
        with pytest.raises(TargetError, match="not found"):
            place.target.stage(place.make("2.3.0"), GREEN, 7)


def test_an_upgrade_that_has_waited_for_a_newer_one_is_not_begun(
    settings: Settings, secrets: Secrets
) -> None:
    pending = settings.directory.parent / f"pending-{NAMES.green}.json"
    begun = datetime.now(UTC) - timedelta(minutes=1)
    with opened("helm", settings, secrets) as place:
        assert place.fake is not None
        objects, target = place.fake.objects, place.target
        route = next(path for path in objects if "httproutes" in path)
        target.stage(place.make("2.4.0"), GREEN, 5)

        def clock() -> datetime:
            objects[route]["metadata"]["annotations"]["release-control.fence"] = "9"
            return datetime.now(UTC)

        pending.write_text(
            json.dumps({"info": {"status": "pending-upgrade", "last_deployed": begun.isoformat()}})
        )
        assert isinstance(target, HelmTarget)
        target._clock = clock
        with pytest.raises(FencedOff):
            target.stage(place.make("2.3.0"), GREEN, 5)
        # What was under way is the newer one's to take back.
        assert pending.exists()


def test_a_rollout_that_the_cluster_gives_up_is_told_with_its_reason(
    settings: Settings, secrets: Secrets
) -> None:
    with ExitStack() as stack:
        place = on_kubernetes(settings, secrets, stack)
        broken = Artefact(
            service="hims-api", version="2.3.0", digest="sha256:bad", path=settings.state_dir
        )
        with pytest.raises(TargetError, match="timed out progressing"):
            place.target.stage(broken, BLUE, 3)
        # What it said of that one is not held against the next.
        mended = place.make("2.4.0")
        place.target.stage(mended, BLUE, 4)
        held = place.target.staged(BLUE)
        assert held is not None
        assert held.digest == mended.digest


def test_what_a_killed_upgrade_has_left_pending_is_taken_back_once_it_must_be_over(
    settings: Settings, secrets: Secrets
) -> None:
    pending = settings.directory.parent / f"pending-{NAMES.blue}.json"
    begun = datetime.now(UTC) - timedelta(minutes=1)
    info = {"status": "pending-upgrade", "last_deployed": begun.isoformat()}
    with ExitStack() as stack:
        place = on_helm(settings, secrets, stack)
        pending.write_text(json.dumps({"info": info}))
        place.target.stage(place.make("2.3.0"), BLUE, 3)
        held = place.target.staged(BLUE)
        assert held is not None
        assert held.version == "2.3.0"


class GivingUp:
    """The genuine client, with the word of ECS's circuit breaker until the next deployment."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.given_up = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def describe_services(self, **given: Any) -> Any:
        answer = self._client.describe_services(**given)
        if self.given_up:
            for service in answer["services"]:
                for deployment in service["deployments"]:
                    deployment["rolloutState"] = "FAILED"
        return answer

    def update_service(self, **given: Any) -> Any:
        self.given_up = False
        return self._client.update_service(**given)


def test_a_deployment_that_ecs_has_given_up_is_begun_anew(
    settings: Settings, secrets: Secrets
) -> None:
    with ExitStack() as stack:
        place = on_ecs(settings, secrets, stack)
        target, new = place.target, place.make("2.3.0")
        target.stage(new, BLUE, 2)
        assert isinstance(target, EcsTarget)
        client = GivingUp(target._ecs)
        target._ecs = client
        target.stage(new, BLUE, 2)
        assert not client.given_up


def test_a_sidecar_is_left_as_it_is(settings: Settings, secrets: Secrets) -> None:
    with ExitStack() as stack:
        place = on_kubernetes(settings, secrets, stack)
        assert place.fake is not None
        place.target.stage(place.make("2.2.0"), BLUE, 3)
        (found,) = [item for path, item in place.fake.objects.items() if path.endswith(NAMES.blue)]
        containers = found["spec"]["template"]["spec"]["containers"]
        assert {item["name"] for item in containers} == {"hims-api", "sidecar"}
        images = {item["name"]: item["image"] for item in containers}
        assert images["sidecar"] == "proxy:1"
        assert images["hims-api"].startswith("registry.example/hims-api@sha256:")


def test_what_else_a_listener_does_stays_as_it_is(settings: Settings, secrets: Secrets) -> None:
    with ExitStack() as stack:
        place = on_ecs(settings, secrets, stack)
        target = place.target
        assert place.account is not None
        elb, listener = place.account.elb, place.account.listener
        sticky = {"Enabled": True, "DurationSeconds": 600}
        actions = place.account.forward()
        actions[0]["ForwardConfig"]["TargetGroupStickinessConfig"] = sticky
        elb.modify_listener(ListenerArn=listener, DefaultActions=actions)
        target.stage(place.make("2.2.0"), BLUE, 1)
        target.set_weights({BLUE: 100}, 1)
        (after,) = elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"]
        assert after["ForwardConfig"]["TargetGroupStickinessConfig"] == sticky
        assert target.weights() == {BLUE: 100, GREEN: 0}


@pytest.mark.parametrize(
    ("weights", "seen"), [((999, 1), (99, 1)), ((1, 0), (100, 0)), ((99, 99), (50, 50))]
)
def test_a_slot_with_a_little_traffic_is_not_taken_for_one_without(
    settings: Settings, secrets: Secrets, weights: tuple[int, int], seen: tuple[int, int]
) -> None:
    with ExitStack() as stack:
        place = on_ecs(settings, secrets, stack)
        assert place.account is not None
        actions = place.account.forward()
        for group, weight in zip(actions[0]["ForwardConfig"]["TargetGroups"], weights, strict=True):
            group["Weight"] = weight
        listener = place.account.listener
        place.account.elb.modify_listener(ListenerArn=listener, DefaultActions=actions)
        assert place.target.weights() == dict(zip((BLUE, GREEN), seen, strict=True))


def test_what_leads_people_past_both_slots_counts(settings: Settings, secrets: Secrets) -> None:
    with ExitStack() as stack:
        place = on_kubernetes(settings, secrets, stack)
        assert place.fake is not None
        place.fake.add_route("hims-api", {NAMES.blue: 0, NAMES.green: 60, "by-hand": 40})
        assert place.target.weights() == {BLUE: 0, GREEN: 60}


@pytest.mark.parametrize("image", ["registry.example/hims@sha256:0f", "registry.example/hims:evil"])
def test_an_image_that_is_set_by_hand_is_what_a_slot_holds(cloud: Place, image: str) -> None:
    assert cloud.by_hand is not None
    built = cloud.make("2.3.0")
    cloud.target.stage(built, GREEN, 2)
    cloud.by_hand(lambda container: container.update(image=image))
    held = cloud.target.staged(GREEN)
    assert held is not None
    assert held.digest == image.rpartition("@")[2]
    cloud.target.stage(built, GREEN, 3)
    assert cloud.target.staged(GREEN) == replace(held, digest=built.digest)


def test_ecs_pauses_until_it_is_answered_and_keeps_the_old_version_after_the_switch(
    settings: Settings, secrets: Secrets
) -> None:
    with ExitStack() as stack:
        place = on_ecs_itself(settings, secrets, stack)
        target = place.target
        assert place.pauses is not None
        target.stage(place.make("2.2.0"), BLUE, 1)
        target.set_weights({BLUE: 100}, 1)
        target.stage(place.make("2.3.0"), GREEN, 2)
        hooks = place.pauses.configurations[-1]["lifecycleHooks"]
        timeouts = {
            hook["lifecycleStages"][0]: hook["timeoutConfiguration"]["action"] for hook in hooks
        }
        # Silence never moves traffic, and never takes it back from what has been seen through.
        assert timeouts == {
            "PRE_PRODUCTION_TRAFFIC_SHIFT": "ROLLBACK",
            "POST_PRODUCTION_TRAFFIC_SHIFT": "CONTINUE",
        }
        target.set_weights({BLUE: 75, GREEN: 25}, 2)
        target.set_weights({BLUE: 0, GREEN: 100}, 2)
        assert {slot: str(target.staged(slot) and target.staged(slot).version)  # type: ignore[union-attr]
                for slot in Colour} == {BLUE: "2.2.0", GREEN: "2.3.0"}  # fmt: skip
        target.set_weights({BLUE: 100}, 3)
        assert target.staged(GREEN) is None
        assert target.weights() == {BLUE: 100, GREEN: 0}


def test_ecs_is_not_asked_for_shares_that_its_deployment_does_not_have(
    settings: Settings, secrets: Secrets
) -> None:
    with ExitStack() as stack:
        place = on_ecs_itself(settings, secrets, stack, canary=None)
        target = place.target
        target.stage(place.make("2.2.0"), BLUE, 1)
        target.set_weights({BLUE: 100}, 1)
        target.stage(place.make("2.3.0"), GREEN, 2)
        with pytest.raises(TargetError, match="goes to 100 %"):
            target.set_weights({BLUE: 95, GREEN: 5}, 2)
        assert target.weights() == {BLUE: 100, GREEN: 0}
        target.set_weights({GREEN: 100}, 2)
        target.retire(BLUE, 2)
        with pytest.raises(TargetError, match="empty"):
            target.set_weights({BLUE: 100}, 2)


def test_a_deployment_that_ecs_gives_up_is_told_with_its_reason(
    settings: Settings, secrets: Secrets
) -> None:
    with ExitStack() as stack:
        place = on_ecs_itself(settings, secrets, stack)
        assert place.pauses is not None
        place.pauses.fails = True
        with pytest.raises(TargetError, match="tasks failed to start"):
            place.target.stage(place.make("2.2.0"), BLUE, 1)
        assert place.target.weights() == {BLUE: 0, GREEN: 100}


def test_what_helm_refuses_is_told_without_its_token(settings: Settings, secrets: Secrets) -> None:
    with ExitStack() as stack:
        place = on_helm(settings, secrets, stack, chart="charts/broken")
        with pytest.raises(TargetError, match="UPGRADE FAILED") as caught:
            place.target.stage(place.make("2.2.0"), BLUE, 1)
        assert TOKEN not in str(caught.value)


def test_a_chart_that_drops_what_it_is_told_is_found(settings: Settings, secrets: Secrets) -> None:
    with ExitStack() as stack:
        place = on_helm(settings, secrets, stack, chart="charts/deaf")
        with pytest.raises(TargetError, match=r"the chart has to pass image\.digest"):
            place.target.stage(place.make("2.2.0"), BLUE, 1)


def test_without_helm_it_says_what_to_install(settings: Settings, secrets: Secrets) -> None:
    with ExitStack() as stack:
        helm = Helm(chart="charts/hims", releases=NAMES, program="helm-that-is-not-here")
        place = on_kubernetes(settings, secrets, stack, helm)
        with pytest.raises(TargetError, match="install Helm"):
            place.target.stage(place.make("2.2.0"), BLUE, 1)


def test_what_config_names_is_what_is_opened(settings: Settings) -> None:
    names = SlotNames(blue="hims", green="hims")
    known = {"url": "https://cluster", "token": TOKEN, "namespace": NAMESPACE, "verify": True}
    cluster = Kubernetes(
        deployments=NAMES, services=NAMES, route="hims", container="hims", image="hims",
        addresses=NAMES, frontend="http://127.0.0.1:1",
    )  # fmt: skip
    ecs = Ecs(
        cluster="hims", services=names, target_groups=NAMES, listener="arn", container="hims",
        image="hims", addresses=NAMES, frontend="http://127.0.0.1:1",
    )  # fmt: skip
    helm = Helm(chart="charts/hims", releases=NAMES)
    native = EcsNative(rule="arn")
    for target, section, kind in (
        ("kubernetes", cluster, KubernetesTarget),
        ("kubernetes", cluster.model_copy(update={"helm": helm}), HelmTarget),
        ("ecs", ecs, EcsTarget),
        ("ecs", ecs.model_copy(update={"services": names, "native": native}), EcsNativeTarget),
    ):
        service = placed(settings, target=target, **{target: section})
        opened = open_target(service, "production", settings, vendor=lambda name: known)
        assert type(opened) is kind
    missing = {**known, "verify": str(settings.state_dir / "ca.pem")}
    service = placed(settings, target="kubernetes", kubernetes=cluster)
    with pytest.raises(TargetError, match=r"kubernetes_default names .*ca\.pem as ca_file"):
        open_target(service, "production", settings, vendor=lambda name: missing)
