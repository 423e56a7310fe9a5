"""Ready-made clients of vendors, or their credentials, from Airflow Connections.

aws_default          boto3 clients: ecs, elbv2, rds, cloudwatch, s3
github_default       an HTTP client for GitHub's API: a token in the password; as host the API's
                     address, where it is not GitHub's own
backup_default       the key of encrypted backups in the password: 32 bytes in base64
kubernetes_default   address, token and namespace of a cluster
datadog_default      api_key in the password, app_key in the extra
newrelic_default     the key in the password, account in the extra
sentry_default       the token in the password, organisation in the extra
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

AWS = ("ecs", "elbv2", "rds", "cloudwatch", "s3")
_SECRETS = {
    "backup": {"key": "password"},
    "datadog": {"api_key": "password", "app_key": "extra"},
    "newrelic": {"api_key": "password", "account": "extra"},
    "sentry": {"token": "password", "organisation": "extra"},
}


def vendor(name: str) -> Any:
    """Return the client of a vendor; TargetError where its Connection is missing or incomplete."""
    from include.errors import TargetError

    connection = f"{'aws' if name in AWS else name}_default"
    try:
        if name in AWS:
            return _aws(connection, name)
        if name == "kubernetes":
            return _kubernetes(connection)
        if name == "github":
            return _github(connection)
        return _secrets(connection, _SECRETS[name])
    except AirflowNotFoundException:
        raise TargetError(
            f"the Connection {connection} is not defined; create it in Airflow "
            "(Admin → Connections)"
        ) from None
    except KeyError as error:
        raise TargetError(f"the Connection {connection} has no {error.args[0]}") from None


def _aws(connection: str, service: str) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    Connection.get(connection)
    return AwsBaseHook(aws_conn_id=connection, client_type=service).get_conn()


def _kubernetes(connection: str) -> Any:
    """Return the address and the headers of a cluster's API."""
    found = Connection.get(connection)
    extra = found.extra_dejson
    scheme = found.schema or "https"
    port = f":{found.port}" if found.port else ""
    return {
        "url": f"{scheme}://{found.host}{port}",
        "token": found.password,
        "namespace": extra.get("namespace", "default"),
        "verify": extra.get("ca_file", True),
    }


def _github(connection: str) -> Any:
    from include.releases.github import API, github_client

    found = Connection.get(connection)
    return github_client(found.password or "", api=found.host or API)


def _secrets(connection: str, wanted: dict[str, str]) -> dict[str, str]:
    found = Connection.get(connection)
    extra = found.extra_dejson
    values: dict[str, str] = {}
    for key, place in wanted.items():
        value = found.password if place == "password" else extra[key]
        if not value:
            raise KeyError(key)
        values[key] = str(value)
    return values
