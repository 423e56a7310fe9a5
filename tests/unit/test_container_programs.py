"""The programs of docker/: sign-ins from people.yaml, and a .env with fresh secrets."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.compose_file import ROOT, example_values

SHOW = [
    sys.executable,
    "-c",
    "import os; print(os.environ['AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS']); "
    "print(os.environ['AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE'])",
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of config/ that writes below tmp_path."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    file = tmp_path / "config" / "global.yaml"
    text = re.sub(r"(?m)^state_dir: \S+", f"state_dir: {tmp_path}/state", file.read_text())
    file.write_text(text)
    return tmp_path / "config"


def sign_ins(config: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HIMS_CONFIG": str(config),
        **variables,
    }
    program = str(ROOT / "docker" / "sign_ins.py")
    return subprocess.run(
        [sys.executable, program, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_everybody_in_people_yaml_can_sign_in(config: Path) -> None:
    done = sign_ins(config, *SHOW)
    assert done.returncode == 0, done.stderr
    users, file = done.stdout.split()
    people = yaml.safe_load((config / "people.yaml").read_text())["people"]
    roles = dict(user.split(":") for user in users.split(","))
    assert set(roles) == set(people)
    assert roles["admin"] == "admin"
    assert roles["rita"] == "user"
    passwords = json.loads(Path(file).read_text())
    assert set(passwords) == set(people)
    assert len(set(passwords.values())) == len(people)
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    assert not [word for word in passwords.values() if word in done.stdout + done.stderr]


def test_passwords_that_are_there_stay(config: Path) -> None:
    file = Path(sign_ins(config, *SHOW).stdout.split()[1])
    before = json.loads(file.read_text())
    del before["rita"]
    file.write_text(json.dumps(before))
    assert sign_ins(config, *SHOW).returncode == 0
    after = json.loads(file.read_text())
    assert {user: after[user] for user in before} == before
    assert after["rita"]


@pytest.mark.parametrize(("user", "taken"), [("watch", True), ("rita", False), ("ghost", False)])
def test_the_tasks_own_sign_in_bears_the_password_that_they_are_given(
    config: Path, user: str, taken: bool
) -> None:
    url = f"http://{user}:s3cr%2Ft@airflow-apiserver:8080"
    done = sign_ins(config, *SHOW, AIRFLOW_CONN_AIRFLOW_API=url)
    assert done.returncode == 0, done.stderr
    passwords = json.loads(Path(done.stdout.split()[1]).read_text())
    assert (passwords.get(user) == "s3cr/t") is taken


def test_unusable_people_stop_the_container_with_a_sentence(config: Path) -> None:
    file = config / "people.yaml"
    file.write_text(file.read_text().replace("roles: [release_manager]", "roles: [relese_manager]"))
    done = sign_ins(config, *SHOW)
    assert (done.returncode, done.stdout) == (2, "")
    assert "people.yaml" in done.stderr
    assert "release_manager" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_that_is_not_there_is_an_error(config: Path) -> None:
    done = sign_ins(config, "/no/such/program")
    assert done.returncode == 2
    assert "/no/such/program" in done.stderr
    assert "Traceback" not in done.stderr
    assert sign_ins(config).returncode == 2


def new_env(target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(ROOT / "docker" / "new_env.py"), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_new_env_has_a_secret_of_its_own_for_every_empty_line(tmp_path: Path) -> None:
    asked, _ = example_values((ROOT / ".env.example").read_text())
    both = []
    for name in ("one", "two"):
        assert new_env(tmp_path / name).returncode == 0
        both.append(example_values((tmp_path / name).read_text())[0])
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    one, two = ({key: found[key] for key in asked} for found in both)
    values = [*one.values(), *two.values()]
    assert all(len(value) >= 44 for value in values)
    assert len(set(values)) == len(values)
    assert len(base64.urlsafe_b64decode(one["AIRFLOW_FERNET_KEY"])) == 32
    in_urls = [value for key, value in one.items() if key.endswith("PASSWORD")]
    assert all(re.fullmatch(r"[\w-]+", value) for value in in_urls)


def test_an_env_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / ".env"
    target.write_text("POSTGRES_PASSWORD=known-to-the-database\n")
    done = new_env(target)
    assert done.returncode == 1
    assert target.read_text() == "POSTGRES_PASSWORD=known-to-the-database\n"
    assert new_env(tmp_path / "nowhere" / ".env").returncode == 2


def test_containers_do_not_run_as_root_because_make_env_did(tmp_path: Path) -> None:
    assert new_env(tmp_path / ".env").returncode == 0
    given, shown = example_values((tmp_path / ".env").read_text())
    if os.getuid() == 0:
        assert shown["AIRFLOW_UID"] == "50000"
        assert "AIRFLOW_UID" not in given
    else:
        assert given["AIRFLOW_UID"] == str(os.getuid())


def test_migrating_needs_to_be_told_where() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docker" / "migrate_ledger.py")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "LEDGER_OWNER_URL and LEDGER_APP_ROLE" in done.stderr
