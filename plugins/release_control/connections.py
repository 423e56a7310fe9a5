"""Airflow Connections: the one place where credentials are read.

release_control_db   the ledger, as the role that may append and read
<database>_db        a service's database, named after `database` in config/services
backup_db            a role that may read the service's data and create scratch databases
slack_default        Slack, where notices are delivered
airflow_api          Airflow's own REST API, as somebody who may read its event log
ledger_seal_key      the keys that sign the ledger's heads, in its password, one a line
aws_default          the bucket with Object Lock where heads are anchored, and the KMS that signs
                     them, where config/audit.yaml names these
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from include.ledger import Ledger
    from include.rehearsal.airflow_api import AirflowApi

LEDGER = "release_control_db"
SLACK = "slack_default"
AIRFLOW_API = "airflow_api"
SEAL_KEY = "ledger_seal_key"


def ledger() -> Ledger:
    """Return the ledger behind the Connection `release_control_db`."""
    from include.ledger import Ledger

    return Ledger(database_url(LEDGER))


def airflow_api() -> AirflowApi:
    """Return a session on Airflow's REST API; ConfigError if the Connection is not defined."""
    from include.errors import ConfigError, Problem
    from include.rehearsal.airflow_api import AirflowApi

    try:
        connection = Connection.get(AIRFLOW_API)
    except AirflowNotFoundException:
        message = (
            "is not defined; create it in Airflow (Admin → Connections, type HTTP, host like "
            "http://127.0.0.1:28080) for somebody with the right read_everything"
        )
        raise ConfigError([Problem(file="Connection", key=AIRFLOW_API, message=message)]) from None
    host = str(connection.host or "").rstrip("/")
    if "://" not in host:
        port = f":{connection.port}" if connection.port else ""
        host = f"{connection.schema or 'http'}://{host}{port}"
    return AirflowApi(host, str(connection.login), str(connection.password))


def database_url(conn_id: str) -> str:
    """Return the libpq URL of a PostgreSQL Connection; ConfigError if there is no such one."""
    from include.errors import ConfigError, Problem

    try:
        connection = Connection.get(conn_id)
    except AirflowNotFoundException:
        message = (
            "is not defined; create it in Airflow (Admin → Connections, type Postgres) "
            f"or set AIRFLOW_CONN_{conn_id.upper()}"
        )
        raise ConfigError([Problem(file="Connection", key=conn_id, message=message)]) from None
    return str(connection.get_uri()).replace("postgres://", "postgresql://", 1)


def seal_keys() -> str | None:
    """Return the private keys that seal the ledger; None where this machine's own are used."""
    try:
        keys: str | None = Connection.get(SEAL_KEY).password
    except AirflowNotFoundException:
        return None
    return keys


def s3_client() -> Any:
    """Return a client for S3 with the credentials of `aws_default`."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    return S3Hook(aws_conn_id="aws_default").get_conn()


def kms_client(region: str | None) -> Any:
    """Return a client for KMS in a region with the credentials of `aws_default`."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    from include.audit.kms import PATIENCE

    hook = AwsBaseHook(
        aws_conn_id="aws_default", client_type="kms", region_name=region, config=PATIENCE
    )
    return hook.get_conn()
