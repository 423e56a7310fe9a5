"""Notices as mail, to a real SMTP server on this machine."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select

from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.schema import notice_delivery
from include.notices import Audience, Notice, Severity, queue
from include.notices.delivery import Delivered, deliver_queued
from include.notices.email_channel import EmailChannel
from include.notices.log_channel import LogChannel
from include.notices.wording import one_line

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)


class Mailroom:
    """Keeps what it takes; `answers` are given to the next messages, `refused` to recipients."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.to: list[list[str]] = []
        self.answers: list[str] = []
        self.refused: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        self.to.append(list(envelope.rcpt_tos))
        return "250 OK"


@pytest.fixture
def room() -> Iterator[tuple[Mailroom, int]]:
    mailroom = Mailroom()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    controller = Controller(mailroom, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailroom, port
    controller.stop()


def channel(port: int, *addresses: str) -> EmailChannel:
    @contextmanager
    def connect() -> Iterator[smtplib.SMTP]:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as session:
            yield session

    return EmailChannel(connect, "releases@arocord.example", lambda _notice: addresses)


def say(ledger: Ledger, *titles: str, **changed: Any) -> None:
    with ledger.write(Actor.service("test"), Source(kind="cli"), NOW) as unit:
        for title in titles:
            values: dict[str, Any] = {
                "event": "release.planned", "thread": "hims-api-2.3.0", "audience": Audience.TEAM,
                "severity": Severity.INFO, "title": title, "text": "a <b>text</b>",
                "fields": {"Who": "Ann & Bo"}, "dedupe_key": title, **changed,
            }  # fmt: skip
            assert queue(unit, Notice(**values))
        unit.append("test", Subject(kind="release", id="hims-api-2.3.0"), message="said")


def states(ledger: Ledger) -> list[tuple[str, str, str | None]]:
    table = notice_delivery
    with ledger.read() as connection:
        rows = connection.execute(select(table).order_by(table.c.notice_id, table.c.channel)).all()
    return [(row.channel, row.state, row.last_error) for row in rows]


def test_a_mail_says_what_the_notice_says_in_text_and_html(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    say(
        ledger,
        "öne: décidez",
        severity=Severity.ACTION,
        link="https://airflow/x?a=1&b=<script>",
    )
    say(ledger, "two")
    mail = channel(port, "ann@arocord.example", "bo@arocord.example")
    assert deliver_queued(ledger, {"mail": mail}, NOW) == Delivered(count=2, failed=0, remaining=0)
    one, two = mailroom.taken
    assert one["Subject"] == "[please decide] öne: décidez"
    assert two["Subject"] == "two"
    assert one["To"] == "ann@arocord.example, bo@arocord.example"
    assert mailroom.to[0] == ["ann@arocord.example", "bo@arocord.example"]
    # One conversation, and no two mails alike.
    assert one["References"] == two["References"]
    assert one["Message-ID"] != two["Message-ID"]
    plain, html = one.iter_parts()
    assert "Who: Ann & Bo" in plain.get_content()
    assert "https://airflow/x?a=1&b=<script>" in plain.get_content()
    shown = html.get_content()
    assert "a &lt;b&gt;text&lt;/b&gt;" in shown
    assert "<script>" not in shown
    assert "Answer in Airflow" in shown
    # No long word makes the mail wider than its window.
    assert "overflow-wrap:anywhere" in shown


def test_the_same_notice_sent_again_has_the_same_message_id(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    say(ledger, "one")
    mailroom.answers = ["451 try later"]
    mail = channel(port, "ann@arocord.example")
    assert deliver_queued(ledger, {"mail": mail}, NOW).failed == 1
    assert states(ledger) == [("mail", "queued", "the mail server says no (451)")]
    later = NOW + timedelta(minutes=20)
    assert deliver_queued(ledger, {"mail": mail}, later).count == 1
    assert "late: was due" in mailroom.taken[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert str(mailroom.taken[0]["Message-ID"]).startswith("<notice-1-")


def test_who_is_refused_costs_the_others_nothing(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    mailroom.refused = {"gone@arocord.example": "550 no such user"}
    say(ledger, "one")
    mail = channel(port, "ann@arocord.example", "gone@arocord.example")
    assert deliver_queued(ledger, {"mail": mail}, NOW).count == 1
    assert states(ledger) == [("mail", "delivered", "refused: gone@arocord.example")]


def test_who_cannot_take_it_for_the_moment_alone_gets_it_later(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    olga, dana, gone = "olga@arocord.example", "dana@arocord.example", "gone@arocord.example"
    mailroom.refused = {olga: "450 greylisted", gone: "550 no such user"}
    say(ledger, "one")
    mail = {"mail": channel(port, dana, gone, olga)}
    assert deliver_queued(ledger, mail, NOW) == Delivered(count=0, failed=1, remaining=1)
    said = f"the mail server does not take it now for {olga} (450); refused: {gone}"
    assert states(ledger) == [("mail", "queued", said)]
    assert mailroom.to == [[dana]]
    # Still not.
    assert deliver_queued(ledger, mail, NOW + timedelta(seconds=5)).failed == 1
    mailroom.refused = {}
    assert deliver_queued(ledger, mail, NOW + timedelta(seconds=6)).count == 0
    assert deliver_queued(ledger, mail, NOW + timedelta(seconds=30)).remaining == 0
    assert mailroom.to == [[dana], [olga]]
    first, second = mailroom.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert first["To"] == second["To"]
    assert [state for _, state, _ in states(ledger)] == ["delivered"]


def test_who_is_addressed_no_more_is_waited_for_no_more(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    olga, dana = "olga@arocord.example", "dana@arocord.example"
    mailroom.refused = {olga: "452 mailbox full"}
    say(ledger, "one")
    assert deliver_queued(ledger, {"mail": channel(port, dana, olga)}, NOW).remaining == 1
    later = NOW + timedelta(minutes=1)
    assert deliver_queued(ledger, {"mail": channel(port, dana)}, later).count == 1
    assert states(ledger) == [("mail", "delivered", f"addressed no more: {olga}")]
    assert mailroom.to == [[dana]]


def test_a_mailbox_that_is_full_for_days_is_given_up(
    ledger: Ledger, room: tuple[Mailroom, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.notices.email_channel._MOST_TRIES", 2)
    mailroom, port = room
    olga, dana = "olga@arocord.example", "dana@arocord.example"
    mailroom.refused = {olga: "452 mailbox full"}
    say(ledger, "one")
    mail = {"mail": channel(port, dana, olga)}
    for day in range(2):
        assert deliver_queued(ledger, mail, NOW + timedelta(days=day)).count == 0
    assert deliver_queued(ledger, mail, NOW + timedelta(days=2)).count == 1
    assert states(ledger) == [("mail", "delivered", f"refused: {olga}")]
    assert mailroom.to == [[dana]]


def test_who_waits_holds_up_nobody_else_and_gets_everything_in_order(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    olga, dana = "olga@arocord.example", "dana@arocord.example"
    mailroom.refused = {olga: "452 mailbox full"}
    say(ledger, "one", "two", "three")
    mail = {"mail": channel(port, dana, olga)}
    assert deliver_queued(ledger, mail, NOW) == Delivered(count=0, failed=3, remaining=3)
    assert mailroom.to == [[dana]] * 3
    # Olga is tried with the first alone.
    assert [error for _, _, error in states(ledger)][1:] == [
        f"it follows an earlier notice to {olga}"
    ] * 2
    say(ledger, "elsewhere", thread="hims-web-1.0.0")
    mailroom.refused = {}
    assert deliver_queued(ledger, mail, NOW + timedelta(minutes=1)).count == 4
    assert mailroom.to[3:] == [[dana, olga], [olga], [olga], [olga]]
    assert [item["Subject"] for item in mailroom.taken[3:]] == ["elsewhere", "one", "two", "three"]


def test_what_reached_nobody_at_last_is_given_up(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    olga, gone = "olga@arocord.example", "gone@arocord.example"
    mailroom.refused = {olga: "450 greylisted", gone: "550 no such user"}
    say(ledger, "one")
    mail = {"mail": channel(port, gone, olga)}
    assert deliver_queued(ledger, mail, NOW).remaining == 1
    mailroom.refused[olga] = "550 no such user"
    assert deliver_queued(ledger, mail, NOW + timedelta(minutes=1)).remaining == 0
    said = f"the mail server takes nothing for {gone}, {olga} (550)"
    assert states(ledger) == [("mail", "refused", said)]


def test_a_server_that_leaves_while_it_is_told_for_whom_loses_nobody(
    ledger: Ledger, room: tuple[Mailroom, int]
) -> None:
    mailroom, port = room
    olga, dana = "olga@arocord.example", "dana@arocord.example"
    mailroom.refused = {dana: "421 closing"}
    say(ledger, "one")
    mail = {"mail": channel(port, dana, olga)}
    assert deliver_queued(ledger, mail, NOW).failed == 1
    assert states(ledger) == [("mail", "queued", "the mail server says no (421)")]
    mailroom.refused = {}
    assert deliver_queued(ledger, mail, NOW + timedelta(minutes=1)).count == 1
    assert mailroom.to == [[dana, olga]]


@pytest.mark.parametrize("addresses", [("gone@arocord.example",), ()])
def test_what_nobody_can_get_is_given_up_and_said(
    ledger: Ledger, room: tuple[Mailroom, int], addresses: tuple[str, ...]
) -> None:
    mailroom, port = room
    mailroom.refused = {"gone@arocord.example": "550 no such user"}
    say(ledger, "one", "two")
    assert deliver_queued(ledger, {"mail": channel(port, *addresses)}, NOW).remaining == 0
    assert [state for _, state, _ in states(ledger)] == ["refused", "refused"]
    assert all(error for _, _, error in states(ledger))


def test_a_mail_server_that_is_gone_holds_up_no_other_channel(ledger: Ledger) -> None:
    say(ledger, "one", "two")
    lines: list[str] = []
    both = {"mail": channel(1, "ann@arocord.example"), "log": LogChannel(lines.append)}
    delivered = deliver_queued(ledger, both, NOW)
    assert delivered == Delivered(count=2, failed=1, remaining=2)
    assert states(ledger)[1] == (
        "mail", "sending", "the mail server cannot be reached (Connection refused)",
    )  # fmt: skip


@pytest.mark.parametrize(
    "title",
    [
        "one\r\nBcc: eve@evil.example\r\n\r\nbody",
        "=?utf-8?q?one=0D=0ABcc:_eve@evil.example=0D=0A=0D=0Abody?=",
        "one =?utf-8?b?SGkNCkJjYzogZXZlQGV2aWwuZXhhbXBsZQ0KDQpib2R5?= öne",
    ],
)
def test_no_title_adds_a_header_or_a_body(
    ledger: Ledger, room: tuple[Mailroom, int], title: str
) -> None:
    mailroom, port = room
    say(ledger, "a title", title)
    deliver_queued(ledger, {"mail": channel(port, "ann@arocord.example")}, NOW)
    plain, bad = mailroom.taken
    assert bad.keys() == plain.keys()
    assert str(bad["Subject"]).replace("\u2060", "") == one_line(title)
    assert len(list(bad.iter_parts())) == 2
    assert mailroom.to[1] == ["ann@arocord.example"]
