"""Notices as mail, one conversation for each release or change.

The Message-ID of a notice is always the same, so that a server or a mailbox which sees one twice
after a crash may keep one; the first of a thread is what the others refer to.
"""

from __future__ import annotations

import hashlib
import html
import smtplib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from include.errors import DeliveryError
from include.notices.channel import Arrived, Root
from include.notices.notice import Notice, QueuedNotice, Severity
from include.notices.slack_blocks import split_link
from include.notices.summary import Summary
from include.notices.wording import one_line, shorten

_SUBJECT = 150
_MARKS = {
    Severity.ACTION: "[please decide] ",
    Severity.WARNING: "[warning] ",
    Severity.CRITICAL: "[critical] ",
}

# At one in ten minutes about five days, after which mail servers, too, give up on a mailbox.
_MOST_TRIES = 720


class EmailChannel:
    """Mailboxes behind one mail server.

    `connect` opens a session that is signed in, `addresses` says who a notice is for.
    """

    batch = 1
    edits = False
    name = "email"

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[smtplib.SMTP]],
        sender: str,
        addresses: Callable[[Notice], Sequence[str]],
    ) -> None:
        self._connect = connect
        self._sender = sender
        self._addresses = addresses

    def deliver(self, queued: QueuedNotice, root: Root | None, summary: Summary) -> Arrived:
        """Send one mail to everybody whom the notice is for, or to those who are still to get it.

        Raises DeliveryError when nobody got it, or somebody could not take it for the moment; who
        was refused for good beside others is a remark.
        """
        del summary
        addressed = tuple(self._addresses(queued.notice))
        recipients = addressed
        if queued.waiting is not None:
            # Who is addressed no more gets it no more.
            recipients = tuple(person for person in queued.waiting if person in addressed)
        if not addressed:
            raise DeliveryError("there is nobody to write to", for_good=True)
        message = mail(queued, self._sender, addressed)
        behind = [person for person in recipients if person in queued.behind]
        in_turn = [person for person in recipients if person not in queued.behind]
        refused = self._send(message, in_turn) if in_turn else {}
        never = sorted(person for person, (code, _) in refused.items() if code >= 500)
        now = sorted(set(refused) - set(never))
        if queued.attempts >= _MOST_TRIES:
            never, now = sorted(refused), []
        nobody = len(refused) == len(in_turn) and set(addressed) <= set(recipients)
        if nobody and not (now or behind):
            raise DeliveryError(_said("takes nothing for", never, refused), for_good=True)
        if now or behind:
            said = [_said("does not take it now for", now, refused)] if now else []
            said += [f"it follows an earlier notice to {_names(behind)}"] if behind else []
            said += [f"refused: {_names(never)}"] if never else []
            # As long as nobody has it, it is still the notice of all of them.
            raise DeliveryError("; ".join(said), waiting=recipients if nobody else [*now, *behind])
        gone = sorted(set(queued.waiting or ()) - set(addressed))
        said = [f"refused: {_names(never)}"] if never else []
        said += [f"addressed no more: {_names(gone)}"] if gone else []
        remark = "; ".join(said) or None
        return Arrived(id=str(message["Message-ID"]), opens=root is None, remark=remark)

    def _send(
        self, message: EmailMessage, recipients: Sequence[str]
    ) -> Mapping[str, tuple[int, bytes]]:
        """Return who was refused, and how."""
        try:
            with self._connect() as session:
                return session.send_message(message, self._sender, recipients)
        except smtplib.SMTPRecipientsRefused as error:
            if any(code == 421 for code, _ in error.recipients.values()):
                # The server is leaving, and has not asked for the others.
                raise DeliveryError("the mail server says no (421)", down=True) from None
            return error.recipients
        except smtplib.SMTPResponseException as error:
            # What a server says may quote what it was sent.
            said = f"the mail server says no ({error.smtp_code})"
            down = isinstance(
                error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError
            ) or (400 <= error.smtp_code < 500)
            raise DeliveryError(said, down=down) from None
        except smtplib.SMTPNotSupportedError:
            raise DeliveryError("the mail server cannot take such an address") from None
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(
                f"the mail server cannot be reached{_cause(error)}", down=True, unsure=True
            ) from None

    def find(
        self,
        queued: Sequence[QueuedNotice],
        root: Root | None,
        *,
        place: str | None,
        since: datetime,
    ) -> Mapping[int, Arrived] | None:
        """Return None: a mailbox is not ours to look into."""
        del queued, root, place, since
        return None

    def show(self, root: Root, summary: Summary) -> bool:
        """Return False: a mail stays as it was sent."""
        del root, summary
        return False


