"""Configuration by level: what holds, who says so, and no secret in clear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cli import main
from include.configuration.resolved import Flip, resolve
from include.errors import ConfigError, RequestError
from tests.unit.config_copy import ConfigCopy


@pytest.fixture
def config(tmp_path: Path) -> ConfigCopy:
    return ConfigCopy(tmp_path / "config")


def test_later_levels_go_over_earlier_ones(config: ConfigCopy) -> None:
    found = resolve(config.settings, "hims-api", "production")
    assert found.values["workers"] == 16
    assert found.values["database"]["port"] == 5432
    assert [word.level for word in found.why("features.ai_diagnosis")] == [
        "global", "environment", "service",
    ]  # fmt: skip
    assert found.values["features"]["ai_diagnosis"] is False


def test_a_flag_that_a_change_has_set_goes_over_every_file(config: ConfigCopy) -> None:
    flips = [Flip(name="telemedicine", value=False, change="CHG-000007")]
    found = resolve(config.settings, "hims-api", "production", flips=flips)
    assert found.values["features"]["telemedicine"] is False
    last = found.why("features.telemedicine")[-1]
    assert (last.level, last.file) == ("flags", "CHG-000007")
    assert found.digest != resolve(config.settings, "hims-api", "production").digest


def test_the_hash_is_that_of_the_values_alone(config: ConfigCopy) -> None:
    before = resolve(config.settings, "hims-api", "production").digest
    path = config.directory / "values" / "global.yaml"
    path.write_text("# another remark\n" + path.read_text())
    assert resolve(config.settings, "hims-api", "production").digest == before


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2",
        "api_token: abc",
        "database: {password: x}",
        "url: postgres://me:secret@db/x",
        "hosts: ['redis://:pw@h']",
        "aws_secret_access_key: AKIA",
        "databases: [{host: a, password: hunter2}]",
        "servers: [[{token: x}]]",
        "secret: {value: hunter2}",
        "credentials: {user: [hunter2]}",
        "api-key: abc123",
        "private-key: abc",
        "db_pwd: hunter2",
        "dbPassword: 12345",
        "passphrase: hunter2",
        "pass: hunter2",
        "dsn: 'host=h user=u password=hunter2'",
        'key: "-----BEGIN RSA PRIVATE KEY-----"',
        "header: Bearer hunter2hunter2",
    ],
)
def test_a_secret_in_clear_is_refused_where_it_stands(config: ConfigCopy, line: str) -> None:
    config.write("values/global.yaml", f"log_level: info\n{line}\n")
    with pytest.raises(ConfigError) as refused:
        resolve(config.settings, "hims-api", "production")
    (problem,) = refused.value.problems
    assert problem.line == 2
    assert "Connection" in problem.message
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "line",
    [
        "tokens_per_minute: 60",
        "password_policy: {min_length: 12, rotation_days: 90}",
        "password_file: /run/secrets/db",
        "database: {password: 'connection:hims_db'}",
        "credentials: {user: 'connection:hims_db', ttl: 60}",
        "require_password: true",
        "dsn: 'host=h password=connection:hims_db'",
        "compass: north",
        "url: https://example.org/a:b@c",
    ],
)
def test_what_is_no_secret_is_taken(config: ConfigCopy, line: str) -> None:
    config.write("values/global.yaml", f"log_level: info\n{line}\n")
    resolve(config.settings, "hims-api", "production")


@pytest.mark.parametrize(
    "config_line", ['{password_reset: "true"}', '{password_reset_url: "https://x.example/reset"}']
)
def test_a_flag_about_secrets_is_none(config: ConfigCopy, config_line: str) -> None:
    config.replace(
        "services/hims-api.yaml", 'config: {telemedicine: "true"}', f"config: {config_line}"
    )
    resolve(config.settings, "hims-api", "production")


def test_a_secret_that_a_service_is_started_with_is_refused(config: ConfigCopy) -> None:
    config.replace(
        "services/hims-api.yaml", 'config: {telemedicine: "true"}', "config: {api_token: abc}"
    )
    with pytest.raises(ConfigError, match=r"config\.api_token.*a secret in clear"):
        resolve(config.settings, "hims-api", "production")


def test_unknown_words_are_told_with_what_was_meant(config: ConfigCopy) -> None:
    with pytest.raises(RequestError, match='did you mean "production"'):
        resolve(config.settings, "hims-api", "productoin")
    with pytest.raises(RequestError, match="hims-api"):
        resolve(config.settings, "hims-ap", "production")
    with pytest.raises(RequestError, match=r"redis\.host"):
        resolve(config.settings, "hims-api", "production").why("redis.hst")


LEAF = st.one_of(st.booleans(), st.integers(0, 9), st.sampled_from(["a", "b"]))
TREE = st.recursive(
    LEAF, lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=3),
    max_leaves=6,
)  # fmt: skip
LEVEL = st.dictionaries(st.sampled_from("xyz"), TREE, max_size=3)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        here = result.get(key)
        result[key] = (
            merged(here if isinstance(here, dict) else {}, value)
            if isinstance(value, dict)
            else value
        )
    return result


@given(LEVEL, LEVEL, LEVEL)
def test_merging_is_what_one_would_do_by_hand(
    tmp_path_factory: pytest.TempPathFactory,
    overall: dict[str, Any],
    environment: dict[str, Any],
    service: dict[str, Any],
) -> None:
    config = ConfigCopy(tmp_path_factory.mktemp("any") / "config")
    config.write("values/global.yaml", json.dumps(overall))
    config.write("values/environments/production.yaml", json.dumps(environment))
    config.write("values/services/hims-web.yaml", json.dumps({"production": service}))
    found = resolve(config.settings, "hims-web", "production")
    assert found.values == merged(merged(overall, environment), service)
    for key, words in found.origins.items():
        here: Any = found.values
        for step in key.split("."):
            here = here[step]
        assert words[-1].value == here


def test_the_command_shows_the_value_and_every_step_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["config", "show", "hims-api", "production", "--files", "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sources"]["redis.port"]["level"] == "global"
    assert main([*words, "--why", "workers"]) == 0
    assert [step["value"] for step in json.loads(capsys.readouterr().out)["steps"]] == [4, 16]
    assert main([*words, "--why", "nonsense"]) == 1
    assert json.loads(capsys.readouterr().out)["steps"] == []
