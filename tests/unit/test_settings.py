"""config/ as people edit it."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.errors import ConfigError, RequestError
from include.settings import ROOT, Settings, load_settings
from tests.unit.config_copy import ConfigCopy


def use(settings: Settings, file: str) -> None:
    """Read one of the files that the tests below spoil."""
    if file == "global.yaml":
        assert settings.overall
    elif file.startswith("services"):
        settings.service("hims-api")
    else:
        settings.environment("production")


def test_the_project_s_own_configuration_is_usable() -> None:
    settings = load_settings(ROOT / "config")
    assert settings.overall.organisation == "AROCORD-HIMS"
    for name in settings.services:
        assert settings.service(name).name == name
    for name in ("production", "rehearsal"):
        durations = settings.environment(name).durations
        assert durations.needed == durations.deploy + durations.rollback + durations.reserve
        assert durations.work == durations.backup + durations.needed
    assert settings.label("calendar.yaml") == "config/calendar.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "global.yaml",
            "organisation:",
            "organization:",
            'organization: unknown key; did you mean "organisation"?',
        ),
        (
            "global.yaml",
            "  airflow: ",
            "  airflw: ",
            'ports.airflw: unknown key; did you mean "airflow"?',
        ),
        (
            "services/hims-api.yaml",
            "  ready: /readyz",
            "  redy: /readyz",
            'checks.redy: unknown key; did you mean "ready"?',
        ),
        (
            "services/hims-api.yaml",
            "unknown patient, path:",
            "unknown patient, paht:",
            'checks.smoke.2.paht: unknown key; did you mean "path"?',
        ),
        (
            "services/hims-api.yaml",
            "ports: {frontend: 28100,",
            "ports: {fronted: 28100,",
            'environments.staging.ports.fronted: unknown key; did you mean "frontend"?',
        ),
        (
            "environments/production.yaml",
            "  max_error_rate:",
            "  max_eror_rate:",
            'watch.max_eror_rate: unknown key; did you mean "max_error_rate"?',
        ),
    ],
)
def test_an_unknown_key_names_file_line_and_what_was_meant(
    config: ConfigCopy, file: str, old: str, new: str, said: str
) -> None:
    line = config.replace(file, old, new)
    with pytest.raises(ConfigError) as refused:
        use(config.settings, file)
    assert f"{config.directory}/{file}:{line}: {said}" in str(refused.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "said"),
    [
        (
            "global.yaml",
            "airflow: ",
            "airflow: 80800 # ",
            "ports.airflow",
            "less than or equal to 65535",
        ),
        ("global.yaml", "airflow: ", "airflow: zero # ", "ports.airflow", "valid integer"),
        ("services/hims-api.yaml", "systems: [api]", "systems: []", "systems", "at least 1"),
        (
            "services/hims-api.yaml",
            "target: local\n    ports: {frontend: 28100, blue: 28101, green: 28102}",
            "target: local",
            "environments.staging",
            "a local target needs ports",
        ),
        (
            "services/hims-api.yaml",
            "name: hims-api\n",
            "name: ../etc\n",
            "name",
            "lower-case words",
        ),
        (
            "services/hims-api.yaml",
            '"{version}"]]\n  test',
            '"{verison}"]]\n  test',
            "commands.version.0",
            "is not a placeholder",
        ),
        (
            "environments/production.yaml",
            "deploy: 30m",
            "deploy: 30 minutes",
            "durations.deploy",
            "is not a duration",
        ),
        (
            "environments/production.yaml",
            "deploy: 30m",
            "deploy: 30",
            "durations.deploy",
            "write a duration",
        ),
        (
            "environments/production.yaml",
            "max_error_rate: 0.01",
            "max_error_rate: .nan",
            "watch.max_error_rate",
            "less than or equal to 1",
        ),
        (
            "environments/production.yaml",
            "interval: 15s",
            "interval: 0s",
            "watch.interval",
            "greater than",
        ),
        (
            "environments/production.yaml",
            "max_error_rate: 0.01",
            "max_error_rate: 1%",
            "watch.max_error_rate",
            "valid number",
        ),
    ],
)
def test_a_bad_value_names_its_key_and_why(
    config: ConfigCopy, file: str, old: str, new: str, key: str, said: str
) -> None:
    config.replace(file, old, new)
    with pytest.raises(ConfigError) as refused:
        use(config.settings, file)
    assert [problem.key for problem in refused.value.problems] == [key]
    assert said in str(refused.value)


def test_a_service_is_called_what_its_file_is_called(config: ConfigCopy) -> None:
    config.replace("services/hims-api.yaml", "name: hims-api\n", "name: hims-web\n")
    with pytest.raises(ConfigError, match='is "hims-web", but the file is named after "hims-api"'):
        config.settings.service("hims-api")


@pytest.mark.parametrize(
    "name",
    ["hims-apo", "../services/hims-api", "", "hims-api.yaml", "x" * 9999, "hims-api\n", "\x00"],
)
def test_a_service_that_is_not_configured_is_refused_with_those_that_are(
    config: ConfigCopy, name: str
) -> None:
    with pytest.raises(RequestError, match="is not configured") as refused:
        config.settings.service(name)
    assert "hims-api" in str(refused.value)
    assert len(str(refused.value)) < 400


def test_an_environment_that_is_not_configured_is_refused(config: ConfigCopy) -> None:
    with pytest.raises(RequestError, match='did you mean "production"'):
        config.settings.environment("prodution")


def test_the_variable_names_another_configuration(
    config: ConfigCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.replace("global.yaml", "AROCORD-HIMS", "Elsewhere")
    monkeypatch.setenv("HIMS_CONFIG", str(config.directory))
    assert load_settings().overall.organisation == "Elsewhere"
    monkeypatch.setenv("HIMS_CONFIG", str(config.directory / "gone"))
    with pytest.raises(ConfigError, match="gone: is not a directory"):
        load_settings()


def test_paths_start_at_the_project_s_root(config: ConfigCopy) -> None:
    settings = config.settings
    assert settings.state_dir == ROOT / ".run"
    assert settings.path("/elsewhere") == Path("/elsewhere")


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://x.example/", "https://x.example"), ("https://x.example/a//", "https://x.example/a")],
)
def test_the_ui_s_address_ends_without_a_slash(config: ConfigCopy, url: str, shown: str) -> None:
    config.replace("global.yaml", "# ui_url: https://releases.example.org ", f"ui_url: {url} #")
    assert config.settings.ui_url == shown
