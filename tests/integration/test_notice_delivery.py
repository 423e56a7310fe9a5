"""Notices on their way to Slack: the genuine slack_sdk, a real ledger, and an unreliable sink."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from slack_sdk import WebClient
from sqlalchemy import select

from include.cli import main
from include.errors import DeliveryError, LedgerError
from include.ledger import Actor, Ledger, Source, Subject
from include.ledger.schema import notice_channel, notice_delivery, notice_thread
from include.notices import Audience, Notice, QueuedNotice, Severity, queue, texts
from include.notices.channel import Arrived, Channel, Root
from include.notices.delivery import Delivered
from include.notices.delivery import deliver_queued as deliver_to
from include.notices.log_channel import LogChannel
from include.notices.queue_state import anything_open
from include.notices.slack import SlackChannel
from include.notices.summary import Summary, summarise
from tests.integration.slack_sink import ODD, TOKEN, SlackSink

NOW = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)


@pytest.fixture
def sink() -> Iterator[SlackSink]:
    with SlackSink() as running:
        running.clock = lambda: NOW.timestamp() + 30
        yield running


def deliver_queued(ledger: Ledger, channel: Channel, now: datetime, **options: Any) -> Delivered:
    """Deliver to one channel."""
    return deliver_to(ledger, {"releases": channel}, now, **options)


def slack(sink: SlackSink, *, token: str = TOKEN, channel: str = "#releases") -> SlackChannel:
    """Return the channel without retries of the client's own, so that each attempt is seen."""
    return SlackChannel(
        WebClient(token=token, base_url=sink.url, timeout=5, retry_handlers=[]), channel
    )


def say(
    ledger: Ledger, *titles: str, thread: str = "hims-api-2.3.0", at: datetime = NOW, **changed: Any
) -> None:
    with ledger.write(Actor.service("test"), Source(kind="cli"), at) as unit:
        for title in titles:
            values: dict[str, Any] = {
                "event": "release.planned", "thread": thread, "audience": Audience.TEAM,
                "severity": Severity.INFO, "title": title, "text": "text",
                "dedupe_key": f"{thread}:{title}", **changed,
            }  # fmt: skip
            assert queue(unit, Notice(**values))
        unit.append("test", Subject(kind="release", id=thread), message="said")


def rows(ledger: Ledger) -> list[Any]:
    table = notice_delivery
    with ledger.read() as connection:
        return list(connection.execute(select(table).order_by(table.c.notice_id, table.c.channel)))


def channel_row(ledger: Ledger) -> Any:
    with ledger.read() as connection:
        return connection.execute(select(notice_channel)).one()


def events(ledger: Ledger, event: str) -> list[dict[str, Any]]:
    return [json.loads(row["body"]) for row in ledger.records(event=event)]


def test_a_thread_arrives_in_order_under_its_first_message(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, "one", "two")
    say(ledger, "three", severity=Severity.CRITICAL)
    assert deliver_queued(ledger, slack(sink), NOW) == Delivered(count=3, failed=0, remaining=0)
    assert sink.titles() == ["one", "two", "⛔ three"]
    root, second, third = sink.taken
    assert "thread_ts" not in root
    assert (second["thread_ts"], second["reply_broadcast"]) == (root["ts"], False)
    assert (third["thread_ts"], third["reply_broadcast"]) == (root["ts"], True)
    for row, message in zip(rows(ledger), sink.taken, strict=True):
        assert (row.state, row.address, row.message_id) == (
            "delivered", "slack:#releases", message["ts"],
        )  # fmt: skip
        assert row.attempts == 1
        assert NOW <= row.delivered_at < NOW + timedelta(seconds=30)
    assert [item["release"] for item in events(ledger, "notice.delivered")] == [
        "hims-api-2.3.0"
    ] * 3


def test_what_was_delivered_is_not_delivered_again(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    assert deliver_queued(ledger, slack(sink), NOW).count == 0
    say(ledger, "two")
    assert deliver_queued(ledger, slack(sink), NOW).count == 1
    assert sink.titles() == ["one", "two"]
    assert sink.taken[1]["thread_ts"] == sink.taken[0]["ts"]


def test_a_task_with_nothing_to_say_finds_that_out_without_a_channel(
    ledger: Ledger, sink: SlackSink
) -> None:
    assert not anything_open(ledger)
    say(ledger, "one")
    assert anything_open(ledger)
    sink.refuse = lambda _message: "fatal_error"
    deliver_queued(ledger, slack(sink), NOW)
    assert anything_open(ledger)
    sink.refuse = lambda _message: None
    deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=5))
    assert sink.titles() == ["one"]
    assert not anything_open(ledger)


def test_two_threads_have_two_first_messages(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, "a1", "a2", thread="a")
    say(ledger, "b1", "b2", thread="b")
    assert deliver_queued(ledger, slack(sink), NOW).count == 4
    of = dict(zip(sink.titles(), sink.taken, strict=True))
    assert of["a2"]["thread_ts"] == of["a1"]["ts"]
    assert of["b2"]["thread_ts"] == of["b1"]["ts"]


