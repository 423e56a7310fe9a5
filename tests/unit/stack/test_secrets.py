"""Secrets: made once, readable by their owner alone, never changed behind anybody's back."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet

from include.errors import StackError
from include.settings import Settings, load_settings
from include.stack.layout import Layout
from include.stack.secrets import ensure_secrets, load_secrets, local_databases, readable_password


def test_nothing_is_there_before_it_is_made(settings: Settings) -> None:
    assert load_secrets(settings.state_dir) is None


def test_a_second_call_changes_nothing(settings: Settings) -> None:
    first = ensure_secrets(settings, people=["tina"])
    layout = Layout(settings.state_dir)
    files = (layout.secrets, layout.people_passwords)
    before = [path.read_bytes() for path in files]
    assert ensure_secrets(settings, people=["tina"]) == first
    assert [path.read_bytes() for path in files] == before
    assert load_secrets(settings.state_dir) == first


def test_only_the_owner_may_read_them(settings: Settings) -> None:
    ensure_secrets(settings, people=["tina"])
    layout = Layout(settings.state_dir)
    layout.secrets.chmod(0o644)
    ensure_secrets(settings, people=["tina"])
    for path in (layout.secrets, layout.people_passwords):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_person_gets_a_password_and_the_others_keep_theirs(settings: Settings) -> None:
    ensure_secrets(settings, people=["tina"])
    path = Layout(settings.state_dir).people_passwords
    before = json.loads(path.read_text())
    ensure_secrets(settings, people=["tina", "omar"])
    after = json.loads(path.read_text())
    assert after["tina"] == before["tina"]
    assert set(after) == {"tina", "omar"}


def test_every_role_and_key_is_its_own(settings: Settings) -> None:
    secrets = ensure_secrets(settings, people=[])
    assert {"postgres", "airflow", "ledger_owner", "ledger_app", "backup_operator", "hims_api"} <= (
        set(secrets.passwords)
    )
    words = [*secrets.passwords.values(), secrets.jwt_secret, secrets.api_secret_key]
    assert len(set(words)) == len(words)
    Fernet(secrets.fernet_key)


def test_a_url_bears_the_password_quoted(settings: Settings) -> None:
    path = Layout(settings.state_dir).secrets
    ensure_secrets(settings, people=[])
    document = json.loads(path.read_text())
    document["passwords"]["hims_api"] = "p@ss/word:1"
    path.write_text(json.dumps(document))
    secrets = load_secrets(settings.state_dir)
    assert secrets
    url = secrets.database_url("hims_api", "hims_api", 5)
    assert url == "postgresql://hims_api:p%40ss%2Fword%3A1@127.0.0.1:5/hims_api"


def test_an_unknown_role_is_an_error(settings: Settings) -> None:
    with pytest.raises(StackError, match='"nobody"'):
        ensure_secrets(settings, people=[]).password("nobody")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"passwords": {}}'])
def test_a_damaged_file_is_never_overwritten(settings: Settings, content: str) -> None:
    path = Layout(settings.state_dir).secrets
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(StackError, match=r"secrets\.json"):
        load_secrets(settings.state_dir)


def test_passwords_can_be_typed_and_differ() -> None:
    passwords = {readable_password() for _ in range(50)}
    assert len(passwords) == 50
    assert all(word.isascii() and " " not in word for word in passwords)


def test_databases_belong_to_their_service(settings: Settings) -> None:
    assert local_databases(settings) == {"hims_api": "hims_api", "hims_api_staging": "hims_api"}


@pytest.mark.parametrize("name", ["ledger", "airflow", "postgres", 'x"; drop', "Ümlaut"])
def test_a_service_cannot_claim_what_is_ours_or_odd(settings: Settings, name: str) -> None:
    path = settings.directory / "services/hims-api.yaml"
    document = yaml.safe_load(path.read_text())
    document["environments"]["production"]["database"] = name
    Path(path).write_text(yaml.safe_dump(document))
    with pytest.raises(StackError, match=r"environments\.production\.database"):
        local_databases(load_settings(settings.directory))
