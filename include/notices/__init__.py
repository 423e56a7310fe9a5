"""Words to people: written once, queued with their record, delivered at least once.

Design §8. `texts` holds the product copy, `outbox` puts a notice into the caller's unit of work,
`delivery` hands what is queued to a channel.
"""

from include.notices.notice import Audience, Notice, QueuedNotice, Severity
from include.notices.outbox import queue

__all__ = ["Audience", "Notice", "QueuedNotice", "Severity", "queue"]