def test_a_failing_thread_blocks_itself_and_no_other(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, "a1", "a2", thread="a")
    say(ledger, "b1", "b2", thread="b")
    sink.refuse = lambda message: "fatal_error" if message["text"].startswith("a") else None
    assert deliver_queued(ledger, slack(sink), NOW) == Delivered(count=2, failed=1, remaining=2)
    assert sink.titles() == ["b1", "b2"]
    [a1, a2, *_] = rows(ledger)
    assert (a1.attempts, a2.attempts) == (1, 0)
    assert a1.last_error == "Slack refuses the message (fatal_error)"
    [record] = events(ledger, "notice.undelivered")
    assert (record["outcome"], record["reason"]) == ("failure", "channel_failed")
    sink.refuse = lambda _message: None
    # Not before it is due again: 2 s after the first failure.
    assert deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=1)).count == 0
    assert deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=5)).count == 2
    assert sink.titles() == ["b1", "b2", "a1", "a2"]


def test_a_channel_that_is_down_is_left_alone_for_longer_and_longer(
    ledger: Ledger, sink: SlackSink
) -> None:
    say(ledger, "one", thread="a")
    say(ledger, "two", thread="b")
    waits = []
    now = NOW
    for _ in range(12):
        sink.faults.append("500")
        sink.refuse_history = "missing_scope"
        assert deliver_queued(ledger, slack(sink), now).failed == 1
        row = channel_row(ledger)
        waits.append(round((row.not_before - now).total_seconds()))
        # Nothing else is tried while it is down.
        assert deliver_queued(ledger, slack(sink), now + timedelta(seconds=1)).failed == 0
        now = row.not_before
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]
    assert sink.requests == 12
    assert channel_row(ledger).last_error == "Slack has a problem of its own (HTTP 500)"
    assert deliver_queued(ledger, slack(sink), now).count == 2
    assert channel_row(ledger).failures == 0


def test_a_message_that_is_refused_waits_longer_and_longer(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, "one")
    sink.refuse = lambda _message: "fatal_error"
    waits = []
    now = NOW
    for _ in range(12):
        assert deliver_queued(ledger, slack(sink), now).failed == 1
        [row] = rows(ledger)
        waits.append(round((row.not_before - now).total_seconds()))
        now = row.not_before
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]


def test_slack_asking_to_wait_is_obeyed_by_all_threads(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, "a1", thread="a")
    say(ledger, "b1", thread="b")
    sink.faults.append("429:77")
    assert deliver_queued(ledger, slack(sink), NOW) == Delivered(count=0, failed=1, remaining=2)
    assert sink.requests == 1
    assert rows(ledger)[0].last_error == "Slack asks to wait 77 s"
    assert deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=76)).failed == 0
    assert sink.requests == 1
    assert deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=90)).count == 2
    assert sink.titles() == ["a1", "b1"]


@pytest.mark.parametrize("header", ["", "soon", "-5", "1e9"])
def test_a_wait_that_cannot_be_read_is_still_a_wait(sink: SlackSink, header: str) -> None:
    sink.faults.append(f"429:{header}")
    with pytest.raises(DeliveryError) as caught:
        post(slack(sink), a_queued_notice())
    assert 1 <= (caught.value.retry_after or 0) <= 3600


def post(channel: Channel, queued: QueuedNotice) -> Arrived:
    return channel.deliver(queued, None, summarise([queued.notice]))


def a_queued_notice(**changed: Any) -> QueuedNotice:
    values: dict[str, Any] = {
        "event": "e", "thread": "t", "audience": Audience.TEAM, "severity": Severity.INFO,
        "title": "a title", "text": "text", "dedupe_key": "k", **changed,
    }  # fmt: skip
    return QueuedNotice(id=1, notice=Notice(**values), created_at=NOW, attempts=0)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", "problem of its own"),
        ("hangup", "cannot be reached"),
        ("hangup-after", "cannot be reached"),
        ("html", "cannot be understood"),
        ("no-ts", "did not say which"),
        ("ok:false:invalid_auth", "does not accept the app's token"),
        ("ok:false:channel_not_found", "#releases is unknown to Slack"),
        ("ok:false:not_in_channel", "invite it there"),
        ("ok:false:something_new", r"refuses the message \(something_new\)"),
        ("ok:false:<script>", "cannot be understood"),
    ],
)
def test_each_way_to_fail_is_one_clear_sentence(sink: SlackSink, fault: str, said: str) -> None:
    sink.faults.append(fault)
    with pytest.raises(DeliveryError, match=said) as caught:
        post(slack(sink), a_queued_notice())
    assert caught.value.retry_after is None
    assert TOKEN not in str(caught.value)
    assert "<" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_gone_and_a_server_that_hangs_are_failures(sink: SlackSink) -> None:
    closed = WebClient(token=TOKEN, base_url="http://127.0.0.1:1/api/", retry_handlers=[])
    with pytest.raises(DeliveryError, match=r"cannot be reached \(Connection refused\)"):
        post(SlackChannel(closed, "#releases"), a_queued_notice())
    sink.before_answer = lambda _message: time.sleep(2)
    hanging = WebClient(token=TOKEN, base_url=sink.url, timeout=1, retry_handlers=[])
    with pytest.raises(DeliveryError, match=r"cannot be reached \(no answer in time\)"):
        post(SlackChannel(hanging, "#releases"), a_queued_notice())


