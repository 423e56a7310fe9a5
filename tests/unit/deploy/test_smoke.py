"""Smoke tests against servers that answer well, badly, half and not at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from include.deploy.smoke import MAX_ANSWER, request, run_smoke_tests
from include.services.service import SmokeTest
from tests.unit.deploy.hand_target import says, serving


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that says whatever it likes on each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    connection.recv(65536)
                    talk(connection)
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def smoke(url: str, **wanted: object) -> tuple[bool, str]:
    test = SmokeTest.model_validate({"name": "one", "path": "/x", **wanted})
    (result,) = run_smoke_tests(url, [test])
    return result.passed, result.message


def test_the_right_status_and_content_pass() -> None:
    with serving(says(200, b'{"appointments": []}')) as url:
        assert smoke(url, contains='"appointments"') == (True, "GET /x: status 200")
        assert (
            smoke(url, contains='"patients"')[1] == 'GET /x: the answer does not contain "patients"'
        )
        assert smoke(url, status=404) == (False, "GET /x: status 200, expected 404")
    with serving(says(404)) as url:
        assert smoke(url, status=404)[0]
        assert not smoke(url)[0]


def test_every_test_runs_also_after_one_has_failed() -> None:
    tests = [
        SmokeTest(name=name, path="/", status=status) for name, status in [("a", 500), ("b", 200)]
    ]
    with serving(says()) as url:
        assert [(item.name, item.passed) for item in run_smoke_tests(url, tests)] == [
            ("a", False),
            ("b", True),
        ]


def test_a_body_is_sent_as_json() -> None:
    seen = []

    def note(handler: object) -> None:
        length = int(handler.headers["Content-Length"])  # type: ignore[attr-defined]
        seen.append((handler.command, handler.headers["Content-Type"], handler.rfile.read(length)))  # type: ignore[attr-defined]
        says(201)(handler)  # type: ignore[arg-type]

    with serving(note) as url:
        assert smoke(url, method="POST", body='{"a": 1}', status=201)[0]
    assert seen == [("POST", "application/json", b'{"a": 1}')]


def test_whom_a_slot_sends_people_to_does_not_answer_for_it() -> None:
    def leads(to: str) -> Callable[[BaseHTTPRequestHandler], None]:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            if handler.path == "/y":
                says()(handler)
                return
            handler.send_response(302)
            handler.send_header("Location", to)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return reply

    with serving(says()) as others, serving(leads(f"{others}/y")) as url:
        assert smoke(url)[1] == "GET /x: status 302, expected 200"
        assert smoke(url, status=302)[0]
    with serving(leads("/y")) as url:
        assert smoke(url)[0]


def test_nobody_there_is_no_answer() -> None:
    passed, message = smoke("http://127.0.0.1:1")
    assert not passed
    assert "no answer" in message


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_what_is_no_whole_http_answer_is_no_answer_and_no_crash(said: bytes) -> None:
    with raw_server(lambda connection: connection.sendall(said)) as url:
        answer = request(url + "/")
    assert answer.status == 0
    assert answer.body


def test_an_answer_that_never_ends_is_given_up() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    with raw_server(drip) as url:
        begun = time.monotonic()
        answer = request(url, timeout=0.3)
    assert answer.status == 0
    assert "did not end in time" in answer.body
    assert time.monotonic() - begun < 2


def test_an_endless_answer_is_read_as_far_as_anyone_needs() -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(64):
            connection.sendall(b"x" * 65536)

    with raw_server(pour) as url:
        answer = request(url)
    assert (answer.status, len(answer.body)) == (200, MAX_ANSWER)


def test_what_is_no_text_is_shown_as_well_as_it_can_be() -> None:
    with serving(says(200, b"\xff\xfe ok")) as url:
        assert request(url).body.endswith(" ok")


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(says()) as url:
        assert request(url).status == 200


def test_an_address_that_is_none_is_no_answer() -> None:
    assert request("http://127.0.0.1:99999/").status == 0
    assert request("http://[::1/").status == 0
    assert request("http://127.0.0.1/\n").status == 0
