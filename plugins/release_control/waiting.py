"""What a waiting task shows in Airflow: in its log, and under Task State Store on its page."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

KEY = "waiting"


def show_waiting(context: Mapping[str, Any], message: str) -> None:
    """Say what a task waits for, in place of what it said before."""
    log.info("%s", message)
    store = context.get("task_state_store")
    if store is None:
        return
    try:
        store.set(KEY, message[:2000])
    except Exception:
        # It is there to be read; that it cannot be shown stops nobody.
        log.warning("what is being waited for cannot be shown", exc_info=True)
