"""Airflow's REST API as one signed-in person uses it: start a run, see it, answer human tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from include.errors import StackError
from include.instants import format_instant

DAG = "release_train"


class AirflowApi:
    """One person's session; `url` is where Airflow is, without a trailing slash."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.user = user
        self._password = password
        self._http = httpx.Client(base_url=url, timeout=30)
        self._token = ""

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def trigger(self, conf: Mapping[str, Any]) -> str:
        """Start a release train and return its run id; StackError with the API's reason if not."""
        body = {"logical_date": None, "conf": dict(conf)}
        return str(self._json("POST", f"/api/v2/dags/{DAG}/dagRuns", body)["dag_run_id"])

    def run_state(self, run_id: str) -> str:
        """Return the run's state: queued, running, success or failed."""
        return str(self._json("GET", f"/api/v2/dags/{DAG}/dagRuns/{quote(run_id)}")["state"])

    def questions(self, run_id: str) -> list[Mapping[str, Any]]:
        """Return the human tasks of the run that nobody has answered."""
        path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run_id)}/hitlDetails?response_received=false"
        return list(self._json("GET", path)["hitl_details"])

    def event_logs(self, after: datetime) -> list[Mapping[str, Any]]:
        """Return Airflow's event log after an instant, oldest first."""
        found: list[Mapping[str, Any]] = []
        since = quote(format_instant(after))
        while True:
            path = (
                f"/api/v2/eventLogs?after={since}&order_by=event_log_id&limit=100"
                f"&offset={len(found)}"
            )
            page = list(self._json("GET", path)["event_logs"])
            found += page
            if len(page) < 100:
                return found

    def answer(
        self, run_id: str, task_id: str, map_index: int, option: str, comment: str = ""
    ) -> httpx.Response:
        """Answer a human task and return what Airflow said, whatever it was."""
        path = (
            f"/api/v2/dags/{DAG}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"
            f"/{map_index}/hitlDetails"
        )
        body = {"chosen_options": [option], "params_input": {"comment": comment}}
        return self.request("PATCH", path, body)

    def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Send one request as this person, signing in where needed."""
        for attempt in (1, 2):
            try:
                if not self._token:
                    self.sign_in()
                response = self._http.request(
                    method, path, json=body, headers={"Authorization": f"Bearer {self._token}"}
                )
            except httpx.HTTPError as error:
                raise self._away(error) from error
            if response.status_code != 401 or attempt == 2:
                break
            self._token = ""
        return response

    def sign_in(self) -> None:
        """Get a token; StackError if Airflow does not accept this person."""
        body = {"username": self.user, "password": self._password}
        try:
            response = self._http.post("/auth/token", json=body)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        if response.status_code != 201:
            raise StackError(f"Airflow does not accept the sign-in of {self.user}")
        self._token = str(response.json()["access_token"])

    def _away(self, error: httpx.HTTPError) -> StackError:
        return StackError(
            f"Airflow does not answer at {self._http.base_url} ({error}); see "
            "`./hims status` and `./hims logs airflow-api-server`"
        )

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        response = self.request(method, path, body)
        if response.status_code >= 400:
            raise StackError(f"Airflow refuses ({response.status_code}): {_detail(response)}")
        return response.json()


def _detail(response: httpx.Response) -> str:
    try:
        return str(response.json().get("detail"))[:1000]
    except ValueError:
        return response.text[:300]
