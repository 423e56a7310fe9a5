"""Smoke tests: a few real requests whose answers have to be right before people get them."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from include.services.service import SmokeTest

MAX_ANSWER = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request's outcome; `status` is 0 where nothing answered. `seconds` is its duration."""

    status: int
    body: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeResult:
    """How one smoke test went."""

    name: str
    passed: bool
    message: str
    seconds: float


def request(
    url: str, *, method: str = "GET", body: str | None = None, timeout: float = 10
) -> Answer:
    """Send one HTTP request to a slot or load balancer; whatever answers is an Answer.

    What has not answered whole after `timeout` seconds has not answered.
    """
    begin = time.monotonic()
    data = body.encode() if body is not None else None
    try:
        call = urllib.request.Request(url, data=data, method=method)  # noqa: S310 - our own
        if data is not None:
            call.add_header("Content-Type", "application/json")
        with _answered(call, timeout) as response:
            content = _read(response, begin + timeout)
            status = response.status
    except (OSError, ValueError, http.client.HTTPException) as error:
        said = str(error) or type(error).__name__
        return Answer(status=0, body=said, seconds=time.monotonic() - begin)
    return Answer(
        status=status,
        body=content.decode("utf-8", "replace"),
        seconds=time.monotonic() - begin,
    )


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where it comes from; any other one is itself the answer."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


# Slots are on this network: a proxy from the environment would answer in their place. So would the
# load balancer, with the version that serves, where a slot sends people to its public address.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _SameOrigin)


def _answered(call: urllib.request.Request, timeout: float) -> Any:
    try:
        return _direct.open(call, timeout=timeout)
    except urllib.error.HTTPError as error:
        return error


def _read(response: Any, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < MAX_ANSWER and (part := response.read1(65536)):
        parts.append(part)
        size += len(part)
        if time.monotonic() > deadline:
            message = f"the answer did not end in time; {size} bytes of it came"
            raise TimeoutError(message)
    if size < MAX_ANSWER and response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)[:MAX_ANSWER]


def run_smoke_tests(base_url: str, tests: Sequence[SmokeTest]) -> tuple[SmokeResult, ...]:
    """Run every test against `base_url`, also after one has failed."""
    return tuple(_run(base_url, test) for test in tests)


def _run(base_url: str, test: SmokeTest) -> SmokeResult:
    answer = request(base_url + test.path, method=test.method, body=test.body)
    if answer.status == 0:
        message = f"{test.method} {test.path}: no answer ({answer.body[:200]})"
    elif answer.status != test.status:
        message = f"{test.method} {test.path}: status {answer.status}, expected {test.status}"
    elif test.contains is not None and test.contains not in answer.body:
        message = f"{test.method} {test.path}: the answer does not contain {test.contains}"
    else:
        message = f"{test.method} {test.path}: status {answer.status}"
        return SmokeResult(name=test.name, passed=True, message=message, seconds=answer.seconds)
    return SmokeResult(name=test.name, passed=False, message=message, seconds=answer.seconds)
