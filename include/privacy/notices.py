"""Notices go to many: what looks like a patient's data does not go with them."""

from __future__ import annotations

from dataclasses import replace

from include.errors import RequestError
from include.notices.notice import Notice
from include.privacy.guard import load_guard
from include.settings import Settings


def screened(settings: Settings, notice: Notice) -> Notice:
    """Return a notice as it may be sent. Where policy would refuse it, it is blackened: a notice is
    a consequence, and not saying it would hide what happened."""
    guard = load_guard(settings)

    def text(value: str) -> str:
        try:
            return guard.apply("notice", "the notice", value)
        except RequestError:
            return guard.redact(value)

    return replace(
        notice,
        title=text(notice.title),
        text=text(notice.text),
        fields={name: text(value) for name, value in notice.fields.items()},
    )
