"""What can be said against a compose file without a container engine.

The schema says whether Compose would read the file; the rest is what the schema cannot know:
whether all that is referred to exists, and whether the file keeps to this project's own rules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

ROOT = Path(__file__).resolve().parents[2]

# The commands of Airflow's five programs; airflow-init is the sixth component.
COMMANDS = {"api-server", "scheduler", "dag-processor", "triggerer", "celery worker"}

_VARIABLE = re.compile(
    r"\$(?:\$|\{(?P<name>\w+)(?::(?P<kind>[-?+])(?P<rest>[^}]*))?\}|(?P<bare>\w+))"
)
_REQUIRED = r"\$\{\w+:\?[^}]+\}"
_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|KEY|TOKEN|_AUTH)$")
_REFERENCES = ("volumes", "networks", "secrets", "configs")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping: YAML would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        counted = Counter(
            key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"
        )
        for key, count in counted.items():
            if count > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f'"{key}" stands twice', node.start_mark
                )
        return super().construct_mapping(node, deep=deep)


def load(text: str) -> dict[str, Any]:
    """Return the file with its anchors resolved, variables as they are written."""
    return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)


def example_values(example: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return what .env.example sets, and the defaults that it shows commented out."""
    given = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    shown = dict(re.findall(r"^# ([A-Z][A-Z_]+)=(.*)$", example, re.MULTILINE))
    return given, shown


def plain(value: str) -> str:
    """Return `value` as Compose makes it, required variables as the word `given`."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return match["rest"] if match["kind"] == "-" else "given"

    return _VARIABLE.sub(one, value)


def complaints(text: str, example: str) -> list[str]:
    """Return everything that is wrong with the file, given the .env.example beside it."""
    try:
        document = load(text)
    except yaml.YAMLError as error:
        return [f"not readable: {error}"]
    validator = jsonschema.Draft202012Validator(get_builtin_schema("vendor.compose-spec"))
    found = [
        f"schema: {error.json_path}: {error.message}" for error in validator.iter_errors(document)
    ]
    if found:
        return found
    checks = (_references, _mounts, _images, _lives, _components, _published, _secrets)
    found += [complaint for check in checks for complaint in check(document)]
    return found + list(_variables(text, example))


def _services(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(document["services"])


def _volumes(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each volume's source and mode (`rw` unless stated)."""
    for volume in service.get("volumes", []):
        if isinstance(volume, dict):
            mode = "ro" if volume.get("read_only") else "rw"
            yield plain(str(volume.get("source", ""))), mode
        else:
            words = plain(volume).split(":")
            yield words[0], words[2] if len(words) > 2 else "rw"


def _is_path(source: str) -> bool:
    return source.startswith((".", "/", "~"))


def _references(document: dict[str, Any]) -> Iterator[str]:
    services = _services(document)
    used: dict[str, set[str]] = {kind: set() for kind in _REFERENCES}
    for name, service in services.items():
        for target, terms in _needs(service).items():
            yield from _need(name, target, terms, services)
        extended = service.get("extends", {})
        base = extended if isinstance(extended, str) else extended.get("service", name)
        if base not in services:
            yield f'{name}: extends "{base}", which is no service'
        used["volumes"] |= {source for source, _ in _volumes(service) if not _is_path(source)}
        for kind in _REFERENCES[1:]:
            for entry in service.get(kind) or []:
                used[kind].add(entry["source"] if isinstance(entry, dict) else str(entry))
    for kind, names in used.items():
        declared = set(document.get(kind) or {}) | ({"default"} if kind == "networks" else set())
        for missing in sorted(names - declared - {""}):
            yield f'"{missing}" is used, but not declared under {kind}'
        for unused in sorted(declared - names - {"default"}):
            yield f'"{unused}" is declared under {kind}, but not used'


