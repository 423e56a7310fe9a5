"""What a thread's name says it belongs to."""

from __future__ import annotations

import re

_RELEASE = re.compile(r"[a-z0-9][a-z0-9.-]*-\d+\.\d+\.\d+", re.ASCII)


def subject_of(thread: str) -> dict[str, str]:
    """Return `{"change": …}` or `{"release": …}` for a record about the thread, else nothing.

    >>> subject_of("CHG-7"), subject_of("hims-api-2.3.0"), subject_of("calendar")
    ({'change': 'CHG-7'}, {'release': 'hims-api-2.3.0'}, {})
    """
    if thread.startswith("CHG-"):
        return {"change": thread}
    return {"release": thread} if _RELEASE.fullmatch(thread) else {}
