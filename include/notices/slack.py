"""Notices in a Slack channel: one thread for each release or change.

The first message of a thread is edited into its live summary. Every message bears the notice's mark
as metadata, so that after a crash, or an answer that never came, what arrived is found again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http.client import HTTPException, InvalidURL
from socket import gaierror
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from include.errors import DeliveryError
from include.notices.channel import Arrived, Root
from include.notices.notice import QueuedNotice
from include.notices.slack_blocks import (
    blocks,
    escaped,
    fallback_text,
    is_broadcast,
    summary_blocks,
)
from include.notices.summary import Summary

log = logging.getLogger(__name__)

EVENT_TYPE = "release_control_notice"

_NOT_THERE = "{channel} is unknown to Slack, or the app may not see it; check the channel's name"
_RENEW = "Slack does not accept the app's token; put a valid one into the connection"
_TOKEN_REFUSED = {
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
}
# What Slack's error codes ask of whoever looks after the connection.
_REFUSALS = {
    **dict.fromkeys(_TOKEN_REFUSED, _RENEW),
    "channel_not_found": _NOT_THERE,
    "not_in_channel": "the Slack app is not in {channel}; invite it there",
    "is_archived": "{channel} is archived in Slack; bring it back or name another channel",
    "missing_scope": "the Slack app may not post; give it the scope chat:write",
    "no_permission": "the Slack app may not post in {channel}; give it the permission",
    "restricted_action": "the Slack workspace does not let the app post in {channel}",
}
_ROOT_IS_GONE = {"thread_not_found", "message_not_found", "cannot_reply_to_message"}
_BLOCKS_REFUSED = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"}
_METADATA_REFUSED = {"metadata_too_large", "invalid_metadata_format", "invalid_metadata_schema"}
# What an edit is told of where its thread is, which may be another place than messages go to now.
_OLD_PLACE = {"channel_not_found", "not_in_channel", "is_archived", "is_inactive"}
# Slack says of these that what was asked may have happened all the same.
_PERHAPS_DONE = {"fatal_error", "internal_error", "request_timeout", "service_unavailable"}
_NO_HISTORY = {
    "missing_scope",
    "not_allowed_token_type",
    "channel_not_found",
    "no_permission",
    # With chat:write.public an app posts where it is no member; reading takes a member.
    "not_in_channel",
}
_LONGEST_WAIT = 3600.0
_PAGES = 10
# Their clock is not ours.
_SKEW = timedelta(minutes=10)


class SlackChannel:
    """One Slack channel, by name (`#releases`) or id.

    `client` comes ready-made, with its token and without retries of its own: an answer that does
    not come is not a no, and only the delivery knows how to find out.
    """

    batch = 25
    edits = True

    def __init__(self, client: WebClient, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._looked_up = False
        self._place: str | None = channel if re.fullmatch(r"[CGD][A-Z0-9]{7,}", channel) else None

    @property
    def name(self) -> str:
        """`slack:` and the channel."""
        return f"slack:{self._channel}"

    def deliver(self, queued: QueuedNotice, root: Root | None, summary: Summary) -> Arrived:
        """Post the notice and return the message: its timestamp, and the channel's id.

        Replies go into the thread of `root`; those that people must not miss are shown in the
        channel too. Raises DeliveryError when Slack did not take it.
        """
        message: dict[str, Any] = {
            "channel": self._channel,
            "text": fallback_text(queued),
            "blocks": blocks(queued) if root else summary_blocks(summary),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"mark": queued.mark}},
            # Nothing in a text becomes a mention or a preview.
            "parse": "none",
            "link_names": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if root is not None:
            message["thread_ts"] = root.id
            message["reply_broadcast"] = is_broadcast(queued.notice)
        for _ in range(3):
            try:
                return self._post(message)
            except _Refused as refused:
                if refused.code in _ROOT_IS_GONE and "thread_ts" in message:
                    # Somebody deleted the thread's first message: this one opens it anew.
                    del message["thread_ts"], message["reply_broadcast"]
                    message["blocks"] = summary_blocks(summary)
                elif refused.code in _BLOCKS_REFUSED and "blocks" in message:
                    del message["blocks"]
                elif refused.code in _METADATA_REFUSED and "metadata" in message:
                    del message["metadata"]
                else:
                    raise
        return self._post(message)

    def find(
        self,
        queued: Sequence[QueuedNotice],
        root: Root | None,
        *,
        place: str | None,
        since: datetime,
    ) -> Mapping[int, Arrived] | None:
        """Look for these notices' marks in the thread, or in the channel for a first message.

        None where the app may not read the channel (scope channels:history), or neither a message
        nor Slack's list of channels (scope channels:read) tells the channel's id.
        """
        place = (root.place if root else None) or self._place or self._by_name() or place
        if place is None:
            log.warning(
                "%s: Slack does not say which channel this is, so it cannot be asked what arrived, "
                "and a notice may come twice; give the Slack app the scope channels:read and "
                "invite it there, or put the channel's id into the connection",
                self._channel,
            )
            return None
        asked: dict[str, Any] = {
            "channel": place,
            "oldest": f"{(since - _SKEW).timestamp():.6f}",
            "include_all_metadata": True,
            "limit": 200,
        }
        wanted = {one.mark: one.id for one in queued}
        found: dict[int, Arrived] = {}
        cursor = ""
        for _ in range(_PAGES):
            page = asked | ({"cursor": cursor} if cursor else {})
            try:
                if root is None:
                    answer = self._call("conversations_history", **page)
                else:
                    answer = self._call("conversations_replies", ts=root.id, **page)
            except _Refused as refused:
                if refused.code in _ROOT_IS_GONE and root is not None:
                    # Whichever came next has opened the thread anew.
                    return self.find(queued, None, place=place, since=since)
                if refused.code in _NO_HISTORY:
                    return None
                raise
            for message in answer.get("messages") or ():
                mark = _mark(message)
                # A channel's history shows the replies as well that were broadcast to it. They open
                # nothing, and are found in their thread.
                if mark in wanted and (root is not None or _stands_alone(message)):
                    found[wanted[mark]] = Arrived(
                        id=str(message["ts"]), place=place, opens=root is None
                    )
            cursor = _following(answer)
            if not cursor:
                break
        return found

    def show(self, root: Root, summary: Summary) -> bool:
        """Edit the thread's first message; False where Slack will never take this edit."""
        place = root.place or self._place
        if place is None:
            return False
        shown = summary_blocks(summary)
        try:
            self._call(
                "chat_update",
                channel=place,
                ts=root.id,
                text=escaped(summary.title, 3000),
                blocks=shown,
                parse="none",
                link_names=False,
            )
        except _Refused as refused:
            if refused.code not in _OLD_PLACE and (refused.down or refused.unsure):
                raise
            # A message that cannot be edited stays as it is; the thread below goes on.
            return False
        return True

    def _by_name(self) -> str | None:
        """Return the id of the channel with this name, among those in which the app is; asked once.

        In others the app could read nothing.
        """
        if self._looked_up:
            return None
        # Private channels take a scope of their own, groups:read.
        for types in ("public_channel,private_channel", "public_channel"):
            try:
                self._place = self._listed(types)
                break
            except _Refused as refused:
                if refused.unsure or refused.code in _TOKEN_REFUSED:
                    raise
        self._looked_up = True
        return self._place

    def _listed(self, types: str) -> str | None:
        name = self._channel.removeprefix("#")
        cursor = ""
        for _ in range(_PAGES):
            page = {"cursor": cursor} if cursor else {}
            answer = self._call("users_conversations", types=types, limit=999, **page)
            for channel in answer.get("channels") or ():
                if isinstance(channel, dict) and channel.get("name") == name:
                    place = channel.get("id")
                    return place if isinstance(place, str) and place else None
            cursor = _following(answer)
            if not cursor:
                break
        return None

    def _post(self, message: Mapping[str, Any]) -> Arrived:
        response = self._call("chat_postMessage", **message)
        timestamp, place = response.get("ts"), response.get("channel")
        if not isinstance(timestamp, str) or not timestamp:
            raise DeliveryError("Slack took a message and did not say which", unsure=True)
        if isinstance(place, str) and place:
            self._place = place
        return Arrived(id=timestamp, place=self._place, opens="thread_ts" not in message)

    def _call(self, method: str, **arguments: Any) -> Any:
        token = self._client.token or ""
        if not (token.isascii() and token.isprintable()):
            # No header can bear it, and what urllib says of that, with the token, gets logged.
            raise DeliveryError(_RENEW, down=True)
        try:
            return getattr(self._client, method)(**arguments)
        except SlackApiError as error:
            raise self._refusal(error) from None
        except (SlackClientError, OSError, HTTPException) as error:
            # No `from`: the cause may bear the request, and with it the token.
            raise DeliveryError(
                f"Slack cannot be reached{_cause(error)}", down=True, unsure=not _never_left(error)
            ) from None
        except Exception:
            # The client stumbles over answers that are no UTF-8, name an unknown charset or are no
            # object; by then Slack may have done what it was asked.
            raise DeliveryError(
                "Slack's answer cannot be understood", down=True, unsure=True
            ) from None

    def _refusal(self, error: SlackApiError) -> DeliveryError:
        response = error.response
        status = getattr(response, "status_code", 200)
        body = getattr(response, "data", None)
        code = body.get("error") if isinstance(body, dict) else None
        if status == 429 or code in {"ratelimited", "rate_limited"}:
            wait = _retry_after(getattr(response, "headers", None) or {})
            return DeliveryError(f"Slack asks to wait {wait:.0f} s", retry_after=wait, down=True)
        if status >= 500:
            said = f"Slack has a problem of its own (HTTP {status})"
            return DeliveryError(said, down=True, unsure=True)
        if not isinstance(code, str) or not re.fullmatch(r"[a-z0-9_]{1,60}", code):
            said = f"Slack's answer cannot be understood (HTTP {status})"
            return DeliveryError(said, down=True, unsure=True)
        known = _REFUSALS.get(code)
        said = known.format(channel=self._channel) if known else "Slack refuses the message"
        return _Refused(f"{said} ({code})", code, down=known is not None)