def test_a_wrong_token_or_channel_keeps_the_notice_and_says_what_to_do(
    ledger: Ledger, sink: SlackSink
) -> None:
    say(ledger, "one")
    wrong = "xoxb-wrong-token\n"
    assert deliver_queued(ledger, slack(sink, token="xoxb-wrong"), NOW).failed == 1
    assert "does not accept the app's token" in rows(ledger)[0].last_error
    # urllib's own complaint about such a header would quote it.
    later = NOW + timedelta(minutes=1)
    assert deliver_queued(ledger, slack(sink, token=wrong), later).failed == 1
    assert "xoxb" not in rows(ledger)[0].last_error
    later += timedelta(minutes=1)
    assert deliver_queued(ledger, slack(sink, channel="#nowhere"), later).failed == 1
    assert "#nowhere is unknown to Slack" in rows(ledger)[0].last_error
    assert deliver_queued(ledger, slack(sink), later + timedelta(minutes=1)).count == 1
    assert "xoxb" not in str([row["body"] for row in ledger.records()])


def test_a_token_that_no_header_can_bear_is_said_and_not_logged(
    sink: SlackSink, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DeliveryError, match="put a valid one into the connection") as caught:
        post(slack(sink, token="xoxb-wrong\ntoken"), a_queued_notice())
    assert (caught.value.down, caught.value.unsure) == (True, False)
    assert "xoxb" not in caplog.text


def test_a_message_whose_blocks_are_refused_arrives_as_text(sink: SlackSink) -> None:
    sink.refuse = lambda message: "invalid_blocks" if "blocks" in message else None
    assert post(slack(sink), a_queued_notice(title="<x>"))
    assert sink.taken[0]["text"] == "&lt;x&gt;\ntext"


def test_an_outage_delays_everything_and_loses_nothing(ledger: Ledger, sink: SlackSink) -> None:
    titles = [f"n{number}" for number in range(8)]
    for number, title in enumerate(titles):
        say(ledger, title, at=NOW + timedelta(minutes=number))
    dead = SlackChannel(
        WebClient(token=TOKEN, base_url="http://127.0.0.1:1/api/", retry_handlers=[]), "#releases"
    )
    now = NOW + timedelta(minutes=8)
    for _ in range(5):
        assert deliver_queued(ledger, dead, now).count == 0
        now += timedelta(minutes=1)
    assert deliver_queued(ledger, slack(sink), now, zone=lambda: "America/New_York") == Delivered(
        count=8, failed=0, remaining=0
    )
    assert sink.titles() == titles
    # 07:13 by now: n0 to n2 are more than ten minutes late, n3 is exactly ten.
    late = ["late: was due" in json.dumps(message["blocks"]) for message in sink.taken]
    assert late[:3] == [True] * 3
    assert late[4:] == [False] * 4
    said = json.dumps(sink.taken[1]["blocks"])
    assert "late: was due at Sat 28 Nov 2026 02:01 EST (07:01 UTC)" in said


def test_limit_and_budget_end_a_call(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, *[f"n{number}" for number in range(6)])
    channel = slack(sink)
    assert deliver_queued(ledger, channel, NOW, limit=2) == Delivered(
        count=2, failed=0, remaining=4
    )
    assert deliver_queued(ledger, channel, NOW, budget=0).count == 0
    sink.before_answer = lambda _message: time.sleep(1)
    assert deliver_queued(ledger, channel, NOW, budget=1.6).count == 2
    assert [row.state for row in rows(ledger)] == ["delivered"] * 4 + ["queued"] * 2
    assert deliver_queued(ledger, channel, NOW).remaining == 0
    assert sink.titles() == [f"n{number}" for number in range(6)]


def test_a_budget_ends_the_bringing_up_to_date_of_threads_and_the_next_call_goes_on(
    ledger: Ledger, sink: SlackSink
) -> None:
    threads = [f"hims-api-2.{number}.0" for number in range(8)]
    for thread in threads:
        say(ledger, "one", thread=thread)
    channel = slack(sink)
    deliver_queued(ledger, channel, NOW)
    for thread in threads:
        say(ledger, "two", thread=thread)
    before, at_once = sink.edits, sink.answer

    def slow_to_edit(method: str, *asked: Any) -> Any:
        time.sleep(0.5 if method == "chat.update" else 0)
        return at_once(method, *asked)

    sink.answer = slow_to_edit  # type: ignore[method-assign]
    # A task that goes on for long after its end is killed, and what it sent is not written down.
    begun = time.monotonic()
    assert deliver_queued(ledger, channel, NOW, budget=1).count == 8
    assert time.monotonic() - begun < 3
    assert sink.edits - before < 8
    while anything_open(ledger):
        deliver_queued(ledger, channel, NOW, budget=1)
    assert sink.edits - before == 8


