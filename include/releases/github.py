"""A repository on GitHub: the status of its commits, and branches that nobody may move.

A branch is locked by a ruleset of our own, so that whatever protects it otherwise stays untouched.
https://docs.github.com/rest/commits/statuses, https://docs.github.com/rest/repos/rules; limits and
what to do about them: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx

from include.errors import RepositoryError, RequestError
from include.releases.history import is_full_sha
from include.releases.notes import plain_text

API = "https://api.github.com"
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
State = Literal["error", "failure", "pending", "success"]

_LONGEST_DESCRIPTION = 140
_PAGE = 100
# Nobody has so many rulesets; GitHub allows 75 for each repository.
_MOST_PAGES = 10
_RULES = ("deletion", "non_fast_forward", "update")
# The longest list of a hundred rulesets is far shorter.
_LARGEST_ANSWER = 8_000_000
# Names that git allows and that GitHub takes for themselves: a pattern would lock other branches.
_BRANCH = re.compile(r"(?!/|.*(?://|\.\.|@\{|/$|\.$))[^\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]{1,200}")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# What GitHub asks for after a limit that says no time of its own.
_MINUTE = 60.0


def github_client(token: str, *, api: str = API) -> httpx.Client:
    """Return a client for GitHub's REST API, signed in by `token`.

    Raises RequestError where there is no token, or where it would travel in clear.
    """
    address = urlsplit(api)
    if address.scheme != "https" and address.hostname not in _LOOPBACK:
        raise RequestError(f"{api[:200]} is not an https address; a token does not travel in clear")
    if not token.strip() or not token.isascii() or not token.isprintable():
        raise RequestError("there is no token for GitHub; give one that may write to repositories")
    return httpx.Client(
        base_url=api.rstrip("/"),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token.strip()}",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "release-control",
        },
        timeout=httpx.Timeout(20.0),
        # A renamed repository is an error to mend, and a token goes nowhere else.
        follow_redirects=False,
    )


class GitHub:
    """The repository `name` (owner/name) on GitHub.

    A limit, a failing server and a broken line are waited out, altogether for `patience`; what
    then still fails raises RepositoryError with GitHub's own words. Everything may be repeated.
    """

    def __init__(
        self,
        client: httpx.Client,
        name: str,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        patience: timedelta = timedelta(minutes=5),
    ) -> None:
        if not REPOSITORY.fullmatch(name):
            raise RequestError(f'"{name[:80]}" is no repository on GitHub; write it as owner/name')
        self.name = name
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._patience = patience

    def publish_status(
        self, sha: str, state: State, *, context: str, description: str, url: str | None = None
    ) -> None:
        """Say of commit `sha` how the check called `context` ended; the newest word counts."""
        if not is_full_sha(sha):
            raise RequestError(f"{sha[:80]!r} is not a full commit sha")
        words = plain_text(description)
        if len(words) > _LONGEST_DESCRIPTION:
            words = words[: _LONGEST_DESCRIPTION - 1] + "…"
        body = {"state": state, "context": context, "description": words}
        if url is not None:
            body["target_url"] = url
        self._send("POST", f"statuses/{sha}", 201, body=body)

    def lock_branch(self, branch: str, *, passing_app: int | None = None) -> int:
        """Let nobody move, rewrite or delete `branch`; return the ruleset that sees to it.

        `passing_app` is the id of a GitHub App that still may: the one that pushes for the train.
        """
        wanted = _ruleset(_checked(branch), passing_app)
        found = self._find(str(wanted["name"]))
        if found is None:
            answer = self._send("POST", "rulesets", (201, 422), body=wanted)
            # A first try whose answer was lost leaves the name taken.
            found = _number(self._json(answer)) if answer.status_code == 201 else None
            found = found or self._find(str(wanted["name"]))
            if found is None:
                raise self._refused("POST", "rulesets", answer)
        if not self._holds(found, wanted):
            self._send("PUT", f"rulesets/{found}", 200, body=wanted)
            if not self._holds(found, wanted):
                raise RepositoryError(
                    f"GitHub {self.name}: ruleset {found} does not lock {branch} as it was told to"
                )
        return found

    def unlock_branch(self, branch: str) -> bool:
        """Take the lock of `branch` away; return whether there was one."""
        found = self._find(_name(_checked(branch)))
        if found is None:
            return False
        self._send("DELETE", f"rulesets/{found}", (204, 404))
        left = self._find(_name(branch))
        if left is not None:
            raise RepositoryError(f"GitHub {self.name}: ruleset {left} still locks {branch}")
        return True

    def _find(self, name: str) -> int | None:
        for page in range(1, _MOST_PAGES + 1):
            query = {"per_page": _PAGE, "page": page, "includes_parents": "false"}
            listed = self._json(self._send("GET", "rulesets", 200, query=query))
            if not isinstance(listed, list):
                raise RepositoryError(f"GitHub {self.name}: its rulesets are no list")
            for item in listed:
                if isinstance(item, dict) and item.get("name") == name:
                    number = _number(item)
                    if number is None:
                        raise RepositoryError(f"GitHub {self.name}: a ruleset without its number")
                    return number
            if len(listed) < _PAGE:
                return None
        raise RepositoryError(
            f"GitHub {self.name} lists more than {_MOST_PAGES * _PAGE} rulesets; "
            "whether ours is among them cannot be told"
        )

    def _holds(self, number: int, wanted: Mapping[str, Any]) -> bool:
        """Whether the ruleset is in force for exactly this branch, with at least our rules."""
        there = _mapping(self._json(self._send("GET", f"rulesets/{number}", 200)))
        rules = {
            str(rule.get("type"))
            for rule in map(_mapping, _list(there.get("rules")))
            # `update_allows_fetch_and_merge` would let a fork's branch be moved all the same.
            if not any(_mapping(rule.get("parameters")).values())
        }
        refs = _mapping(_mapping(there.get("conditions")).get("ref_name"))
        actors = _list(there.get("bypass_actors"))
        return (
            there.get("enforcement") == "active"
            and there.get("target") == "branch"
            and refs.get("include") == wanted["conditions"]["ref_name"]["include"]
            and not refs.get("exclude")
            and rules >= set(_RULES)
            and [_actor(item) for item in actors]
            == [_actor(item) for item in wanted["bypass_actors"]]
        )

    def _send(
        self,
        method: str,
        path: str,
        expected: int | tuple[int, ...],
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """Send one request until it is answered with a status that is an answer."""
        statuses = (expected,) if isinstance(expected, int) else expected
        address = f"/repos/{quote(self.name)}/{path}"
        waited, tries = 0.0, 0
        while True:
            response: httpx.Response | None = None
            try:
                response = self._answer(method, address, body, query)
            except httpx.HTTPError as error:
                # No `from`: the cause bears the request, and with it the token.
                failure = RepositoryError(
                    f"GitHub {self.name} cannot be reached ({type(error).__name__})"
                )
            else:
                if response.status_code in statuses:
                    return response
                failure = self._refused(method, path, response)
            pause = self._pause(response, tries)
            if pause is None or waited + pause > self._patience.total_seconds():
                raise failure
            self._sleep(pause)
            waited, tries = waited + pause, tries + 1

    def _answer(self, method: str, address: str, body: Any, query: Any) -> httpx.Response:
        """Return the whole answer; RepositoryError for one longer than any of GitHub's."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        with self._client.stream(
            method, address, content=content, params=query, headers=headers
        ) as response:
            parts, size = [], 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _LARGEST_ANSWER:
                    raise RepositoryError(f"GitHub {self.name} gave an answer without an end")
            kept = {
                name: value
                for name, value in response.headers.items()
                if name not in ("content-encoding", "content-length", "transfer-encoding")
            }
            return httpx.Response(response.status_code, headers=kept, content=b"".join(parts))

    def _pause(self, response: httpx.Response | None, tries: int) -> float | None:
        """Return how many seconds to wait before trying again, None where that is no use."""
        backing_off = float(2 ** min(tries, 6))
        if response is None or response.status_code >= 500:
            return backing_off
        headers = response.headers
        spent = headers.get("x-ratelimit-remaining") == "0"
        limited = spent or "retry-after" in headers or "rate limit" in response.text[:2000].lower()
        if response.status_code != 429 and not (response.status_code == 403 and limited):
            return None
        if (given := _seconds(headers.get("retry-after"))) is not None:
            return max(given, 1.0)
        if spent and (reset := _seconds(headers.get("x-ratelimit-reset"))) is not None:
            return max(reset - self._clock().astimezone(UTC).timestamp(), 1.0)
        return max(_MINUTE, backing_off)

    def _refused(self, method: str, path: str, response: httpx.Response) -> RepositoryError:
        try:
            said = _mapping(response.json())
        except (ValueError, RecursionError):
            said = {}
        words = self._without_token(plain_text(str(said.get("message", ""))[:2000]))
        if response.is_redirect:
            words = "it has moved; write its new name into the service's configuration"
        where = f"GitHub {self.name}: {method} {path}"
        return RepositoryError(f"{where}: {response.status_code} {words[:300]}".rstrip())

    def _without_token(self, words: str) -> str:
        """Return what a server said without the token, which it may have said back."""
        _, _, token = self._client.headers.get("Authorization", "").partition(" ")
        return words.replace(token, "…") if token else words

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError):
            message = f"GitHub {self.name} gave an answer that is no JSON"
            raise RepositoryError(message) from None


def _checked(branch: str) -> str:
    if not _BRANCH.fullmatch(branch):
        raise RequestError(f"{branch[:80]!r} is not the name of one branch, like release/v2.3.0")
    return branch


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(branch: str) -> str:
    return f"Release Control: {branch} is frozen"


def _ruleset(branch: str, passing_app: int | None) -> dict[str, Any]:
    passing = {"actor_id": passing_app, "actor_type": "Integration", "bypass_mode": "always"}
    return {
        "name": _name(branch),
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": [] if passing_app is None else [passing],
        "conditions": {"ref_name": {"include": [f"refs/heads/{branch}"], "exclude": []}},
        "rules": [{"type": rule} for rule in _RULES],
    }


def _actor(item: Any) -> tuple[Any, ...]:
    return (item.get("actor_id"), item.get("actor_type")) if isinstance(item, dict) else ()


def _number(ruleset: Any) -> int | None:
    number = _mapping(ruleset).get("id")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,12}", text) else None