class _Refused(DeliveryError):
    """Slack answered, and said no."""

    def __init__(self, message: str, code: str, *, down: bool) -> None:
        self.code = code
        super().__init__(message, down=down, unsure=code in _PERHAPS_DONE)


def _mark(message: Any) -> str | None:
    metadata = message.get("metadata") if isinstance(message, dict) else None
    if not isinstance(metadata, dict) or metadata.get("event_type") != EVENT_TYPE:
        return None
    payload = metadata.get("event_payload")
    mark = payload.get("mark") if isinstance(payload, dict) else None
    return mark if isinstance(mark, str) else None


def _following(answer: Any) -> str:
    return (answer.get("response_metadata") or {}).get("next_cursor") or ""


def _stands_alone(message: Mapping[str, Any]) -> bool:
    """Tell whether a message is no reply; that of a thread's first message names itself."""
    return message.get("thread_ts") in (None, message.get("ts"))


def _retry_after(headers: Mapping[str, Any]) -> float:
    for name, value in headers.items():
        if name.lower() == "retry-after":
            said = value[0] if isinstance(value, list) and value else value
            try:
                return min(max(float(said), 1.0), _LONGEST_WAIT)
            except (TypeError, ValueError):
                break
    return 30.0


def _never_left(error: Exception) -> bool:
    """Tell whether the request cannot have reached Slack: nobody took the call."""
    reason = getattr(error, "reason", error)
    # gaierror: the name is unknown.
    return isinstance(reason, ConnectionRefusedError | InvalidURL | gaierror)


def _cause(error: Exception) -> str:
    """Return ` (Connection refused)` …; only the system's own words, never those of a request."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return " (no answer in time)"
    said = getattr(reason, "strerror", None)
    if isinstance(said, str) and said:
        return f" ({said})"
    return " (it hung up)" if isinstance(error, ConnectionError | HTTPException) else ""