def test_a_channel_that_breaks_holds_back_its_thread_only(ledger: Ledger) -> None:
    class Broken(LogChannel):
        def deliver(self, queued: QueuedNotice, root: Root | None, summary: Summary) -> Arrived:
            if queued.notice.thread == "a":
                raise KeyError(TOKEN)
            return super().deliver(queued, root, summary)

    say(ledger, "a1", thread="a")
    say(ledger, "b1", thread="b")
    lines: list[str] = []
    assert deliver_queued(ledger, Broken(lines.append), NOW) == Delivered(
        count=1, failed=1, remaining=1
    )
    assert rows(ledger)[0].last_error == "the channel broke: KeyError"
    assert lines[0] == "NOTICE for team: b1"


def test_deliverers_at_once_send_each_notice_once_and_in_order(
    ledger: Ledger, ledger_url: str, sink: SlackSink
) -> None:
    threads = ["a", "b", "c"]
    for thread in threads:
        say(ledger, *[f"{thread}{number}" for number in range(8)], thread=thread)
    sink.before_answer = lambda _message: time.sleep(0.01)
    done: list[Delivered] = []

    def work() -> None:
        own = Ledger(ledger_url)
        while (one := deliver_queued(own, slack(sink), NOW, limit=3)).remaining:
            done.append(one)
        done.append(one)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(one.count for one in done) == 24
    assert sum(one.failed for one in done) == 0
    assert sum(1 for one in done if one.count) > 1
    titles = sink.titles()
    assert sorted(titles) == sorted(f"{t}{n}" for t in threads for n in range(8))
    for thread in threads:
        assert [t for t in titles if t[0] == thread] == [f"{thread}{n}" for n in range(8)]
    assert [row.attempts for row in rows(ledger)] == [1] * 24


DELIVERER = """
import sys
from datetime import datetime, UTC
from slack_sdk import WebClient
from include.ledger import Ledger
from include.notices.delivery import deliver_queued
from include.notices.slack import SlackChannel
ledger_url, base_url, token = sys.argv[1:]
client = WebClient(token=token, base_url=base_url, timeout=30, retry_handlers=[])
now = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)
deliver_queued(Ledger(ledger_url), {"releases": SlackChannel(client, "#releases")}, now)
"""


def killed_while(ledger: Ledger, ledger_url: str, sink: SlackSink, title: str) -> None:
    """Kill a deliverer while Slack, which has taken `title`, has not answered yet."""
    reached = threading.Event()
    released = threading.Event()

    def hold(message: dict[str, Any]) -> None:
        if message["blocks"][0]["text"]["text"] == title and not reached.is_set():
            reached.set()
            released.wait(30)

    sink.before_answer = hold
    child = subprocess.Popen([sys.executable, "-c", DELIVERER, ledger_url, sink.url, TOKEN])
    assert reached.wait(30)
    # Slack has taken it, and nobody else may touch the channel meanwhile.
    assert deliver_queued(ledger, slack(sink), NOW).count == 0
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    released.set()
    sink.before_answer = lambda _message: None


def deliver_all(ledger: Ledger, sink: SlackSink) -> None:
    deadline = time.monotonic() + 10
    while deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=5)).remaining:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("title", ["one", "two", "five"])
def test_a_deliverer_killed_between_slack_and_the_ledger_repeats_nothing(
    ledger: Ledger, ledger_url: str, sink: SlackSink, title: str
) -> None:
    # The channel is known by its id: something was said in it before.
    say(ledger, "earlier", thread="other")
    deliver_queued(ledger, slack(sink), NOW)
    said = ["one", "two", "three", "four", "five", "six"]
    say(ledger, *said)
    killed_while(ledger, ledger_url, sink, title)
    assert {row.state for row in rows(ledger)} == {"delivered", "sending"}
    deliver_all(ledger, sink)
    assert sink.titles() == ["earlier", *said]
    root = sink.taken[1]["ts"]
    assert [message.get("thread_ts") for message in sink.taken[2:]] == [root] * 5
    assert [row.message_id for row in rows(ledger)] == [message["ts"] for message in sink.taken]