def _needs(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    needs = service.get("depends_on", {})
    return needs if isinstance(needs, dict) else {target: {} for target in needs}


def _need(
    name: str, target: str, terms: dict[str, Any], services: dict[str, dict[str, Any]]
) -> Iterator[str]:
    if target not in services:
        yield f'{name}: depends on "{target}", which is no service'
        return
    condition = terms.get("condition")
    if condition == "service_healthy" and "healthcheck" not in services[target]:
        yield f"{name}: waits for {target} to be healthy, which has no health check"
    if condition == "service_completed_successfully" and "restart" in services[target]:
        yield f"{name}: waits for {target} to end, which is restarted when it does"
    if "profiles" in services[target] and "profiles" not in services[name]:
        yield f"{name}: depends on {target}, which is not started without its profile"


def _mounts(document: dict[str, Any]) -> Iterator[str]:
    for name, service in _services(document).items():
        for source, mode in _volumes(service):
            if not _is_path(source):
                continue
            if not (ROOT / source).exists():
                yield f"{name}: mounts {source}, which does not exist"
            if mode != "ro":
                yield f"{name}: may write into {source}, which is part of the work tree"


def _images(document: dict[str, Any]) -> Iterator[str]:
    for name, service in _services(document).items():
        if "build" in service:
            context = service["build"]
            context = context if isinstance(context, str) else context.get("context", ".")
            if not (ROOT / context / "Dockerfile").exists():
                yield f"{name}: is built in {context}, where there is no Dockerfile"
        elif not re.search(r":[\w-]*\d+\.\d+[\w.-]*$", plain(service.get("image", ""))):
            yield f"{name}: the image {service.get('image')} is not pinned to a version"


def _lives(document: dict[str, Any]) -> Iterator[str]:
    """What runs comes back when it dies, and says how it is; what ends, ends."""
    services = _services(document)
    ends = {
        target
        for service in services.values()
        for target, terms in _needs(service).items()
        if terms.get("condition") == "service_completed_successfully"
    }
    for name, service in services.items():
        if name in ends or "debug" in service.get("profiles", []):
            continue
        if service.get("restart") != "always":
            yield f"{name}: is not restarted when it dies"
        if "healthcheck" not in service:
            yield f"{name}: has no health check"


def _components(document: dict[str, Any]) -> Iterator[str]:
    services = {
        name: service for name, service in _services(document).items() if "profiles" not in service
    }
    commands = {str(service.get("command")) for service in services.values()}
    for missing in sorted(COMMANDS - commands):
        yield f'no service runs "airflow {missing}"'
    for name in ("airflow-init", "postgres", "redis", "ledger-migrate"):
        if name not in services:
            yield f"there is no {name}"
    for name, service in services.items():
        environment = service.get("environment", {})
        if name.startswith("airflow-") and "AIRFLOW__CORE__AUTH_MANAGER" not in environment:
            yield f"{name}: does not have Airflow's common environment"


def _published(document: dict[str, Any]) -> Iterator[str]:
    for name, service in _services(document).items():
        if service.get("network_mode") == "host":
            yield f"{name}: is on the host's network"
        for port in service.get("ports", []):
            address = port.get("host_ip", "") if isinstance(port, dict) else plain(str(port))
            if not address.startswith("127.0.0.1"):
                yield f"{name}: publishes {port} on all addresses of the machine"
            if name != "airflow-apiserver":
                yield f"{name}: publishes {port}; only the api-server may"


def _secrets(document: dict[str, Any]) -> Iterator[str]:
    for name, service in _services(document).items():
        environment = service.get("environment", {})
        if not isinstance(environment, dict):
            yield f"{name}: write the environment as a mapping"
            continue
        for key, value in environment.items():
            if _SECRET_NAME.search(key) and not re.fullmatch(rf"(\w+:)?{_REQUIRED}", str(value)):
                yield f"{name}: {key} is not taken from a required variable"
            if "LEDGER_OWNER" in str(value) and name not in ("postgres", "ledger-migrate"):
                yield f"{name}: {key} gives it the ledger's owner"
        for text in _texts(service):
            for password in re.findall(r"://[^:/@\s]*:((?:\$\{[^}]*\}|[^@/\s])+)@", text):
                if not re.fullmatch(_REQUIRED, password):
                    yield f"{name}: a URL holds the password {password}"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _variables(text: str, example: str) -> Iterator[str]:
    given, shown = example_values(example)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    used = set()
    for match in _VARIABLE.finditer("\n".join(lines)):
        name = match["name"] or match["bare"]
        if name is None:  # $$
            continue
        used.add(name)
        if match["kind"] == "?":
            if not match["rest"]:
                yield f"${name}: is required without saying how to get it"
            if name not in given:
                yield f"${name}: is required, but .env.example does not have it"
        elif match["kind"] == "-":
            if _SECRET_NAME.search(name):
                yield f"${name}: a secret has a default"
            if shown.get(name) != match["rest"]:
                yield f'${name}: .env.example does not show its default, "{match["rest"]}"'
        elif not given.get(name):
            yield f"${name}: has neither a default nor a value in .env.example, nor is it required"
    for name in sorted((given.keys() | shown.keys()) - used):
        yield f"${name}: is in .env.example, but not used"
    for name, value in given.items():
        if value and _SECRET_NAME.search(name):
            yield f"${name}: .env.example holds a secret"
