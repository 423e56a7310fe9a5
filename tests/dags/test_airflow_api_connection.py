"""The Connection under which tasks read Airflow's own event log."""

from __future__ import annotations

import json

import pytest

from include.errors import ConfigError
from release_control import connections


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://watch:word@airflow-apiserver:8080", "http://airflow-apiserver:8080"),
        (
            json.dumps({"conn_type": "http", "host": "http://127.0.0.1:28080/airflow/",
                        "login": "watch", "password": "word"}),
            "http://127.0.0.1:28080/airflow/",
        ),
        (
            json.dumps({"conn_type": "http", "schema": "https", "host": "airflow.example.org",
                        "login": "watch", "password": "word"}),
            "https://airflow.example.org",
        ),
    ],
)  # fmt: skip
def test_it_is_given_as_a_url_or_in_parts(
    monkeypatch: pytest.MonkeyPatch, given: str, url: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", given)
    with connections.airflow_api() as api:
        assert str(api._http.base_url).rstrip("/") == url.rstrip("/")
        assert api.user == "watch"


def test_without_it_the_sweep_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_AIRFLOW_API", raising=False)
    with pytest.raises(ConfigError, match="airflow_api: is not defined; create it in Airflow"):
        connections.airflow_api()