def test_a_reply_that_is_broadcast_is_not_taken_for_the_first_message(
    ledger: Ledger, ledger_url: str, sink: SlackSink
) -> None:
    say(ledger, "earlier", thread="other")
    deliver_queued(ledger, slack(sink), NOW)
    say(ledger, "one")
    say(ledger, "two", severity=Severity.CRITICAL)
    say(ledger, "three", "four")
    killed_while(ledger, ledger_url, sink, "three")
    deliver_all(ledger, sink)
    said = ["one", "⛔ two", "three", "four"]
    assert sink.titles() == ["earlier", *said]
    root = sink.taken[1]["ts"]
    with ledger.read() as connection:
        found = select(notice_thread.c.root_id).where(notice_thread.c.thread == "hims-api-2.3.0")
        assert connection.execute(found).scalar_one() == root
    # What stands there still is what was said: the first message alone was edited.
    assert sink.shown()[2:] == said[1:]
    assert [row.message_id for row in rows(ledger)] == [message["ts"] for message in sink.taken]


@pytest.mark.parametrize("code", ["missing_scope", "not_in_channel"])
def test_where_the_app_may_post_and_not_read_one_unsure_message_stops_nothing(
    ledger: Ledger, sink: SlackSink, code: str
) -> None:
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    sink.refuse_history = code
    say(ledger, "two")
    sink.faults.append("500-after")
    deliver_queued(ledger, slack(sink), NOW)
    say(ledger, "elsewhere", thread="hims-web-1.0.0")
    deliver_all(ledger, sink)
    # Nobody can tell: rather twice than never.
    assert sink.titles() == ["one", "two", "two", "elsewhere"]


@pytest.mark.parametrize("fault", ["500-after", "hangup-after", "no-ts"])
@pytest.mark.parametrize(
    "scopes", [{"channels:read"}, {"channels:read", "groups:read"}], ids=["public", "private"]
)
def test_the_very_first_message_is_found_by_the_channels_name(
    ledger: Ledger, sink: SlackSink, fault: str, scopes: set[str]
) -> None:
    sink.scopes = scopes
    say(ledger, "one", "two")
    sink.faults.append(fault)
    deliver_queued(ledger, slack(sink), NOW)
    deliver_all(ledger, sink)
    assert sink.titles() == ["one", "two"]


def test_slack_asking_to_wait_before_it_lists_its_channels_is_obeyed(
    ledger: Ledger, sink: SlackSink
) -> None:
    say(ledger, "one")
    sink.faults.extend(["500-after", "", "429:77"])
    deliver_queued(ledger, slack(sink), NOW)
    now = NOW + timedelta(seconds=5)
    assert deliver_queued(ledger, slack(sink), now).failed == 1
    assert channel_row(ledger).last_error == "Slack asks to wait 77 s"
    assert deliver_queued(ledger, slack(sink), now + timedelta(seconds=76)).failed == 0
    assert deliver_queued(ledger, slack(sink), now + timedelta(seconds=90)).count == 1
    assert sink.titles() == ["one"]


def test_where_the_app_may_not_list_channels_the_log_says_what_would_help(
    ledger: Ledger, sink: SlackSink, caplog: pytest.LogCaptureFixture
) -> None:
    sink.scopes = set()
    say(ledger, "one", "two")
    sink.faults.append("500-after")
    deliver_queued(ledger, slack(sink), NOW)
    deliver_all(ledger, sink)
    assert sink.titles() == ["one", "one", "two"]
    assert "give the Slack app the scope channels:read" in caplog.text


def test_where_slack_shows_no_history_a_killed_deliverer_repeats_one_and_loses_none(
    ledger: Ledger, ledger_url: str, sink: SlackSink
) -> None:
    sink.refuse_history = "missing_scope"
    say(ledger, "one", "two", "three")
    killed_while(ledger, ledger_url, sink, "one")
    deliver_all(ledger, sink)
    assert sink.titles() == ["one", "one", "two", "three"]


@pytest.mark.parametrize(
    "fault",
    [
        "hangup-after", "500-after", "ok:false:internal_error-after", "hangup", "500", "no-ts",
        "ok:false:fatal_error", *ODD,
    ],
)  # fmt: skip
def test_an_answer_that_never_came_is_asked_for_and_not_sent_again(
    ledger: Ledger, sink: SlackSink, fault: str
) -> None:
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    say(ledger, "two", "three")
    sink.faults.append(fault)
    assert deliver_queued(ledger, slack(sink), NOW).failed == 1
    deliver_all(ledger, sink)
    assert sink.titles() == ["one", "two", "three"]
    assert [row.state for row in rows(ledger)] == ["delivered"] * 3


def test_while_nobody_can_tell_whether_it_arrived_nothing_is_sent(
    ledger: Ledger, sink: SlackSink
) -> None:
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    say(ledger, "two")
    sink.faults.extend(["hangup-after", "500"])
    assert deliver_queued(ledger, slack(sink), NOW).failed == 1
    assert deliver_queued(ledger, slack(sink), NOW + timedelta(minutes=1)).failed == 1
    assert [row.state for row in rows(ledger)] == ["delivered", "sending"]
    assert deliver_queued(ledger, slack(sink), NOW + timedelta(minutes=5)).count == 1
    assert sink.titles() == ["one", "two"]


