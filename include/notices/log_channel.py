"""Notices as lines of a log or a console: also what is used where no other channel is set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from include.notices.channel import Arrived, Root
from include.notices.notice import QueuedNotice, Severity
from include.notices.summary import Summary


class LogChannel:
    """Writes each notice as a few readable lines through `write`, which gets them without `\\n`."""

    name = "log"
    batch = 1
    edits = False

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def deliver(self, queued: QueuedNotice, root: Root | None, summary: Summary) -> Arrived:
        """Write the notice; what `root` would say stands in its title."""
        del summary
        notice = queued.notice
        mark = "" if notice.severity is Severity.INFO else f"{notice.severity.upper()} "
        self._write(f"NOTICE {mark}for {notice.audience}: {notice.title}")
        for line in notice.text.splitlines():
            self._write(f"  {line}")
        for name, value in notice.fields.items():
            self._write(f"  {name}: {' / '.join(value.splitlines())}")
        for more in (notice.link, queued.late):
            if more:
                self._write(f"  {more}")
        return Arrived(opens=root is None, id=f"log-{queued.id}")

    def find(
        self,
        queued: Sequence[QueuedNotice],
        root: Root | None,
        *,
        place: str | None,
        since: datetime,
    ) -> Mapping[int, Arrived] | None:
        """Return None: nobody reads a log back."""
        del queued, root, place, since
        return None

    def show(self, root: Root, summary: Summary) -> bool:
        """Return False: what is written stays."""
        del root, summary
        return False