def mail(queued: QueuedNotice, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Return the notice as a mail: plain text, and the same as HTML."""
    notice = queued.notice
    domain = sender.rpartition("@")[2]
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = _MARKS.get(notice.severity, "") + _verbatim(
        shorten(notice.title, _SUBJECT)
    )
    # When it was said, not when it got through: mailboxes sort by it.
    message["Date"] = format_datetime(queued.created_at)
    message["Message-ID"] = f"<notice-{queued.mark}@{domain}>"
    key = hashlib.sha256(notice.thread.encode()).hexdigest()[:24]
    message["In-Reply-To"] = message["References"] = f"<thread-{key}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    if notice.severity in (Severity.ACTION, Severity.CRITICAL):
        message["Importance"] = "high"
    message.set_content(_text(queued), cte="quoted-printable")
    message.add_alternative(_html(queued), subtype="html", cte="quoted-printable")
    return message


def _verbatim(subject: str) -> str:
    """Return a subject that no reader takes for an encoded one: what such a word says may hold the
    end of a line, and with it headers and a body of its own."""
    return subject.replace("=?", "=\N{WORD JOINER}?")


def _text(queued: QueuedNotice) -> str:
    notice = queued.notice
    parts = [notice.text, "\n".join(f"{k}: {v}" for k, v in notice.fields.items())]
    parts += [notice.link or "", queued.late or ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(queued: QueuedNotice) -> str:
    notice = queued.notice
    link, fields = split_link(notice.link, notice.fields)
    rows = "".join(
        '<tr><th style="text-align:left;vertical-align:top;padding:2px 12px 2px 0;'
        f'font-weight:600">{html.escape(name)}</th><td>{_lines(value)}</td></tr>'
        for name, value in fields.items()
    )
    asks = notice.severity is Severity.ACTION
    button = (
        f'<p><a href="{html.escape(link)}" style="background:#0b5cad;color:#fff;padding:8px 14px;'
        f'border-radius:4px;text-decoration:none">{"Answer" if asks else "Open"} in Airflow</a></p>'
        if link
        else ""
    )
    late = f'<p style="color:#8a4b00">{html.escape(queued.late)}</p>' if queued.late else ""
    return (
        '<!doctype html><html><body style="font:15px/1.45 sans-serif;color:#1d1c1d;'
        'overflow-wrap:anywhere">'
        f'<h2 style="font-size:18px">{html.escape(notice.title)}</h2><p>{_lines(notice.text)}</p>'
        f"<table>{rows}</table>{button}{late}</body></html>\n"
    )


def _lines(text: str) -> str:
    return "<br>".join(html.escape(line) for line in text.splitlines())


def _said(what: str, people: Sequence[str], refused: Mapping[str, tuple[int, bytes]]) -> str:
    codes = sorted({refused[person][0] for person in people})
    return f"the mail server {what} {_names(people)} ({', '.join(map(str, codes))})"


def _names(people: Sequence[str]) -> str:
    return one_line(", ".join(people), 200)


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return " (no answer in time)"
    said = getattr(error, "strerror", None)
    return f" ({said})" if isinstance(said, str) and said else ""