def ask(key: str, **changed: Any) -> Notice:
    values: dict[str, Any] = {
        "release": "hims-api-2.3.0", "checkpoint": f"CAB: {key}", "people": [f"Holder of {key}"],
        "until": NOW + timedelta(days=2), "zone": "America/New_York", "key": key,
        "link": f"https://airflow/{key}", **changed,
    }  # fmt: skip
    return texts.checkpoint_asks(**values)


def decide(key: str) -> Notice:
    return texts.checkpoint_decided(
        release="hims-api-2.3.0", checkpoint=f"CAB: {key}", decision="approve", by="Ann", key=key
    )


def tell(ledger: Ledger, *notices: Notice, at: datetime = NOW) -> None:
    with ledger.write(Actor.service("test"), Source(kind="cli"), at) as unit:
        for notice in notices:
            assert queue(unit, notice)
        unit.append("test", Subject(kind="release", id="hims-api-2.3.0"), message="said")


def fields_of(message: dict[str, Any]) -> dict[str, str]:
    texts_ = [item["text"] for block in message["blocks"] for item in block.get("fields", [])]
    return {text.split("*")[1]: text.partition("\n")[2] for text in texts_}


def test_the_first_message_of_a_thread_is_its_live_summary(ledger: Ledger, sink: SlackSink) -> None:
    tell(
        ledger,
        texts.freeze_began(
            release="hims-api-2.3.0", phase="code", detail="", until=NOW, zone="America/New_York"
        ),
    )
    deliver_queued(ledger, slack(sink), NOW)
    assert sink.shown() == ["hims-api-2.3.0: code freeze has begun"]
    tell(ledger, ask("security"), ask("operations"))
    deliver_queued(ledger, slack(sink), NOW)
    root = sink.taken[0]
    assert sink.shown()[0] == "✋ hims-api-2.3.0: before the board"
    shown = fields_of(root)
    assert shown["Phase"] == "before the board"
    assert shown["Asked: CAB: security"] == "Holder of security"
    assert shown["Asked: CAB: operations"] == "Holder of operations"
    assert shown["Next"] == "answer by Mon 30 Nov 2026 02:00 EST (07:00 UTC)"
    assert len(sink.taken) == 3
    tell(ledger, decide("security"))
    deliver_queued(ledger, slack(sink), NOW)
    shown = fields_of(sink.taken[0])
    assert "Asked: CAB: security" not in shown
    [actions] = [block for block in sink.taken[0]["blocks"] if block["type"] == "actions"]
    assert actions["elements"][0]["url"] == "https://airflow/operations"
    tell(ledger, decide("operations"))
    tell(
        ledger,
        texts.released(
            release="hims-api-2.3.0", version="2.3.0", commits_count=1, notes_link=None, seconds=9
        ),
    )
    deliver_queued(ledger, slack(sink), NOW)
    assert sink.shown()[0] == "hims-api-2.3.0: released"
    assert fields_of(sink.taken[0])["Asked"] == "nobody now"
    assert sink.edits == 3
    # Nothing new: nothing is edited.
    deliver_queued(ledger, slack(sink), NOW)
    assert sink.edits == 3


def test_a_summary_that_slack_did_not_take_is_brought_up_to_date_later(
    ledger: Ledger, sink: SlackSink
) -> None:
    tell(ledger, ask("security"))
    deliver_queued(ledger, slack(sink), NOW)
    tell(ledger, decide("security"))
    # The reply arrives; the edit behind it does not.
    sink.faults.extend(["", "500"])
    assert deliver_queued(ledger, slack(sink), NOW).count == 1
    assert sink.edits == 0
    assert anything_open(ledger)
    deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=5))
    assert sink.edits == 1
    assert not anything_open(ledger)
    assert "Asked: CAB: security" not in fields_of(sink.taken[0])


def test_what_the_ledger_says_of_an_edit_is_what_came_of_it(
    ledger: Ledger, sink: SlackSink
) -> None:
    tell(ledger, ask("security"))
    deliver_queued(ledger, slack(sink), NOW)
    tell(ledger, decide("security"))
    sink.faults.extend(["", "500", "500"])
    deliver_queued(ledger, slack(sink), NOW)
    deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=5))
    deliver_queued(ledger, slack(sink), NOW + timedelta(minutes=5))
    said = [(item["outcome"], item["message"]) for item in events(ledger, "notice.shown")]
    assert said == [
        (
            "failure",
            "slack:#releases: what threads show was not brought up to date: "
            "Slack has a problem of its own (HTTP 500)",
        ),
        ("success", "slack:#releases: what threads show was brought up to date"),
    ]


@pytest.mark.parametrize("fault", ODD)
@pytest.mark.parametrize("history", [None, "missing_scope"])
def test_an_odd_answer_to_an_edit_costs_nothing_that_was_sent(
    ledger: Ledger, sink: SlackSink, fault: str, history: str | None
) -> None:
    sink.refuse_history = history
    tell(ledger, ask("security"))
    deliver_queued(ledger, slack(sink), NOW)
    tell(ledger, decide("security"))
    sink.faults.extend(["", fault])
    assert deliver_queued(ledger, slack(sink), NOW).count == 1
    assert [row.state for row in rows(ledger)] == ["delivered"] * 2
    deliver_queued(ledger, slack(sink), NOW + timedelta(seconds=5))
    assert not anything_open(ledger)
    assert len(sink.taken) == 2


