"""Delivers queued notices to the channels that config/notices.yaml names and a Connection opens.

Without any they go to the log. A notice that cannot be delivered now stays in the outbox;
delivering never fails a task.

What a task has queued goes out once Airflow knows how the task ended: the next task starts
meanwhile, and a channel that takes its time holds up no release.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from release_control.boarding import now

if TYPE_CHECKING:
    import smtplib

    from include.ledger import Ledger
    from include.notices.channel import Channel
    from include.notices.delivery import Delivered
    from include.notices.routing import Mailboxes, Routing, SlackPlace
    from include.settings import Settings

log = logging.getLogger(__name__)

# At the end of a task: long enough for a few messages, short enough for Airflow, which ends a task
# that goes on working for 20 seconds after it has told how it ended.
TASK_BUDGET = 5.0
# For one answer of a channel.
PATIENCE = 5
DEFAULT_CHANNEL = "#releases"


class _Bag:
    """What the task of this process is going to deliver when it has ended."""

    ledger: Ledger | None = None
    open = False


_bag = _Bag()


@contextmanager
def deliver_after(ledger: Ledger) -> Iterator[None]:
    """Deliver what the block has queued, however the block ends: after the task, where there is one
    that Airflow runs, and at once elsewhere."""
    try:
        yield
    finally:
        if _bag.open:
            _bag.ledger = ledger
        else:
            deliver_calmly(ledger)


def task_begins() -> None:
    """Keep what is queued from here on for the end of the task."""
    _bag.ledger, _bag.open = None, True


def task_has_ended() -> None:
    """Deliver what the task of this process has queued; Airflow knows how the task ended."""
    ledger, _bag.ledger, _bag.open = _bag.ledger, None, False
    if ledger is not None:
        deliver_calmly(ledger)


def deliver_calmly(ledger: Ledger) -> None:
    """Deliver a few queued notices now; what cannot be delivered stays queued, and nothing is
    raised."""
    try:
        deliver(ledger, budget=TASK_BUDGET)
    except Exception:
        log.warning("notices stay queued; they go out with the next delivery", exc_info=True)


def deliver(ledger: Ledger, *, budget: float) -> Delivered:
    """Deliver queued notices for at most `budget` seconds."""
    from include.notices.delivery import Delivered, deliver_queued
    from include.notices.queue_state import anything_open
    from include.notices.routing import load_routing
    from include.settings import load_settings

    # Most tasks have nothing to say, and a client for every channel is slow to open.
    if not anything_open(ledger):
        return Delivered(count=0, failed=0, remaining=0)
    settings = load_settings()
    routing = load_routing(settings)
    channels = open_channels(routing)
    return deliver_queued(
        ledger,
        channels,
        now(),
        routes=lambda notice: routing.channels_for(notice, channels),
        budget=budget,
        zone=lambda: calendar_zone(settings),
    )


def calendar_zone(settings: Settings) -> str:
    """Return the zone in which people are told times; UTC where the calendar cannot be read."""
    from include.calendar import load_calendar
    from include.errors import ConfigError

    try:
        return str(load_calendar(settings.config_file("calendar.yaml")).zone)
    except ConfigError:
        # A calendar that nobody can read is said elsewhere.
        return "UTC"


def open_channels(routing: Routing) -> dict[str, Channel]:
    """Return the channels that are set up, by their names in the file; the log always is.

    A channel whose Connection exists and cannot be used is there, and fails by itself.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    from include.notices.log_channel import LogChannel
    from include.notices.routing import LOG, LogLines, SlackPlace

    found: dict[str, Any] = {LOG: LogChannel(lambda line: log.info("%s", line))}
    for name, place in routing.channels.items():
        if isinstance(place, LogLines):
            continue
        try:
            if isinstance(place, SlackPlace):
                found[name] = _slack(place)
            else:
                found[name] = _email(place, routing)
        except AirflowNotFoundException:
            continue
    return found


def _slack(place: SlackPlace) -> Channel:
    from airflow.sdk import Connection

    settings = Connection.get(place.connection)
    # Imported only where Slack is used: the SDK is slow to load.
    from airflow.providers.slack.hooks.slack import SlackHook

    from include.notices.slack import SlackChannel

    client = SlackHook(slack_conn_id=place.connection, timeout=PATIENCE).get_conn()
    # Whoever tries again has to know first whether the message is there: that is the outbox.
    client.retry_handlers = []
    channel = place.channel or settings.extra_dejson.get("channel") or DEFAULT_CHANNEL
    return SlackChannel(client, str(channel))


def _email(place: Mailboxes, routing: Routing) -> Channel:
    from airflow.sdk import Connection

    settings = Connection.get(place.connection)
    from include.notices.email_channel import EmailChannel

    sender = place.sender or settings.extra_dejson.get("from_email") or settings.login
    return EmailChannel(_sessions(place.connection), str(sender), routing.addresses)


def _sessions(connection: str) -> Callable[[], Any]:
    import smtplib

    from airflow.providers.smtp.hooks.smtp import SmtpHook
    from airflow.sdk.exceptions import AirflowException

    class Hook(SmtpHook):
        @property
        def timeout(self) -> int:
            # A server that hangs must not hold up the task that tells of its step.
            return min(super().timeout, PATIENCE)

    @contextmanager
    def connect() -> Iterator[smtplib.SMTP]:
        hook = Hook(smtp_conn_id=connection)
        try:
            hook.get_conn()
        except AirflowException:
            raise smtplib.SMTPServerDisconnected("no session") from None
        with hook:
            # The hook signs in, and sends only messages of its own making.
            yield cast("smtplib.SMTP", hook._smtp_client)

    return connect