def test_a_channel_that_breaks_over_an_edit_costs_nothing_that_was_sent(ledger: Ledger) -> None:
    class Broken(LogChannel):
        edits = True

        def show(self, root: Root, summary: Summary) -> bool:
            raise KeyError(TOKEN)

    tell(ledger, ask("security"))
    deliver_queued(ledger, Broken(lambda _line: None), NOW)
    tell(ledger, decide("security"))
    assert deliver_queued(ledger, Broken(lambda _line: None), NOW).count == 1
    assert [row.state for row in rows(ledger)] == ["delivered"] * 2
    deliver_queued(ledger, Broken(lambda _line: None), NOW)
    said = "log: what threads show was not brought up to date: the channel broke: KeyError"
    assert {item["message"] for item in events(ledger, "notice.shown")} == {said}


@pytest.mark.parametrize(
    "code", ["cant_update_message", "edit_window_closed", "is_archived", "something_new"]
)
def test_a_message_that_may_not_be_edited_holds_up_nothing(
    ledger: Ledger, sink: SlackSink, code: str
) -> None:
    sink.refuse_edit = code
    tell(ledger, ask("security"))
    deliver_queued(ledger, slack(sink), NOW)
    tell(ledger, decide("security"))
    assert deliver_queued(ledger, slack(sink), NOW).count == 1
    requests = sink.requests
    deliver_queued(ledger, slack(sink), NOW + timedelta(minutes=1))
    assert sink.requests == requests


def remind(number: int, *, until: datetime = NOW + timedelta(days=2)) -> Notice:
    return texts.checkpoint_reminder(
        thread="hims-api-2.3.0", about="CAB: security", question="security", people=["Sam"],
        users=["sam"], until=until, zone="UTC", key=str(number), link="https://airflow/security",
    )  # fmt: skip


def test_reminders_are_not_piled_up(ledger: Ledger, sink: SlackSink) -> None:
    tell(ledger, ask("security"), remind(1), remind(2), remind(3))
    assert deliver_queued(ledger, slack(sink), NOW) == Delivered(count=2, failed=0, remaining=0)
    assert [row.state for row in rows(ledger)] == ["delivered", "dropped", "dropped", "delivered"]
    assert rows(ledger)[1].last_error == "a newer reminder follows"
    assert [item["reason"] for item in events(ledger, "notice.dropped")] == ["done"] * 2


def test_a_reminder_of_what_is_over_is_not_sent(ledger: Ledger, sink: SlackSink) -> None:
    tell(ledger, ask("security"), remind(1, until=NOW + timedelta(hours=1)))
    later = NOW + timedelta(hours=2)
    assert deliver_queued(ledger, slack(sink), later).count == 1
    assert rows(ledger)[1].last_error == "its moment has passed"
    tell(ledger, remind(2), decide("security"), at=later)
    assert deliver_queued(ledger, slack(sink), later).count == 1
    assert rows(ledger)[2].last_error == "it was answered meanwhile"


def test_a_day_without_slack(ledger: Ledger, sink: SlackSink) -> None:
    dead = SlackChannel(
        WebClient(token=TOKEN, base_url="http://127.0.0.1:1/api/", retry_handlers=[]), "#releases"
    )
    lines: list[str] = []
    log_lines = LogChannel(lines.append)
    now = NOW
    tell(ledger, ask("security"))
    for hour in range(24):
        now = NOW + timedelta(hours=hour)
        say(ledger, f"news {hour:02}", at=now)
        if hour:
            tell(ledger, remind(hour), at=now)
        deliver_to(ledger, {"releases": dead, "log": log_lines}, now)
    # What was said arrived where it could, at once.
    assert sum(line.startswith("NOTICE for team: news") for line in lines) == 24
    now += timedelta(minutes=11)
    sink.clock = now.timestamp
    deliver_to(ledger, {"releases": slack(sink), "log": log_lines}, now)
    titles = sink.titles()
    assert [title for title in titles if title.startswith("news")] == [
        f"news {hour:02}" for hour in range(24)
    ]
    assert sum("still needs" in title for title in titles) == 1
    late = ["late: was due" in json.dumps(message["blocks"]) for message in sink.taken[1:]]
    assert all(late)


def test_slack_that_takes_few_a_second_gets_everything_in_order(
    ledger: Ledger, sink: SlackSink
) -> None:
    sink.per_second = 5
    titles = [f"n{number:02}" for number in range(14)]
    say(ledger, *titles)
    now = NOW
    while deliver_queued(ledger, slack(sink), now).remaining:
        time.sleep(0.6)
        now += timedelta(seconds=3)
    assert sink.titles() == titles


def test_a_failing_channel_does_not_hold_up_another(ledger: Ledger, sink: SlackSink) -> None:
    say(ledger, "one", "two")
    lines: list[str] = []
    hanging = SlackChannel(
        WebClient(token=TOKEN, base_url=sink.url, timeout=1, retry_handlers=[]), "#releases"
    )
    sink.before_answer = lambda _message: time.sleep(2)
    delivered = deliver_to(ledger, {"releases": hanging, "log": LogChannel(lines.append)}, NOW)
    assert delivered == Delivered(count=2, failed=1, remaining=2)
    assert [line for line in lines if line.startswith("NOTICE")] == [
        "NOTICE for team: one", "NOTICE for team: two",
    ]  # fmt: skip


def test_a_thread_whose_first_message_was_deleted_is_opened_anew(
    ledger: Ledger, sink: SlackSink
) -> None:
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    sink.taken.clear()
    say(ledger, "two", "three")
    assert deliver_queued(ledger, slack(sink), NOW).count == 2
    two, three = sink.taken
    assert "thread_ts" not in two
    assert three["thread_ts"] == two["ts"]
    with ledger.read() as connection:
        assert connection.execute(select(notice_thread.c.root_id)).scalar_one() == two["ts"]


def test_a_deliverer_killed_while_it_opens_a_thread_anew_repeats_nothing(
    ledger: Ledger, ledger_url: str, sink: SlackSink
) -> None:
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    sink.taken.clear()
    sink.clock = lambda: NOW.timestamp() + 40
    say(ledger, "two", "three")
    killed_while(ledger, ledger_url, sink, "two")
    deliver_all(ledger, sink)
    assert sink.titles() == ["two", "three"]
    two, three = sink.taken
    assert three["thread_ts"] == two["ts"]


def test_every_channel_has_its_own_pace_and_routes_decide_once(
    ledger: Ledger, sink: SlackSink
) -> None:
    lines: list[str] = []
    both: dict[str, Channel] = {"releases": slack(sink), "log": LogChannel(lines.append)}

    def routes(notice: Notice) -> list[str]:
        return ["log"] if notice.severity is Severity.INFO else ["log", "releases"]

    say(ledger, "quiet")
    say(ledger, "loud", severity=Severity.CRITICAL)
    deliver_to(ledger, both, NOW, routes=routes)
    assert sink.titles() == ["⛔ loud"]
    assert [line for line in lines if line.startswith("NOTICE")] == [
        "NOTICE for team: quiet", "NOTICE CRITICAL for team: loud",
    ]  # fmt: skip
    # Routed already: another rule comes too late.
    deliver_to(ledger, both, NOW, routes=lambda _notice: ["releases"])
    assert len(sink.taken) == 1


@pytest.mark.parametrize("is_back", [True, False])
def test_a_ledger_that_is_lost_meanwhile_costs_no_notice_and_repeats_none(
    postgres: Any, ledger: Ledger, ledger_url: str, sink: SlackSink, is_back: bool
) -> None:
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    say(ledger, "two", "three")
    database = ledger_url.rpartition("/")[2]

    def cut(message: dict[str, Any]) -> None:
        if message["blocks"][0]["text"]["text"] == "three":
            if not is_back:
                postgres.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
            postgres.disconnect(database)

    sink.before_answer = cut
    if is_back:
        assert deliver_queued(ledger, slack(sink), NOW).count == 2
    else:
        with pytest.raises(LedgerError):
            deliver_queued(ledger, slack(sink), NOW)
        postgres.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
        # Nobody knows any more: Slack is asked before anything is sent again.
        assert [row.state for row in rows(ledger)] == ["delivered", "sending", "sending"]
    deliver_all(ledger, sink)
    assert [row.state for row in rows(ledger)] == ["delivered"] * 3
    assert sink.titles() == ["one", "two", "three"]


def test_hims_notices_shows_what_was_said_and_when_it_arrived(
    ledger: Ledger,
    ledger_url: str,
    sink: SlackSink,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    assert main(["notices", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"notices": [], "channels": []}
    say(ledger, "one")
    deliver_queued(ledger, slack(sink), NOW)
    say(ledger, "two", thread="hims-web-1.0.0")
    assert main(["notices", "--json"]) == 0
    one, two = json.loads(capsys.readouterr().out)["notices"]
    assert list(one) == [
        "id", "event", "thread", "audience", "people", "severity", "title", "text", "link",
        "created_at", "deliveries", "state", "channel", "attempts", "delivered_at", "last_error",
    ]  # fmt: skip
    assert one["created_at"] == "2026-11-28T07:00:00Z"
    assert one["delivered_at"].startswith("2026-11-28T07:00:0")
    assert (one["state"], one["channel"]) == ("delivered", "slack:#releases")
    assert (two["state"], two["channel"], two["delivered_at"]) == ("queued", None, None)
    assert main(["notices", "--release", "hims-web-1.0.0"]) == 0
    shown = capsys.readouterr().out
    assert "two" in shown
    assert "one" not in shown
